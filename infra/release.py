"""What makes an environment follow its newest approved model package."""

from pathlib import Path
from typing import Final

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.arns import model_package_arns, parameter_arn, stack_arns
from infra.environment import Environment
from infra.function import BundledFunction
from infra.permission import allow
from infra.state_machine import LoggedStateMachine

_POLL: Final = Duration.seconds(10)
_LONGEST: Final = Duration.hours(7)
"""Three hours' wait for another deployment, and the update itself. At nine events a poll, the history stays
below Step Functions' limit of 25,000: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""


class Release(Construct):
    """Updates the serving stack when a package of the environment's registry is approved or rejected.

    CloudFormation makes the update, with the template of the last deployment, so that a release and a
    deployment never undo each other; what fails in it, CloudFormation rolls back. Before there is a serving
    stack, a release only names the package in the SSM parameter that the first deployment reads.

    Attributes:
        state_machine: one execution is one release. It needs no input.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Environment, bundle: Path) -> None:
        super().__init__(scope, construct_id)
        begin = self._step("Begin", settings, bundle)
        check = self._step("Check", settings, bundle)
        restore = self._step("Restore", settings, bundle)
        _allow_to_release([step.execution_role for step in (begin, check, restore)], settings)
        _allow_to_choose([begin.execution_role, restore.execution_role], settings)
        _allow_to_update(begin.execution_role, settings)
        _allow_to_judge(check.execution_role, settings)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            description="What the release workflow may do",
        )
        allow(role, "lambda:InvokeFunction", on=[step.function_arn for step in (begin, check, restore)])
        self.state_machine = LoggedStateMachine(
            self,
            "StateMachine",
            comment="The newest approved model package in, the serving stack updated to it",
            steps=self._steps(begin, check, restore),
            role=role,
            timeout=_LONGEST,
            log_name=f"{settings.prefix}-release",
            retention_days=settings.logs.retention_days,
        )
        self._on_approval(settings)

    def _step(self, name: str, settings: Environment, bundle: Path) -> BundledFunction:
        return BundledFunction(
            self,
            f"{name}Function",
            bundle=bundle,
            handler=f"release_model.handler.{name.lower()}",
            log_name=f"{settings.prefix}-release-{name.lower()}",
            retention_days=settings.logs.retention_days,
            timeout=Duration.minutes(1),
            memory_mib=256,
            description=f"Release: {name.lower()}",
            environment={
                "MODEL_PACKAGE_GROUP": settings.model_package_group,
                "PARAMETER_NAME": settings.model_package_parameter,
                "SERVING_STACK": settings.stack_name("serving"),
            },
        )

    def _steps(
        self,
        begin_function: lambda_.IFunction,
        check_function: lambda_.IFunction,
        restore_function: lambda_.IFunction,
    ) -> sfn.IChainable:
        begin = self._task(
            "Begin",
            begin_function,
            sfn.TaskInput.from_object(
                {
                    "execution": sfn.JsonPath.string_at("$$.Execution.Name"),
                    "started": sfn.JsonPath.string_at("$$.Execution.StartTime"),
                    "entered": sfn.JsonPath.string_at("$$.State.EnteredTime"),
                }
            ),
        )
        check = self._task(
            "Check",
            check_function,
            sfn.TaskInput.from_object({"release": sfn.JsonPath.object_at("$.release")}),
        )
        # Gets the whole state: before Begin has succeeded once, there is no $.release in it.
        restore = self._task("Restore", restore_function)
        before_begin = sfn.Wait(self, "WaitForStack", time=sfn.WaitTime.duration(_POLL))
        before_check = sfn.Wait(self, "WaitForUpdate", time=sfn.WaitTime.duration(_POLL))
        before_restore = sfn.Wait(self, "WaitToRestore", time=sfn.WaitTime.duration(_POLL))
        state = "$.release.state"
        released = sfn.Succeed(self, "Released")
        not_released = sfn.Fail(self, "NotReleased", error="NotReleased", cause_path="$.release.reason")
        proceed = (
            sfn.Choice(self, "Proceed")
            .when(sfn.Condition.string_equals(state, "waiting"), before_begin)
            .when(sfn.Condition.string_equals(state, "updating"), before_check)
            .when(sfn.Condition.string_equals(state, "released"), released)
            .otherwise(not_released)
        )
        restored = (
            sfn.Choice(self, "Restored")
            .when(sfn.Condition.string_equals(state, "updating"), before_restore)
            .when(sfn.Condition.string_equals(state, "released"), released)
            .otherwise(not_released)
        )
        for step in (begin, check):
            step.add_catch(restore, result_path="$.failure")
        before_restore.next(restore)
        restore.next(restored)
        before_begin.next(begin)
        before_check.next(check)
        check.next(proceed)
        return begin.next(proceed)

    def _task(
        self, name: str, function: lambda_.IFunction, payload: sfn.TaskInput | None = None
    ) -> tasks.LambdaInvoke:
        task = tasks.LambdaInvoke(
            self,
            name,
            lambda_function=function,
            payload=payload,
            payload_response_only=True,
            result_path="$.release",
            task_timeout=sfn.Timeout.duration(Duration.minutes(2)),
        )
        # Every step can be done again, and a passing fault must not leave an update unwatched.
        task.add_retry(errors=["States.ALL"], max_attempts=4, interval=Duration.seconds(5), backoff_rate=3)
        return task

    def _on_approval(self, settings: Environment) -> None:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
        events.Rule(
            self,
            "OnApproval",
            description="Release a model package when it is approved, or another when it is rejected",
            event_pattern=events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Model Package State Change"],
                detail={
                    "ModelPackageGroupName": [settings.model_package_group],
                    "ModelPackageStatus": ["Completed"],
                    "ModelApprovalStatus": ["Approved", "Rejected"],
                },
            ),
            targets=[
                targets.SfnStateMachine(
                    self.state_machine,
                    # What the execution was started by, for whoever reads its input.
                    input=events.RuleTargetInput.from_object(
                        {
                            "package": events.EventField.from_path("$.detail.ModelPackageArn"),
                            "approval": events.EventField.from_path("$.detail.ModelApprovalStatus"),
                        }
                    ),
                )
            ],
        )


