"""Tuning jobs over training jobs that end when and as the test says."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from local_cloud.sagemaker import images
from local_cloud.sagemaker.errors import SageMakerError, validation
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.service import SageMaker
from local_cloud.sagemaker.service_model import now
from local_cloud.sagemaker.tuning import jobs

SCOPE = Scope("111111111111", "us-east-1")
ROLE = "arn:aws:iam::111111111111:role/service"
METRIC = "test:binary_classification_accuracy"


class ScriptedJob:
    """A training job that ends when it is told to."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.request = request
        self.finished = threading.Event()
        self.record: dict[str, Any] = {
            "TrainingJobName": request["TrainingJobName"],
            "TrainingJobArn": SCOPE.arn("training-job", request["TrainingJobName"]),
            "CreationTime": now(),
            "TrainingJobStatus": "InProgress",
        }

    def describe(self) -> dict[str, Any]:
        return dict(self.record)

    def stop(self) -> None:
        self.end("Stopped")

    def end(self, status: str = "Completed", metric: float | None = None, reason: str | None = None) -> None:
        if metric is not None:
            self.record["FinalMetricDataList"] = [{"MetricName": METRIC, "Value": metric, "Timestamp": now()}]
        if reason is not None:
            self.record["FailureReason"] = reason
        self.record |= {"TrainingJobStatus": status, "TrainingEndTime": now()}
        self.finished.set()


class ScriptedTrainingJobs:
    """Makes scripted jobs, which end by `outcome` as soon as they are made."""

    def __init__(self) -> None:
        self.jobs: list[ScriptedJob] = []
        self.outcome: Callable[[ScriptedJob], None] = lambda _: None
        self.most_at_once = 0

    def require_runnable(self, scope: Scope, parameters: Mapping[str, Any]) -> None:
        if parameters["RoleArn"] != ROLE:
            raise validation("Could not assume role")

    def create(self, scope: Scope, parameters: Mapping[str, Any]) -> dict[str, Any]:
        job = ScriptedJob(parameters)
        self.jobs.append(job)
        self.most_at_once = max(self.most_at_once, sum(not each.finished.is_set() for each in self.jobs))
        self.outcome(job)
        return {"TrainingJobArn": job.record["TrainingJobArn"]}

    def get(self, scope: Scope, name: str) -> ScriptedJob:
        return next(job for job in self.jobs if job.request["TrainingJobName"] == name)


@pytest.fixture
def training(sagemaker: SageMaker, monkeypatch: pytest.MonkeyPatch) -> ScriptedTrainingJobs:
    scripted = ScriptedTrainingJobs()
    monkeypatch.setattr(sagemaker.tuning_jobs, "_training_jobs", scripted)
    monkeypatch.setattr(jobs, "_POLL_SECONDS", 0.005)
    return scripted


def request(name: str = "tune", **config: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/"}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": METRIC},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {
                "IntegerParameterRanges": [{"Name": "epochs", "MinValue": "1", "MaxValue": "50"}]
            },
            "RandomSeed": 7,
        }
        | config,
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"feature_dim": "10", "predictor_type": "binary_classifier"},
            "AlgorithmSpecification": {
                "TrainingImage": images.image_uri("us-east-1"),
                "TrainingInputMode": "File",
            },
            "RoleArn": ROLE,
            "InputDataConfig": [
                {"ChannelName": channel, "DataSource": {"S3DataSource": source}}
                for channel in ("train", "test")
            ],
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
        "Tags": [{"Key": "a", "Value": "1"}],
    }


def describe(sagemaker: SageMaker, name: str = "tune") -> dict[str, Any]:
    return sagemaker.call("DescribeHyperParameterTuningJob", {"HyperParameterTuningJobName": name}, SCOPE)


def create(sagemaker: SageMaker, body: dict[str, Any]) -> str:
    return str(sagemaker.call("CreateHyperParameterTuningJob", body, SCOPE)["HyperParameterTuningJobArn"])


def ended(sagemaker: SageMaker, name: str = "tune") -> dict[str, Any]:
    assert sagemaker.tuning_jobs.get(SCOPE, name).finished.wait(10)
    return describe(sagemaker, name)


