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
from infra.verification import CheckModel, SmokeTest


class ServingStack(EnvironmentStack):
    """The released model behind an endpoint, the API in front of it, and the tests that both must pass."""

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
        verify_model = functions / "verify_model"
        check = CheckModel(
            self,
            "CheckModel",
            settings=settings,
            storage=storage,
            model_package_arn=package_arn,
            bundle=verify_model,
        )
        endpoint = ModelEndpoint(
            self, "Endpoint", settings=settings, storage=storage, model_package_arn=package_arn
        )
        endpoint.model.node.add_dependency(check.resource)
        api = RecommendationApi(
            self,
            "Api",
            settings=settings,
            storage=storage,
            endpoint=endpoint,
            bundle=functions / "recommend",
        )
        smoke_test = SmokeTest(
            self,
            "SmokeTest",
            settings=settings,
            storage=storage,
            endpoint=endpoint,
            recommend=api.function,
            bundle=verify_model,
        )
        smoke_test.resource.node.add_dependency(endpoint, api)
        CfnOutput(self, "EndpointName", value=settings.endpoint_name)
        CfnOutput(self, "ModelPackageArn", value=package_arn)
        CfnOutput(self, "ApiUrl", value=api.url)
        if api.key_id:
            CfnOutput(self, "ApiKeyId", value=api.key_id)
