"""The two custom resources that decide whether a deployment of the serving stack may go on."""

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import CustomResource, Duration, Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.arns import sagemaker_arn
from infra.custom_resource_provider import CustomResourceProvider
from infra.endpoint import ModelEndpoint
from infra.environment import Environment
from infra.function import BundledFunction
from infra.permission import allow
from infra.storage import MODELS_PREFIX, StorageStack

_FUNCTION_TIMEOUT = Duration.minutes(10)
_RESOURCE_TIMEOUT = Duration.minutes(12)
"""When CloudFormation stops waiting. The framework answers as soon as the function has ended."""


class CheckModel(Construct):
    """Refuses a model package that is not of the registry, not approved, or not what was evaluated.

    The check is made whenever instances start, as each fetches the artifact again.

    Attributes:
        resource: what the caller lets the SageMaker model depend on.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Environment,
        storage: StorageStack,
        model_package_arn: str,
        bundle: Path,
    ) -> None:
        super().__init__(scope, construct_id)
        function = _verifier(
            self,
            "check",
            settings=settings,
            storage=storage,
            bundle=bundle,
            description="Checks a model package before it is deployed",
            environment={"MODEL_PACKAGE_ARN_PREFIX": settings.model_package_arn_prefix},
        )
        allow(
            function.execution_role,
            "s3:GetObject",
            on=storage.objects(storage.models, f"{MODELS_PREFIX}*"),
            because="The package decides which artifact is checked",
        )
        pin = settings.model.artifact_sha256
        self.resource = _custom_resource(
            self,
            "check",
            settings=settings,
            function=function,
            resource_type="Custom::CheckModel",
            properties={
                "ModelPackageArn": model_package_arn,
                "InstanceType": settings.serving.instance_type,
                "InstanceCount": str(settings.serving.instance_count),
                **({"ArtifactSha256": pin} if pin else {}),
            },
        )


class SmokeTest(Construct):
    """Fails a deployment after which the endpoint or the API does not serve the model package.

    It runs whenever the package, the endpoint's configuration or the API's code has changed.

    Attributes:
        resource: what the caller lets depend on endpoint and API.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Environment,
        storage: StorageStack,
        endpoint: ModelEndpoint,
        recommend: BundledFunction,
        bundle: Path,
    ) -> None:
        super().__init__(scope, construct_id)
        function = _verifier(
            self,
            "smoke-test",
            settings=settings,
            storage=storage,
            bundle=bundle,
            description="Asks the endpoint and the API for what the model is known to answer",
            environment={
                "ENDPOINT_NAME": endpoint.name,
                "RECOMMEND_FUNCTION": recommend.function_name,
                "INSTANCE_COUNT": str(settings.serving.instance_count),
            },
        )
        role = function.execution_role
        allow(
            role,
            "s3:GetObject",
            on=storage.objects(storage.models, f"{MODELS_PREFIX}*/reference.json"),
            because="The package decides which reference is read",
        )
        allow(
            role,
            "sagemaker:InvokeEndpoint",
            on=sagemaker_arn(Stack.of(self), "endpoint", endpoint.name),
        )
        allow(role, "lambda:InvokeFunction", on=recommend.function_arn)
        self.resource = _custom_resource(
            self,
            "smoke-test",
            settings=settings,
            function=function,
            resource_type="Custom::SmokeTest",
            properties={
                "ModelPackageArn": endpoint.model_package_arn,
                "EndpointConfigName": endpoint.configuration_name,
                "RecommendCode": recommend.code_key,
            },
        )


def _verifier(
    scope: Construct,
    name: str,
    *,
    settings: Environment,
    storage: StorageStack,
    bundle: Path,
    description: str,
    environment: Mapping[str, str],
) -> BundledFunction:
    """Define a function of `verify_model` with what both may do."""
    function = BundledFunction(
        scope,
        "Function",
        bundle=bundle,
        handler=f"verify_model.handler.{name.replace('-', '_')}",
        log_name=f"{settings.prefix}-{name}",
        retention_days=settings.logs.retention_days,
        timeout=_FUNCTION_TIMEOUT,
        memory_mib=512,
        description=description,
        environment=environment,
    )
    stack = Stack.of(scope)
    role = function.execution_role
    allow(
        role,
        "sagemaker:DescribeModelPackage",
        on=sagemaker_arn(stack, "model-package", f"{settings.model_package_group}/*"),
        because="SageMaker numbers the packages of the registry",
    )
    allow(role, "kms:Decrypt", on=storage.key.key_arn)
    allow(role, "cloudformation:DescribeStacks", on=stack.stack_id)
    return function


def _custom_resource(
    scope: Construct,
    name: str,
    *,
    settings: Environment,
    function: lambda_.IFunction,
    resource_type: str,
    properties: Mapping[str, str],
) -> CustomResource:
    provider = CustomResourceProvider(
        scope,
        "Provider",
        on_event=function,
        log_name=f"{settings.prefix}-{name}-provider",
        retention_days=settings.logs.retention_days,
    )
    return CustomResource(
        scope,
        "Resource",
        resource_type=resource_type,
        service_token=provider.service_token,
        service_timeout=_RESOURCE_TIMEOUT,
        properties=properties,
    )
