"""Batch transform jobs: a model scores every object of an input."""

import gzip
import logging
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local_cloud.sagemaker import s3_data
from local_cloud.sagemaker.context import Context
from local_cloud.sagemaker.delivery import LogStream
from local_cloud.sagemaker.errors import SageMakerError, job_name_taken, validation
from local_cloud.sagemaker.models import Models, ServedModel
from local_cloud.sagemaker.s3_data import S3Object
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.service_model import now
from local_cloud.sagemaker.serving import Answer, ModelServer, NotHealthyError
from local_cloud.sagemaker.splitting import SplitError, assemble, split
from local_cloud.sagemaker.table import Listing, Record, Table

logger = logging.getLogger("sagemaker")

LOG_GROUP = "/aws/sagemaker/TransformJobs"

_HEALTH_TIMEOUT_SECONDS = 240.0
_MEGABYTE = 1024 * 1024
_DEFAULT_PAYLOAD_MEGABYTES = 6

_LISTING = Listing(
    answer="TransformJobSummaries",
    name="TransformJobName",
    members=(
        "TransformJobName",
        "TransformJobArn",
        "CreationTime",
        "TransformEndTime",
        "LastModifiedTime",
        "TransformJobStatus",
        "FailureReason",
    ),
    filters={"StatusEquals": "TransformJobStatus"},
    ascending=False,
)


class _StoppedError(Exception):
    """StopTransformJob was called."""


class _ModelRefusedError(Exception):
    """The model answered a request with an error."""


class TransformJob:
    """One job: its description and the thread that carries it out."""

    def __init__(
        self, context: Context, scope: Scope, model: ServedModel, parameters: Mapping[str, Any]
    ) -> None:
        self.name: str = parameters["TransformJobName"]
        self.arn = scope.arn("transform-job", self.name)
        self.finished = threading.Event()
        self._context = context
        self._scope = scope
        self._model = model
        self._stop = threading.Event()
        self._lock = threading.Lock()
        moment = now()
        self._record: Record = {
            **{key: value for key, value in parameters.items() if key != "Tags"},
            "TransformInput": {
                "CompressionType": "None",
                "SplitType": "None",
                **parameters["TransformInput"],
            },
            "TransformOutput": {"AssembleWith": "None", **parameters["TransformOutput"]},
            "TransformJobArn": self.arn,
            "CreationTime": moment,
            "LastModifiedTime": moment,
        }
        self._enter("InProgress")

    def start(self) -> None:
        """Carry the job out in a thread of its own."""
        self._context.background(f"transform-{self.name}", self._run)

    def describe(self) -> Record:
        """Return the job as DescribeTransformJob does."""
        with self._lock:
            return dict(self._record)

    def stop(self) -> None:
        """Ask the job to end.

        Raises:
            SageMakerError: it has ended already.
        """
        status = self.describe()["TransformJobStatus"]
        if status in ("Completed", "Failed", "Stopped"):
            raise validation(f"The request was rejected because the transform job is in status {status}.")
        if status == "InProgress":
            self._enter("Stopping")
        self._stop.set()

    def _enter(self, status: str, **members: object) -> None:
        with self._lock:
            self._record |= {"TransformJobStatus": status, "LastModifiedTime": now(), **members}
        self._context.publish(
            self._scope, "SageMaker Transform Job State Change", self.describe(), [self.arn]
        )

    def _run(self) -> None:
        root = self._context.job_folder(self._scope, "transform-job", self.name)
        status, reason = "Failed", None
        try:
            self._transform(root)
            status = "Completed"
        except _StoppedError:
            status = "Stopped"
        except SageMakerError as error:
            reason = f"ClientError: {error.message}"
        except SplitError as error:
            reason = f"ClientError: {error}"
        except (_ModelRefusedError, NotHealthyError) as error:
            reason = f"AlgorithmError: {error}. See job logs for more information"
        except Exception as error:
            logger.exception("Transform job %s", self.name)
            reason = f"InternalServerError: {error}"
        finally:
            shutil.rmtree(root, ignore_errors=True)
        self._enter(status, TransformEndTime=now(), **({"FailureReason": reason} if reason else {}))
        self.finished.set()

    def _transform(self, root: Path) -> None:
        with self._lock:
            self._record["TransformStartTime"] = now()
        s3 = self._context.cloud.client("s3", self._scope)
        source = self._record["TransformInput"]["DataSource"]["S3DataSource"]
        items = s3_data.objects(s3, source, role=None, region=self._scope.region)
        s3_data.extract_model(s3, self._model.model_data, root / "model")
        log = LogStream(self._context.cloud, self._scope, LOG_GROUP, f"{self.name}/i-{secrets.token_hex(8)}")
        try:
            server = ModelServer(
                self._context.containers, root=root, environment=self._environment(), on_line=log.write
            )
            try:
                server.wait_healthy(_HEALTH_TIMEOUT_SECONDS, self._stop.is_set)
                for item in items:
                    self._transform_object(s3, server, item, root)
            finally:
                server.stop()
        except NotHealthyError:
            if self._stop.is_set():
                raise _StoppedError from None
            raise
        finally:
            log.close()

    @property
    def _payload_megabytes(self) -> int:
        return int(self._record.get("MaxPayloadInMB", _DEFAULT_PAYLOAD_MEGABYTES))

    def _environment(self) -> dict[str, str]:
        return {
            **self._model.environment,
            **self._record.get("Environment", {}),
            "AWS_REGION": self._scope.region,
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self._payload_megabytes),
            "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD" if self._multi_record else "SINGLE_RECORD",
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(self._record.get("MaxConcurrentTransforms", 1)),
        }

    @property
    def _multi_record(self) -> bool:
        return bool(self._record.get("BatchStrategy", "MultiRecord") == "MultiRecord")

    def _transform_object(self, s3: Any, server: ModelServer, item: S3Object, root: Path) -> None:
        target, output = self._record["TransformInput"], self._record["TransformOutput"]
        local = root / "input"
        s3_data.download(s3, item, local)
        data = local.read_bytes()
        if target["CompressionType"] == "Gzip":
            data = gzip.decompress(data)
        batches = split(
            data,
            split_type=target["SplitType"],
            multi_record=self._multi_record,
            max_bytes=self._payload_megabytes * _MEGABYTE,
        )
        result = root / "output"
        with result.open("wb") as file:
            for piece in assemble(
                self._answers(server, item, batches), by_line=output["AssembleWith"] == "Line"
            ):
                file.write(piece)
        destination = f"{output['S3OutputPath'].rstrip('/')}/{item.path}.out"
        s3_data.upload(s3, result, destination, kms_key=output.get("KmsKeyId"))

    def _answers(self, server: ModelServer, item: S3Object, batches: Iterator[memoryview]) -> Iterator[bytes]:
        headers = {
            "Content-Type": self._record["TransformInput"].get("ContentType"),
            "Accept": self._record["TransformOutput"].get("Accept"),
        }
        sent = {name: value for name, value in headers.items() if value is not None}
        for batch in batches:
            if self._stop.is_set():
                raise _StoppedError
            answer = self._invoke(server, batch, sent)
            if answer.status != 200:
                side = "server" if answer.status >= 500 else "client"
                text = answer.body[:500].decode(errors="replace")
                raise _ModelRefusedError(
                    f'{item.uri}: received {side} error ({answer.status}) from model with message "{text}"'
                )
            yield answer.body

    def _invoke(self, server: ModelServer, batch: memoryview, headers: Mapping[str, str]) -> Answer:
        client = self._record.get("ModelClientConfig", {})
        attempts = client.get("InvocationsMaxRetries", 3) + 1
        for attempt in range(attempts):
            last = attempt == attempts - 1
            try:
                answer = server.invoke(batch, headers, client.get("InvocationsTimeoutInSeconds", 600))
            except OSError as error:
                if last or not server.alive():
                    raise _ModelRefusedError(f"no answer from the model: {error}") from error
                continue
            if answer.status < 500 or last:
                return answer
        raise AssertionError("unreachable")


