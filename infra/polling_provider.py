"""CDK's framework for custom resources that take long, made to leave nothing behind."""

from aws_cdk import Duration, custom_resources
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.acknowledgement import acknowledge
from infra.log_group import log_group
from infra.permission import acknowledge_versions


class PollingProvider(Construct):
    """Calls `on_event`, then `is_complete` every ten seconds until it is.

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
        is_complete: lambda_.IFunction,
        log_name: str,
        retention_days: int,
    ) -> None:
        super().__init__(scope, construct_id)
        logs = log_group(self, "Logs", name=f"/aws/lambda/{log_name}", retention_days=retention_days)
        on_event_role = self._role("OnEventRole")
        is_complete_role = self._role("IsCompleteRole")
        for role in (on_event_role, is_complete_role):
            logs.grant_write(role)
        framework = custom_resources.Provider(
            self,
            "Framework",
            on_event_handler=on_event,
            is_complete_handler=is_complete,
            framework_on_event_role=on_event_role,
            framework_complete_and_timeout_role=is_complete_role,
            query_interval=Duration.seconds(10),
            # CloudFormation gives up on a custom resource after an hour, without a reason: give up before it,
            # polls included.
            total_timeout=Duration.minutes(50),
            log_group=logs,
        )
        self.service_token = framework.service_token
        for role in (on_event_role, is_complete_role):
            acknowledge_versions(
                role,
                [on_event.function_arn, is_complete.function_arn],
                "CDK's framework is granted all versions of the two handlers; there is one",
            )
        _acknowledge_waiter(framework)

    def _role(self, construct_id: str) -> iam.Role:
        return iam.Role(
            self,
            construct_id,
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description="What CDK's custom resource framework may do",
        )


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
