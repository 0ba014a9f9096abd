"""AWS Batch's API: compute environments, job queues, job definitions, jobs.

Requests are checked against botocore's model of the service
(https://docs.aws.amazon.com/batch/latest/APIReference/Welcome.html).
"""

import functools
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from local_cloud.batch.errors import BatchError
from local_cloud.batch.jobs import FINAL, Job, Record, Runner
from local_cloud.sagemaker.scope import Scope

Parameters = Mapping[str, Any]

_LARGEST_ARRAY = 10_000


@functools.cache
def model() -> Any:
    """botocore's model of the service."""
    return botocore.session.get_session().get_service_model("batch")


class _Resources:
    """What one account has in one region, each by its ARN."""

    def __init__(self) -> None:
        self.environments: dict[str, Record] = {}
        self.queues: dict[str, Record] = {}
        self.definitions: dict[str, Record] = {}
        self.jobs: dict[str, Job] = {}


class Batch:
    """The service, for all accounts and regions."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._lock = threading.RLock()
        self._resources: dict[Scope, _Resources] = {}
        self._operations: dict[str, Callable[[Scope, Parameters], Record]] = {
            "CreateComputeEnvironment": self._create_environment,
            "UpdateComputeEnvironment": self._update_environment,
            "DescribeComputeEnvironments": self._describe_environments,
            "DeleteComputeEnvironment": self._delete_environment,
            "CreateJobQueue": self._create_queue,
            "UpdateJobQueue": self._update_queue,
            "DescribeJobQueues": self._describe_queues,
            "DeleteJobQueue": self._delete_queue,
            "RegisterJobDefinition": self._register_definition,
            "DescribeJobDefinitions": self._describe_definitions,
            "DeregisterJobDefinition": self._deregister_definition,
            "SubmitJob": self._submit,
            "DescribeJobs": self._describe_jobs,
            "ListJobs": self._list_jobs,
            "CancelJob": self._terminate,
            "TerminateJob": self._terminate,
        }
        self._paths = {
            model().operation_model(name).http["requestUri"].lower(): name for name in self._operations
        }

    def handle(self, path: str, body: bytes, scope: Scope) -> tuple[int, dict[str, str], bytes]:
        """Answer a request: status, headers, body."""
        try:
            answer = self.call(self._operation(path), json.loads(body or b"{}"), scope)
        except (BatchError, json.JSONDecodeError) as error:
            status, answer = BatchError.status, {"message": str(error), "code": BatchError.code}
            headers = {"content-type": "application/json", "x-amzn-errortype": BatchError.code}
            return status, headers, json.dumps(answer).encode()
        return 200, {"content-type": "application/json"}, json.dumps(answer).encode()

    def _operation(self, path: str) -> str:
        operation = self._paths.get(path.rstrip("/").lower())
        if operation is None:
            raise BatchError(f"The local cloud has no AWS Batch operation at {path}")
        return operation

    def call(self, operation: str, parameters: Parameters, scope: Scope) -> Record:
        """Carry out an operation. Raises BatchError."""
        report = ParamValidator().validate(dict(parameters), model().operation_model(operation).input_shape)
        if report.has_errors():
            raise BatchError(f"Error executing request, Exception : {report.generate_report()}")
        with self._lock:
            return self._operations[operation](scope, parameters)

    def job(self, scope: Scope, job_id: str) -> Job:
        """The job of this id. Raises BatchError."""
        parent, _, index = job_id.partition(":")
        job = self._of(scope).jobs.get(parent)
        if job is None or (index and int(index) >= len(job.children)):
            raise BatchError(f"Job {job_id} does not exist")
        return job.children[int(index)] if index else job

    def _of(self, scope: Scope) -> _Resources:
        return self._resources.setdefault(scope, _Resources())

    # -- compute environments --------------------------------------------------------------------------------

    def _create_environment(self, scope: Scope, parameters: Parameters) -> Record:
        name = parameters["computeEnvironmentName"]
        arn = _arn(scope, "compute-environment", name)
        environments = self._of(scope).environments
        if arn in environments:
            raise BatchError(f"Object already exists: {name}")
        environments[arn] = {
            "type": "MANAGED",
            "state": "ENABLED",
            **{key: value for key, value in parameters.items() if key != "replaceComputeEnvironment"},
            "computeEnvironmentArn": arn,
            "status": "VALID",
            "statusReason": "ComputeEnvironment Healthy",
            "containerOrchestrationType": "ECS",
        }
        return {"computeEnvironmentName": name, "computeEnvironmentArn": arn}

    def _update_environment(self, scope: Scope, parameters: Parameters) -> Record:
        found = _find(self._of(scope).environments, parameters["computeEnvironment"])
        resources = {**found.get("computeResources", {}), **parameters.get("computeResources", {})}
        given = {key: value for key, value in parameters.items() if key in {"state", "serviceRole"}}
        found |= {**given, "computeResources": resources}
        return {
            "computeEnvironmentName": found["computeEnvironmentName"],
            "computeEnvironmentArn": found["computeEnvironmentArn"],
        }

    def _describe_environments(self, scope: Scope, parameters: Parameters) -> Record:
        wanted = parameters.get("computeEnvironments")
        return {"computeEnvironments": _selected(self._of(scope).environments, wanted)}

    def _delete_environment(self, scope: Scope, parameters: Parameters) -> Record:
        environments = self._of(scope).environments
        found = _find(environments, parameters["computeEnvironment"])
        arn = found["computeEnvironmentArn"]
        for queue in self._of(scope).queues.values():
            if any(arn == each["computeEnvironment"] for each in queue["computeEnvironmentOrder"]):
                raise BatchError("Cannot delete, found existing JobQueue relationship")
        _require_disabled(found)
        del environments[arn]
        return {}

    # -- job queues ------------------------------------------------------------------------------------------

    def _create_queue(self, scope: Scope, parameters: Parameters) -> Record:
        name = parameters["jobQueueName"]
        arn = _arn(scope, "job-queue", name)
        if arn in self._of(scope).queues:
            raise BatchError(f"Object already exists: {name}")
        self._of(scope).queues[arn] = {
            "state": "ENABLED",
            **parameters,
            "computeEnvironmentOrder": self._ordered(scope, parameters),
            "jobQueueArn": arn,
            "status": "VALID",
            "statusReason": "JobQueue Healthy",
        }
        return {"jobQueueName": name, "jobQueueArn": arn}

    def _update_queue(self, scope: Scope, parameters: Parameters) -> Record:
        found = _find(self._of(scope).queues, parameters["jobQueue"])
        found |= {key: value for key, value in parameters.items() if key != "jobQueue"}
        if "computeEnvironmentOrder" in parameters:
            found["computeEnvironmentOrder"] = self._ordered(scope, parameters)
        return {"jobQueueName": found["jobQueueName"], "jobQueueArn": found["jobQueueArn"]}

    def _ordered(self, scope: Scope, parameters: Parameters) -> list[Record]:
        environments = self._of(scope).environments
        return [
            {**each, "computeEnvironment": _find(environments, each["computeEnvironment"])[_ENVIRONMENT_ARN]}
            for each in parameters.get("computeEnvironmentOrder", [])
        ]

    def _describe_queues(self, scope: Scope, parameters: Parameters) -> Record:
        return {"jobQueues": _selected(self._of(scope).queues, parameters.get("jobQueues"))}

    def _delete_queue(self, scope: Scope, parameters: Parameters) -> Record:
        found = _find(self._of(scope).queues, parameters["jobQueue"])
        _require_disabled(found)
        del self._of(scope).queues[found["jobQueueArn"]]
        return {}

    # -- job definitions -------------------------------------------------------------------------------------

    def _register_definition(self, scope: Scope, parameters: Parameters) -> Record:
        name = parameters["jobDefinitionName"]
        if parameters["type"] != "container" or "containerProperties" not in parameters:
            raise BatchError("The local cloud runs job definitions of type container, of one container each")
        definitions = self._of(scope).definitions
        earlier = [each["revision"] for each in definitions.values() if each["jobDefinitionName"] == name]
        revision = max(earlier, default=0) + 1
        arn = f"{_arn(scope, 'job-definition', name)}:{revision}"
        definitions[arn] = {
            **parameters,
            "jobDefinitionArn": arn,
            "revision": revision,
            "status": "ACTIVE",
            "containerOrchestrationType": "ECS",
        }
        return {"jobDefinitionName": name, "jobDefinitionArn": arn, "revision": revision}

    def _describe_definitions(self, scope: Scope, parameters: Parameters) -> Record:
        wanted, name = parameters.get("jobDefinitions"), parameters.get("jobDefinitionName")
        found = [
            each
            for each in self._of(scope).definitions.values()
            if (wanted is None or _named(each, wanted))
            and name in {None, each["jobDefinitionName"]}
            and parameters.get("status") in {None, each["status"]}
        ]
        return {"jobDefinitions": found}

    def _deregister_definition(self, scope: Scope, parameters: Parameters) -> Record:
        self._definition(scope, parameters["jobDefinition"])["status"] = "INACTIVE"
        return {}

    def _definition(self, scope: Scope, wanted: str) -> Record:
        """The definition of an ARN, of `name:revision`, or the latest of a name."""
        active = [
            each
            for each in self._of(scope).definitions.values()
            if each["status"] == "ACTIVE" and (_named(each, [wanted]) or each["jobDefinitionName"] == wanted)
        ]
        if not active:
            raise BatchError(f"JobDefinition {wanted} does not exist or is not active")
        return max(active, key=lambda each: int(each["revision"]))

    # -- jobs ------------------------------------------------------------------------------------------------

    def _submit(self, scope: Scope, parameters: Parameters) -> Record:
        definition = self._definition(scope, parameters["jobDefinition"])
        queue = _find(self._of(scope).queues, parameters["jobQueue"])
        if queue["state"] != "ENABLED":
            raise BatchError(f"JobQueue {queue['jobQueueName']} is not enabled")
        size = (parameters.get("arrayProperties") or {}).get("size")
        if size is not None and not 2 <= size <= _LARGEST_ARRAY:
            raise BatchError(f"The array size must be from 2 to {_LARGEST_ARRAY}, not {size}")
        if parameters.get("dependsOn"):
            raise BatchError("The local cloud runs jobs without dependsOn: let a state machine order them")
        # Refused at once, where AWS Batch would fail the job.
        self._runner.images.image(definition["containerProperties"]["image"])
        job = Job(self._runner, scope, parameters, definition, queue)
        self._of(scope).jobs[job.id] = job
        job.start()
        described = job.describe()
        return {name: described[name] for name in ("jobArn", "jobName", "jobId")}

    def _describe_jobs(self, scope: Scope, parameters: Parameters) -> Record:
        found = []
        for job_id in parameters["jobs"]:
            try:
                found.append(self.job(scope, job_id.rpartition("/")[2]).describe())
            except BatchError:
                continue
        return {"jobs": found}

    def _list_jobs(self, scope: Scope, parameters: Parameters) -> Record:
        if "arrayJobId" in parameters:
            jobs = self.job(scope, parameters["arrayJobId"]).children
        elif "jobQueue" in parameters:
            arn = _find(self._of(scope).queues, parameters["jobQueue"])["jobQueueArn"]
            jobs = [job for job in self._of(scope).jobs.values() if job.describe()["jobQueue"] == arn]
        else:
            raise BatchError("jobQueue or arrayJobId must be given")
        status = parameters.get("jobStatus", "RUNNING")
        members = model().shape_for("JobSummary").members
        return {
            "jobSummaryList": [
                {name: value for name, value in described.items() if name in members and name != "container"}
                for described in (job.describe() for job in jobs)
                if described["status"] == status
            ]
        }

    def _terminate(self, scope: Scope, parameters: Parameters) -> Record:
        job = self.job(scope, parameters["jobId"])
        if job.describe()["status"] not in FINAL:
            job.terminate(parameters["reason"])
        return {}


_ENVIRONMENT_ARN = "computeEnvironmentArn"


def _arn(scope: Scope, kind: str, name: str) -> str:
    return f"arn:{scope.partition}:batch:{scope.region}:{scope.account}:{kind}/{name}"


def _find(resources: Mapping[str, Record], wanted: str) -> Record:
    for arn, record in resources.items():
        if wanted in {arn, arn.rpartition("/")[2]}:
            return record
    raise BatchError(f"{wanted} does not exist")


def _selected(resources: Mapping[str, Record], wanted: list[str] | None) -> list[Record]:
    return [
        record
        for arn, record in resources.items()
        if wanted is None or {arn, arn.rpartition("/")[2]} & set(wanted)
    ]


def _named(definition: Record, wanted: list[str]) -> bool:
    arn = definition["jobDefinitionArn"]
    return bool({arn, arn.rpartition("/")[2]} & set(wanted))


def _require_disabled(record: Record) -> None:
    if record["state"] != "DISABLED":
        raise BatchError("Cannot delete, resource must be disabled first")