class TransformJobs:
    """The transform job operations."""

    def __init__(self, context: Context, models: Models) -> None:
        self._context = context
        self._models = models
        self._jobs: Table[TransformJob] = Table()

    def create(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """CreateTransformJob."""
        name = parameters["TransformJobName"]
        arn = scope.arn("transform-job", name)
        taken = job_name_taken(arn)
        if self._jobs.get(scope, name) is not None:
            raise taken
        _require_supported(parameters)
        job = TransformJob(
            self._context, scope, self._models.served(scope, parameters["ModelName"]), parameters
        )
        self._jobs.add(scope, name, job, taken=taken)
        job.start()
        return {"TransformJobArn": arn}

    def get(self, scope: Scope, name: str) -> TransformJob:
        """Return a job.

        Raises:
            SageMakerError: there is none of that name.
        """
        job = self._jobs.get(scope, name)
        if job is None:
            raise validation(f"Could not find requested job with name: {name}")
        return job

    def describe(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DescribeTransformJob."""
        return self.get(scope, parameters["TransformJobName"]).describe()

    def list(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """ListTransformJobs."""
        return _LISTING.page((job.describe() for job in self._jobs.values(scope)), parameters)

    def stop(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """StopTransformJob."""
        self.get(scope, parameters["TransformJobName"]).stop()
        return {}


def _require_supported(parameters: Mapping[str, Any]) -> None:
    split_type = parameters["TransformInput"].get("SplitType", "None")
    if split_type == "TFRecord":
        raise validation("The local cloud splits by Line and RecordIO, not by TFRecord")
    if split_type == "None" and parameters.get("BatchStrategy") == "MultiRecord":
        raise validation("BatchStrategy MultiRecord needs a SplitType of Line or RecordIO")
    if parameters.get("MaxPayloadInMB", _DEFAULT_PAYLOAD_MEGABYTES) == 0:
        raise validation(
            "MaxPayloadInMB 0 (chunked requests) is not supported by Amazon SageMaker built-in algorithms"
        )
    if "S3DataSource" not in parameters["TransformInput"]["DataSource"]:
        raise validation("TransformInput.DataSource.S3DataSource is required")
    s3_data.parse_uri(parameters["TransformOutput"]["S3OutputPath"])
    s3_data.parse_uri(parameters["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"])
