"""The one error of this package."""


class EvaluationError(Exception):
    """A model cannot be evaluated from what was given: says what is wrong, and where (file, line)."""
