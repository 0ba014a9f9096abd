"""The state machine that turns ratings into a registered model."""

from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.environment import Environment, TrainingSettings
from infra.preparation_jobs import PreparationJobs
from infra.state_machine import LoggedStateMachine
from infra.storage import StorageStack
from infra.training_roles import job_role, workflow_role
from infra.workflow_jobs import Jobs, scores_uri
from infra.workflow_registration import register_model


@dataclass(frozen=True)
class Preparation:
    """Data preparation outside the function: the function that decides where, and the jobs."""

    choose: lambda_.IFunction
    jobs: PreparationJobs


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
        preparation: Preparation | None,
    ) -> None:
        """Define the workflow.

        Args:
            scope: the stack.
            construct_id: its id there.
            settings: the environment.
            training: its `[training]`.
            storage: where the data is.
            prepare_data: the function that prepares data.
            evaluate_model: the function that evaluates a model.
            preparation: what prepares data that is too large for the function, if anything does.
        """
        super().__init__(scope, construct_id)
        role_of_jobs = job_role(self, "JobRole", storage=storage)
        role = workflow_role(
            self,
            "Role",
            settings=settings,
            storage=storage,
            job_role=role_of_jobs,
            functions=[prepare_data, evaluate_model, *([preparation.choose] if preparation else [])],
        )
        if preparation:
            preparation.jobs.allow_submission(role)
        jobs = Jobs(self, settings=settings, training=training, storage=storage, job_role=role_of_jobs)
        failure = self._failure()
        evaluate = self._evaluate(evaluate_model)
        clean_up = jobs.delete_model("DeleteScoringModel")
        # A model that is left costs nothing, and goes with the environment.
        clean_up.add_catch(evaluate, result_path=sfn.JsonPath.DISCARD)
        prepare = self._prepare(prepare_data)
        (
            prepare.next(jobs.train().add_catch(failure, result_path="$.failure"))
            .next(jobs.create_model().add_catch(failure, result_path="$.failure"))
            .next(self._score(jobs, failure))
            .next(clean_up)
            .next(evaluate)
            .next(self._gate(register_model(self, settings=settings, training=training)))
        )
        start = self._remember_execution().next(
            self._choose(preparation, prepare, failure) if preparation else prepare
        )
        self.state_machine = self._state_machine(settings, training, role, start, preparation)

    def _state_machine(
        self,
        settings: Environment,
        training: TrainingSettings,
        role: iam.Role,
        steps: sfn.IChainable,
        preparation: Preparation | None,
    ) -> sfn.StateMachine:
        timeout = Duration.minutes(training.max_runtime_minutes).plus(Duration.hours(4))
        return LoggedStateMachine(
            self,
            "StateMachine",
            comment="Ratings in, a registered model out",
            steps=steps,
            role=role,
            timeout=timeout.plus(preparation.jobs.longest) if preparation else timeout,
            log_name=f"{settings.prefix}-training",
            retention_days=settings.logs.retention_days,
        )

    def _remember_execution(self) -> sfn.Pass:
        # A payload cannot mix an optional part of the input with the execution's id: the id joins the input.
        return sfn.Pass(
            self, "RememberExecution", input_path=sfn.JsonPath.execution_id, result_path="$.execution"
        )

    def _choose(
        self, preparation: Preparation, prepare: tasks.LambdaInvoke, failure: sfn.IChainable
    ) -> sfn.IChainable:
        choose = tasks.LambdaInvoke(
            self,
            "ChoosePreparation",
            lambda_function=preparation.choose,
            payload_response_only=True,
            result_path="$.ratings",
            task_timeout=sfn.Timeout.duration(Duration.minutes(6)),
        )
        return choose.next(
            sfn.Choice(self, "Large", comment="Are the ratings too large for the function?")
            .when(
                sfn.Condition.string_equals("$.ratings.home", "batch"),
                preparation.jobs.steps(self, prepare=prepare, failure=failure),
            )
            .otherwise(prepare)
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

    def _score(self, jobs: Jobs, failure: sfn.IChainable) -> sfn.Parallel:
        score = sfn.Parallel(self, "Score", result_path=sfn.JsonPath.DISCARD)
        score.branch(jobs.transform("ScoreTestRatings", "test"))
        score.branch(jobs.transform("ScoreRanking", "ranking"))
        clean_up = jobs.delete_model("DeleteScoringModelAfterFailure")
        clean_up.add_catch(failure, result_path=sfn.JsonPath.DISCARD)
        return score.add_catch(clean_up.next(failure), result_path="$.failure")

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
                        "test": scores_uri("test", "test.protobuf.out"),
                        "ranking": scores_uri("ranking", "ranking.protobuf.out"),
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