def soon(predicate: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not predicate():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_job_runs_children_and_names_the_best(
    sagemaker: SageMaker, training: ScriptedTrainingJobs, cloud: Any
) -> None:
    training.outcome = lambda job: job.end(metric=int(job.request["HyperParameters"]["epochs"]) / 100)
    arn = create(sagemaker, request())
    assert arn == "arn:aws:sagemaker:us-east-1:111111111111:hyper-parameter-tuning-job/tune"
    job = ended(sagemaker)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"] == {
        "Completed": 4, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0,
    }  # fmt: skip
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 4, "Pending": 0, "Failed": 0}
    assert job["TrainingJobDefinition"]["StaticHyperParameters"]["_tuning_objective_metric"] == METRIC
    assert job["HyperParameterTuningJobConfig"]["TrainingJobEarlyStoppingType"] == "Off"

    requests = [each.request for each in training.jobs]
    assert [each["TrainingJobName"][:9] for each in requests] == [f"tune-00{n}-" for n in (1, 2, 3, 4)]
    assert {len(each["TrainingJobName"]) for each in requests} == {len("tune-001-") + 8}
    assert {each["TuningJobArn"] for each in requests} == {arn}
    assert requests[0]["HyperParameters"].keys() == {
        "feature_dim", "predictor_type", "epochs", "_tuning_objective_metric",
    }  # fmt: skip
    epochs = [int(each["HyperParameters"]["epochs"]) for each in requests]
    best = job["BestTrainingJob"]
    assert best["TrainingJobName"] == requests[epochs.index(max(epochs))]["TrainingJobName"]
    assert best["TunedHyperParameters"] == {"epochs": str(max(epochs))}
    assert best["FinalHyperParameterTuningJobObjectiveMetric"] == {
        "MetricName": METRIC,
        "Value": max(epochs) / 100,
    }
    for resource in (arn, best["TrainingJobArn"]):
        assert sagemaker.call("ListTags", {"ResourceArn": resource}, SCOPE)["Tags"] == request()["Tags"]
    events = [
        event for event in cloud.events if event[0] == "SageMaker HyperParameter Tuning Job State Change"
    ]
    assert [event[1]["HyperParameterTuningJobStatus"] for event in events] == ["InProgress", "Completed"]
    assert events[0][2] == [arn]

    create(sagemaker, request("again"))
    ended(sagemaker, "again")
    assert [int(each.request["HyperParameters"]["epochs"]) for each in training.jobs[4:]] == epochs


def test_no_more_at_once_than_allowed(sagemaker: SageMaker, training: ScriptedTrainingJobs) -> None:
    create(sagemaker, request())
    soon(lambda: len(training.jobs) == 2)
    job = describe(sagemaker)
    assert job["TrainingJobStatusCounters"]["InProgress"] == job["ObjectiveStatusCounters"]["Pending"] == 2
    assert "BestTrainingJob" not in job
    for number in range(4):
        soon(lambda: len(training.jobs) > number)  # noqa: B023
        training.jobs[number].end(metric=0.5)
    ended(sagemaker)
    assert training.most_at_once == 2


def test_stopped_job_stops_its_children(sagemaker: SageMaker, training: ScriptedTrainingJobs) -> None:
    create(sagemaker, request())
    soon(lambda: len(training.jobs) == 2)
    training.jobs[0].end(metric=0.25)
    soon(lambda: len(training.jobs) == 3)
    name = {"HyperParameterTuningJobName": "tune"}
    with pytest.raises(SageMakerError, match="in status InProgress: stop it first"):
        sagemaker.call("DeleteHyperParameterTuningJob", name, SCOPE)
    sagemaker.call("StopHyperParameterTuningJob", name, SCOPE)
    job = ended(sagemaker)
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 2
    assert job["BestTrainingJob"]["TrainingJobName"] == training.jobs[0].request["TrainingJobName"]
    with pytest.raises(SageMakerError, match="is in status Stopped"):
        sagemaker.call("StopHyperParameterTuningJob", name, SCOPE)


