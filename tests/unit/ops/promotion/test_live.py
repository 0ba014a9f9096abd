"""What is behind an endpoint, as SageMaker tells it to those who may ask."""

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from ops.errors import OperationError
from ops.promotion.live import LiveEndpoint, live_endpoint

ARN = "arn:aws:sagemaker:us-east-1:222222222222:model-package/movie-recommender-staging/3"
DENIED = ("AccessDeniedException", "not authorized, because no identity-based policy allows it")
GONE = ("ValidationException", "Could not find it.")
Refusal = tuple[str, str]


def found(*, endpoint: Refusal | None = None, configuration: Refusal | None = None) -> LiveEndpoint | None:
    """What is found where SageMaker refuses one of the requests."""
    sagemaker = boto3.Session("222222222222", "local", region_name="us-east-1").client("sagemaker")
    variant = {"VariantName": "AllTraffic", "ModelName": "m"}
    answers: list[tuple[str, dict[str, Any], Refusal | None]] = [
        ("describe_endpoint", {"EndpointStatus": "InService", "EndpointConfigName": "c"}, endpoint),
        ("describe_endpoint_config", {"ProductionVariants": [variant]}, configuration),
        ("describe_model", {"PrimaryContainer": {"ModelPackageName": ARN}}, None),
    ]
    shapes = {
        "describe_endpoint": {"EndpointName": "e", "EndpointArn": "arn:aws:sagemaker:::endpoint/e"},
        "describe_endpoint_config": {"EndpointConfigName": "c", "EndpointConfigArn": "arn:aws:sagemaker:::c"},
        "describe_model": {"ModelName": "m", "ModelArn": "arn:aws:sagemaker:::model/m"},
    }
    dates = {"CreationTime": 0, "LastModifiedTime": 0}
    with Stubber(sagemaker) as stub:
        for operation, answer, refusal in answers:
            if refusal is not None:
                stub.add_client_error(operation, refusal[0], refusal[1], 400)
                break
            extra = dates if operation == "describe_endpoint" else {"CreationTime": 0}
            stub.add_response(operation, shapes[operation] | extra | answer)
        return live_endpoint(sagemaker, "e")


def test_the_package_is_found_through_configuration_and_model() -> None:
    assert found() == LiveEndpoint("e", "InService", "", "c", ARN)


@pytest.mark.parametrize("refusal", [GONE, DENIED])
def test_a_configuration_that_is_gone_or_denied_leaves_the_package_unknown(refusal: Refusal) -> None:
    """A role that is allowed by tags is denied what is gone."""
    assert found(configuration=refusal) == LiveEndpoint("e", "InService", "", "c", None)


def test_an_endpoint_that_is_denied_is_not_taken_for_gone() -> None:
    assert found(endpoint=GONE) is None
    with pytest.raises(OperationError, match=r"Endpoint e cannot be read: .*AccessDeniedException"):
        found(endpoint=DENIED)
