"""The error that a command ends with."""


class OperationError(Exception):
    """Something that the user can act on: the message is one line that says what, where and what to do."""