def test_failures_count_and_fail_the_job_when_there_is_nothing_else(
    sagemaker: SageMaker, training: ScriptedTrainingJobs
) -> None:
    reasons = iter(["AlgorithmError: x", "InternalServerError: y", "ClientError: z", "ClientError: z"])
    training.outcome = lambda job: job.end("Failed", reason=next(reasons))
    create(sagemaker, request())
    job = ended(sagemaker)
    assert (job["HyperParameterTuningJobStatus"], job["FailureReason"][:25]) == (
        "Failed",
        "All training jobs failed.",
    )
    counters = job["TrainingJobStatusCounters"]
    assert (counters["NonRetryableError"], counters["RetryableError"]) == (3, 1)
    assert job["ObjectiveStatusCounters"]["Failed"] == 4

    training.outcome = lambda job: job.end()
    create(sagemaker, request("silent"))
    silent = ended(sagemaker, "silent")
    assert silent["FailureReason"] == f"No training job completed with the objective metric {METRIC}."


def test_enough_is_enough(sagemaker: SageMaker, training: ScriptedTrainingJobs) -> None:
    def outcome(job: ScriptedJob) -> None:
        if len(training.jobs) == 2:
            job.end(metric=0.9)

    training.outcome = outcome
    create(sagemaker, request(TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 0.8}))
    job = ended(sagemaker)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert (job["TrainingJobStatusCounters"]["Completed"], job["TrainingJobStatusCounters"]["Stopped"]) == (
        1,
        1,
    )


def test_training_that_cannot_start_fails_the_job(
    sagemaker: SageMaker, training: ScriptedTrainingJobs
) -> None:
    def outcome(_: ScriptedJob) -> None:
        raise validation("No S3 objects found")

    training.outcome = outcome
    create(sagemaker, request())
    assert ended(sagemaker)["FailureReason"] == "ClientError: No S3 objects found"


def test_grid(sagemaker: SageMaker, training: ScriptedTrainingJobs) -> None:
    training.outcome = lambda job: job.end(metric=0.5)
    ranges = {
        "CategoricalParameterRanges": [
            {"Name": "epochs", "Values": ["1", "2"]},
            {"Name": "mini_batch_size", "Values": ["100", "200", "300"]},
        ]
    }
    limits = {"MaxParallelTrainingJobs": 3}
    create(sagemaker, request(Strategy="Grid", ParameterRanges=ranges, ResourceLimits=limits))
    assert ended(sagemaker)["TrainingJobStatusCounters"]["Completed"] == 6
    tried = {
        (each.request["HyperParameters"]["epochs"], each.request["HyperParameters"]["mini_batch_size"])
        for each in training.jobs
    }
    assert len(tried) == 6
    wrong = {"Strategy": "Grid", "ParameterRanges": ranges,
             "ResourceLimits": limits | {"MaxNumberOfTrainingJobs": 5}}  # fmt: skip
    with pytest.raises(SageMakerError, match="the grid has 6 combinations"):
        create(sagemaker, request("wrong", **wrong))


def test_training_jobs_are_listed(sagemaker: SageMaker, training: ScriptedTrainingJobs) -> None:
    metrics = iter([0.5, 0.9, None, 0.7])

    def outcome(job: ScriptedJob) -> None:
        metric = next(metrics)
        job.end("Failed" if metric is None else "Completed", metric=metric)

    training.outcome = outcome
    create(sagemaker, request())
    ended(sagemaker)

    def listed(**query: Any) -> list[int]:
        answer = sagemaker.call(
            "ListTrainingJobsForHyperParameterTuningJob",
            {"HyperParameterTuningJobName": "tune", **query},
            SCOPE,
        )
        return [int(each["TrainingJobName"].split("-")[1]) for each in answer["TrainingJobSummaries"]]

    assert listed() == [1, 2, 3, 4]
    assert listed(SortOrder="Descending", MaxResults=1) == [4]
    assert listed(SortBy="FinalObjectiveMetricValue", SortOrder="Descending") == [2, 4, 1]
    assert listed(StatusEquals="Failed") == [3]
    with pytest.raises(SageMakerError) as caught:
        sagemaker.call(
            "ListTrainingJobsForHyperParameterTuningJob", {"HyperParameterTuningJobName": "absent"}, SCOPE
        )
    assert caught.value.code == "ResourceNotFound"


