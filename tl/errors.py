"""Errors that the user can fix."""


class UserError(Exception):
    """Scripts and commands print it without a traceback, so it says what is wrong, where and, where that is known, what
    to do."""
