"""Errors that a user can fix."""


class InputError(ValueError):
    """A request that cannot be fulfilled. The message is one line that says what was wrong, where, and what to do."""


class SharedError(InputError):
    """An `InputError` that occurs in every process of a parallel run. Only the process of rank 0 prints it."""
