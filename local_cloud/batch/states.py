"""Step Functions' integration ``arn:aws:states:::batch:submitJob`` and its ``.sync``.

Names are spelt in upper camel case, the job's description included; a job that fails fails the task with its
description as cause (https://docs.aws.amazon.com/step-functions/latest/dg/connect-batch.html).
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from local_cloud.batch.errors import BatchError
from local_cloud.batch.service import Batch, model
from local_cloud.sagemaker import service_model
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.states import TaskError

RESOURCE = "submitJob"
_POLL_SECONDS = 0.1


def perform(
    batch: Batch,
    resource: str,
    parameters: Mapping[str, Any],
    scope: Scope,
    *,
    abandoned: Callable[[], bool],
) -> dict[str, Any]:
    """Carry out a task state; arguments as of `local_cloud.sagemaker.states.perform`. Raises TaskError."""
    if abandoned():
        raise TaskError("States.TaskFailed", "The execution was stopped")
    shape = model().operation_model("SubmitJob").input_shape
    try:
        answer = batch.call("SubmitJob", to_members(parameters, shape), scope)
    except BatchError as error:
        raise TaskError("Batch.BatchException", f"{error} (Service: AWSBatch; Status Code: 400)") from error
    if not resource.endswith(".sync"):
        return _described(answer, model().operation_model("SubmitJob").output_shape)
    job = batch.job(scope, answer["jobId"])
    while not job.finished.wait(_POLL_SECONDS):
        if abandoned():
            job.terminate("The state machine's execution was stopped")
            job.finished.wait()
    described = _described(job.describe(), model().shape_for("JobDetail"))
    if described["Status"] != "SUCCEEDED":
        raise TaskError("States.TaskFailed", json.dumps(described))
    return described


def to_members(value: Any, shape: Any) -> Any:
    """Return `value`, whose structures' names begin with capitals, with the service's own names and types."""
    return service_model.coerce(_renamed(value, shape), shape)


def _renamed(value: Any, shape: Any) -> Any:
    if shape.type_name == "structure" and isinstance(value, Mapping):
        known = {name.lower(): name for name in shape.members}
        named = {known.get(name.lower(), name): item for name, item in value.items()}
        return {
            name: _renamed(item, shape.members[name]) if name in shape.members else item
            for name, item in named.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_renamed(item, shape.member) for item in value]
    return value


def _described(answer: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    return {
        name[0].upper() + name[1:]: _upper(item, shape.members[name])
        for name, item in answer.items()
        if name in shape.members
    }


def _upper(value: Any, shape: Any) -> Any:
    if shape.type_name == "structure":
        return _described(value, shape)
    if shape.type_name == "list":
        return [_upper(item, shape.member) for item in value]
    return value
