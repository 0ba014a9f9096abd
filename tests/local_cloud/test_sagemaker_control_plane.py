"""SageMaker's control plane over HTTP, with containers that do what each test tells them."""

import io
import json
import os
import signal
import struct
import tarfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_cloud.conftest import RunningCloud, alive, wait_for

pytestmark = pytest.mark.local_cloud

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/factorization-machines:1"
ENDED = ("Completed", "Failed", "Stopped")


def record(payload: bytes) -> bytes:
    return struct.pack("<II", 0xCED7230A, len(payload)) + payload + bytes(-len(payload) % 4)


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class World:
    """A cloud with a role, a bucket and a trained model."""

    cloud: RunningCloud
    role: str
    bucket: str
    account: str = "111111111111"

    def __post_init__(self) -> None:
        self.sagemaker = self.cloud.client("sagemaker", account=self.account)
        self.s3 = self.cloud.client("s3", account=self.account)

    def put(self, key: str, body: bytes) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def read(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def model_data(self) -> str:
        return self.put("model/model.tar.gz", archive(model_algo=b"m"))

    def job(self, **changes: Any) -> dict[str, Any]:
        request = {
            "TrainingJobName": f"job-{uuid.uuid4().hex[:8]}",
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "RoleArn": self.role,
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/models/"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        return request | changes

    def train(self, **changes: Any) -> dict[str, Any]:
        request = self.job(**changes)
        self.sagemaker.create_training_job(**request)
        return self.trained(request["TrainingJobName"])

    def trained(self, name: str) -> dict[str, Any]:
        def ended() -> Any:
            job = self.sagemaker.describe_training_job(TrainingJobName=name)
            return job if job["TrainingJobStatus"] in ENDED else None

        return dict(wait_for(ended))

    def model(self, **environment: str) -> str:
        name = f"model-{uuid.uuid4().hex[:8]}"
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=self.role,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": self.model_data(), "Environment": environment},
        )
        return name

    def config(self, **environment: str) -> str:
        name = f"config-{uuid.uuid4().hex[:8]}"
        variant = {"VariantName": "AllTraffic", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[variant | {"ModelName": self.model(**environment)}],
        )
        return name

    def settled(self, endpoint: str) -> dict[str, Any]:
        def done() -> Any:
            description = self.sagemaker.describe_endpoint(EndpointName=endpoint)
            return description if description["EndpointStatus"] in ("InService", "Failed") else None

        return dict(wait_for(done))

    def tuning(self, **changes: Any) -> dict[str, Any]:
        """A request for a tuning job of two training jobs that report what `log` says."""
        uri = self.put("tuning/data.protobuf", b"data")
        job = self.job(InputDataConfig=[channel("train", uri), channel("test", uri)])
        del job["TrainingJobName"]
        epochs = {"Name": "epochs", "MinValue": "1", "MaxValue": "9"}
        request = {
            "HyperParameterTuningJobName": f"tune-{uuid.uuid4().hex[:8]}",
            "HyperParameterTuningJobConfig": {
                "Strategy": "Random",
                "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "test:rmse"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
                "ParameterRanges": {"IntegerParameterRanges": [epochs]},
            },
            "TrainingJobDefinition": job
            | {"StaticHyperParameters": {"log": "#quality_metric: host=algo-1, test rmse <loss>=2.5"}},
        }
        return request | changes


@pytest.fixture(scope="module")
def world(stand_in_cloud: RunningCloud, service_role: Callable[[RunningCloud], str]) -> World:
    bucket = f"sagemaker-{uuid.uuid4().hex[:8]}"
    stand_in_cloud.client("s3").create_bucket(Bucket=bucket)
    return World(stand_in_cloud, service_role(stand_in_cloud), bucket)


def channel(name: str, uri: str, kind: str = "S3Prefix") -> dict[str, Any]:
    source = {"S3DataType": kind, "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {
        "ChannelName": name,
        "ContentType": "application/x-recordio-protobuf",
        "DataSource": {"S3DataSource": source},
    }


def test_training_job_sees_opt_ml_and_reports_what_it_did(world: World) -> None:
    world.put("in/train/a.protobuf", b"aaaa")
    world.put("in/train/sub/b.protobuf", b"bbbb")
    manifest = [{"prefix": f"s3://{world.bucket}/in/train/"}, "sub/b.protobuf"]
    uri = world.put("in/test.manifest", json.dumps(manifest).encode())
    log = "#quality_metric: host=algo-1, test binary_f_1.000 <score>=0.1|plain line"

    job = world.train(
        HyperParameters={"feature_dim": "10", "log": log},
        InputDataConfig=[
            channel("train", f"s3://{world.bucket}/in/train/"),
            channel("test", uri, "ManifestFile"),
        ],
        Environment={"CUSTOM": "1"},
    )

    assert job["TrainingJobStatus"] == "Completed", job
    steps = [step["Status"] for step in job["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert job["TrainingTimeInSeconds"] >= 1
    (metric,) = job["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("test:binary_f_beta", pytest.approx(0.1))

    name = job["TrainingJobName"]
    assert job["ModelArtifacts"] == {
        "S3ModelArtifacts": f"s3://{world.bucket}/models/{name}/output/model.tar.gz"
    }
    with tarfile.open(fileobj=io.BytesIO(world.read(f"models/{name}/output/model.tar.gz"))) as tar:
        (member,) = tar.getmembers()
        seen = json.load(tar.extractfile(member))  # type: ignore[arg-type]
    assert (member.name, member.uid, member.mtime) == ("model.json", 0, 0)
    assert seen["files"] == [
        "input/data/test/sub/b.protobuf",
        "input/data/train/a.protobuf",
        "input/data/train/sub/b.protobuf",
    ]
    assert seen["config"]["hyperparameters.json"]["feature_dim"] == "10"
    assert seen["config"]["resourceconfig.json"]["hosts"] == ["algo-1"]
    assert seen["config"]["inputdataconfig.json"]["train"] == {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
        "ContentType": "application/x-recordio-protobuf",
    }
    assert seen["environment"] == {
        "TRAINING_JOB_NAME": name,
        "TRAINING_JOB_ARN": job["TrainingJobArn"],
        "CUSTOM": "1",
    }

    logs = world.cloud.client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    (stream,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/algo-1-")[
        "logStreams"
    ]
    events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    assert [event["message"] for event in events] == log.split("|")

    assert not list(world.cloud.state.glob(f"jobs/*/*/*/{name}/input/data"))


def test_metrics_reach_cloudwatch(world: World) -> None:
    job = world.train(HyperParameters={"log": "#quality_metric: host=algo-1, train rmse <loss>=2.5"})
    cloudwatch = world.cloud.client("cloudwatch")

    def measured() -> Any:
        found = cloudwatch.get_metric_statistics(
            Namespace="/aws/sagemaker/TrainingJobs",
            MetricName="train:rmse",
            Dimensions=[{"Name": "TrainingJobName", "Value": job["TrainingJobName"]}],
            StartTime=time.time() - 600,
            EndTime=time.time() + 60,
            Period=60,
            Statistics=["Maximum"],
        )
        return found["Datapoints"]

    assert wait_for(measured, 10)[0]["Maximum"] == 2.5


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [
        ({"fail": "ClientError: bad data in line 3"}, "ClientError: bad data in line 3"),
        ({"fail": "x" * 2000}, "x" * 1024),
        ({"exit_code": "7"}, "AlgorithmError: , exit code: 7"),
    ],
)
def test_failed_job_gives_its_reason(world: World, hyperparameters: dict[str, str], reason: str) -> None:
    job = world.train(HyperParameters=hyperparameters)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["FailureReason"] == reason
    assert "ModelArtifacts" not in job


def test_stopped_job_ends_and_keeps_its_model(world: World) -> None:
    request = world.job(HyperParameters={"sleep": "60"})
    name = request["TrainingJobName"]
    world.sagemaker.create_training_job(**request)
    wait_for(lambda: _secondary(world, name) == "Training")
    world.sagemaker.stop_training_job(TrainingJobName=name)
    job = world.trained(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    with pytest.raises(ClientError, match="in status Stopped"):
        world.sagemaker.stop_training_job(TrainingJobName=name)


def _secondary(world: World, name: str) -> str:
    return str(world.sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatus"])


def test_job_that_runs_too_long_is_stopped(world: World) -> None:
    job = world.train(HyperParameters={"sleep": "60"}, StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def refused(world: World, **changes: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        world.sagemaker.create_training_job(**world.job(**changes))
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_requests_that_cannot_succeed_are_refused(world: World) -> None:
    algorithm = {
        "TrainingImage": "123.dkr.ecr.us-east-1.amazonaws.com/xgboost:1",
        "TrainingInputMode": "File",
    }
    code, message = refused(world, AlgorithmSpecification=algorithm)
    assert code == "ValidationException"
    assert "built-in Factorization Machines" in message
    code, message = refused(world, RoleArn="arn:aws:iam::111111111111:role/absent")
    assert code == "ValidationException"
    assert "Could not assume role arn:aws:iam::111111111111:role/absent" in message
    code, message = refused(world, InputDataConfig=[channel("train", f"s3://{world.bucket}/absent/")])
    assert code == "ValidationException"
    assert f'No S3 objects found under S3 URL "s3://{world.bucket}/absent/"' in message
    code, message = refused(world, TrainingJobName="under_score")
    assert code == "ValidationException"
    assert "at 'trainingJobName' failed to satisfy constraint" in message
    taken = world.train()["TrainingJobName"]
    code, message = refused(world, TrainingJobName=taken)
    assert code == "ResourceInUse"
    assert "Job name must be unique within an AWS account and region" in message


def test_accounts_and_regions_are_separate(world: World) -> None:
    name = world.train()["TrainingJobName"]
    for other in (
        world.cloud.client("sagemaker", account="222222222222"),
        world.cloud.client("sagemaker", region="eu-west-1"),
    ):
        assert other.list_training_jobs()["TrainingJobSummaries"] == []
        with pytest.raises(ClientError, match="Requested resource not found"):
            other.describe_training_job(TrainingJobName=name)


def test_lists_are_filtered_sorted_and_paged(world: World) -> None:
    names = [world.train(TrainingJobName=f"paged-{i}")["TrainingJobName"] for i in range(3)]
    world.train(TrainingJobName="paged-failed", HyperParameters={"fail": "no"})
    query = {"NameContains": "paged", "StatusEquals": "Completed", "MaxResults": 2}
    first = world.sagemaker.list_training_jobs(**query)
    second = world.sagemaker.list_training_jobs(**query, NextToken=first["NextToken"])
    listed = [job["TrainingJobName"] for page in (first, second) for job in page["TrainingJobSummaries"]]
    assert listed == names
    assert "NextToken" not in second
    by_name = world.sagemaker.list_training_jobs(**query, SortBy="Name", SortOrder="Descending")
    assert by_name["TrainingJobSummaries"][0]["TrainingJobName"] == names[-1]
    future = world.sagemaker.list_training_jobs(CreationTimeAfter=time.time() + 3600)
    assert future["TrainingJobSummaries"] == []


def test_tuning_job_runs_real_training_jobs(world: World) -> None:
    request = world.tuning(Tags=[{"Key": "a", "Value": "1"}])
    name = request["HyperParameterTuningJobName"]
    arn = world.sagemaker.create_hyper_parameter_tuning_job(**request)["HyperParameterTuningJobArn"]

    def ended() -> Any:
        job = world.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        return job if job["HyperParameterTuningJobStatus"] in ENDED else None

    job = wait_for(ended)
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    best = job["BestTrainingJob"]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == 2.5
    child = world.sagemaker.describe_training_job(TrainingJobName=best["TrainingJobName"])
    assert child["TuningJobArn"] == arn
    assert child["HyperParameters"]["_tuning_objective_metric"] == "test:rmse"
    assert child["HyperParameters"]["epochs"] == best["TunedHyperParameters"]["epochs"]
    key = child["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{world.bucket}/")
    with tarfile.open(fileobj=io.BytesIO(world.read(key))) as tar:
        seen = json.load(tar.extractfile("model.json"))  # type: ignore[arg-type]
    assert seen["config"]["hyperparameters.json"] == child["HyperParameters"]
    assert world.sagemaker.list_tags(ResourceArn=child["TrainingJobArn"])["Tags"] == request["Tags"]
    listed = world.sagemaker.list_hyper_parameter_tuning_jobs(NameContains=name)
    (summary,) = listed["HyperParameterTuningJobSummaries"]
    assert (summary["Strategy"], summary["TrainingJobStatusCounters"]["Completed"]) == ("Random", 2)
    children = world.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name
    )["TrainingJobSummaries"]
    assert [each["TrainingJobName"][: len(name) + 5] for each in children] == [
        f"{name}-001-",
        f"{name}-002-",
    ]
    world.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    with pytest.raises(world.sagemaker.exceptions.ResourceNotFound):
        world.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    world.sagemaker.describe_training_job(TrainingJobName=best["TrainingJobName"])


def test_stopped_tuning_job_stops_its_training_jobs(world: World) -> None:
    request = world.tuning()
    request["TrainingJobDefinition"]["StaticHyperParameters"] = {"sleep": "60"}
    name = {"HyperParameterTuningJobName": request["HyperParameterTuningJobName"]}
    world.sagemaker.create_hyper_parameter_tuning_job(**request)

    def training() -> list[str]:
        listed = world.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(**name)
        names = [each["TrainingJobName"] for each in listed["TrainingJobSummaries"]]
        return [each for each in names if _secondary(world, each) == "Training"]

    wait_for(lambda: len(training()) == 2)
    children = training()
    world.sagemaker.stop_hyper_parameter_tuning_job(**name)

    def ended() -> Any:
        job = world.sagemaker.describe_hyper_parameter_tuning_job(**name)
        return job if job["HyperParameterTuningJobStatus"] in ENDED else None

    job = wait_for(ended)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 2
    assert {world.trained(child)["TrainingJobStatus"] for child in children} == {"Stopped"}


def transform(world: World, model: str, uri: str, **changes: Any) -> dict[str, Any]:
    name = f"transform-{uuid.uuid4().hex[:8]}"
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}
    request = {
        "TransformJobName": name,
        "ModelName": model,
        "MaxPayloadInMB": 1,
        "BatchStrategy": "MultiRecord",
        "TransformInput": {
            "DataSource": source,
            "ContentType": "application/x-recordio-protobuf",
            "SplitType": "RecordIO",
        },
        "TransformOutput": {
            "S3OutputPath": f"s3://{world.bucket}/scores/",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    world.sagemaker.create_transform_job(**request | changes)

    def ended() -> Any:
        job = world.sagemaker.describe_transform_job(TransformJobName=name)
        return job if job["TransformJobStatus"] in ENDED else None

    return dict(wait_for(ended))


def test_transform_batches_records_and_assembles_lines(world: World) -> None:
    data = record(b"r" * 400_000) * 5
    world.put("batch/x/one.protobuf", data)
    world.put("batch/two.protobuf", record(b"s"))
    job = transform(world, world.model(STAND_IN_TAG="t"), f"s3://{world.bucket}/batch/")
    assert job["TransformJobStatus"] == "Completed", job

    lines = [json.loads(line) for line in world.read("scores/x/one.protobuf.out").splitlines()]
    assert [line["bytes"] for line in lines] == [800_016, 800_016, 400_008]
    assert lines[0]["content_type"] == "application/x-recordio-protobuf"
    assert lines[0]["accept"] == "application/jsonlines"
    assert lines[0]["model"] == ["model_algo"]
    assert (lines[0]["tag"], lines[0]["batch"]) == ("t", "true")
    (line,) = world.read("scores/two.protobuf.out").splitlines()
    assert json.loads(line)["bytes"] == 12


def test_transform_job_of_one_object_is_named_after_it(world: World) -> None:
    uri = world.put("single/only.protobuf", record(b"s"))
    assert transform(world, world.model(), uri)["TransformJobStatus"] == "Completed"
    assert world.read("scores/only.protobuf.out").endswith(b"}\n")


@pytest.mark.parametrize(
    ("environment", "data", "reason"),
    [
        ({"STAND_IN_STATUS": "400"}, record(b"x"), "received client error (400) from model"),
        ({"STAND_IN_EXIT": "3"}, record(b"x"), "the container ended with exit code 3"),
        ({}, b"not RecordIO", "Not RecordIO: no magic number at byte 0"),
        ({}, record(b"x" * 2_000_000), "Too much data for max payload size"),
    ],
)
def test_failed_transform_gives_its_reason(
    world: World, environment: dict[str, str], data: bytes, reason: str
) -> None:
    uri = world.put(f"bad/{uuid.uuid4().hex}", data)
    job = transform(world, world.model(**environment), uri)
    assert job["TransformJobStatus"] == "Failed"
    assert reason in job["FailureReason"]


def test_endpoint_serves_updates_rolls_back_and_ends(world: World) -> None:
    name = f"endpoint-{uuid.uuid4().hex[:8]}"
    runtime = world.cloud.client("sagemaker-runtime")
    first = world.config(STAND_IN_TAG="one")
    world.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=first)
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        world.sagemaker.delete_endpoint(EndpointName=name)
    description = world.settled(name)
    assert description["EndpointStatus"] == "InService"
    (variant,) = description["ProductionVariants"]
    assert (variant["VariantName"], variant["CurrentInstanceCount"]) == ("AllTraffic", 1)

    def ask() -> dict[str, Any]:
        answer = runtime.invoke_endpoint(
            EndpointName=name, Body=b"12345", ContentType="application/json", Accept="application/jsonlines"
        )
        assert answer["InvokedProductionVariant"] == "AllTraffic"
        assert answer["ContentType"] == "application/jsonlines"
        return dict(json.loads(answer["Body"].read()))

    killed = ask()["pid"]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: not alive(killed))
    one = ask()
    assert one["pid"] != killed
    assert (one["bytes"], one["content_type"], one["tag"]) == (5, "application/json", "one")

    second = world.config(STAND_IN_TAG="two")
    policy = {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}
    world.sagemaker.update_endpoint(
        EndpointName=name,
        EndpointConfigName=second,
        RetainAllVariantProperties=True,
        DeploymentConfig={"BlueGreenUpdatePolicy": policy},
    )
    assert ask()["tag"] in ("one", "two")
    updated = world.settled(name)
    assert updated["EndpointConfigName"] == second
    assert updated["LastDeploymentConfig"] == {"BlueGreenUpdatePolicy": policy}
    two = ask()
    assert two["tag"] == "two"
    wait_for(lambda: not alive(one["pid"]))

    world.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=world.config(STAND_IN_EXIT="1"))
    kept = world.settled(name)
    assert (kept["EndpointStatus"], kept["EndpointConfigName"]) == ("InService", second)
    assert "did not pass the ping health check" in kept["FailureReason"]
    assert ask()["pid"] == two["pid"]

    world.sagemaker.delete_endpoint(EndpointName=name)
    wait_for(lambda: not alive(two["pid"]))
    # Its container ends first: until the endpoint is gone, too, it is only out of service.
    world.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    with pytest.raises(ClientError, match=f"Endpoint {name} of account 111111111111 not found"):
        ask()


def test_endpoint_whose_container_fails_says_so(world: World) -> None:
    name = f"endpoint-{uuid.uuid4().hex[:8]}"
    world.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=world.config(STAND_IN_EXIT="1"))
    description = world.settled(name)
    assert description["EndpointStatus"] == "Failed"
    assert "exit code 1" in description["FailureReason"]
    events = world.cloud.client("logs").filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{name}")[
        "events"
    ]
    assert [event["message"] for event in events] == ["refusing to serve"]
    world.sagemaker.delete_endpoint(EndpointName=name)


def test_runtime_errors_are_those_of_sagemaker(world: World) -> None:
    name = f"endpoint-{uuid.uuid4().hex[:8]}"
    runtime = world.cloud.client("sagemaker-runtime")
    world.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=world.config(STAND_IN_STATUS="415"))
    world.settled(name)
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName=name, Body=b"x")
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 415
    assert "AllTraffic" in response["LogStreamArn"]
    with pytest.raises(runtime.exceptions.ValidationError, match="less than or equal to 6291456"):
        runtime.invoke_endpoint(EndpointName=name, Body=bytes(6_291_457))
    world.sagemaker.delete_endpoint(EndpointName=name)


