"""Training jobs: download, train in a container, upload the model."""

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from local_cloud.sagemaker import images, pipes, s3_data
from local_cloud.sagemaker.algorithm_metrics import METRIC_DEFINITIONS, metrics_in
from local_cloud.sagemaker.containers import Container
from local_cloud.sagemaker.context import Context
from local_cloud.sagemaker.delivery import Datum, LogStream
from local_cloud.sagemaker.errors import SageMakerError, job_name_taken, validation
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.service_model import now
from local_cloud.sagemaker.table import Listing, Record, Table

logger = logging.getLogger("sagemaker")

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
STOP_GRACE_SECONDS = 120.0
"""From SIGTERM to SIGKILL (API reference, StopTrainingJob)."""

_FAILURE_CHARACTERS = 1024
_DEFAULT_MAX_RUNTIME_SECONDS = 86_400
_HOST = "algo-1"
_PIPE = "Pipe"

_STATUS_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "Failed": "Training job failed",
}

_LISTING = Listing(
    answer="TrainingJobSummaries",
    name="TrainingJobName",
    members=(
        "TrainingJobName",
        "TrainingJobArn",
        "CreationTime",
        "TrainingEndTime",
        "LastModifiedTime",
        "TrainingJobStatus",
        "SecondaryStatus",
    ),
    filters={"StatusEquals": "TrainingJobStatus"},
)


