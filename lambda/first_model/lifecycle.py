"""Makes the first model when the stack is created, and removes what training made when it is deleted."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from first_model.events import LifecycleEvent, Properties
from first_model.failure import FirstModelError, failure_message, flattened_cause

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.type_defs import ModelPackageSummaryTypeDef
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
        arrival in the bucket starts the state machine. Delete: stop what trains and what releases.

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
                for arn in self._running(properties):
                    self._stop(arn)
        return {"PhysicalResourceId": event.physical_resource_id}

    def poll(self, event: LifecycleEvent) -> dict[str, Any]:
        """Say whether what `begin` started is done, and finish it.

        A model is made when it is released, which an approval by a person may have to precede.

        Raises:
            FirstModelError: the model was not trained or not released, or it took too long.
        """
        properties = event.properties
        match event.request_type:
            case "Create":
                package = self._made(event)
                if package is None:
                    return {"IsComplete": False}
                return {"IsComplete": True, "Data": {"ModelPackageArn": package}}
            case "Update":
                package = self._released(properties)
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

    def _made(self, event: LifecycleEvent) -> str | None:
        """Return the released package, or None while there is still something to wait for."""
        if event.execution_arn is None:
            raise FirstModelError("The event has no ExecutionArn: it was not returned by on_event.")
        execution = self._stepfunctions.describe_execution(executionArn=event.execution_arn)
        properties = event.properties
        late = datetime.now(UTC) - execution["startDate"] > timedelta(minutes=properties.wait_minutes)
        match execution["status"]:
            case "RUNNING" | "PENDING_REDRIVE" if late:
                raise FirstModelError(
                    f"Training the first model takes longer than the {properties.wait_minutes} minutes that "
                    f"its deployment can wait (execution {execution['name']})."
                )
            case "RUNNING" | "PENDING_REDRIVE":
                return None
            case "SUCCEEDED":
                package = self._released(properties)
                if package is not None and self._is_approved(package, properties.model_package_group):
                    return package
                # A deletion that did not come to its end leaves a parameter whose package is gone.
                self._require_hope(properties, late=late)
                return None
            case _:
                raise FirstModelError(self._failure(execution))

    def _released(self, properties: Properties) -> str | None:
        """Return the package that the parameter names."""
        try:
            return self._ssm.get_parameter(Name=properties.parameter_name)["Parameter"]["Value"]
        except self._ssm.exceptions.ParameterNotFound:
            return None

    def _is_approved(self, package: str, group: str) -> bool:
        """Return whether the package is in the group, and approved."""
        pages = self._sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=group, ModelApprovalStatus="Approved"
        )
        return any(
            summary["ModelPackageArn"] == package
            for page in pages
            for summary in page["ModelPackageSummaryList"]
        )

    def _require_hope(self, properties: Properties, *, late: bool) -> None:
        """Fail if the trained package is not going to be released, or not in time."""
        newest = self._newest_package(properties.model_package_group)
        if newest is None:
            raise FirstModelError(
                f"The state machine succeeded, but model package group {properties.model_package_group} "
                "holds no model package."
            )
        arn = newest["ModelPackageArn"]
        match newest.get("ModelApprovalStatus"):
            case "Rejected":
                raise FirstModelError(f"Model package {arn} was rejected, so that there is none to serve.")
            case "PendingManualApproval" if late:
                raise FirstModelError(
                    f"Nobody approved model package {arn} within the {properties.wait_minutes} minutes that "
                    "a first deployment can wait for training and approval. Deploy again, and while the "
                    "deployment waits: aws sagemaker update-model-package --model-approval-status Approved "
                    "--model-package-arn <the ARN that aws sagemaker list-model-packages "
                    f"--model-package-group-name {properties.model_package_group} shows>"
                )
            case "Approved":
                self._require_release(properties, arn, late=late)

    def _require_release(self, properties: Properties, package: str, *, late: bool) -> None:
        failed = self._stepfunctions.list_executions(
            stateMachineArn=properties.release_state_machine_arn, statusFilter="FAILED", maxResults=1
        )["executions"]
        if failed:
            execution = self._stepfunctions.describe_execution(executionArn=failed[0]["executionArn"])
            raise FirstModelError(
                f"Releasing model package {package} failed: {flattened_cause(execution.get('cause'))} "
                f"(execution {execution['name']})"
            )
        if late:
            raise FirstModelError(
                f"Model package {package} is approved, but parameter {properties.parameter_name} does not "
                f"name it: see the executions of {properties.release_state_machine_arn}."
            )

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

    def _newest_package(self, group: str) -> "ModelPackageSummaryTypeDef | None":
        newest = self._sagemaker.list_model_packages(
            ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=1
        )["ModelPackageSummaryList"]
        return newest[0] if newest else None

    def _running(self, properties: Properties) -> list[str]:
        """Return the executions that could make a package or the parameter."""
        machines = (properties.state_machine_arn, properties.release_state_machine_arn)
        return [arn for machine in machines for arn in self._running_of(machine)]

    def _running_of(self, state_machine_arn: str) -> list[str]:
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
        if self._running(properties):
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
