"""Batch jobs: processes of an image, one by one or as the children of an array job.

States, attempts, variables and the description's members as in
https://docs.aws.amazon.com/batch/latest/userguide/jobs.html, …/array_jobs.html, …/job_env_vars.html and
https://docs.aws.amazon.com/batch/latest/APIReference/API_JobDetail.html.
"""

import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from local_cloud.batch.errors import BatchError
from local_cloud.batch.images import Images
from local_cloud.sagemaker.cloud import Cloud
from local_cloud.sagemaker.containers import Container, Containers
from local_cloud.sagemaker.delivery import LogStream
from local_cloud.sagemaker.scope import Scope

Record = dict[str, Any]

FINAL: Final = ("SUCCEEDED", "FAILED")
_STATES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", *FINAL)
_DEFAULT_LOG_GROUP = "/aws/batch/job"
_POLL_SECONDS = 0.1
_STOP_GRACE_SECONDS = 30.0
_KILLED = 137
# Jobs wait for a processor, as they wait for room in a compute environment.
_SLOTS = threading.Semaphore(max(2, os.cpu_count() or 1))


@dataclass(frozen=True)
class Runner:
    """What runs jobs: the cloud that takes their logs, images, processes, and where AWS's services answer."""

    cloud: Cloud
    images: Images
    containers: Containers
    endpoint: str


