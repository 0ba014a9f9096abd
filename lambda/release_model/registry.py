"""The environment's model package group."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateModelPackage.html
_LONGEST_DESCRIPTION = 1024


class Registry:
    """The packages of one model package group."""

    def __init__(self, sagemaker: "SageMakerClient", group: str) -> None:
        self._sagemaker = sagemaker
        self.group = group

    def newest_approved(self) -> str | None:
        """Return the ARN of the newest package that is approved and complete, if there is one."""
        pages = self._sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self.group,
            ModelApprovalStatus="Approved",
            SortBy="CreationTime",
            SortOrder="Descending",
        )
        summaries = (summary for page in pages for summary in page["ModelPackageSummaryList"])
        complete = (s["ModelPackageArn"] for s in summaries if s["ModelPackageStatus"] == "Completed")
        return next(complete, None)

    def reject(self, package: str, why: str) -> None:
        """Set a package to Rejected, with the reason, so that it is not chosen again."""
        line = " ".join(why.split())
        self._sagemaker.update_model_package(
            ModelPackageArn=package,
            ModelApprovalStatus="Rejected",
            ApprovalDescription=line
            if len(line) <= _LONGEST_DESCRIPTION
            else f"{line[: _LONGEST_DESCRIPTION - 1]}…",
        )


def version(package: str) -> int:
    """Return the version of a package in its group: its ARN's last part."""
    return int(package.rpartition("/")[2])
