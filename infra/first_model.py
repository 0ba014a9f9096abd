"""The custom resource that ends the first deployment with a trained model."""

from pathlib import Path

from aws_cdk import CustomResource, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.arns import execution_arns, model_package_arns, parameter_arn, sagemaker_arn
from infra.custom_resource_provider import LONGEST_WAIT, CustomResourceProvider
from infra.environment import Environment
from infra.errors import ConfigurationError
from infra.function import BundledFunction
from infra.permission import allow
from infra.release import Release
from infra.storage import RATINGS_PREFIX, StorageStack
from infra.training_workflow import TrainingWorkflow


class FirstModel(Construct):
    """Uploads the ratings that come with the app, trains on them and waits until the model is released.

    On an update it uploads changed ratings and leaves the training to the upload trigger. On deletion it
    stops what runs, removes the models of stopped runs and empties the model registry, so that `cdk destroy`
    leaves nothing behind.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Environment,
        storage: StorageStack,
        workflow: TrainingWorkflow,
        release: Release,
        ratings: Path,
        bundle: Path,
    ) -> None:
        super().__init__(scope, construct_id)
        if not ratings.is_file():
            raise ConfigurationError(
                f"training.ratings: {ratings} is not there; `recommender data` fetches it"
            )
        asset = s3_assets.Asset(self, "Ratings", path=str(ratings))
        uploaded = f"{RATINGS_PREFIX}{ratings.name}"
        on_event = self._handler("OnEvent", "on_event", settings, bundle, timeout=Duration.minutes(5))
        is_complete = self._handler(
            "IsComplete", "is_complete", settings, bundle, timeout=Duration.minutes(1)
        )
        machines = [workflow.state_machine, release.state_machine]
        _allow_to_begin(on_event.execution_role, asset, uploaded, storage, machines)
        _allow_to_finish(is_complete.execution_role, settings, machines)
        provider = CustomResourceProvider(
            self,
            "Provider",
            on_event=on_event,
            is_complete=is_complete,
            log_name=f"{settings.prefix}-first-model-provider",
            retention_days=settings.logs.retention_days,
        )
        resource = CustomResource(
            self,
            "Resource",
            resource_type="Custom::FirstModel",
            service_token=provider.service_token,
            properties={
                "StateMachineArn": workflow.state_machine.state_machine_arn,
                "ReleaseStateMachineArn": release.state_machine.state_machine_arn,
                "RawBucket": storage.raw.bucket_name,
                "AssetBucket": asset.s3_bucket_name,
                "AssetKey": asset.s3_object_key,
                "RatingsKey": uploaded,
                "ModelPackageGroup": settings.model_package_group,
                "ParameterName": settings.model_package_parameter,
                "NamePrefix": settings.prefix,
                "WaitMinutes": str(int(LONGEST_WAIT.to_minutes()) - 2),
            },
        )
        # The first training and its release, and on deletion the stopping, need every permission of both.
        resource.node.add_dependency(workflow, release)

    def _handler(
        self, construct_id: str, name: str, settings: Environment, bundle: Path, *, timeout: Duration
    ) -> BundledFunction:
        return BundledFunction(
            self,
            construct_id,
            bundle=bundle,
            handler=f"first_model.handler.{name}",
            log_name=f"{settings.prefix}-first-model-{name.replace('_', '-')}",
            retention_days=settings.logs.retention_days,
            timeout=timeout,
            memory_mib=256,
            description=f"First model: {name}",
            environment={},
        )


_EXECUTIONS = "Step Functions names the executions of the two state machines"


def _allow_to_begin(
    role: iam.Role,
    asset: s3_assets.Asset,
    uploaded: str,
    storage: StorageStack,
    machines: list[sfn.StateMachine],
) -> None:
    """To copy the ratings, start the training and, on deletion, stop what runs."""
    training, _ = machines
    executions = [execution_arns(Stack.of(role), machine.state_machine_name) for machine in machines]
    allow(role, "s3:GetObject", on=asset.bucket.arn_for_objects(asset.s3_object_key))
    allow(role, "s3:PutObject", on=storage.objects(storage.raw, uploaded))
    allow(role, "kms:Decrypt", "kms:GenerateDataKey", on=storage.key.key_arn)
    allow(role, "states:StartExecution", on=training.state_machine_arn)
    allow(role, "states:ListExecutions", on=[machine.state_machine_arn for machine in machines])
    allow(role, "states:StopExecution", on=executions, because=_EXECUTIONS)


def _allow_to_finish(role: iam.Role, settings: Environment, machines: list[sfn.StateMachine]) -> None:
    """To see how training and release end and what was registered; on deletion, to remove that."""
    stack = Stack.of(role)
    allow(role, "states:ListExecutions", on=[machine.state_machine_arn for machine in machines])
    allow(
        role,
        *("states:DescribeExecution", "states:GetExecutionHistory"),
        on=[execution_arns(stack, machine.state_machine_name) for machine in machines],
        because=_EXECUTIONS,
    )
    allow(
        role,
        *("sagemaker:DeleteModelPackage", "sagemaker:ListModelPackages"),
        on=model_package_arns(stack, settings.model_package_group),
        because="SageMaker numbers the packages of the registry",
    )
    allow(role, "sagemaker:ListModels", on="*", because="ListModels acts on no resource that IAM can name")
    allow(
        role,
        "sagemaker:DeleteModel",
        on=sagemaker_arn(stack, "model", f"{settings.prefix}-*"),
        because="Each run names its model after the environment, the data and the execution",
    )
    allow(
        role,
        *("ssm:DeleteParameter", "ssm:GetParameter"),
        on=parameter_arn(stack, settings.model_package_parameter),
    )