def test_registry_versions_approves_and_deletes(world: World) -> None:
    group = f"group-{uuid.uuid4().hex[:8]}"
    sagemaker = world.sagemaker
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    request = {
        "ModelPackageGroupName": group,
        "InferenceSpecification": {
            "Containers": [{"Image": IMAGE, "ModelDataUrl": world.model_data()}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        "CustomerMetadataProperties": {"catalog_uri": "s3://b/k"},
        "ModelMetrics": {
            "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/e.json"}}
        },
    }
    arns = [sagemaker.create_model_package(**request)["ModelPackageArn"] for _ in range(2)]
    assert [arn.rpartition(":")[2] for arn in arns] == [f"model-package/{group}/{v}" for v in (1, 2)]
    package = sagemaker.describe_model_package(ModelPackageName=arns[1])
    assert package["ModelPackageStatus"] == "Completed"
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["CustomerMetadataProperties"] == request["CustomerMetadataProperties"]
    assert package["ModelMetrics"] == request["ModelMetrics"]

    sagemaker.update_model_package(
        ModelPackageArn=arns[1], ModelApprovalStatus="Approved", CustomerMetadataProperties={"more": "1"}
    )
    approved = sagemaker.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    assert [each["ModelPackageArn"] for each in approved["ModelPackageSummaryList"]] == [arns[1]]
    assert sagemaker.describe_model_package(ModelPackageName=arns[1])["CustomerMetadataProperties"] == {
        "catalog_uri": "s3://b/k",
        "more": "1",
    }

    model = f"model-{uuid.uuid4().hex[:8]}"
    sagemaker.create_model(
        ModelName=model, ExecutionRoleArn=world.role, PrimaryContainer={"ModelPackageName": arns[1]}
    )
    described = sagemaker.describe_model(ModelName=model)
    assert described["PrimaryContainer"] == {"ModelPackageName": arns[1]}

    with pytest.raises(ClientError, match="contains Model Packages"):
        sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    for arn in arns:
        sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName=group)


def test_tags(world: World) -> None:
    job = world.train(Tags=[{"Key": "a", "Value": "1"}])
    arn = job["TrainingJobArn"]
    world.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    world.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert world.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]


def test_state_changes_are_events(world: World) -> None:
    sqs, events = world.cloud.client("sqs"), world.cloud.client("events")
    queue = sqs.create_queue(QueueName=f"events-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.sagemaker"], "detail": {"TrainingJobStatus": ["Completed"]}}
    events.put_rule(Name="jobs", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="jobs", Targets=[{"Id": "q", "Arn": arn}])
    job = world.train()
    (message,) = wait_for(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    event = json.loads(message["Body"])
    assert event["detail-type"] == "SageMaker Training Job State Change"
    assert event["resources"] == [job["TrainingJobArn"]]
    assert event["detail"]["TrainingJobName"] == job["TrainingJobName"]
    events.remove_targets(Rule="jobs", Ids=["q"])
    events.delete_rule(Name="jobs")
