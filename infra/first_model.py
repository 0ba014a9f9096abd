"""The custom resource that ends the first deployment with a trained model."""

from pathlib import Path

from aws_cdk import ArnFormat, CustomResource, Duration, Stack, custom_resources
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct, IConstruct

from infra.acknowledgement import acknowledge
from infra.environment import Environment
from infra.errors import ConfigurationError
from infra.function import BundledFunction
from infra.log_group import log_group
from infra.permission import acknowledge_versions, allow
from infra.storage import RATINGS_PREFIX, StorageStack
from infra.training_workflow import TrainingWorkflow

_EXECUTIONS = "Step Functions names the executions of the one state machine"


class FirstModel(Construct):
    """Uploads the ratings that come with the app, trains on them and waits for the registered model.

    On an update it uploads changed ratings and leaves the training to the upload trigger. On deletion it
    stops what runs and empties the model registry, so that `cdk destroy` leaves nothing behind.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Environment,
        storage: StorageStack,
        workflow: TrainingWorkflow,
        ratings: Path,
        bundle: Path,
    ) -> None:
        super().__init__(scope, construct_id)
        if not ratings.is_file():
            raise ConfigurationError(
                f"training.ratings: {ratings} is not there; `recommender data` fetches it"
            )
        asset = s3_assets.Asset(self, "Ratings", path=str(ratings))
        on_event = self._handler("on_event", settings=settings, bundle=bundle, timeout=Duration.minutes(5))
        is_complete = self._handler(
            "is_complete", settings=settings, bundle=bundle, timeout=Duration.minutes(1)
        )
        state_machine = workflow.state_machine
        executions = Stack.of(self).format_arn(
            service="states",
            resource="execution",
            resource_name=f"{state_machine.state_machine_name}:*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        uploaded = f"{RATINGS_PREFIX}{ratings.name}"
        role = on_event.execution_role
        allow(role, "s3:GetObject", on=asset.bucket.arn_for_objects(asset.s3_object_key))
        allow(role, "s3:PutObject", on=storage.objects(storage.raw, uploaded))
        allow(role, "kms:Decrypt", "kms:GenerateDataKey", on=storage.key.key_arn)
        allow(role, "states:ListExecutions", "states:StartExecution", on=state_machine.state_machine_arn)
        allow(role, "states:StopExecution", on=executions, because=_EXECUTIONS)

        role = is_complete.execution_role
        allow(role, "states:ListExecutions", on=state_machine.state_machine_arn)
        allow(
            role,
            *("states:DescribeExecution", "states:GetExecutionHistory"),
            on=executions,
            because=_EXECUTIONS,
        )
        allow(
            role,
            *("sagemaker:DeleteModelPackage", "sagemaker:ListModelPackages"),
            on=[
                self._arn("sagemaker", "model-package-group", settings.model_package_group),
                self._arn("sagemaker", "model-package", f"{settings.model_package_group}/*"),
            ],
            because="SageMaker numbers the packages of the registry",
        )
        allow(
            role,
            *("ssm:DeleteParameter", "ssm:GetParameter"),
            on=self._arn("ssm", "parameter", settings.model_package_parameter.removeprefix("/")),
        )
        provider = self._provider(settings, on_event, is_complete)
        resource = CustomResource(
            self,
            "Resource",
            resource_type="Custom::FirstModel",
            service_token=provider.service_token,
            properties={
                "StateMachineArn": state_machine.state_machine_arn,
                "RawBucket": storage.raw.bucket_name,
                "AssetBucket": asset.s3_bucket_name,
                "AssetKey": asset.s3_object_key,
                "RatingsKey": uploaded,
                "ModelPackageGroup": settings.model_package_group,
                "ParameterName": settings.model_package_parameter,
            },
        )
        # The first training, and on deletion the stopping, need every permission of the workflow.
        resource.node.add_dependency(workflow)

    def _handler(
        self, name: str, *, settings: Environment, bundle: Path, timeout: Duration
    ) -> BundledFunction:
        words = name.replace("_", " ")
        return BundledFunction(
            self,
            "".join(part.capitalize() for part in name.split("_")),
            bundle=bundle,
            handler=f"first_model.handler.{name}",
            log_name=f"{settings.prefix}-first-model-{name.replace('_', '-')}",
            retention_days=settings.logs.retention_days,
            timeout=timeout,
            memory_mib=256,
            description=f"First model: {words}",
            environment={},
        )

    def _provider(
        self, settings: Environment, on_event: BundledFunction, is_complete: BundledFunction
    ) -> custom_resources.Provider:
        """CDK's polling framework, with a log group and roles that leave nothing behind."""
        logs = log_group(
            self,
            "ProviderLogs",
            name=f"/aws/lambda/{settings.prefix}-first-model-provider",
            retention_days=settings.logs.retention_days,
        )
        roles = [
            iam.Role(
                self,
                construct_id,
                assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
                description="What CDK's custom resource framework may do for the first model",
            )
            for construct_id in ("ProviderOnEventRole", "ProviderIsCompleteRole")
        ]
        for role in roles:
            logs.grant_write(role)
        provider = custom_resources.Provider(
            self,
            "Provider",
            on_event_handler=on_event,
            is_complete_handler=is_complete,
            framework_on_event_role=roles[0],
            framework_complete_and_timeout_role=roles[1],
            query_interval=Duration.seconds(10),
            # CloudFormation gives up on a custom resource after an hour, without a reason: give up before it.
            total_timeout=Duration.minutes(50),
            log_group=logs,
        )
        for role in roles:
            acknowledge_versions(
                role,
                [on_event.function_arn, is_complete.function_arn],
                "CDK's framework is granted all versions of the two handlers; there is one",
            )
        self._acknowledge_waiter(provider.node.find_child("waiter-state-machine"), provider)
        return provider

    def _acknowledge_waiter(self, waiter: IConstruct, provider: custom_resources.Provider) -> None:
        role = waiter.node.find_child("Role")
        assert isinstance(role, iam.Role)  # noqa: S101
        polled = [provider.node.find_child(f"framework-{name}") for name in ("isComplete", "onTimeout")]
        acknowledge_versions(
            role,
            [function.function_arn for function in polled if isinstance(function, lambda_.Function)],
            "CDK's waiter is granted all versions of the framework's functions; there is one",
        )
        outcome = (
            "CDK's waiter only polls until the first model is there; the deployment tells how that ended"
        )
        acknowledge(waiter, "AwsSolutions-SF1", outcome)
        acknowledge(waiter, "AwsSolutions-SF2", outcome)

    def _arn(self, service: str, resource: str, name: str) -> str:
        return Stack.of(self).format_arn(service=service, resource=resource, resource_name=name)
