"""Every List operation pages, selects and sorts as the API says."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from local_cloud.sagemaker import images, service_model
from local_cloud.sagemaker.context import Context
from local_cloud.sagemaker.errors import SageMakerError
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.service import SageMaker

SCOPE = Scope("111111111111", "us-east-1")
ROLE = "arn:aws:iam::111111111111:role/service"
IMAGE = images.image_uri("us-east-1")
CONTAINER = {"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"}
SOURCE = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/"}}
NAMES = [f"item-{i}" for i in range(5)]
RANGES = {"IntegerParameterRanges": [{"Name": "epochs", "MinValue": "1", "MaxValue": "9"}]}

TRAINING = {
    "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
    "RoleArn": ROLE,
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}


@dataclass
class Case:
    """A List operation, and how to make what it lists."""

    operation: str
    answer: str
    name: str
    create: str
    request: dict[str, Any]
    ascending: bool
    status: str | None = None


CASES = [
    Case("ListTrainingJobs", "TrainingJobSummaries", "TrainingJobName", "CreateTrainingJob", TRAINING,
         True, "InProgress"),
    Case(
        "ListTransformJobs",
        "TransformJobSummaries",
        "TransformJobName",
        "CreateTransformJob",
        {
            "ModelName": "model",
            "TransformInput": {"DataSource": SOURCE},
            "TransformOutput": {"S3OutputPath": "s3://bucket/out"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        },
        False,
        "InProgress",
    ),
    Case(
        "ListHyperParameterTuningJobs",
        "HyperParameterTuningJobSummaries",
        "HyperParameterTuningJobName",
        "CreateHyperParameterTuningJob",
        {
            "HyperParameterTuningJobConfig": {
                "Strategy": "Random",
                "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "test:rmse"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
                "ParameterRanges": RANGES,
            },
            "TrainingJobDefinition": TRAINING
            | {"InputDataConfig": [{"ChannelName": "test", "DataSource": SOURCE}]},
        },
        True,
        "InProgress",
    ),
    Case("ListModels", "Models", "ModelName", "CreateModel",
         {"ExecutionRoleArn": ROLE, "PrimaryContainer": CONTAINER}, False),
    Case(
        "ListEndpointConfigs",
        "EndpointConfigs",
        "EndpointConfigName",
        "CreateEndpointConfig",
        {
            "ProductionVariants": [
                {
                    "VariantName": "v",
                    "ModelName": "model",
                    "InstanceType": "ml.m5.large",
                    "InitialInstanceCount": 1,
                }
            ]
        },
        False,
    ),
    Case("ListEndpoints", "Endpoints", "EndpointName", "CreateEndpoint", {"EndpointConfigName": "config"},
         False, "Creating"),
    Case("ListModelPackageGroups", "ModelPackageGroupSummaryList", "ModelPackageGroupName",
         "CreateModelPackageGroup", {}, True),
    Case("ListModelPackages", "ModelPackageSummaryList", "ModelPackageName", "CreateModelPackage", {}, True),
]  # fmt: skip


@pytest.fixture(params=CASES, ids=lambda case: case.operation)
def case(request: pytest.FixtureRequest, sagemaker: SageMaker, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Make the five items, a few milliseconds apart; nothing that was created ever gets any further."""
    chosen: Case = request.param

    def never(_self: Context, _name: str, _work: Callable[[], None]) -> None:
        return None

    monkeypatch.setattr(Context, "background", never)
    if chosen.name not in ("ModelName", "ModelPackageGroupName"):
        model = {"ModelName": "model", "ExecutionRoleArn": ROLE, "PrimaryContainer": CONTAINER}
        sagemaker.call("CreateModel", model, SCOPE)
    if chosen.name == "EndpointName":
        config = next(each for each in CASES if each.name == "EndpointConfigName").request
        sagemaker.call("CreateEndpointConfig", {"EndpointConfigName": "config", **config}, SCOPE)
    for name in NAMES:
        sagemaker.call(chosen.create, {chosen.name: name, **chosen.request}, SCOPE)
        time.sleep(0.003)
    return chosen


def listed(sagemaker: SageMaker, case: Case, **query: Any) -> list[str]:
    answer = sagemaker.call(case.operation, query, SCOPE)
    return [item[case.name] for item in answer[case.answer]]


def test_order(sagemaker: SageMaker, case: Case) -> None:
    assert listed(sagemaker, case) == (NAMES if case.ascending else NAMES[::-1])
    assert listed(sagemaker, case, SortOrder="Descending") == NAMES[::-1]
    assert listed(sagemaker, case, SortBy="CreationTime", SortOrder="Ascending") == NAMES
    assert listed(sagemaker, case, SortBy="Name", SortOrder="Descending") == NAMES[::-1]


def test_pages(sagemaker: SageMaker, case: Case) -> None:
    query: dict[str, Any] = {"MaxResults": 2, "SortBy": "Name", "SortOrder": "Ascending"}
    pages = []
    while True:
        answer = sagemaker.call(case.operation, query, SCOPE)
        pages.append([item[case.name] for item in answer[case.answer]])
        if "NextToken" not in answer:
            break
        query["NextToken"] = answer["NextToken"]
    assert pages == [NAMES[:2], NAMES[2:4], NAMES[4:]]
    with pytest.raises(SageMakerError, match="less than or equal to 100"):
        listed(sagemaker, case, MaxResults=101)


def test_selection(sagemaker: SageMaker, case: Case) -> None:
    assert listed(sagemaker, case, NameContains="TEM-3") == ["item-3"]
    items = sagemaker.call(case.operation, {"SortBy": "Name", "SortOrder": "Ascending"}, SCOPE)[case.answer]
    between = {
        "CreationTimeAfter": items[1]["CreationTime"].timestamp(),
        "CreationTimeBefore": items[3]["CreationTime"].timestamp(),
    }
    assert listed(sagemaker, case, **between) == ["item-2"]
    assert ("StatusEquals" in service_model.input_shape(case.operation).members) == (case.status is not None)
    if case.status is not None:
        assert len(listed(sagemaker, case, StatusEquals=case.status)) == len(NAMES)
        assert listed(sagemaker, case, StatusEquals="Failed") == []


def test_names_follow_the_rules(sagemaker: SageMaker, case: Case) -> None:
    longest = 32 if case.name == "HyperParameterTuningJobName" else 63
    for name, rule in (
        ("under_score", "regular expression pattern"),
        ("-leading", "regular expression pattern"),
        ("trailing-", "regular expression pattern"),
        ("x" * (longest + 1), f"length less than or equal to {longest}"),
    ):
        with pytest.raises(SageMakerError) as caught:
            sagemaker.call(case.create, {case.name: name, **case.request}, SCOPE)
        assert caught.value.code == "ValidationException"
        assert rule in caught.value.message
    sagemaker.call(case.create, {case.name: "x" * longest, **case.request}, SCOPE)
