"""The SageMaker jobs of the training workflow, as its states."""

from typing import Final

from aws_cdk import Duration, Size
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra import images
from infra.environment import PROJECT, Environment, TrainingSettings
from infra.storage import MODELS_PREFIX, SCORES_PREFIX, StorageStack

RECORDIO: Final = "application/x-recordio-protobuf"
JSON_LINES: Final = "application/jsonlines"

RUN_NAME: Final = sfn.JsonPath.string_at("$.prepared.name")
"""What the run's training job and model are called; its transform jobs add a suffix."""

_LAUNCH_ALLOWANCE: Final = Duration.minutes(30)
"""What SageMaker may take to find and start instances, on top of a job's own run time."""
_TRANSFORM_LIMIT: Final = Duration.hours(2)


class Jobs:
    """Makes the states of `workflow` that train a model, and that score with it and remove it again."""

    def __init__(
        self,
        workflow: Construct,
        *,
        settings: Environment,
        training: TrainingSettings,
        storage: StorageStack,
        job_role: iam.Role,
    ) -> None:
        self._workflow = workflow
        self._training = training
        self._storage = storage
        # The tasks would add statements to the role; it has what the jobs need.
        self._role = job_role.without_policy_updates()
        self._image = tasks.DockerImage.from_registry(images.image_uri(settings.region))
        self._tags = {"project": PROJECT, "environment": settings.name}

    def train(self) -> tasks.SageMakerCreateTrainingJob:
        """Train on the prepared data; the result is `$.training.artifact`, the URI of the model.tar.gz."""
        key = self._storage.key
        train = tasks.SageMakerCreateTrainingJob(
            self._workflow,
            "Train",
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            training_job_name=RUN_NAME,
            role=self._role,
            algorithm_specification=tasks.AlgorithmSpecification(
                training_image=self._image,
                training_input_mode=tasks.InputMode.FILE,
            ),
            hyperparameters={
                "predictor_type": "binary_classifier",
                "feature_dim": sfn.JsonPath.string_at("$.prepared.feature_dim"),
                **self._training.hyperparameters.as_strings(),
            },
            input_data_config=[
                _channel("train", "$.prepared.train_uri"),
                _channel("test", "$.prepared.test_uri"),
            ],
            output_data_config=tasks.OutputDataConfig(
                s3_output_location=_S3Uri(self._storage.models.s3_url_for_object(MODELS_PREFIX)),
                encryption_key=key,
            ),
            resource_config=tasks.ResourceConfig(
                instance_count=1,
                instance_type=_instance_type(self._training.instance_type),
                volume_size=Size.gibibytes(30),
                volume_encryption_key=key,
            ),
            stopping_condition=tasks.StoppingCondition(
                max_runtime=Duration.minutes(self._training.max_runtime_minutes)
            ),
            enable_network_isolation=True,
            tags=self._tags,
            task_timeout=sfn.Timeout.duration(
                Duration.minutes(self._training.max_runtime_minutes).plus(_LAUNCH_ALLOWANCE)
            ),
            result_selector={"artifact": sfn.JsonPath.string_at("$.ModelArtifacts.S3ModelArtifacts")},
            result_path="$.training",
        )
        retry_service_errors(train)
        _retry_when_full(train)
        return train

    def create_model(self) -> tasks.SageMakerCreateModel:
        """Make the trained artifact a model that transform jobs can use."""
        create = tasks.SageMakerCreateModel(
            self._workflow,
            "CreateScoringModel",
            model_name=RUN_NAME,
            role=self._role,
            primary_container=tasks.ContainerDefinition(
                image=self._image,
                model_s3_location=tasks.S3Location.from_json_expression("$.training.artifact"),
            ),
            enable_network_isolation=True,
            result_path=sfn.JsonPath.DISCARD,
        )
        retry_service_errors(create)
        return create

    def transform(self, construct_id: str, part: str) -> tasks.SageMakerCreateTransformJob:
        """Score one part of the prepared data, "test" or "ranking", into `scores_uri(part)`."""
        transform = tasks.SageMakerCreateTransformJob(
            self._workflow,
            construct_id,
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            transform_job_name=sfn.JsonPath.format(f"{{}}-{part}", RUN_NAME),
            model_name=RUN_NAME,
            role=self._role,
            transform_input=tasks.TransformInput(
                transform_data_source=tasks.TransformDataSource(
                    s3_data_source=tasks.TransformS3DataSource(
                        s3_uri=sfn.JsonPath.string_at(f"$.prepared.{part}_uri"),
                        s3_data_type=tasks.S3DataType.S3_PREFIX,
                    )
                ),
                content_type=RECORDIO,
                split_type=tasks.SplitType.RECORD_IO,
            ),
            transform_output=tasks.TransformOutput(
                s3_output_path=scores_uri(part),
                accept=JSON_LINES,
                assemble_with=tasks.AssembleWith.LINE,
                encryption_key=self._storage.key,
            ),
            batch_strategy=tasks.BatchStrategy.MULTI_RECORD,
            max_payload=Size.mebibytes(6),
            transform_resources=tasks.TransformResources(
                instance_count=1,
                instance_type=_instance_type(self._training.transform_instance_type),
                volume_encryption_key=self._storage.key,
            ),
            tags=self._tags,
            task_timeout=sfn.Timeout.duration(_TRANSFORM_LIMIT),
            result_path=sfn.JsonPath.DISCARD,
        )
        retry_service_errors(transform)
        _retry_when_full(transform)
        return transform

    def delete_model(self, construct_id: str) -> tasks.CallAwsService:
        """Remove the model again."""
        delete = tasks.CallAwsService(
            self._workflow,
            construct_id,
            service="sagemaker",
            action="deleteModel",
            parameters={"ModelName": RUN_NAME},
            iam_resources=[],
            result_path=sfn.JsonPath.DISCARD,
        )
        retry_service_errors(delete)
        return delete


