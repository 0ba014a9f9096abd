"""What serves the model."""

from pathlib import Path

from aws_cdk import CfnOutput
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.api import RecommendationApi
from infra.endpoint import ModelEndpoint
from infra.environment import Environment
from infra.environment_stack import EnvironmentStack
from infra.storage import StorageStack


class ServingStack(EnvironmentStack):
    """The released model behind an endpoint, and the API in front of it."""

    def __init__(
        self, scope: Construct, *, settings: Environment, storage: StorageStack, functions: Path
    ) -> None:
        super().__init__(
            scope,
            "serving",
            settings=settings,
            description="Movie recommender: the model's endpoint and its API",
        )
        package_arn = settings.model.package_arn or ssm.StringParameter.value_for_string_parameter(
            self, settings.model_package_parameter
        )
        endpoint = ModelEndpoint(
            self, "Endpoint", settings=settings, storage=storage, model_package_arn=package_arn
        )
        api = RecommendationApi(
            self,
            "Api",
            settings=settings,
            storage=storage,
            endpoint=endpoint,
            bundle=functions / "recommend",
        )
        CfnOutput(self, "EndpointName", value=settings.endpoint_name)
        CfnOutput(self, "ModelPackageArn", value=package_arn)
        CfnOutput(self, "ApiUrl", value=api.url)
        if api.key_id:
            CfnOutput(self, "ApiKeyId", value=api.key_id)
