"""The one way in which this app defines a Lambda function of its own."""

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.acknowledgement import acknowledge
from infra.errors import ConfigurationError
from infra.log_group import log_group


class BundledFunction(lambda_.Function):
    """A Python function from its bundle, with its own log group and a role that can write only there.

    Attributes:
        execution_role: the role, for its owner to grant what the function needs.
        code_key: the name of the bundle in S3, another for each content.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bundle: Path,
        handler: str,
        log_name: str,
        retention_days: int,
        timeout: Duration,
        memory_mib: int,
        description: str,
        environment: Mapping[str, str],
    ) -> None:
        """Define the function.

        Args:
            scope: the construct that owns the function.
            construct_id: its id there.
            bundle: the folder with its code and wheels.
            handler: `<package>.handler.<function>`.
            log_name: what its log group is called after `/aws/lambda/`.
            retention_days: how long its log is kept.
            timeout: when an invocation is ended.
            memory_mib: its memory in MiB, which sets its share of CPU too.
            description: what it does, for the console.
            environment: its environment variables besides Powertools' own.

        Raises:
            ConfigurationError: the bundle is not there.
        """
        if not (bundle / handler.split(".", maxsplit=1)[0]).is_dir():
            raise ConfigurationError(f"{bundle} is not a function's bundle: run `recommender build`")
        logs_of_function = log_group(
            scope, f"{construct_id}Logs", name=f"/aws/lambda/{log_name}", retention_days=retention_days
        )
        self.execution_role = iam.Role(
            scope,
            f"{construct_id}Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {log_name} may do",
        )
        logs_of_function.grant_write(self.execution_role)
        super().__init__(
            scope,
            construct_id,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=lambda_.Code.from_asset(str(bundle)),
            handler=handler,
            role=self.execution_role,
            log_group=logs_of_function,
            logging_format=lambda_.LoggingFormat.TEXT,
            timeout=timeout,
            memory_size=memory_mib,
            description=description,
            environment={"POWERTOOLS_SERVICE_NAME": log_name, "LOG_LEVEL": "INFO", **environment},
        )
        resource = self.node.default_child
        assert isinstance(resource, lambda_.CfnFunction)  # noqa: S101
        self.code_key = Stack.of(self).resolve(resource.code)["s3Key"]
        acknowledge(
            self,
            "AwsSolutions-L1",
            "The bundle's wheels are locked for Python 3.13, which Lambda supports until 2029; "
            "runtime and lock move together",
        )
