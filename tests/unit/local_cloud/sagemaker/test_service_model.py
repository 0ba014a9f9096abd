import json
from datetime import UTC, datetime
from typing import Any

import pytest

from local_cloud.sagemaker import service_model
from local_cloud.sagemaker.errors import SageMakerError


def violation(operation: str, **parameters: Any) -> str:
    with pytest.raises(SageMakerError) as caught:
        service_model.validate(operation, parameters)
    assert (caught.value.code, caught.value.status) == ("ValidationException", 400)
    return caught.value.message


@pytest.mark.parametrize(
    ("name", "constraint"),
    [
        ("under_score", "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"),
        ("trailing-", "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"),
        ("x" * 64, "Member must have length less than or equal to 63"),
    ],
)
def test_names_follow_the_rules(name: str, constraint: str) -> None:
    message = violation("DeleteModelPackageGroup", ModelPackageGroupName="ok name")
    assert "at 'modelPackageGroupName' failed" in message
    message = violation("CreateModelPackageGroup", ModelPackageGroupName=name)
    assert f"Value '{name}' at 'modelPackageGroupName' failed to satisfy constraint: {constraint}" in message


def test_missing_unknown_and_mistyped_members_are_named() -> None:
    message = violation("CreateEndpoint", EndpointName=1, Typo="x")
    assert 'Missing required parameter in input: "EndpointConfigName"' in message
    assert 'Unknown parameter in input: "Typo"' in message
    assert "Invalid type for parameter EndpointName" in message


def test_nested_members_are_checked() -> None:
    variant = {
        "VariantName": "v",
        "ModelName": "m",
        "InitialInstanceCount": 0,
        "InstanceType": "ml.nonsense",
    }
    message = violation("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=[variant])
    assert "InitialInstanceCount" in message
    variant["InitialInstanceCount"] = 1
    message = violation("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=[variant])
    assert "at 'productionVariants.1.member.instanceType'" in message
    assert "Member must satisfy enum value set: [" in message


def test_good_request_passes() -> None:
    service_model.validate("CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c"})


def test_unknown_operation_is_named() -> None:
    with pytest.raises(SageMakerError, match="no operation 'CreateNothing'"):
        service_model.validate("CreateNothing", {})


def test_response_holds_only_what_the_operation_answers() -> None:
    record = {"ModelName": "m", "ModelArn": "a", "Tags": [], "VpcConfig": None, "CreationTime": 1}
    assert service_model.response("DescribeModel", record) == {
        "ModelName": "m",
        "ModelArn": "a",
        "CreationTime": 1,
    }
    assert service_model.response("DeleteModel", {}) == {}


def test_times_are_seconds_on_the_wire_and_milliseconds_elsewhere() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    assert json.loads(service_model.encode({"t": moment})) == {"t": 1767323045.678}
    assert json.loads(service_model.encode_milliseconds({"t": moment})) == {"t": 1767323045678}
    request = service_model.with_times("ListModels", {"CreationTimeAfter": 1767323045.678, "MaxResults": 3})
    assert request == {"CreationTimeAfter": moment, "MaxResults": 3}


def test_cloudformation_scalars_are_converted() -> None:
    shape = service_model.input_shape("CreateEndpointConfig")
    given = {
        "EndpointConfigName": "c",
        "EnableNetworkIsolation": "true",
        "ProductionVariants": [
            {"VariantName": "v", "InitialInstanceCount": "2", "InitialVariantWeight": "0.5", "Bad": "1"}
        ],
    }
    assert service_model.coerce(given, shape) == {
        "EndpointConfigName": "c",
        "EnableNetworkIsolation": True,
        "ProductionVariants": [
            {"VariantName": "v", "InitialInstanceCount": 2, "InitialVariantWeight": 0.5, "Bad": "1"}
        ],
    }
    assert service_model.coerce({"EndpointConfigName": 7}, shape) == {"EndpointConfigName": "7"}
    assert service_model.coerce({"EnableNetworkIsolation": "maybe"}, shape) == {
        "EnableNetworkIsolation": "maybe"
    }


def _package_with(value: str) -> dict[str, Any]:
    return {"ModelPackageGroupName": "g", "CustomerMetadataProperties": {"source_key": value}}


@pytest.mark.parametrize(
    "value", ["ratings/ml-100k.zip", "Bewertungen für Köln/٣ Ⅳ.zip", "評価@a+b=c:d_e", "a\u00a0b"]
)
def test_metadata_takes_letters_digits_and_spaces_of_every_language(value: str) -> None:
    service_model.validate("CreateModelPackage", _package_with(value))


@pytest.mark.parametrize("value", ["a,b", "a (1)", "it's", "a\tb", "a\\b", "a]b", "€", "e\u0301", "x!"])
def test_metadata_takes_no_other_characters(value: str) -> None:
    message = violation("CreateModelPackage", **_package_with(value))
    assert f"Value '{value}' at 'customerMetadataProperties.source_key.value' failed" in message
    assert r"regular expression pattern: ([\p{L}\p{Z}\p{N}_.:\/=+\-@]*)${1,256}" in message


def test_a_description_takes_punctuation_but_no_control_characters() -> None:
    service_model.validate("CreateModelPackage", {"ModelPackageDescription": "a (b), 'c' [d] \\ ^ € e\u0301"})
    assert "modelPackageDescription" in violation("CreateModelPackage", ModelPackageDescription="a\x00b")
