"""The operations that start nothing: models, configurations, the registry, tags; requests and refusals."""

import json
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


def create_model(sagemaker: SageMaker, name: str = "m", **container: Any) -> str:
    request = {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": container or CONTAINER}
    return str(sagemaker.call("CreateModel", request, SCOPE)["ModelArn"])


def test_model_is_created_described_listed_and_deleted(sagemaker: SageMaker) -> None:
    arn = create_model(sagemaker)
    assert arn == "arn:aws:sagemaker:us-east-1:111111111111:model/m"
    described = sagemaker.call("DescribeModel", {"ModelName": "m"}, SCOPE)
    assert described["PrimaryContainer"] == CONTAINER
    assert described["EnableNetworkIsolation"] is False
    assert [each["ModelArn"] for each in sagemaker.call("ListModels", {}, SCOPE)["Models"]] == [arn]
    assert sagemaker.call("ListModels", {}, OTHER) == {"Models": []}
    assert refusal(sagemaker, "CreateModel", ModelName="m", PrimaryContainer=CONTAINER) == (
        "ValidationException",
        f'Cannot create already existing model "{arn}".',
    )
    sagemaker.call("DeleteModel", {"ModelName": "m"}, SCOPE)
    assert refusal(sagemaker, "DescribeModel", ModelName="m") == (
        "ValidationException",
        f'Could not find model "{arn}".',
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ExecutionRoleArn": "arn:aws:iam::111111111111:role/absent"}, "Could not assume role"),
        (
            {"PrimaryContainer": CONTAINER | {"ModelDataUrl": "s3://bucket/no"}},
            "Could not find model data at",
        ),
        ({"PrimaryContainer": {"Image": CONTAINER["Image"]}}, "ModelDataUrl is required"),
        ({"PrimaryContainer": CONTAINER | {"Image": "other"}}, "runs one image"),
        ({"PrimaryContainer": None}, "Either PrimaryContainer or Containers"),
        ({"Containers": [CONTAINER]}, "this one has 2"),
        ({"PrimaryContainer": {"ModelPackageName": "absent"}}, "model-package/absent does not exist"),
    ],
)
def test_model_that_cannot_serve_is_refused(
    sagemaker: SageMaker, changes: dict[str, Any], message: str
) -> None:
    request = {"ModelName": "m", "ExecutionRoleArn": ROLE, "PrimaryContainer": CONTAINER} | changes
    code, text = refusal(sagemaker, "CreateModel", **request)
    assert code == "ValidationException"
    assert message in text


def test_endpoint_config(sagemaker: SageMaker) -> None:
    create_model(sagemaker)
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    request = {"EndpointConfigName": "c", "ProductionVariants": [variant]}
    arn = sagemaker.call("CreateEndpointConfig", request, SCOPE)["EndpointConfigArn"]
    described = sagemaker.call("DescribeEndpointConfig", {"EndpointConfigName": "c"}, SCOPE)
    assert described["ProductionVariants"] == [variant | {"InitialVariantWeight": 1.0}]
    assert refusal(sagemaker, "CreateEndpointConfig", **request)[1] == (
        f'Cannot create already existing endpoint configuration "{arn}".'
    )
    for changes, message in (
        ({"ModelName": "absent"}, "Could not find model"),
        ({"InitialInstanceCount": None}, "is required"),
    ):
        broken = {key: value for key, value in (variant | changes).items() if value is not None}
        _, text = refusal(
            sagemaker, "CreateEndpointConfig", EndpointConfigName="d", ProductionVariants=[broken]
        )
        assert message in text
    twice = {"EndpointConfigName": "d", "ProductionVariants": [variant, variant]}
    assert "Duplicate production variant names" in refusal(sagemaker, "CreateEndpointConfig", **twice)[1]
    sagemaker.call("DeleteEndpointConfig", {"EndpointConfigName": "c"}, SCOPE)
    assert (
        "Could not find endpoint configuration"
        in refusal(sagemaker, "DeleteEndpointConfig", EndpointConfigName="c")[1]
    )


def test_tags(sagemaker: SageMaker) -> None:
    request = {"ModelPackageGroupName": "g", "Tags": [{"Key": "a", "Value": "1"}]}
    arn = sagemaker.call("CreateModelPackageGroup", request, SCOPE)["ModelPackageGroupArn"]
    tags = [{"Key": f"k{i}", "Value": ""} for i in range(50)]
    code, message = refusal(sagemaker, "AddTags", ResourceArn=arn, Tags=tags)
    assert (code, message) == ("ValidationException", "A resource has at most 50 tags")
    assert sagemaker.call("ListTags", {"ResourceArn": arn}, SCOPE) == {"Tags": [{"Key": "a", "Value": "1"}]}
    with pytest.raises(SageMakerError, match="is not a SageMaker resource of account 222222222222"):
        sagemaker.call("ListTags", {"ResourceArn": arn}, OTHER)


def handled(sagemaker: SageMaker, target: str, body: bytes) -> tuple[int, dict[str, str], Any]:
    status, headers, answer = sagemaker.handle("POST", "/", {"x-amz-target": target}, body, SCOPE)
    return status, headers, json.loads(answer)


def test_errors_on_the_wire(sagemaker: SageMaker) -> None:
    status, headers, body = handled(sagemaker, "SageMaker.DescribeModel", b'{"ModelName": "m"}')
    assert status == 400
    assert headers["x-amzn-errortype"] == body["__type"] == "ValidationException"
    assert body["message"].startswith("Could not find model")
    assert handled(sagemaker, "SageMaker.DescribeModel", b"{")[2]["__type"] == "SerializationException"
    assert handled(sagemaker, "SageMaker.DescribeModel", b"[]")[2]["__type"] == "ValidationException"
    assert handled(sagemaker, "SageMaker.Nonsense", b"{}")[2]["__type"] == "UnknownOperationException"
    known = handled(sagemaker, "SageMaker.CreateAutoMLJob", b"{}")[2]
    assert known["message"] == "The local cloud does not offer SageMaker's CreateAutoMLJob"


def test_invocation_of_nothing(sagemaker: SageMaker) -> None:
    status, headers, answer = sagemaker.handle("POST", "/endpoints/my-endpoint/invocations", {}, b"", SCOPE)
    assert (status, headers["x-amzn-errortype"]) == (400, "ValidationError")
    assert json.loads(answer)["Message"] == "Endpoint my-endpoint of account 111111111111 not found."
