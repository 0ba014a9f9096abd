"""Finds out which model packages an endpoint serves."""

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

logger = Logger(child=True)


class ServedPackages:
    """The model packages of one endpoint."""

    def __init__(self, sagemaker: "SageMakerClient", *, endpoint_name: str) -> None:
        self._sagemaker = sagemaker
        self._endpoint_name = endpoint_name
        self._packages: dict[str, list[str]] = {}

    def now(self) -> list[str]:
        """Return the ARNs of the packages that may answer: while a deployment is under way, its one, too.

        What cannot be described is left out, as is a model that was not made from a package.
        """
        # Configurations and models never change: each is described once.
        self._packages = {
            configuration: self._packages.get(configuration) or self._packages_of(configuration)
            for configuration in self._configurations()
        }
        return list(dict.fromkeys(package for found in self._packages.values() for package in found))

    def _configurations(self) -> list[str]:
        try:
            endpoint = self._sagemaker.describe_endpoint(EndpointName=self._endpoint_name)
        except (ClientError, BotoCoreError):
            logger.exception("The endpoint cannot be described")
            return []
        deployments = (endpoint, endpoint.get("PendingDeploymentSummary", {}))
        return [each["EndpointConfigName"] for each in deployments if "EndpointConfigName" in each]

    def _packages_of(self, configuration: str) -> list[str]:
        try:
            described = self._sagemaker.describe_endpoint_config(EndpointConfigName=configuration)
            models = [
                self._sagemaker.describe_model(ModelName=variant["ModelName"])
                for variant in described["ProductionVariants"]
            ]
        except (ClientError, BotoCoreError):
            # A deployment that is over takes what is not needed any more with it.
            logger.exception("An endpoint configuration cannot be described", configuration=configuration)
            return []
        return [
            model["PrimaryContainer"]["ModelPackageName"]
            for model in models
            if "ModelPackageName" in model.get("PrimaryContainer", {})
        ]