def scores_uri(part: str, file: str | None = None) -> str:
    """The place of a transform job's output, or of a file in it, as an expression of the workflow.

    The place itself has no "/" at its end: SageMaker puts one between it and the file, and S3 keeps both.
    """
    place = part if file is None else f"{part}/{file}"
    return sfn.JsonPath.format(
        f"s3://{{}}/{SCORES_PREFIX}{{}}/{place}", sfn.JsonPath.string_at("$.prepared.bucket"), RUN_NAME
    )


def retry_service_errors(task: sfn.TaskStateBase) -> None:
    """Retry what SageMaker itself failed at. The names stay the same, so a retry cannot start a job twice."""
    task.add_retry(
        errors=["SageMaker.AmazonSageMakerException", "SageMaker.SageMakerException"],
        interval=Duration.seconds(5),
        backoff_rate=2,
        max_attempts=3,
        jitter_strategy=sfn.JitterType.FULL,
    )


def _retry_when_full(job: sfn.TaskStateBase) -> None:
    """Wait for other jobs of the account to give their instances back."""
    job.add_retry(
        errors=["SageMaker.ResourceLimitExceededException"],
        interval=Duration.minutes(1),
        backoff_rate=2,
        max_attempts=4,
    )


class _S3Uri(tasks.S3Location):
    """A place in S3 as `s3://<bucket>/<key>`; the one that CDK makes of a bucket is an https:// address."""

    def __init__(self, uri: str) -> None:
        super().__init__()
        self._uri = uri

    def bind(
        self, task: tasks.ISageMakerTask, *, for_reading: bool | None = None, for_writing: bool | None = None
    ) -> tasks.S3LocationConfig:
        del task, for_reading, for_writing  # The job's role states its permissions itself.
        return tasks.S3LocationConfig(uri=self._uri)


def _channel(name: str, uri: str) -> tasks.Channel:
    return tasks.Channel(
        channel_name=name,
        content_type=RECORDIO,
        data_source=tasks.DataSource(
            s3_data_source=tasks.S3DataSource(
                s3_location=tasks.S3Location.from_json_expression(uri),
                s3_data_type=tasks.S3DataType.S3_PREFIX,
                s3_data_distribution_type=tasks.S3DataDistributionType.FULLY_REPLICATED,
            )
        ),
    )


def _instance_type(name: str) -> ec2.InstanceType:
    # The tasks put SageMaker's "ml." in front of EC2's names.
    return ec2.InstanceType(name.removeprefix("ml."))
