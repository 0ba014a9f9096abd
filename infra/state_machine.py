"""The one way in which this app defines a state machine of its own."""

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.log_group import log_group
from infra.permission import allow


class LoggedStateMachine(sfn.StateMachine):
    """A state machine that logs every event with its data to a log group of its own, and is traced."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        comment: str,
        steps: sfn.IChainable,
        role: iam.Role,
        timeout: Duration,
        log_name: str,
        retention_days: int,
    ) -> None:
        """Define the state machine.

        Args:
            scope: the construct that owns it, and its log group.
            construct_id: its id there.
            comment: what it does.
            steps: its states.
            role: what it may do; gets what logging and tracing need, and nothing from the states.
            timeout: when an execution is ended.
            log_name: what its log group is called after `/aws/vendedlogs/states/`.
            retention_days: how long its log is kept.
        """
        # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html and xray-iam.html
        allow(
            role,
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "logs:GetLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:UpdateLogDelivery",
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
            on="*",
            because="Log delivery and X-Ray act on no resource that IAM can name",
        )
        super().__init__(
            scope,
            construct_id,
            comment=comment,
            definition_body=sfn.DefinitionBody.from_chainable(steps),
            # The tasks would add statements on patterns of resources; the role has narrower ones.
            role=role.without_policy_updates(),
            timeout=timeout,
            logs=sfn.LogOptions(
                destination=log_group(
                    scope,
                    "Logs",
                    # The prefix keeps CloudWatch Logs' resource policy from growing with each log group:
                    # https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
                    name=f"/aws/vendedlogs/states/{log_name}",
                    retention_days=retention_days,
                ),
                level=sfn.LogLevel.ALL,
                include_execution_data=True,
            ),
            tracing_enabled=True,
        )
        self.node.add_dependency(role)
