"""CDK's framework for custom resources, made to leave nothing behind.

It answers CloudFormation whatever happens to the function that does the work, a crash and a timeout too:
https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.custom_resources-readme.html#provider-framework
"""

from typing import Final

from aws_cdk import Duration, custom_resources
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_logs import ILogGroup
from constructs import Construct

from infra.acknowledgement import acknowledge
from infra.log_group import log_group
from infra.permission import acknowledge_versions

LONGEST_WAIT: Final = Duration.minutes(50)
"""How long a resource with `is_complete` may take, polls included. CloudFormation gives up on it after an
hour, without a reason: give up before it."""


class CustomResourceProvider(Construct):
    """Calls `on_event`, then `is_complete`, where there is one, every five seconds until it is.

    As CDK defines them, the framework's functions may create log groups, and theirs would stay in the account
    without a retention. Here they write to one log group of the stack's and can create none.

    Attributes:
        service_token: what a custom resource names its provider with.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        on_event: lambda_.IFunction,
        is_complete: lambda_.IFunction | None = None,
        log_name: str,
        retention_days: int,
    ) -> None:
        super().__init__(scope, construct_id)
        logs = log_group(self, "Logs", name=f"/aws/lambda/{log_name}", retention_days=retention_days)
        handlers = [on_event] if is_complete is None else [on_event, is_complete]
        on_event_role = self._role("OnEventRole", logs)
        is_complete_role = None if is_complete is None else self._role("IsCompleteRole", logs)
        framework = custom_resources.Provider(
            self,
            "Framework",
            on_event_handler=on_event,
            is_complete_handler=is_complete,
            framework_on_event_role=on_event_role,
            framework_complete_and_timeout_role=is_complete_role,
            query_interval=None if is_complete is None else Duration.seconds(5),
            total_timeout=None if is_complete is None else LONGEST_WAIT,
            log_group=logs,
        )
        self.service_token = framework.service_token
        for role in filter(None, (on_event_role, is_complete_role)):
            acknowledge_versions(
                role,
                [handler.function_arn for handler in handlers],
                "CDK's framework is granted all versions of its handlers; there is one of each",
            )
        if is_complete is not None:
            _acknowledge_waiter(framework)

    def _role(self, construct_id: str, logs: ILogGroup) -> iam.Role:
        role = iam.Role(
            self,
            construct_id,
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description="What CDK's custom resource framework may do",
        )
        logs.grant_write(role)
        return role


def _acknowledge_waiter(framework: custom_resources.Provider) -> None:
    waiter = framework.node.find_child("waiter-state-machine")
    outcome = "CDK's waiter only polls until the resource is complete; the deployment tells how that ended"
    acknowledge(waiter, "AwsSolutions-SF1", outcome)
    acknowledge(waiter, "AwsSolutions-SF2", outcome)
    role = waiter.node.find_child("Role")
    assert isinstance(role, iam.Role)  # noqa: S101
    for name in ("isComplete", "onTimeout"):
        function = framework.node.find_child(f"framework-{name}")
        assert isinstance(function, lambda_.Function)  # noqa: S101
        acknowledge_versions(
            role,
            [function.function_arn],
            "CDK's waiter is granted all versions of the framework's function; there is one",
        )
