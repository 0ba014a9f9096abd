"""The REST API in front of the model."""

import json
from pathlib import Path
from typing import Any, Final

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_apigateway as apigateway
from constructs import Construct

from infra.acknowledgement import acknowledge
from infra.api_errors import add_error_bodies
from infra.api_schema import PREDICTION_REQUEST
from infra.arns import sagemaker_arn
from infra.endpoint import ModelEndpoint
from infra.environment import Environment
from infra.function import BundledFunction
from infra.log_group import log_group
from infra.permission import allow
from infra.served_model import allow_to_see_the_served_model
from infra.storage import MODELS_PREFIX, StorageStack

STAGE: Final = "v1"


class RecommendationApi(Construct):
    """REST API and function: recommendations for a user, predictions for pairs, health, description.

    Every route needs a caller that IAM knows or, where the environment says so, an API key.

    Attributes:
        url: the stage's URL, ending in "/".
        function: what answers.
        key_id: the API key's id, or None where IAM authorizes.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Environment,
        storage: StorageStack,
        endpoint: ModelEndpoint,
        bundle: Path,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self.function = self._function(storage, endpoint, bundle)
        api = self._rest_api()
        self.url = api.url
        self._routes(api, apigateway.LambdaIntegration(self.function, allow_test_invoke=False))
        add_error_bodies(api, authorization=settings.api.authorization)
        self.key_id = self._usage_plan(api) if settings.api.authorization == "api_key" else None

    def _function(self, storage: StorageStack, endpoint: ModelEndpoint, bundle: Path) -> BundledFunction:
        function = BundledFunction(
            self,
            "Recommend",
            bundle=bundle,
            handler="recommend.handler.handler",
            log_name=f"{self._settings.prefix}-recommend",
            retention_days=self._settings.logs.retention_days,
            # API Gateway waits for 29 seconds.
            timeout=Duration.seconds(28),
            memory_mib=1024,
            description="Answers the API: asks the endpoint, adds titles",
            environment={
                "ENDPOINT_NAME": endpoint.name,
                "MODEL_PACKAGE_ARN": endpoint.model_package_arn,
            },
        )
        role = function.execution_role
        allow(
            role,
            "sagemaker:InvokeEndpoint",
            on=sagemaker_arn(Stack.of(self), "endpoint", endpoint.name),
        )
        allow_to_see_the_served_model(role, self._settings)
        allow(
            role,
            "sagemaker:DescribeModelPackage",
            on=sagemaker_arn(Stack.of(self), "model-package", f"{self._settings.model_package_group}/*"),
            because="While the endpoint changes from one package to another it serves both",
        )
        allow(
            role,
            "s3:GetObject",
            on=[
                storage.objects(storage.models, f"{MODELS_PREFIX}*/{file}")
                for file in ("catalog.json", "histories.bin", "reference.json")
            ],
            because="The packages that the endpoint serves decide which models' files are read",
        )
        allow(role, "kms:Decrypt", on=storage.key.key_arn)
        # Before, the endpoint would refuse every request that the new function makes at first.
        function.node.add_dependency(endpoint)
        return function

    def _rest_api(self) -> apigateway.RestApi:
        api = self._settings.api
        access_logs = log_group(
            self,
            "AccessLogs",
            name=f"/aws/apigateway/{self._settings.prefix}",
            retention_days=self._settings.logs.retention_days,
        )
        iam_authorizes = api.authorization == "iam"
        rest_api = apigateway.RestApi(
            self,
            "RestApi",
            rest_api_name=self._settings.prefix,
            description="Movie recommendations",
            endpoint_configuration=apigateway.EndpointConfiguration(types=[apigateway.EndpointType.REGIONAL]),
            default_method_options=apigateway.MethodOptions(
                authorization_type=apigateway.AuthorizationType.IAM
                if iam_authorizes
                else apigateway.AuthorizationType.NONE,
                api_key_required=not iam_authorizes,
            ),
            deploy_options=apigateway.StageOptions(
                stage_name=STAGE,
                throttling_rate_limit=api.rate_per_second,
                throttling_burst_limit=api.burst,
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                data_trace_enabled=False,
                access_log_destination=apigateway.LogGroupLogDestination(access_logs),
                access_log_format=apigateway.AccessLogFormat.custom(json.dumps(_ACCESS_LOG)),
            ),
            # API Gateway writes logs with one role per account and region, for all its APIs. Deleting it with
            # this API would silence those of every other environment and application.
            cloud_watch_role=True,
            cloud_watch_role_removal_policy=RemovalPolicy.RETAIN,
        )
        # The construct's own output of the URL; the stack has one with a name that people can type.
        rest_api.node.try_remove_child("Endpoint")
        # API Gateway would make this log group by itself, without a retention, and leave it behind.
        execution_logs = log_group(
            self,
            "ExecutionLogs",
            name=f"API-Gateway-Execution-Logs_{rest_api.rest_api_id}/{STAGE}",
            retention_days=self._settings.logs.retention_days,
        )
        stage = rest_api.deployment_stage
        stage.node.add_dependency(execution_logs)
        acknowledge(
            stage,
            "AwsSolutions-APIG3",
            "Every caller is known and throttled; a web ACL would cost more than the API itself",
        )
        acknowledge(
            rest_api.node.find_child("CloudWatchRole"),
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
            "AmazonAPIGatewayPushToCloudWatchLogs]",
            "The account-wide role with which API Gateway writes logs; AWS documents this policy for it",
        )
        return rest_api

    def _routes(self, api: apigateway.RestApi, integration: apigateway.LambdaIntegration) -> None:
        validator = apigateway.RequestValidator(
            self, "Validator", rest_api=api, validate_request_body=True, validate_request_parameters=True
        )
        user = api.root.add_resource("users").add_resource("{user}")
        user.add_resource("recommendations").add_method(
            "GET",
            integration,
            request_validator=validator,
            request_parameters={
                "method.request.path.user": True,
                "method.request.querystring.count": False,
                "method.request.querystring.threshold": False,
            },
        )
        request = api.add_model(
            "PredictionRequest", content_type="application/json", schema=PREDICTION_REQUEST
        )
        api.root.add_resource("predictions").add_method(
            "POST",
            integration,
            request_validator=validator,
            request_models={"application/json": request},
        )
        api.root.add_resource("health").add_method("GET", integration)
        api.root.add_resource("openapi.json").add_method("GET", integration)
        for method in api.methods:
            self._acknowledge_authorization(method)

    def _acknowledge_authorization(self, method: apigateway.Method) -> None:
        if self._settings.api.authorization == "iam":
            acknowledge(
                method, "AwsSolutions-COG4", "IAM authorizes every call: the callers are services of ours"
            )
            return
        reason = "An API key with a daily quota identifies the caller, as [api] of this environment says"
        acknowledge(method, "AwsSolutions-COG4", reason)
        acknowledge(method, "AwsSolutions-APIG4", reason)

    def _usage_plan(self, api: apigateway.RestApi) -> str:
        settings = self._settings.api
        key = api.add_api_key("Key", description=f"The key of {self._settings.prefix}")
        plan = api.add_usage_plan(
            "UsagePlan",
            throttle=apigateway.ThrottleSettings(
                rate_limit=settings.rate_per_second, burst_limit=settings.burst
            ),
            quota=apigateway.QuotaSettings(limit=settings.quota_per_day, period=apigateway.Period.DAY),
            api_stages=[apigateway.UsagePlanPerApiStage(api=api, stage=api.deployment_stage)],
        )
        plan.add_api_key(key)
        return key.key_id


_ACCESS_LOG: Final[dict[str, Any]] = {
    "request_id": "$context.requestId",
    "time": "$context.requestTime",
    "ip": "$context.identity.sourceIp",
    "caller": "$context.identity.caller",
    "api_key_id": "$context.identity.apiKeyId",
    "method": "$context.httpMethod",
    "route": "$context.resourcePath",
    "status": "$context.status",
    "response_length": "$context.responseLength",
    "latency_ms": "$context.responseLatency",
    "integration_latency_ms": "$context.integrationLatency",
    "error": "$context.error.responseType",
}
