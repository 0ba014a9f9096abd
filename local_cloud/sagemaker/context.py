"""What every part of the local SageMaker shares."""

import logging
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local_cloud.sagemaker.cloud import Cloud
from local_cloud.sagemaker.containers import Containers
from local_cloud.sagemaker.delivery import Metrics
from local_cloud.sagemaker.errors import validation
from local_cloud.sagemaker.scope import Scope

logger = logging.getLogger("sagemaker")


@dataclass(frozen=True)
class Context:
    """The cloud around SageMaker, its containers, and the folder for their files."""

    cloud: Cloud
    folder: Path
    containers: Containers = field(default_factory=Containers)
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", Metrics(self.cloud))

    def job_folder(self, scope: Scope, kind: str, name: str) -> Path:
        """Return a new, empty folder that stands for a container's ``/opt/ml``."""
        folder = self.folder / scope.account / scope.region / kind / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def require_role(self, scope: Scope, role: str | None) -> None:
        """Check that SageMaker could assume `role`.

        Raises:
            SageMakerError: there is no such role.
        """
        if role is None:
            return
        try:
            self.cloud.client("iam", scope).get_role(RoleName=role.rsplit("/", 1)[-1])
        except ClientError as error:
            raise validation(
                f"Could not assume role {role}. Please ensure that the role exists and allows principal "
                "'sagemaker.amazonaws.com' to assume the role."
            ) from error

    def publish(
        self, scope: Scope, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]
    ) -> None:
        """Put a state-change event on the default bus; an event that cannot be put never fails a job."""
        try:
            self.cloud.publish(scope, detail_type=detail_type, detail=detail, resources=resources)
        except Exception:
            logger.warning("Event %r was not delivered", detail_type, exc_info=True)

    def background(self, name: str, work: Callable[[], None]) -> None:
        """Run `work` in a thread of its own."""
        threading.Thread(target=work, daemon=True, name=name).start()
