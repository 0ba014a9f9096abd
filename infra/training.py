"""What trains models."""

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import CfnOutput, Duration
from constructs import Construct

from infra.environment import Environment, TrainingSettings
from infra.environment_stack import EnvironmentStack
from infra.first_model import FirstModel
from infra.function import BundledFunction
from infra.permission import allow
from infra.preparation_jobs import PreparationJobs
from infra.release import Release
from infra.storage import MODELS_PREFIX, StorageStack
from infra.training_workflow import Preparation, TrainingWorkflow
from infra.triggers import Triggers


class TrainingStack(EnvironmentStack):
    """What turns ratings into a registered model and releases it, and what starts that."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: Environment,
        training: TrainingSettings,
        storage: StorageStack,
        functions: Path,
        images: Path,
        ratings: Path,
    ) -> None:
        """Define the stack.

        Args:
            scope: the app.
            settings: the environment.
            training: its `[training]`.
            storage: where the data is.
            functions: the folder with the functions' bundles.
            images: the folder with the images' build contexts.
            ratings: the file that the first model is trained on.
        """
        super().__init__(
            scope,
            "training",
            settings=settings,
            description="Movie recommender: from ratings to a released model",
        )
        preparation = self._large_preparation(settings, training, storage, functions, images)
        workflow = TrainingWorkflow(
            self,
            "Workflow",
            settings=settings,
            training=training,
            storage=storage,
            prepare_data=self._prepare_data(settings, training, storage, functions / "prepare_data"),
            evaluate_model=self._evaluate_model(settings, training, storage, functions / "evaluate_model"),
            preparation=preparation,
        )
        release = Release(self, "Release", settings=settings, bundle=functions / "release_model")
        first_model = FirstModel(
            self,
            "FirstModel",
            settings=settings,
            storage=storage,
            workflow=workflow,
            release=release,
            ratings=ratings,
            bundle=functions / "first_model",
        )
        if preparation is not None:
            # The first training's jobs need the whole network, and their roles all permissions.
            first_model.node.add_dependency(preparation.jobs)
        triggers = Triggers(
            self,
            "Triggers",
            storage=storage,
            state_machine=workflow.state_machine,
            on_upload=training.upload_trigger,
            schedule=training.schedule,
        )
        # The first model's own upload must not start a second training.
        triggers.node.add_dependency(first_model)
        CfnOutput(self, "StateMachineArn", value=workflow.state_machine.state_machine_arn)
        CfnOutput(self, "ReleaseStateMachineArn", value=release.state_machine.state_machine_arn)

    def _prepare_data(
        self, settings: Environment, training: TrainingSettings, storage: StorageStack, bundle: Path
    ) -> BundledFunction:
        function = self._preparation_function(
            "PrepareData",
            settings,
            training,
            storage,
            bundle,
            handler="handler",
            log_name=f"{settings.prefix}-prepare-data",
            description="Turns ratings into training data",
            environment={},
        )
        role = function.execution_role
        allow(role, "s3:ListBucket", on=storage.prepared.bucket_arn)
        allow(
            role,
            *("s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"),
            on=storage.objects(storage.prepared, "*"),
            because="Prepared data lies under its digest, which each run decides",
        )
        allow(role, "kms:GenerateDataKey", on=storage.key.key_arn)
        return function

    def _large_preparation(
        self,
        settings: Environment,
        training: TrainingSettings,
        storage: StorageStack,
        functions: Path,
        images: Path,
    ) -> Preparation | None:
        if training.batch is None:
            return None
        choose = self._preparation_function(
            "ChoosePreparation",
            settings,
            training,
            storage,
            functions / "prepare_data",
            handler="choose",
            log_name=f"{settings.prefix}-choose-preparation",
            description="Decides whether ratings are prepared by a function or in AWS Batch",
            environment={"ABOVE_MIB": str(training.batch.above_mib), "SHARDS": str(training.batch.shards)},
        )
        jobs = PreparationJobs(
            self,
            "PreparationJobs",
            settings=settings,
            job=training.batch,
            storage=storage,
            image=images / "prepare_data",
        )
        return Preparation(choose, jobs)

    def _preparation_function(
        self,
        construct_id: str,
        settings: Environment,
        training: TrainingSettings,
        storage: StorageStack,
        bundle: Path,
        *,
        handler: str,
        log_name: str,
        description: str,
        environment: Mapping[str, str],
    ) -> BundledFunction:
        """A function of the bundle `prepare_data`, which may read ratings."""
        function = BundledFunction(
            self,
            construct_id,
            bundle=bundle,
            handler=f"prepare_data.handler.{handler}",
            log_name=log_name,
            retention_days=settings.logs.retention_days,
            timeout=Duration.minutes(15),
            memory_mib=3008,
            description=description,
            environment={
                "RAW_BUCKET": storage.raw.bucket_name,
                "PREPARED_BUCKET": storage.prepared.bucket_name,
                "NAME_PREFIX": settings.prefix,
                "SPLIT": training.data.split,
                "SHUFFLE": str(training.data.shuffle).lower(),
                "SEED": str(training.data.seed),
                "LIKED_THRESHOLD": f"{training.data.liked_threshold:g}",
                "DUPLICATES": training.data.duplicates,
                "UNKNOWN_TEST": training.data.unknown_test,
                "MAX_BAD_ROWS": str(training.data.max_bad_rows),
                "RANKING_USERS": str(training.data.ranking_users),
                **environment,
            },
        )
        role = function.execution_role
        storage.allow_to_read_ratings(role)
        return function

    def _evaluate_model(
        self, settings: Environment, training: TrainingSettings, storage: StorageStack, bundle: Path
    ) -> BundledFunction:
        function = BundledFunction(
            self,
            "EvaluateModel",
            bundle=bundle,
            handler="evaluate_model.handler.handler",
            log_name=f"{settings.prefix}-evaluate-model",
            retention_days=settings.logs.retention_days,
            timeout=Duration.minutes(15),
            memory_mib=3008,
            description="Measures a trained model and judges whether it may be registered",
            environment={
                "MODEL_BUCKET": storage.models.bucket_name,
                "GATE_MIN_ACCURACY": str(training.gate.min_accuracy),
                "GATE_MIN_AUC": str(training.gate.min_auc),
                "GATE_MAX_CROSS_ENTROPY": str(training.gate.max_cross_entropy),
            },
        )
        role = function.execution_role
        allow(role, "s3:ListBucket", on=storage.prepared.bucket_arn)
        allow(
            role,
            "s3:GetObject",
            on=storage.objects(storage.prepared, "*"),
            because="Prepared data lies under its digest and scores under the name of the run",
        )
        allow(
            role,
            *("s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"),
            on=storage.objects(storage.models, f"{MODELS_PREFIX}*"),
            because="A model's files lie under the name of its training job",
        )
        allow(role, "kms:Decrypt", "kms:GenerateDataKey", on=storage.key.key_arn)
        return function