class TrainingJob:
    """One job: its description and the thread that carries it out."""

    def __init__(self, context: Context, scope: Scope, parameters: Mapping[str, Any]) -> None:
        self.name: str = parameters["TrainingJobName"]
        self.arn = scope.arn("training-job", self.name)
        self.finished = threading.Event()
        self._context = context
        self._scope = scope
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._metrics: dict[str, dict[str, Any]] = {}
        self._pipes: list[tuple[Path, Callable[[], Iterator[bytes]]]] = []
        moment = now()
        self._record: Record = {
            **{key: value for key, value in parameters.items() if key not in ("Tags",)},
            "TrainingJobArn": self.arn,
            "AlgorithmSpecification": {
                **parameters["AlgorithmSpecification"],
                "MetricDefinitions": METRIC_DEFINITIONS,
                "EnableSageMakerMetricsTimeSeries": False,
            },
            "OutputDataConfig": {"KmsKeyId": "", **parameters["OutputDataConfig"]},
            "StoppingCondition": {
                "MaxRuntimeInSeconds": _DEFAULT_MAX_RUNTIME_SECONDS,
                **parameters.get("StoppingCondition", {}),
            },
            "EnableNetworkIsolation": parameters.get("EnableNetworkIsolation", False),
            "EnableInterContainerTrafficEncryption": parameters.get(
                "EnableInterContainerTrafficEncryption", False
            ),
            "EnableManagedSpotTraining": parameters.get("EnableManagedSpotTraining", False),
            "CreationTime": moment,
            "LastModifiedTime": moment,
            "SecondaryStatusTransitions": [],
            "ProfilingStatus": "Disabled",
        }
        self._enter("InProgress", "Starting")

    def start(self) -> None:
        """Carry the job out in a thread of its own."""
        self._context.background(f"training-{self.name}", self._run)

    def describe(self) -> Record:
        """Return the job as DescribeTrainingJob does."""
        with self._lock:
            record = dict(self._record)
            record["SecondaryStatusTransitions"] = [
                dict(each) for each in record["SecondaryStatusTransitions"]
            ]
            if self._metrics:
                record["FinalMetricDataList"] = list(self._metrics.values())
            return record

    def stop(self) -> None:
        """Ask the job to end.

        Raises:
            SageMakerError: it has ended already.
        """
        with self._lock:
            status = self._record["TrainingJobStatus"]
        if status in ("Completed", "Failed", "Stopped"):
            raise validation(f"The request was rejected because the training job is in status {status}.")
        if status == "InProgress":
            self._enter("Stopping", "Stopping")
        self._stop.set()

    def _enter(self, status: str, secondary: str, message: str | None = None) -> None:
        moment = now()
        with self._lock:
            transitions = self._record["SecondaryStatusTransitions"]
            if transitions:
                transitions[-1]["EndTime"] = moment
            transitions.append(
                {
                    "Status": secondary,
                    "StartTime": moment,
                    "StatusMessage": message or _STATUS_MESSAGES[secondary],
                }
            )
            if status in ("Completed", "Failed", "Stopped"):
                transitions[-1]["EndTime"] = moment
            self._record |= {
                "TrainingJobStatus": status,
                "SecondaryStatus": secondary,
                "LastModifiedTime": moment,
            }
        self._context.publish(self._scope, "SageMaker Training Job State Change", self.describe(), [self.arn])

    def _run(self) -> None:
        root = self._context.job_folder(self._scope, "training-job", self.name)
        try:
            status, secondary, reason = self._train(root)
        except SageMakerError as error:
            status, secondary, reason = "Failed", "Failed", f"ClientError: {error.message}"
        except Exception as error:
            logger.exception("Training job %s", self.name)
            status, secondary, reason = "Failed", "Failed", f"InternalServerError: {error}"
        finally:
            for used in ("input/data", "model", "output/data"):
                shutil.rmtree(root / used, ignore_errors=True)
        self._finish(status, secondary, reason)

    def _finish(self, status: str, secondary: str, reason: str | None) -> None:
        with self._lock:
            end = now()
            self._record["TrainingEndTime"] = end
            started = self._record.get("TrainingStartTime", end)
            seconds = max(1, round((end - started).total_seconds()))
            self._record |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
            if reason is not None:
                self._record["FailureReason"] = reason
        self._enter(status, secondary, reason)
        self.finished.set()

    def _train(self, root: Path) -> tuple[str, str, str | None]:
        with self._lock:
            self._record["TrainingStartTime"] = now()
        self._enter("InProgress", "Downloading")
        self._lay_out(root)
        if self._stop.is_set():
            return "Stopped", "Stopped", None
        self._enter("InProgress", "Training")
        with pipes.feeding(self._pipes):
            code, overtime = self._run_container(root)
        if code != 0 and not (self._stop.is_set() or overtime):
            return "Failed", "Failed", _failure_reason(root, code)
        if not self._stop.is_set():
            self._enter("InProgress", "Uploading")
        self._upload(root)
        if self._stop.is_set():
            return "Stopped", "Stopped", None
        return ("Stopped", "MaxRuntimeExceeded", None) if overtime else ("Completed", "Completed", None)

    def _lay_out(self, root: Path) -> None:
        """Make ``/opt/ml`` as the container expects it, with the channels' data."""
        record = self._record
        s3 = self._context.cloud.client("s3", self._scope)
        channels = {}
        for channel in record.get("InputDataConfig", []):
            source = channel["DataSource"]["S3DataSource"]
            folder = root / "input" / "data" / channel["ChannelName"]
            items = s3_data.objects(s3, source, role=record["RoleArn"], region=self._scope.region)
            configuration = _channel_configuration(channel, source, record)
            if configuration["TrainingInputMode"] == _PIPE:
                self._pipes.append((folder, partial(s3_data.chunks, s3, items)))
            else:
                for item in items:
                    s3_data.download(s3, item, folder / item.path)
            channels[channel["ChannelName"]] = configuration
        files = {
            "hyperparameters.json": record.get("HyperParameters", {}),
            "inputdataconfig.json": channels,
            "resourceconfig.json": {
                "current_host": _HOST,
                "hosts": [_HOST],
                "network_interface_name": "eth0",
            },
        }
        (root / "input" / "config").mkdir(parents=True)
        for name, content in files.items():
            (root / "input" / "config" / name).write_text(json.dumps(content))
        (root / "model").mkdir()
        (root / "output" / "data").mkdir(parents=True)

    def _run_container(self, root: Path) -> tuple[int, bool]:
        """Train; return the exit code and whether the job ran longer than it may."""
        log = LogStream(
            self._context.cloud,
            self._scope,
            LOG_GROUP,
            f"{self.name}/{_HOST}-{time.time_ns() // 1_000_000_000}",
        )
        try:
            container = self._context.containers.start(
                ["train"],
                root=root,
                environment={
                    **self._record.get("Environment", {}),
                    "AWS_REGION": self._scope.region,
                    "TRAINING_JOB_NAME": self.name,
                    "TRAINING_JOB_ARN": self.arn,
                },
                on_line=lambda line: self._read(line, log),
            )
            return self._watch(container)
        finally:
            log.close()
            # Who waits for the job's end asks for its metrics next.
            self._context.metrics.flush()

    def _watch(self, container: Container) -> tuple[int, bool]:
        deadline = time.monotonic() + self._record["StoppingCondition"]["MaxRuntimeInSeconds"]
        while (code := container.wait(timeout=0.1)) is None:
            overtime = time.monotonic() > deadline
            if overtime or self._stop.is_set():
                return container.stop(grace=STOP_GRACE_SECONDS), overtime
        return code, False

    def _read(self, line: str, log: LogStream) -> None:
        log.write(line)
        moment = now()
        found = list(metrics_in(line))
        with self._lock:
            for name, value in found:
                self._metrics[name] = {"MetricName": name, "Value": value, "Timestamp": moment}
        dimensions = {"TrainingJobName": self.name}
        self._context.metrics.put(
            self._scope,
            [Datum(LOG_GROUP, name, value, dimensions, timestamp=moment) for name, value in found],
        )

    def _upload(self, root: Path) -> None:
        output = self._record["OutputDataConfig"]
        destination = f"{output['S3OutputPath'].rstrip('/')}/{self.name}/output"
        s3 = self._context.cloud.client("s3", self._scope)
        for name, folder in (("model.tar.gz", root / "model"), ("output.tar.gz", root / "output" / "data")):
            if name == "output.tar.gz" and not any(folder.iterdir()):
                continue
            archive = root / name
            s3_data.pack(folder, archive)
            s3_data.upload(s3, archive, f"{destination}/{name}", kms_key=output.get("KmsKeyId"))
            archive.unlink()
        with self._lock:
            self._record["ModelArtifacts"] = {"S3ModelArtifacts": f"{destination}/model.tar.gz"}