class Job:
    """One job, or an array job with its children.

    Attributes:
        id: what SubmitJob answers with; a child's is its parent's with its index.
        finished: set once the job has succeeded or failed.
    """

    def __init__(
        self,
        runner: Runner,
        scope: Scope,
        request: Mapping[str, Any],
        definition: Mapping[str, Any],
        queue: Mapping[str, Any],
        *,
        parent: "Job | None" = None,
        index: int | None = None,
    ) -> None:
        self.id: str = str(uuid.uuid4()) if parent is None else f"{parent.id}:{index}"
        self.finished = threading.Event()
        self.children: list[Job] = []
        self._runner = runner
        self._scope = scope
        self._index = index
        self._parent = parent
        self._lock = threading.Lock()
        self._terminated: str | None = None
        self._container_settings = _overridden(definition, request)
        self._attempts = (request.get("retryStrategy") or definition.get("retryStrategy") or {}).get(
            "attempts", 1
        )
        timeout = request.get("timeout") or definition.get("timeout") or {}
        self._seconds = float(timeout.get("attemptDurationSeconds", "inf"))
        self._record: Record = {
            "jobArn": f"arn:{scope.partition}:batch:{scope.region}:{scope.account}:job/{self.id}",
            "jobName": request["jobName"],
            "jobId": self.id,
            "jobQueue": queue["jobQueueArn"],
            "jobDefinition": definition["jobDefinitionArn"],
            "status": "SUBMITTED",
            "attempts": [],
            "createdAt": _now(),
            "parameters": dict(request.get("parameters", {})),
            "tags": dict(request.get("tags", {})),
            "platformCapabilities": list(definition.get("platformCapabilities", [])),
        }
        size = (request.get("arrayProperties") or {}).get("size")
        if index is not None:
            self._record["arrayProperties"] = {"index": index}
        elif size is not None:
            self._record["arrayProperties"] = {"size": size}
            self.children = [
                Job(runner, scope, request, definition, queue, parent=self, index=number)
                for number in range(size)
            ]

    def start(self) -> None:
        """Run the job, or its children, in threads of their own."""
        if self.children:
            self._record["status"] = "PENDING"
            for child in self.children:
                child.start()
        else:
            threading.Thread(target=self._run, daemon=True, name=f"batch-{self.id}").start()

    def terminate(self, reason: str) -> None:
        """End the job, if it has not ended; it then counts as failed for `reason`."""
        self._terminated = reason
        for child in self.children:
            child.terminate(reason)

    def describe(self) -> Record:
        """Return the job as DescribeJobs does."""
        with self._lock:
            record = {**self._record, "attempts": list(self._record["attempts"])}
        if self.children:
            record["arrayProperties"] = {
                **record["arrayProperties"],
                "statusSummary": dict.fromkeys(_STATES, 0) | self._summary(),
            }
        else:
            record["container"] = {**self._container_settings, **record.get("container", {})}
        return record

    def _summary(self) -> dict[str, int]:
        return dict(Counter(child.describe()["status"] for child in self.children))

    def _enter(self, status: str, **members: Any) -> None:
        with self._lock:
            self._record |= {"status": status, **members}
        if status in FINAL:
            self.finished.set()
        if self._parent is not None:
            self._parent._child_entered(status)

    def _child_entered(self, status: str) -> None:
        summary = self._summary()
        done = sum(summary.get(state, 0) for state in FINAL)
        with self._lock:
            if status == "RUNNING":
                self._record.setdefault("startedAt", _now())
            if done < len(self.children) or self.finished.is_set():
                return
            failed = bool(summary.get("FAILED"))
            self._record |= {
                "status": "FAILED" if failed else "SUCCEEDED",
                "statusReason": f"Array Child Job {'failed' if failed else 'succeeded'}",
                "stoppedAt": _now(),
            }
            self.finished.set()

    def _run(self) -> None:
        self._enter("RUNNABLE")
        with _SLOTS:
            try:
                code, reason = self._attempt_all()
            except BatchError as error:
                code, reason = None, str(error)
            except Exception as error:
                code, reason = None, f"{type(error).__name__}: {error}"
        status = "SUCCEEDED" if code == 0 and self._terminated is None else "FAILED"
        self._enter(status, statusReason=self._terminated or reason, stoppedAt=_now())

    def _attempt_all(self) -> tuple[int | None, str]:
        code: int | None = None
        reason = "Job was terminated before it was started"
        for attempt in range(1, self._attempts + 1):
            if self._terminated is not None:
                break
            started = _now()
            self._enter("STARTING")
            stream = f"{self._stream_prefix()}/default/{uuid.uuid4().hex}"
            code, reason = self._attempt(attempt, stream)
            container = {"exitCode": code, "logStreamName": stream}
            with self._lock:
                self._record["container"] = container
                self._record["attempts"].append(
                    {
                        "container": container,
                        "startedAt": started,
                        "stoppedAt": _now(),
                        "statusReason": reason,
                    }
                )
            if code == 0:
                break
        return code, reason

    def _attempt(self, attempt: int, stream: str) -> tuple[int, str]:
        settings = self._container_settings
        image = self._runner.images.image(settings["image"])
        command = [_substituted(word, self._record["parameters"]) for word in settings.get("command", [])]
        log = LogStream(self._runner.cloud, self._scope, self._log_group(), stream)
        try:
            container = self._runner.containers.run(
                [image.module, *image.arguments, *(command or image.command)],
                folder=image.folder,
                environment=self._variables(attempt),
                on_line=log.write,
            )
            self._enter("RUNNING", startedAt=_now())
            return self._watch(container)
        finally:
            log.close()

    def _watch(self, container: Container) -> tuple[int, str]:
        deadline = time.monotonic() + self._seconds
        while (code := container.wait(_POLL_SECONDS)) is None:
            if self._terminated is not None:
                return container.stop(_STOP_GRACE_SECONDS) or _KILLED, self._terminated
            if time.monotonic() > deadline:
                return container.stop(_STOP_GRACE_SECONDS) or _KILLED, "Job attempt duration exceeded timeout"
        return code, "Essential container in task exited"

    def _variables(self, attempt: int) -> dict[str, str]:
        variables = {each["name"]: each["value"] for each in self._container_settings.get("environment", [])}
        variables |= {
            "AWS_BATCH_JOB_ID": self.id,
            "AWS_BATCH_JOB_ATTEMPT": str(attempt),
            "AWS_BATCH_JQ_NAME": self._record["jobQueue"].rpartition("/")[2],
            "AWS_REGION": self._scope.region,
            "AWS_DEFAULT_REGION": self._scope.region,
            # What a task role gives: the local cloud knows accounts by their access keys.
            "AWS_ACCESS_KEY_ID": self._scope.account,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_ENDPOINT_URL": self._runner.endpoint,
        }
        if self._index is not None:
            variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(self._index)
        return variables

    def _log_options(self) -> Mapping[str, str]:
        configuration = self._container_settings.get("logConfiguration") or {}
        return configuration.get("options") or {}

    def _log_group(self) -> str:
        return self._log_options().get("awslogs-group", _DEFAULT_LOG_GROUP)

    def _stream_prefix(self) -> str:
        name: str = self._record["jobDefinition"].rpartition("/")[2].partition(":")[0]
        return self._log_options().get("awslogs-stream-prefix", name)


def _overridden(definition: Mapping[str, Any], request: Mapping[str, Any]) -> Record:
    settings: Record = dict(definition["containerProperties"])
    overrides = request.get("containerOverrides") or {}
    if "command" in overrides:
        settings["command"] = overrides["command"]
    named = {each["name"]: each for each in settings.get("environment", [])}
    named |= {each["name"]: each for each in overrides.get("environment", [])}
    kinds = {each["type"]: each for each in settings.get("resourceRequirements", [])}
    kinds |= {each["type"]: each for each in overrides.get("resourceRequirements", [])}
    return settings | {"environment": list(named.values()), "resourceRequirements": list(kinds.values())}


def _substituted(word: str, parameters: Mapping[str, str]) -> str:
    return parameters.get(word.removeprefix("Ref::"), word) if word.startswith("Ref::") else word


def _now() -> int:
    return time.time_ns() // 1_000_000
