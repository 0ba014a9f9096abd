"""Reads the model registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from verify_model.errors import VerificationError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient


@dataclass(frozen=True)
class ModelPackage:
    """What the registry says of a package.

    `status` and `approval` are SageMaker's words; `remark` is what who decided on the approval has noted.
    """

    arn: str
    status: str
    approval: str
    remark: str | None
    artifact_uri: str
    metadata: Mapping[str, str]


class Registry:
    """The model registry."""

    def __init__(self, sagemaker: "SageMakerClient") -> None:
        self._sagemaker = sagemaker

    def package(self, arn: str) -> ModelPackage:
        """Return the package with this ARN.

        Raises:
            VerificationError: there is none, or it may not be read.
        """
        try:
            found = self._sagemaker.describe_model_package(ModelPackageName=arn)
        except ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                raise VerificationError(
                    f"Model package {arn} does not exist: deploy one that is in the registry."
                ) from error
            raise VerificationError(f"Model package {arn} cannot be read: {error}") from error
        return ModelPackage(
            arn=arn,
            status=found["ModelPackageStatus"],
            approval=found.get("ModelApprovalStatus", "PendingManualApproval"),
            remark=found.get("ApprovalDescription"),
            artifact_uri=found["InferenceSpecification"]["Containers"][0].get("ModelDataUrl", ""),
            metadata=found.get("CustomerMetadataProperties", {}),
        )
