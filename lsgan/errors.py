"""Errors that a user can mend."""


class InputError(ValueError):
    """What was asked cannot be done; the message is one line: what was wrong, where, and what to do."""
