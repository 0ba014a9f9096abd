"""What AWS refuses, as one line that says what was being done."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from ops.errors import OperationError

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
"""Error codes of temporary credentials whose time is over:
https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html and S3's own list."""


@contextmanager
def refusals_told(what: str) -> Iterator[None]:
    """Turn an error of AWS's in the block into an OperationError that begins with `what`."""
    try:
        yield
    except ClientError as error:
        if code(error) in EXPIRED:
            raise OperationError(
                f"{what}: the credentials have expired: renew them and run this again; what is done is not "
                "done twice"
            ) from error
        raise OperationError(f"{what}: {error}") from error
    except BotoCoreError as error:
        raise OperationError(f"{what}: {error}") from error


def code(error: ClientError) -> str:
    """Return AWS's code of the error: for an answer without a body (HEAD) the HTTP status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_denied(error: ClientError) -> bool:
    """Tell whether the error says that the caller's permissions do not allow the request."""
    return code(error) in ("AccessDenied", "AccessDeniedException")


def is_missing(error: ClientError) -> bool:
    """Tell whether the error says that there is no such thing.

    SageMaker and CloudFormation answer with the code of any invalid request; only the message tells:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html
    """
    if code(error) in ("404", "NoSuchKey", "NoSuchBucket", "ParameterNotFound", "ResourceNotFound"):
        return True
    message = str(error.response.get("Error", {}).get("Message", ""))
    return code(error) in ("ValidationException", "ValidationError") and (
        "Could not find" in message or "does not exist" in message
    )
