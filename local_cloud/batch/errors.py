"""Errors as AWS Batch reports them."""


class BatchError(Exception):
    """A refused request: ``ClientException``, HTTP status 400.

    (https://docs.aws.amazon.com/batch/latest/APIReference/CommonErrors.html)
    """

    code = "ClientException"
    status = 400
