"""The SageMaker API: which operation does what, over HTTP and in process."""

import json
import re
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from local_cloud.sagemaker import service_model
from local_cloud.sagemaker.cloud import Cloud
from local_cloud.sagemaker.containers import Containers
from local_cloud.sagemaker.context import Context, logger
from local_cloud.sagemaker.endpoints import Endpoints
from local_cloud.sagemaker.errors import SageMakerError, validation
from local_cloud.sagemaker.models import EndpointConfigs, Models
from local_cloud.sagemaker.registry import ModelPackageGroups, ModelPackages
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.table import Record
from local_cloud.sagemaker.tags import Tags
from local_cloud.sagemaker.training import TrainingJobs
from local_cloud.sagemaker.transform import TransformJobs
from local_cloud.sagemaker.tuning.jobs import TuningJobs

_INVOCATIONS = re.compile(r"/endpoints/([^/]+)/invocations")
_CONTENT_TYPE = "application/x-amz-json-1.1"

HttpAnswer = tuple[int, dict[str, str], bytes]
Operation = Callable[[Scope, Mapping[str, Any]], Record]


class SageMaker:
    """SageMaker for every account and region of the local cloud."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self._context = Context(cloud, folder)
        self._tags = Tags()
        groups = ModelPackageGroups()
        packages = ModelPackages(self._context, groups)
        self.models = Models(self._context, packages)
        configs = EndpointConfigs(self.models)
        self.endpoints = Endpoints(self._context, configs, self.models)
        self.training_jobs = TrainingJobs(self._context)
        self.transform_jobs = TransformJobs(self._context, self.models)
        self.tuning_jobs = TuningJobs(self._context, self.training_jobs, self._tags)
        self._operations: dict[str, Operation] = {
            "AddTags": self._tags.add,
            "ListTags": self._tags.list,
            "DeleteTags": self._tags.delete,
            "CreateTrainingJob": self.training_jobs.create,
            "DescribeTrainingJob": self.training_jobs.describe,
            "ListTrainingJobs": self.training_jobs.list,
            "StopTrainingJob": self.training_jobs.stop,
            "CreateTransformJob": self.transform_jobs.create,
            "DescribeTransformJob": self.transform_jobs.describe,
            "ListTransformJobs": self.transform_jobs.list,
            "StopTransformJob": self.transform_jobs.stop,
            "CreateHyperParameterTuningJob": self.tuning_jobs.create,
            "DescribeHyperParameterTuningJob": self.tuning_jobs.describe,
            "ListHyperParameterTuningJobs": self.tuning_jobs.list,
            "ListTrainingJobsForHyperParameterTuningJob": self.tuning_jobs.list_training_jobs,
            "StopHyperParameterTuningJob": self.tuning_jobs.stop,
            "DeleteHyperParameterTuningJob": self.tuning_jobs.delete,
            "CreateModel": self.models.create,
            "DescribeModel": self.models.describe,
            "ListModels": self.models.list,
            "DeleteModel": self.models.delete,
            "CreateEndpointConfig": configs.create,
            "DescribeEndpointConfig": configs.describe,
            "ListEndpointConfigs": configs.list,
            "DeleteEndpointConfig": configs.delete,
            "CreateEndpoint": self.endpoints.create,
            "DescribeEndpoint": self.endpoints.describe,
            "ListEndpoints": self.endpoints.list,
            "UpdateEndpoint": self.endpoints.update,
            "DeleteEndpoint": self.endpoints.delete,
            "CreateModelPackageGroup": groups.create,
            "DescribeModelPackageGroup": groups.describe,
            "ListModelPackageGroups": groups.list,
            "DeleteModelPackageGroup": packages.delete_group,
            "CreateModelPackage": packages.create,
            "DescribeModelPackage": packages.describe,
            "ListModelPackages": packages.list,
            "UpdateModelPackage": packages.update,
            "DeleteModelPackage": packages.delete,
        }

    @property
    def containers(self) -> Containers:
        """What runs processes; other services' jobs run, and end, beside SageMaker's."""
        return self._context.containers

    def call(self, operation: str, parameters: Mapping[str, Any], scope: Scope) -> Record:
        """Carry out an operation and return its answer.

        Args:
            operation: its name in the API, for example ``CreateModel``.
            parameters: the request, with the API's member names.
            scope: account and region of the caller.

        Raises:
            SageMakerError: the request is refused.
        """
        perform = self._operations.get(operation)
        if perform is None:
            service_model.input_shape(operation)
            raise SageMakerError(
                "UnknownOperationException", f"The local cloud does not offer SageMaker's {operation}"
            )
        given = {key: value for key, value in parameters.items() if value is not None}
        service_model.validate(operation, given)
        given = service_model.with_times(operation, given)
        record = perform(scope, given)
        answer = service_model.response(operation, record)
        if operation.startswith("Create") and given.get("Tags"):
            arn = next(value for name, value in answer.items() if name.endswith("Arn"))
            self._tags.put(arn, given["Tags"])
        elif operation.startswith("Delete") and operation != "DeleteTags":
            # Deletions answer with nothing; their records name the ARN whose tags go with the resource.
            for arn in [value for name, value in record.items() if name.endswith("Arn")]:
                self._tags.forget(arn)
        return answer

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, scope: Scope
    ) -> HttpAnswer:
        """Answer an HTTP request of the control plane or of the runtime.

        Args:
            method: HTTP method.
            path: without the query.
            headers: with lower-case names.
            body: whole body.
            scope: account and region that the request is signed for.
        """
        invocation = _INVOCATIONS.fullmatch(path)
        if invocation is not None and method == "POST":
            return self._invoke(unquote(invocation[1]), headers, body, scope)
        try:
            operation = headers.get("x-amz-target", "").rpartition(".")[2]
            answer = self.call(operation, _parameters(body), scope)
        except SageMakerError as error:
            return _failure(error, message_member="message", content_type=_CONTENT_TYPE)
        except Exception as error:
            logger.exception("SageMaker request failed")
            return _failure(
                SageMakerError("InternalFailure", str(error), status=500),
                message_member="message",
                content_type=_CONTENT_TYPE,
            )
        return 200, {"Content-Type": _CONTENT_TYPE}, service_model.encode(answer)

    def _invoke(self, endpoint: str, headers: Mapping[str, str], body: bytes, scope: Scope) -> HttpAnswer:
        try:
            answer = self.endpoints.invoke(scope, endpoint, headers, body)
        except SageMakerError as error:
            return _failure(error, message_member="Message", content_type="application/json")
        return answer.status, dict(answer.headers), answer.body

    def stop(self) -> None:
        """End every job and endpoint."""
        self._context.containers.stop_all()


def _parameters(body: bytes) -> dict[str, Any]:
    try:
        parameters = json.loads(body or b"{}")
    except ValueError as error:
        raise SageMakerError("SerializationException", f"The request is not JSON: {error}") from error
    if not isinstance(parameters, dict):
        raise validation("The request must be a JSON object")
    return parameters


def _failure(error: SageMakerError, *, message_member: str, content_type: str) -> HttpAnswer:
    body = {"__type": error.code, message_member: error.message, **error.members}
    headers = {"Content-Type": content_type, "x-amzn-errortype": error.code}
    return error.status, headers, json.dumps(body).encode()


def sdk_metadata(answer: bytes) -> dict[str, Any]:
    """Return what Step Functions adds to the answer of an optimised integration: the HTTP exchange's data."""
    request_id = str(uuid.uuid4())
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    headers = {
        "Content-Length": str(len(answer)),
        "Content-Type": _CONTENT_TYPE,
        "Date": date,
        "x-amzn-RequestId": request_id,
    }
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": 200,
        },
        "SdkResponseMetadata": {"RequestId": request_id},
    }
