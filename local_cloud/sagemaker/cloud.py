"""What SageMaker needs of the cloud around it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from local_cloud.sagemaker.scope import Scope


class Cloud(Protocol):
    """The other services, as SageMaker uses them on behalf of an account."""

    def client(self, service: str, scope: Scope) -> Any:
        """Return a boto3 client of `service` (``s3``, ``iam``, ``logs``, ``cloudwatch``) for `scope`."""

    def publish(
        self, scope: Scope, *, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]
    ) -> None:
        """Put an event with source ``aws.sagemaker`` on the scope's default event bus."""
