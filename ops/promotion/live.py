"""What an environment serves, asked of SageMaker itself, and what it should serve."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from infra.environment import Environment
from ops.refusals import is_denied, is_missing, refusals_told

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_ssm import SSMClient


@dataclass(frozen=True)
class LiveEndpoint:
    """An endpoint and what is behind it.

    Attributes:
        name: of the endpoint.
        status: EndpointStatus, such as "InService".
        failure_reason: why its last change failed, or "".
        configuration: the name of its endpoint configuration.
        package_arn: the model package that its model was made from; None if the model was made from none,
            or is not known: configuration or model are gone, or not to be seen by the caller.
    """

    name: str
    status: str
    failure_reason: str
    configuration: str
    package_arn: str | None


def live_endpoint(sagemaker: "SageMakerClient", name: str) -> LiveEndpoint | None:
    """Return the endpoint called `name`, or None if there is none.

    Raises:
        OperationError: AWS refuses.
    """
    with refusals_told(f"Endpoint {name} cannot be read"):
        try:
            endpoint = sagemaker.describe_endpoint(EndpointName=name)
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        configuration = endpoint.get("EndpointConfigName", "")
        return LiveEndpoint(
            name=name,
            status=endpoint["EndpointStatus"],
            failure_reason=endpoint.get("FailureReason", ""),
            configuration=configuration,
            package_arn=_package_behind(sagemaker, configuration),
        )


def released_package(ssm: "SSMClient", environment: Environment) -> str | None:
    """Return the package that the environment's SSM parameter names, or None if there is no parameter.

    Raises:
        OperationError: AWS refuses.
    """
    name = environment.model_package_parameter
    with refusals_told(f"SSM parameter {name} cannot be read"):
        try:
            return ssm.get_parameter(Name=name)["Parameter"]["Value"]
        except ClientError as error:
            if is_missing(error):
                return None
            raise


def _package_behind(sagemaker: "SageMakerClient", configuration: str) -> str | None:
    """The package of the first variant: the product's configurations have one.

    A role that may see what has the environment's tags is denied what is gone, because that has none.
    """
    try:
        variants = sagemaker.describe_endpoint_config(EndpointConfigName=configuration)["ProductionVariants"]
        model = sagemaker.describe_model(ModelName=variants[0].get("ModelName", ""))
    except ClientError as error:
        if is_missing(error) or is_denied(error):
            return None
        raise
    containers = [model["PrimaryContainer"]] if "PrimaryContainer" in model else model.get("Containers", [])
    return next((container.get("ModelPackageName") for container in containers), None)