def _channel_configuration(
    channel: Mapping[str, Any], source: Mapping[str, Any], record: Mapping[str, Any]
) -> dict[str, str]:
    default_mode = record["AlgorithmSpecification"]["TrainingInputMode"]
    configuration = {
        "TrainingInputMode": channel.get("InputMode", default_mode),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if "ContentType" in channel:
        configuration["ContentType"] = channel["ContentType"]
    return configuration


def _failure_reason(root: Path, code: int) -> str:
    failure = root / "output" / "failure"
    if failure.is_file():
        reason = failure.read_text(errors="replace")[:_FAILURE_CHARACTERS].strip()
        if reason:
            return reason
    return f"AlgorithmError: , exit code: {code}"


class TrainingJobs:
    """The training job operations."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._jobs: Table[TrainingJob] = Table()

    def create(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """CreateTrainingJob."""
        name = parameters["TrainingJobName"]
        arn = scope.arn("training-job", name)
        taken = job_name_taken(arn)
        if self._jobs.get(scope, name) is not None:
            raise taken
        self.require_runnable(scope, parameters)
        job = TrainingJob(self._context, scope, parameters)
        self._jobs.add(scope, name, job, taken=taken)
        job.start()
        return {"TrainingJobArn": arn}

    def require_runnable(self, scope: Scope, parameters: Mapping[str, Any]) -> None:
        """Check that a training job could run here.

        Args:
            scope: of the caller.
            parameters: of CreateTrainingJob, or the definition of a tuning job's training jobs.

        Raises:
            SageMakerError: it could not.
        """
        for member in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
            if member not in parameters:
                raise validation(f"1 validation error detected: {member} is required for a training job")
        algorithm = parameters["AlgorithmSpecification"]
        images.require_supported(
            algorithm.get("TrainingImage") or algorithm.get("AlgorithmName"), scope.region
        )
        if algorithm.get("MetricDefinitions"):
            raise validation(
                "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the "
                "request without specifying metric definitions."
            )
        if parameters["ResourceConfig"].get("InstanceCount", 1) != 1:
            raise validation("The local cloud trains on one instance: set ResourceConfig.InstanceCount to 1")
        s3_data.parse_uri(parameters["OutputDataConfig"]["S3OutputPath"])
        self._context.require_role(scope, parameters["RoleArn"])
        s3 = self._context.cloud.client("s3", scope)
        for channel in parameters.get("InputDataConfig", []):
            source = channel["DataSource"].get("S3DataSource")
            if source is None:
                raise validation(f"Channel {channel['ChannelName']}: the local cloud reads channels from S3")
            s3_data.objects(s3, source, role=parameters["RoleArn"], region=scope.region)

    def get(self, scope: Scope, name: str) -> TrainingJob:
        """Return a job.

        Raises:
            SageMakerError: there is none of that name.
        """
        job = self._jobs.get(scope, name)
        if job is None:
            raise validation("Requested resource not found.")
        return job

    def describe(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DescribeTrainingJob."""
        return self.get(scope, parameters["TrainingJobName"]).describe()

    def list(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """ListTrainingJobs."""
        return _LISTING.page((job.describe() for job in self._jobs.values(scope)), parameters)

    def stop(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """StopTrainingJob."""
        self.get(scope, parameters["TrainingJobName"]).stop()
        return {}