def test_deleted_job_leaves_its_name(sagemaker: SageMaker, training: ScriptedTrainingJobs) -> None:
    training.outcome = lambda job: job.end(metric=0.5)
    arn = create(sagemaker, request())
    ended(sagemaker)
    with pytest.raises(SageMakerError) as caught:
        create(sagemaker, request())
    assert caught.value.code == "ResourceInUse"
    sagemaker.call("DeleteHyperParameterTuningJob", {"HyperParameterTuningJobName": "tune"}, SCOPE)
    assert sagemaker.call("ListTags", {"ResourceArn": arn}, SCOPE)["Tags"] == []
    with pytest.raises(SageMakerError) as caught:
        describe(sagemaker)
    assert caught.value.code == "ResourceNotFound"
    create(sagemaker, request())


@pytest.mark.parametrize("several", [False, True])
def test_flexible_resources_become_those_of_a_training_job(
    sagemaker: SageMaker, training: ScriptedTrainingJobs, several: bool
) -> None:
    training.outcome = lambda job: job.end(metric=0.5)
    instance = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
    body = request()
    del body["TrainingJobDefinition"]["ResourceConfig"]
    other = instance | {"InstanceType": "ml.m5.xlarge"}
    flexible = {"InstanceConfigs": [instance, other]} if several else instance
    body["TrainingJobDefinition"]["HyperParameterTuningResourceConfig"] = flexible
    create(sagemaker, body)
    ended(sagemaker)
    assert training.jobs[0].request["ResourceConfig"] == instance
    assert "HyperParameterTuningResourceConfig" not in training.jobs[0].request


def without_test(body: dict[str, Any]) -> None:
    body["TrainingJobDefinition"]["InputDataConfig"].pop()


def objective(kind: str, metric: str) -> Callable[[dict[str, Any]], None]:
    def change(body: dict[str, Any]) -> None:
        body["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"] = {
            "Type": kind,
            "MetricName": metric,
        }

    return change


def config(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["HyperParameterTuningJobConfig"].update(changes)


def definition(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["TrainingJobDefinition"].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_test, "is computed on the channel 'test', which"),
        (
            objective("Maximize", "validation:auc"),
            "choose one of test:rmse, test:binary_classification_accuracy",
        ),
        (objective("Minimize", METRIC), "must be of type Maximize, not Minimize"),
        (objective("Minimize", "test:rmse"), "needs the hyperparameter predictor_type 'regressor'"),
        (
            lambda body: body["HyperParameterTuningJobConfig"].pop("HyperParameterTuningJobObjective"),
            "required",
        ),
        (config(Strategy="Hyperband"), "does not offer strategy Hyperband"),
        (config(StrategyConfig={"HyperbandStrategyConfig": {"MinResource": 1}}), "Hyperband only"),
        (config(Strategy="Grid"), "Strategy Grid takes CategoricalParameterRanges only"),
        (config(ResourceLimits={"MaxParallelTrainingJobs": 1}), "MaxNumberOfTrainingJobs is required"),
        (config(ParameterRanges={}), "nothing to tune"),
        (
            config(TuningJobCompletionCriteria={"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}),
            "does not detect convergence",
        ),
        (definition(RoleArn=ROLE + "-absent"), "Could not assume role"),
        (lambda body: body["TrainingJobDefinition"].pop("ResourceConfig"), "needs one of ResourceConfig and"),
        (lambda body: body.pop("TrainingJobDefinition"), "TrainingJobDefinition is required"),
        (lambda body: body.update(Autotune={"Mode": "Enabled"}), "does not offer Autotune"),
        (lambda body: body.update(HyperParameterTuningJobName="x" * 33), "less than or equal to 32"),
        (lambda body: body.update(HyperParameterTuningJobName="a_b"), "regular expression pattern"),
    ],
)
def test_requests_that_cannot_succeed_are_refused(
    sagemaker: SageMaker,
    training: ScriptedTrainingJobs,
    change: Callable[[dict[str, Any]], None],
    message: str,
) -> None:
    body = request()
    change(body)
    with pytest.raises(SageMakerError) as caught:
        create(sagemaker, body)
    assert caught.value.code == "ValidationException"
    assert message in caught.value.message
    assert sagemaker.call("ListHyperParameterTuningJobs", {}, SCOPE)["HyperParameterTuningJobSummaries"] == []
