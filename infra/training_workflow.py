"""The state machine that turns ratings into a registered model."""

from typing import Final

from aws_cdk import Duration, Size
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra import images
from infra.environment import Environment, TrainingSettings
from infra.log_group import log_group
from infra.storage import MODELS_PREFIX, SCORES_PREFIX, StorageStack
from infra.training_roles import job_role, workflow_role

RECORDIO: Final = "application/x-recordio-protobuf"
JSON_LINES: Final = "application/jsonlines"

_NAME: Final = sfn.JsonPath.string_at("$.prepared.name")
_LAUNCH_ALLOWANCE: Final = Duration.minutes(30)
"""What SageMaker may take to find and start instances, on top of a job's own run time."""
_TRANSFORM_LIMIT: Final = Duration.hours(2)


class TrainingWorkflow(Construct):
    """Prepare, train, score, evaluate, judge, register: each step by the service whose job it is.

    The input is `{"ratings": {"bucket", "key"}}`, or `{}` for the newest ratings. Each step adds its result
    to the state under its own name. The execution fails with the reason that the failed job gave.

    Attributes:
        state_machine: the workflow.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Environment,
        training: TrainingSettings,
        storage: StorageStack,
        prepare_data: lambda_.IFunction,
        evaluate_model: lambda_.IFunction,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._training = training
        self._storage = storage
        self._image = images.image_uri(settings.region)
        self._tags = {"project": "movie-recommender", "environment": settings.name}
        self._job_role = job_role(self, "JobRole", storage=storage)
        role = workflow_role(
            self,
            "Role",
            settings=settings,
            storage=storage,
            job_role=self._job_role,
            functions=[prepare_data, evaluate_model],
        )
        failure = self._failure()
        steps = (
            self._remember_execution()
            .next(self._prepare(prepare_data))
            .next(self._train(failure))
            .next(self._create_scoring_model(failure))
            .next(self._score(failure))
            .next(self._delete_scoring_model("DeleteScoringModel"))
            .next(self._evaluate(evaluate_model))
            .next(self._gate(self._register()))
        )
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            comment="Ratings in, a registered model out",
            definition_body=sfn.DefinitionBody.from_chainable(steps),
            # The tasks would add statements on all jobs and all models; the role has narrower ones.
            role=role.without_policy_updates(),
            timeout=Duration.minutes(training.max_runtime_minutes).plus(Duration.hours(4)),
            logs=sfn.LogOptions(
                destination=log_group(
                    self,
                    "Logs",
                    # The prefix keeps CloudWatch Logs' resource policy from growing with each log group:
                    # https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
                    name=f"/aws/vendedlogs/states/{settings.prefix}-training",
                    retention_days=settings.logs.retention_days,
                ),
                level=sfn.LogLevel.ALL,
                include_execution_data=True,
            ),
            tracing_enabled=True,
        )
        self.state_machine.node.add_dependency(role)

    def _remember_execution(self) -> sfn.Pass:
        # A payload cannot mix an optional part of the input with the execution's id: the id joins the input.
        return sfn.Pass(
            self, "RememberExecution", input_path=sfn.JsonPath.execution_id, result_path="$.execution"
        )

    def _prepare(self, function: lambda_.IFunction) -> tasks.LambdaInvoke:
        return tasks.LambdaInvoke(
            self,
            "PrepareData",
            lambda_function=function,
            payload_response_only=True,
            result_path="$.prepared",
            task_timeout=sfn.Timeout.duration(Duration.minutes(16)),
        )

    def _train(self, failure: sfn.IChainable) -> tasks.SageMakerCreateTrainingJob:
        key = self._storage.key
        train = tasks.SageMakerCreateTrainingJob(
            self,
            "Train",
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            training_job_name=_NAME,
            role=self._job_role.without_policy_updates(),
            algorithm_specification=tasks.AlgorithmSpecification(
                training_image=tasks.DockerImage.from_registry(self._image),
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
        _retry_service_errors(train)
        _retry_when_full(train)
        train.add_catch(failure, result_path="$.failure")
        return train

    def _create_scoring_model(self, failure: sfn.IChainable) -> tasks.SageMakerCreateModel:
        create = tasks.SageMakerCreateModel(
            self,
            "CreateScoringModel",
            model_name=_NAME,
            role=self._job_role.without_policy_updates(),
            primary_container=tasks.ContainerDefinition(
                image=tasks.DockerImage.from_registry(self._image),
                model_s3_location=tasks.S3Location.from_json_expression("$.training.artifact"),
            ),
            enable_network_isolation=True,
            result_path=sfn.JsonPath.DISCARD,
        )
        _retry_service_errors(create)
        create.add_catch(failure, result_path="$.failure")
        return create

    def _score(self, failure: sfn.IChainable) -> sfn.Parallel:
        score = sfn.Parallel(self, "Score", result_path=sfn.JsonPath.DISCARD)
        score.branch(self._transform("ScoreTestRatings", "test"))
        score.branch(self._transform("ScoreRanking", "ranking"))
        clean_up = self._delete_scoring_model("DeleteScoringModelAfterFailure")
        clean_up.add_catch(failure, result_path=sfn.JsonPath.DISCARD)
        score.add_catch(clean_up.next(failure), result_path="$.failure")
        return score

    def _transform(self, construct_id: str, part: str) -> tasks.SageMakerCreateTransformJob:
        transform = tasks.SageMakerCreateTransformJob(
            self,
            construct_id,
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            transform_job_name=sfn.JsonPath.format(f"{{}}-{part}", _NAME),
            model_name=_NAME,
            role=self._job_role.without_policy_updates(),
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
                s3_output_path=_scores(part),
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
        _retry_service_errors(transform)
        _retry_when_full(transform)
        return transform

    def _delete_scoring_model(self, construct_id: str) -> tasks.CallAwsService:
        delete = tasks.CallAwsService(
            self,
            construct_id,
            service="sagemaker",
            action="deleteModel",
            parameters={"ModelName": _NAME},
            iam_resources=[],
            result_path=sfn.JsonPath.DISCARD,
        )
        _retry_service_errors(delete)
        return delete

    def _evaluate(self, function: lambda_.IFunction) -> tasks.LambdaInvoke:
        return tasks.LambdaInvoke(
            self,
            "Evaluate",
            lambda_function=function,
            payload=sfn.TaskInput.from_object(
                {
                    "prepared": sfn.JsonPath.object_at("$.prepared"),
                    "model_artifact": sfn.JsonPath.string_at("$.training.artifact"),
                    "scores": {
                        "test": _scores("test", "test.protobuf.out"),
                        "ranking": _scores("ranking", "ranking.protobuf.out"),
                    },
                }
            ),
            payload_response_only=True,
            result_path="$.evaluation",
            task_timeout=sfn.Timeout.duration(Duration.minutes(16)),
        )

    def _gate(self, register: sfn.IChainable) -> sfn.Choice:
        return (
            sfn.Choice(self, "Gate", comment="Is the model good enough to be registered?")
            .when(sfn.Condition.boolean_equals("$.evaluation.gate.passed", value=True), register)
            .otherwise(sfn.Fail(self, "GateFailed", error="GateFailed", cause_path="$.evaluation.gate.cause"))
        )

    def _register(self) -> sfn.IChainable:
        released = self._training.approval == "automatic"
        register = tasks.CallAwsService(
            self,
            "Register",
            service="sagemaker",
            action="createModelPackage",
            parameters={
                "ModelPackageGroupName": self._settings.model_package_group,
                "ModelPackageDescription": sfn.JsonPath.format(
                    "Factorization Machines trained on {}", sfn.JsonPath.string_at("$.prepared.source_key")
                ),
                "ModelApprovalStatus": "Approved" if released else "PendingManualApproval",
                "InferenceSpecification": {
                    "Containers": [
                        {"Image": self._image, "ModelDataUrl": sfn.JsonPath.string_at("$.training.artifact")}
                    ],
                    "SupportedContentTypes": ["application/json", RECORDIO, JSON_LINES],
                    "SupportedResponseMIMETypes": ["application/json", RECORDIO, JSON_LINES],
                },
                "ModelMetrics": {
                    "ModelQuality": {
                        "Statistics": {
                            "ContentType": "application/json",
                            "S3Uri": sfn.JsonPath.string_at("$.evaluation.evaluation_uri"),
                        }
                    }
                },
                "CustomerMetadataProperties": {
                    "artifact_sha256": sfn.JsonPath.string_at("$.evaluation.artifact_sha256"),
                    "dataset_digest": sfn.JsonPath.string_at("$.prepared.digest"),
                    "catalog_uri": sfn.JsonPath.string_at("$.evaluation.catalog_uri"),
                    "histories_uri": sfn.JsonPath.string_at("$.evaluation.histories_uri"),
                    "training_job": _NAME,
                    "source_key": sfn.JsonPath.string_at("$.prepared.source_key"),
                },
                # A retry after an answer that was lost must not register the model twice.
                "ClientToken": sfn.JsonPath.hash(sfn.JsonPath.execution_id, "MD5"),
            },
            iam_resources=[],
            result_selector={"arn": sfn.JsonPath.string_at("$.ModelPackageArn")},
            result_path="$.package",
        )
        _retry_service_errors(register)
        return register.next(self._publish()) if released else register

    def _publish(self) -> tasks.CallAwsService:
        publish = tasks.CallAwsService(
            self,
            "Publish",
            comment="Make it the model that the next deployment of the serving stack serves",
            service="ssm",
            action="putParameter",
            parameters={
                "Name": self._settings.model_package_parameter,
                "Description": "The model package that the serving stack serves",
                "Type": "String",
                "Value": sfn.JsonPath.string_at("$.package.arn"),
                "Overwrite": True,
            },
            iam_resources=[],
            result_path=sfn.JsonPath.DISCARD,
        )
        publish.add_retry(
            max_attempts=3,
            interval=Duration.seconds(2),
            errors=["Ssm.InternalServerErrorException", "Ssm.SsmException", "Ssm.TooManyUpdatesException"],
        )
        return publish

    def _failure(self) -> sfn.IChainable:
        """How an execution ends when a job failed: with the job's own reason where there is one."""
        read_reason = sfn.Pass(
            self,
            "ReadFailureReason",
            parameters={"job": sfn.JsonPath.string_to_json(sfn.JsonPath.string_at("$.failure.Cause"))},
            result_path="$.failed",
        )
        job_failed = sfn.Fail(self, "JobFailed", error="JobFailed", cause_path="$.failed.job.FailureReason")
        step_failed = sfn.Fail(self, "StepFailed", error_path="$.failure.Error", cause_path="$.failure.Cause")
        # A `.sync` step fails with the job's whole description as its cause; a refused call with plain text.
        job_gave_reason = sfn.Condition.string_matches("$.failure.Cause", '{*"FailureReason":*}')
        return (
            sfn.Choice(self, "JobGaveReason")
            .when(job_gave_reason, read_reason.next(job_failed))
            .otherwise(step_failed)
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


def _scores(part: str, file: str = "") -> str:
    """The place of a transform job's output in the prepared bucket, as an expression of the workflow."""
    return sfn.JsonPath.format(
        f"s3://{{}}/{SCORES_PREFIX}{{}}/{part}/{file}", sfn.JsonPath.string_at("$.prepared.bucket"), _NAME
    )


def _instance_type(name: str) -> ec2.InstanceType:
    # The tasks put SageMaker's "ml." in front of EC2's names.
    return ec2.InstanceType(name.removeprefix("ml."))


def _retry_service_errors(task: sfn.TaskStateBase) -> None:
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
