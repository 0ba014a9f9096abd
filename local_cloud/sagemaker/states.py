"""SageMaker's optimised integrations with Step Functions.

``arn:aws:states:::sagemaker:<operation>`` answers like the API; ``….sync`` waits for the job and answers with
its description, or fails the task with the description as cause
(https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html).
"""

import json
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from local_cloud.sagemaker import service_model
from local_cloud.sagemaker.errors import SageMakerError
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.service import SageMaker, sdk_metadata
from local_cloud.sagemaker.table import Record

RESOURCES = (
    "createTrainingJob",
    "createTransformJob",
    "createHyperParameterTuningJob",
    "createModel",
    "createEndpointConfig",
    "createEndpoint",
    "updateEndpoint",
)
"""The operations that Step Functions integrates and the local cloud offers."""

_MODELLED = ("ResourceInUse", "ResourceNotFound", "ResourceLimitExceeded", "ConflictException")
_POLL_SECONDS = 0.2


class TaskError(Exception):
    """What fails a task state.

    Attributes:
        error: matched by ``ErrorEquals``.
        cause: text for people, or JSON.
    """

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class _Job(Protocol):
    finished: threading.Event

    def describe(self) -> Record: ...

    def stop(self) -> None: ...


def perform(
    sagemaker: SageMaker,
    resource: str,
    parameters: Mapping[str, Any],
    scope: Scope,
    *,
    abandoned: Callable[[], bool],
) -> dict[str, Any]:
    """Carry out a task state.

    Args:
        sagemaker: the service.
        resource: the state's ``Resource``.
        parameters: the state's effective input.
        scope: account and region of the execution.
        abandoned: asked while a job runs; once true (execution stopped, state timed out) the job is stopped.

    Raises:
        TaskError: the request is refused, or the job did not complete.
    """
    name, _, pattern = resource.rpartition(":")[2].partition(".")
    operation = name[0].upper() + name[1:]
    if abandoned():
        # A retry, after the execution was stopped: nothing may be started any more.
        raise TaskError("States.TaskFailed", "The execution was stopped")
    try:
        answer = sagemaker.call(operation, parameters, scope)
    except SageMakerError as error:
        raise TaskError(f"SageMaker.{exception_name(error.code)}", _cause(error)) from error
    if pattern != "sync":
        return {**answer, **sdk_metadata(service_model.encode(answer))}
    job: _Job
    if operation == "CreateTrainingJob":
        job = sagemaker.training_jobs.get(scope, parameters["TrainingJobName"])
    elif operation == "CreateTransformJob":
        job = sagemaker.transform_jobs.get(scope, parameters["TransformJobName"])
    elif operation == "CreateHyperParameterTuningJob":
        job = sagemaker.tuning_jobs.get(scope, parameters["HyperParameterTuningJobName"])
    else:
        raise TaskError("States.Runtime", f"{resource} is not an integration of Step Functions")
    return _finish(job, operation.removeprefix("Create"), abandoned)


def _finish(job: _Job, kind: str, abandoned: Callable[[], bool]) -> dict[str, Any]:
    while not job.finished.wait(_POLL_SECONDS):
        if abandoned():
            try:
                job.stop()
            except SageMakerError:
                break  # it has just ended by itself
            job.finished.wait()
    description = service_model.response(f"Describe{kind}", job.describe())
    text = service_model.encode_milliseconds(description)
    if description[f"{kind}Status"] != "Completed":
        raise TaskError("States.TaskFailed", text)
    answer: dict[str, Any] = json.loads(text)
    return answer


def exception_name(code: str, unmodelled: str = "AmazonSageMakerException") -> str:
    """Return the name of the AWS SDK for Java's exception for an error code, which Step Functions reports.

    Args:
        code: on the wire.
        unmodelled: the class for codes that the service model does not list: that of the SDK's first version
            in optimised integrations, ``SageMakerException`` of its second in ``aws-sdk:`` ones.
    """
    if code not in _MODELLED:
        return unmodelled
    return code if code.endswith("Exception") else f"{code}Exception"


def _cause(error: SageMakerError) -> str:
    return (
        f"{error.message} (Service: AmazonSageMaker; Status Code: {error.status}; Error Code: {error.code}; "
        f"Request ID: {uuid.uuid4()}; Proxy: null)"
    )
