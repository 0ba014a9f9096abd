"""The model registry: groups, versions, their approval and the events of it."""

import re
from typing import Any

import pytest

from local_cloud.sagemaker import images
from local_cloud.sagemaker.errors import SageMakerError
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.service import SageMaker

SCOPE = Scope("111111111111", "us-east-1")
OTHER = Scope("222222222222", "us-east-1")
ROLE = "arn:aws:iam::111111111111:role/service"
CONTAINER = {"Image": images.image_uri("us-east-1"), "ModelDataUrl": "s3://bucket/model.tar.gz"}
SPECIFICATION = {
    "Containers": [CONTAINER],
    "SupportedContentTypes": ["application/json"],
    "SupportedResponseMIMETypes": ["application/json"],
}


def refusal(sagemaker: SageMaker, operation: str, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(SageMakerError) as caught:
        sagemaker.call(operation, parameters, SCOPE)
    return caught.value.code, caught.value.message


def register(sagemaker: SageMaker, scope: Scope = SCOPE, **more: Any) -> str:
    """Register a version in group `g`, which is made if need be; return its ARN."""
    groups = sagemaker.call("ListModelPackageGroups", {}, scope)["ModelPackageGroupSummaryList"]
    if not groups:
        sagemaker.call("CreateModelPackageGroup", {"ModelPackageGroupName": "g"}, scope)
    request = {"ModelPackageGroupName": "g", "InferenceSpecification": SPECIFICATION, **more}
    return str(sagemaker.call("CreateModelPackage", request, scope)["ModelPackageArn"])


def update(sagemaker: SageMaker, arn: str, **changes: Any) -> None:
    sagemaker.call("UpdateModelPackage", {"ModelPackageArn": arn, **changes}, SCOPE)


def test_package_versions_count_up_and_are_never_used_twice(sagemaker: SageMaker, cloud: Any) -> None:
    sagemaker.call("CreateModelPackageGroup", {"ModelPackageGroupName": "g"}, SCOPE)
    request = {"ModelPackageGroupName": "g", "InferenceSpecification": SPECIFICATION}
    arns = [sagemaker.call("CreateModelPackage", request, SCOPE)["ModelPackageArn"] for _ in range(2)]
    assert arns[1] == "arn:aws:sagemaker:us-east-1:111111111111:model-package/g/2"
    sagemaker.call("DeleteModelPackage", {"ModelPackageName": arns[1]}, SCOPE)
    third = sagemaker.call("CreateModelPackage", request, SCOPE)["ModelPackageArn"]
    assert third.endswith("/g/3")
    kinds = [kind for kind, _, _ in cloud.events]
    assert kinds == ["SageMaker Model Package State Change"] * 3
    listed = sagemaker.call("ListModelPackages", {"ModelPackageGroupName": "g"}, SCOPE)
    assert [each["ModelPackageVersion"] for each in listed["ModelPackageSummaryList"]] == [1, 3]
    assert sagemaker.call("ListModelPackages", {}, SCOPE)["ModelPackageSummaryList"] == []

    code, _ = refusal(sagemaker, "DeleteModelPackageGroup", ModelPackageGroupName="g")
    assert code == "ConflictException"


def test_package_metadata_is_merged_and_removed(sagemaker: SageMaker) -> None:
    sagemaker.call("CreateModelPackageGroup", {"ModelPackageGroupName": "g"}, SCOPE)
    request = {"ModelPackageGroupName": "g", "CustomerMetadataProperties": {"a": "1", "b": "2"}}
    arn = sagemaker.call("CreateModelPackage", request, SCOPE)["ModelPackageArn"]
    change = {"CustomerMetadataProperties": {"a": "3"}, "CustomerMetadataPropertiesToRemove": ["b"]}
    sagemaker.call("UpdateModelPackage", {"ModelPackageArn": arn, **change}, SCOPE)
    package = sagemaker.call("DescribeModelPackage", {"ModelPackageName": arn}, SCOPE)
    assert package["CustomerMetadataProperties"] == {"a": "3"}
    assert package["LastModifiedTime"] >= package["CreationTime"]


def test_package_belongs_to_a_group_or_has_a_name(sagemaker: SageMaker) -> None:
    assert "Exactly one of" in refusal(sagemaker, "CreateModelPackage")[1]
    assert "does not exist" in refusal(sagemaker, "CreateModelPackage", ModelPackageGroupName="absent")[1]
    request = {"ModelPackageName": "own", "InferenceSpecification": SPECIFICATION}
    arn = sagemaker.call("CreateModelPackage", request, SCOPE)["ModelPackageArn"]
    assert arn.endswith(":model-package/own")
    assert "already exists" in refusal(sagemaker, "CreateModelPackage", **request)[1]
    listed = sagemaker.call("ListModelPackages", {}, SCOPE)["ModelPackageSummaryList"]
    assert [each["ModelPackageName"] for each in listed] == ["own"]


def test_only_an_approved_version_becomes_a_model(sagemaker: SageMaker) -> None:
    arn = register(sagemaker)
    request = {
        "ModelName": "m",
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {"ModelPackageName": arn},
    }
    for status in ("PendingManualApproval", "Rejected"):
        update(sagemaker, arn, ModelApprovalStatus=status)
        assert refusal(sagemaker, "CreateModel", **request) == (
            "ValidationException",
            f"Cannot create a model from model package {arn}: its ModelApprovalStatus is {status}, it must "
            "be Approved",
        )
    update(sagemaker, arn, ModelApprovalStatus="Approved")
    sagemaker.call("CreateModel", request, SCOPE)
    # What serves already is not taken away: a rollback may need it.
    update(sagemaker, arn, ModelApprovalStatus="Rejected")
    assert sagemaker.models.served(SCOPE, "m").model_data == CONTAINER["ModelDataUrl"]


def test_package_of_another_account_does_not_exist(sagemaker: SageMaker) -> None:
    theirs = register(sagemaker, OTHER, ModelApprovalStatus="Approved")
    assert ":222222222222:" in theirs
    register(sagemaker, ModelApprovalStatus="Approved")
    container = {"ModelPackageName": theirs}
    for operation, parameters in (
        ("DescribeModelPackage", {"ModelPackageName": theirs}),
        ("UpdateModelPackage", {"ModelPackageArn": theirs, "ModelApprovalStatus": "Rejected"}),
        ("CreateModel", {"ModelName": "m", "ExecutionRoleArn": ROLE, "PrimaryContainer": container}),
    ):
        assert refusal(sagemaker, operation, **parameters)[1] == f"ModelPackage {theirs} does not exist."
    described = sagemaker.call("DescribeModelPackage", {"ModelPackageName": theirs}, OTHER)
    assert described["ModelApprovalStatus"] == "Approved"


def test_events_tell_of_creation_and_of_every_change(sagemaker: SageMaker, cloud: Any) -> None:
    arn = register(sagemaker, CustomerMetadataProperties={"a": "1"})
    update(sagemaker, arn, ModelApprovalStatus="Approved", ApprovalDescription="good")
    (kind, created, resources), (_, approved, _) = cloud.events
    assert (kind, resources) == ("SageMaker Model Package State Change", [arn])
    assert created["ModelApprovalStatus"] == "PendingManualApproval"
    assert "UpdatedModelPackageFields" not in created
    assert created["ModelPackageGroupName"] == "g"
    assert created["ModelPackageVersion"] == 1
    assert created["ModelPackageStatus"] == "Completed"
    assert created["CustomerMetadataProperties"] == {"a": "1"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created["CreationTime"])
    assert approved["ModelApprovalStatus"] == "Approved"
    assert approved["UpdatedModelPackageFields"] == ["ModelApprovalStatus", "ApprovalDescription"]
    assert approved["LastModifiedTime"] >= approved["CreationTime"]


def test_request_repeated_with_its_token_is_done_once(sagemaker: SageMaker, cloud: Any) -> None:
    first = register(sagemaker, ClientToken="t-1")
    assert register(sagemaker, ClientToken="t-1") == first
    assert len(cloud.events) == 1
    assert register(sagemaker, ClientToken="t-2") != first
    request = {"ModelPackageGroupName": "g", "ClientToken": "t-1", "ModelPackageDescription": "other"}
    code, message = refusal(sagemaker, "CreateModelPackage", **request)
    assert code == "ValidationException"
    assert message == f"ClientToken t-1 was used for another request, which created {first}"
    assert register(sagemaker, OTHER, ClientToken="t-1").endswith(":222222222222:model-package/g/1")
    sagemaker.call("DeleteModelPackage", {"ModelPackageName": first}, SCOPE)
    assert register(sagemaker, ClientToken="t-1").endswith("/g/3")


def test_repeated_update_does_not_undo_a_later_one(sagemaker: SageMaker) -> None:
    arn = register(sagemaker)
    approve = {"ModelApprovalStatus": "Approved", "ClientToken": "t-1"}
    update(sagemaker, arn, **approve)
    update(sagemaker, arn, ModelApprovalStatus="Rejected")
    update(sagemaker, arn, **approve)
    described = sagemaker.call("DescribeModelPackage", {"ModelPackageName": arn}, SCOPE)
    assert described["ModelApprovalStatus"] == "Rejected"


@pytest.mark.parametrize(
    ("properties", "constraint"),
    [
        ({"k": "v" * 257}, "length less than or equal to 256"),
        ({"k" * 129: "v"}, "length less than or equal to 128"),
        ({"k": "a{b"}, "regular expression pattern"),
        ({f"k{i}": "v" for i in range(51)}, "length less than or equal to 50"),
    ],
)
def test_metadata_that_aws_refuses(sagemaker: SageMaker, properties: dict[str, str], constraint: str) -> None:
    code, message = refusal(
        sagemaker,
        "CreateModelPackage",
        ModelPackageGroupName="g",
        CustomerMetadataProperties=properties,
    )
    assert code == "ValidationException"
    assert constraint in message


def test_metadata_may_not_grow_beyond_its_bound(sagemaker: SageMaker) -> None:
    arn = register(sagemaker, CustomerMetadataProperties={f"k{i}": "v" for i in range(50)})
    more = {"ModelPackageArn": arn, "CustomerMetadataProperties": {"one-more": "v"}}
    assert "has at most 50 CustomerMetadataProperties" in refusal(sagemaker, "UpdateModelPackage", **more)[1]
    update(sagemaker, arn, **{**more, "CustomerMetadataPropertiesToRemove": ["k0"]})
    described = sagemaker.call("DescribeModelPackage", {"ModelPackageName": arn}, SCOPE)
    assert len(described["CustomerMetadataProperties"]) == 50


def test_newest_approved_version_is_listed_first(sagemaker: SageMaker) -> None:
    arns = [register(sagemaker, ModelApprovalStatus=status) for status in ("Approved", "Rejected")]
    arns += [register(sagemaker, ModelApprovalStatus="Approved"), register(sagemaker)]
    request = {
        "ModelPackageGroupName": "g",
        "ModelApprovalStatus": "Approved",
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        "MaxResults": 1,
    }
    page = sagemaker.call("ListModelPackages", request, SCOPE)
    assert [each["ModelPackageArn"] for each in page["ModelPackageSummaryList"]] == [arns[2]]
    rest = sagemaker.call("ListModelPackages", request | {"NextToken": page["NextToken"]}, SCOPE)
    assert [each["ModelPackageArn"] for each in rest["ModelPackageSummaryList"]] == [arns[0]]
    assert "NextToken" not in rest


def test_package_with_a_name_of_its_own_is_not_approved_or_updated(sagemaker: SageMaker) -> None:
    request = {
        "ModelPackageName": "own",
        "InferenceSpecification": SPECIFICATION,
        "ModelApprovalStatus": "Rejected",
    }
    arn = sagemaker.call("CreateModelPackage", request, SCOPE)["ModelPackageArn"]
    assert "ModelApprovalStatus" not in sagemaker.call(
        "DescribeModelPackage", {"ModelPackageName": arn}, SCOPE
    )
    container = {"ModelPackageName": "own"}
    sagemaker.call(
        "CreateModel", {"ModelName": "m", "ExecutionRoleArn": ROLE, "PrimaryContainer": container}, SCOPE
    )
    change = {"ModelPackageArn": arn, "ModelApprovalStatus": "Approved"}
    assert "is not a version of" in refusal(sagemaker, "UpdateModelPackage", **change)[1]