_STACK_ID: Final = "CloudFormation gives each stack an id besides its name"
_PACKAGES: Final = "SageMaker numbers the packages of the registry"


def _allow_to_release(roles: list[iam.Role], settings: Environment) -> None:
    """What every step does: look at the stack, read and set the parameter."""
    for role in roles:
        stack = Stack.of(role)
        allow(
            role,
            "cloudformation:DescribeStacks",
            on=stack_arns(stack, settings.stack_name("serving")),
            because=_STACK_ID,
        )
        parameter = parameter_arn(stack, settings.model_package_parameter)
        allow(role, "ssm:GetParameter", "ssm:PutParameter", on=parameter)


def _allow_to_choose(roles: list[iam.Role], settings: Environment) -> None:
    """To find the newest approved package."""
    for role in roles:
        allow(
            role,
            "sagemaker:ListModelPackages",
            on=model_package_arns(Stack.of(role), settings.model_package_group),
            because=_PACKAGES,
        )


def _allow_to_update(role: iam.Role, settings: Environment) -> None:
    """To update the stack.

    CloudFormation acts with the role of the stack's last deployment: this role needs neither its permissions
    nor to pass it. It reads the template's SSM parameters for whoever asks for the update:
    https://github.com/aws/aws-cdk-cli/blob/main/packages/aws-cdk/lib/api/bootstrap/bootstrap-template.yaml
    """
    stack = Stack.of(role)
    allow(
        role,
        "cloudformation:UpdateStack",
        on=stack_arns(stack, settings.stack_name("serving")),
        because=_STACK_ID,
    )
    bootstrap_version = f"/cdk-bootstrap/{stack.synthesizer.bootstrap_qualifier}/version"
    allow(
        role,
        "ssm:GetParameters",
        on=[parameter_arn(stack, name) for name in (settings.model_package_parameter, bootstrap_version)],
    )


def _allow_to_judge(role: iam.Role, settings: Environment) -> None:
    """To see why an update was rolled back, and to reject the package for it."""
    stack = Stack.of(role)
    allow(
        role,
        "cloudformation:DescribeStackEvents",
        on=stack_arns(stack, settings.stack_name("serving")),
        because=_STACK_ID,
    )
    allow(
        role,
        "sagemaker:UpdateModelPackage",
        on=model_package_arns(stack, settings.model_package_group),
        because=_PACKAGES,
    )
