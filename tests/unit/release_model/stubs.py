"""AWS as the release sees it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from botocore.stub import Stubber

GROUP = "movie-recommender-dev"
PARAMETER = "/movie-recommender/dev/model-package"
STACK = "movie-recommender-dev-serving"
STACK_ID = f"arn:aws:cloudformation:us-east-1:111111111111:stack/{STACK}/0f5b7a1e"
SSM_KEY = "SsmParameterValuemovierecommenderdevmodelpackage"
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def package(version: int) -> str:
    return f"arn:aws:sagemaker:us-east-1:111111111111:model-package/{GROUP}/{version}"


@dataclass(frozen=True)
class Aws:
    """Stubbed clients: each call must be expected, and is checked against botocore's service model."""

    cloudformation: Stubber
    sagemaker: Stubber
    ssm: Stubber

    def expect_stack(self, status: str, serves: int | None = None) -> None:
        outputs = [] if serves is None else [{"OutputKey": "ModelPackageArn", "OutputValue": package(serves)}]
        stack = {
            "StackName": STACK,
            "StackId": STACK_ID,
            "CreationTime": NOW,
            "StackStatus": status,
            "Outputs": [{"OutputKey": "ApiUrl", "OutputValue": "https://…"}, *outputs],
            "Parameters": [
                {"ParameterKey": SSM_KEY, "ParameterValue": PARAMETER, "ResolvedValue": package(serves or 1)},
                {"ParameterKey": "BootstrapVersion", "ParameterValue": "/cdk-bootstrap/hnb659fds/version"},
            ],
        }
        self.cloudformation.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": STACK})

    def expect_no_stack(self) -> None:
        self.cloudformation.add_client_error(
            "describe_stacks", "ValidationError", f"Stack with id {STACK} does not exist"
        )

    def expect_packages(self, *versions: int, incomplete: tuple[int, ...] = ()) -> None:
        """The approved packages, newest first."""
        self.sagemaker.add_response(
            "list_model_packages",
            {
                "ModelPackageSummaryList": [
                    {
                        "ModelPackageArn": package(version),
                        "CreationTime": NOW,
                        "ModelPackageStatus": "InProgress" if version in incomplete else "Completed",
                        "ModelApprovalStatus": "Approved",
                    }
                    for version in versions
                ]
            },
            {
                "ModelPackageGroupName": GROUP,
                "ModelApprovalStatus": "Approved",
                "SortBy": "CreationTime",
                "SortOrder": "Descending",
            },
        )

    def expect_parameter(self, version: int | None) -> None:
        if version is None:
            self.ssm.add_client_error(
                "get_parameter", "ParameterNotFound", expected_params={"Name": PARAMETER}
            )
        else:
            self.ssm.add_response(
                "get_parameter", {"Parameter": {"Value": package(version)}}, {"Name": PARAMETER}
            )

    def expect_parameter_set(self, version: int) -> None:
        self.ssm.add_response(
            "put_parameter",
            {},
            {
                "Name": PARAMETER,
                "Description": "The model package that the serving stack serves",
                "Type": "String",
                "Value": package(version),
                "Overwrite": True,
            },
        )

    def expect_rejection(self, version: int, description: str) -> None:
        self.sagemaker.add_response(
            "update_model_package",
            {"ModelPackageArn": package(version)},
            {
                "ModelPackageArn": package(version),
                "ModelApprovalStatus": "Rejected",
                "ApprovalDescription": description,
            },
        )
