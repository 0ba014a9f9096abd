"""The one error of this package."""


class VerificationError(Exception):
    """Must not be deployed, or does not work: says what, where, and what to do. CloudFormation shows it."""
