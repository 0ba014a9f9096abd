"""The errors that SageMaker answers with."""

from collections.abc import Mapping


class SageMakerError(Exception):
    """An error of the SageMaker API.

    Attributes:
        code: the error's name on the wire, for example ``ResourceNotFound``.
        status: HTTP status.
        members: further members of the error's shape (``OriginalStatusCode`` of ``ModelError``).
    """

    def __init__(
        self, code: str, message: str, *, status: int = 400, members: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})


def validation(message: str) -> SageMakerError:
    """Return the error for a request that can never succeed as it stands."""
    return SageMakerError("ValidationException", message)


def in_use(message: str) -> SageMakerError:
    """Return the error for a job name that is taken."""
    return SageMakerError("ResourceInUse", message)


def job_name_taken(arn: str) -> SageMakerError:
    """Return the error for a training or transform job whose name another job, of this ARN, has already."""
    return in_use(
        "Job name must be unique within an AWS account and region, and a job with this name already "
        f"exists ({arn})"
    )


def not_found(message: str) -> SageMakerError:
    """Return the error for a job that does not exist."""
    return SageMakerError("ResourceNotFound", message)


def conflict(message: str) -> SageMakerError:
    """Return the error for a resource that something else still needs."""
    return SageMakerError("ConflictException", message)
