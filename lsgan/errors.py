"""Errors that a user can mend."""


class InputError(ValueError):
    """What was asked cannot be done; the message is one line: what was wrong, where, and what to do."""


class SharedError(InputError):
    """An `InputError` that every process of a parallel run has. The process of rank 0 prints it."""
