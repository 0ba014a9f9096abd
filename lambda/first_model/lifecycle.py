"""Makes the first model when the stack is created, and removes what training made when it is deleted."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from first_model.events import LifecycleEvent, Properties
from first_model.failure import FirstModelError, failure_message

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

_PACKAGES_AT_ONCE = 20

logger = Logger(child=True)


class FirstModel:
    """The custom resource's two entry points; calling one again for the same event does no harm."""

    def __init__(
        self, *, s3: "S3Client", stepfunctions: "SFNClient", sagemaker: "SageMakerClient", ssm: "SSMClient"
    ) -> None:
        self._s3 = s3
        self._stepfunctions = stepfunctions
        self._sagemaker = sagemaker
        self._ssm = ssm

    def begin(self, event: LifecycleEvent) -> dict[str, Any]:
        """Start what the event asks for.

        Create: bring the ratings in and start the state machine. Update: bring changed ratings in; their
        arrival in the bucket starts the state machine. Delete: stop the state machine's executions.

        The physical id stays the same for the resource's whole life: to CloudFormation a new one would mean a
        replacement, and it would delete the old one, models and all.
        """
        properties = event.properties
        match event.request_type:
            case "Create":
                self._bring_ratings(properties)
                arn = self._start(properties, name=f"first-model-{event.request_id}")
                return {"PhysicalResourceId": properties.model_package_group, "ExecutionArn": arn}
            case "Update":
                before = event.old_properties
                if (before.get("AssetKey"), before.get("RatingsKey")) != (
                    properties.asset_key,
                    properties.ratings_key,
                ):
                    self._bring_ratings(properties)
            case "Delete":
                for arn in self._running(properties.state_machine_arn):
                    self._stop(arn)
        return {"PhysicalResourceId": event.physical_resource_id}

    def poll(self, event: LifecycleEvent) -> dict[str, Any]:
        """Say whether what `begin` started is done, and finish it.

        Raises:
            FirstModelError: the state machine did not make a model.
        """
        properties = event.properties
        match event.request_type:
            case "Create":
                if not self._succeeded(event):
                    return {"IsComplete": False}
                package = self._current_package(properties)
                if package is None:
                    raise FirstModelError(
                        f"The state machine succeeded, but neither parameter {properties.parameter_name} nor "
                        f"model package group {properties.model_package_group} holds a model package."
                    )
                return {"IsComplete": True, "Data": {"ModelPackageArn": package}}
            case "Update":
                package = self._current_package(properties)
                return {"IsComplete": True, "Data": {"ModelPackageArn": package} if package else {}}
            case "Delete":
                return {"IsComplete": self._clean_up(properties)}

    def _bring_ratings(self, properties: Properties) -> None:
        self._s3.copy_object(
            Bucket=properties.raw_bucket,
            Key=properties.ratings_key,
            CopySource={"Bucket": properties.asset_bucket, "Key": properties.asset_key},
        )

    def _start(self, properties: Properties, *, name: str) -> str:
        ratings = {"bucket": properties.raw_bucket, "key": properties.ratings_key}
        try:
            started = self._stepfunctions.start_execution(
                stateMachineArn=properties.state_machine_arn,
                name=name,
                input=json.dumps({"ratings": ratings}),
            )
        except self._stepfunctions.exceptions.ExecutionAlreadyExists:
            # An earlier delivery of the same event started it.
            return f"{properties.state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
        return started["executionArn"]

    def _succeeded(self, event: LifecycleEvent) -> bool:
        if event.execution_arn is None:
            raise FirstModelError("The event has no ExecutionArn: it was not returned by on_event.")
        execution = self._stepfunctions.describe_execution(executionArn=event.execution_arn)
        match execution["status"]:
            case "RUNNING" | "PENDING_REDRIVE":
                return False
            case "SUCCEEDED":
                return True
            case _:
                raise FirstModelError(self._failure(execution))

    def _failure(self, execution: "DescribeExecutionOutputTypeDef") -> str:
        try:
            history = self._stepfunctions.get_execution_history(
                executionArn=execution["executionArn"],
                maxResults=1000,
                reverseOrder=True,
                includeExecutionData=False,
            )["events"]
        except ClientError:
            # The history only adds the state's name; the cause must come through without it.
            logger.exception("GetExecutionHistory failed")
            history = []
        return failure_message(execution, history)

    def _current_package(self, properties: Properties) -> str | None:
        """Return the model package that the parameter names, or the newest if none is approved yet."""
        try:
            return self._ssm.get_parameter(Name=properties.parameter_name)["Parameter"]["Value"]
        except self._ssm.exceptions.ParameterNotFound:
            newest = self._sagemaker.list_model_packages(
                ModelPackageGroupName=properties.model_package_group,
                SortBy="CreationTime",
                SortOrder="Descending",
                MaxResults=1,
            )["ModelPackageSummaryList"]
            return newest[0]["ModelPackageArn"] if newest else None

    def _running(self, state_machine_arn: str) -> list[str]:
        pages = self._stepfunctions.get_paginator("list_executions").paginate(
            stateMachineArn=state_machine_arn, statusFilter="RUNNING"
        )
        with _passing_over("StateMachineDoesNotExist"):
            return [execution["executionArn"] for page in pages for execution in page["executions"]]
        return []

    def _stop(self, execution_arn: str) -> None:
        # A ValidationException: it ended in between.
        with _passing_over("ExecutionDoesNotExist", "ValidationException"):
            self._stepfunctions.stop_execution(
                executionArn=execution_arn, cause="The stack that owns the state machine is being deleted."
            )

    def _clean_up(self, properties: Properties) -> bool:
        """Delete the models, packages and parameter, once no execution is left that could make new ones.

        Returns whether all is gone. Each call deletes one page of packages: a registry may hold hundreds, and
        a Lambda function has a time limit.
        """
        if self._running(properties.state_machine_arn):
            return False
        for name in self._scoring_models(properties.name_prefix):
            self._delete_model(name)
        packages = self._some_packages(properties.model_package_group)
        for arn in packages:
            self._delete_package(arn)
        if packages:
            return False
        with _passing_over("ParameterNotFound"):
            self._ssm.delete_parameter(Name=properties.parameter_name)
        return True

    def _scoring_models(self, prefix: str) -> list[str]:
        """Return the models that stopped executions left, by the names that the workflow gives them.

        The model that an endpoint serves is named by CloudFormation, and otherwise.
        """
        name = re.compile(rf"{re.escape(prefix)}-[0-9a-f]{{8}}-[0-9a-f]{{8}}")
        pages = self._sagemaker.get_paginator("list_models").paginate(NameContains=f"{prefix}-")
        names = [model["ModelName"] for page in pages for model in page["Models"]]
        return [found for found in names if name.fullmatch(found)]

    def _delete_model(self, name: str) -> None:
        with _passing_over("ValidationException", saying="Could not find model"):
            self._sagemaker.delete_model(ModelName=name)

    def _some_packages(self, group: str) -> list[str]:
        with _passing_over("ValidationException", saying="does not exist"):
            page = self._sagemaker.list_model_packages(
                ModelPackageGroupName=group, MaxResults=_PACKAGES_AT_ONCE
            )
            return [summary["ModelPackageArn"] for summary in page["ModelPackageSummaryList"]]
        return []

    def _delete_package(self, arn: str) -> None:
        with _passing_over("ValidationException", saying="does not exist"):
            self._sagemaker.delete_model_package(ModelPackageName=arn)


@contextmanager
def _passing_over(*codes: str, saying: str = "") -> Iterator[None]:
    """Go on after an AWS error that says that what was to be removed is not there."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in codes or saying not in error.response["Error"]["Message"]:
            raise
