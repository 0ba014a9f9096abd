"""Hyperparameter tuning jobs: training jobs of which each learns from those before it."""

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from local_cloud.sagemaker.algorithm_metrics import METRIC_DEFINITIONS
from local_cloud.sagemaker.context import Context
from local_cloud.sagemaker.errors import SageMakerError, in_use, not_found, validation
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.service_model import now
from local_cloud.sagemaker.table import Listing, Record, Table
from local_cloud.sagemaker.tags import Tags
from local_cloud.sagemaker.training import TrainingJob, TrainingJobs
from local_cloud.sagemaker.tuning import algorithm
from local_cloud.sagemaker.tuning.algorithm import OBJECTIVE_HYPERPARAMETER, Objective
from local_cloud.sagemaker.tuning.completion import Completion
from local_cloud.sagemaker.tuning.search import BayesianSearch, GridSearch, RandomSearch, Search, Trial
from local_cloud.sagemaker.tuning.space import Values, dimensions

logger = logging.getLogger("sagemaker")

_POLL_SECONDS = 0.1
_ENDED = ("Completed", "Failed", "Stopped")
_ALL_FAILED = (
    "All training jobs failed. Please take a look at the training jobs failures to get more details."
)
_OF_A_TRAINING_JOB = (
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "VpcConfig",
    "OutputDataConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "CheckpointConfig",
    "RetryStrategy",
    "Environment",
)

_LISTING = Listing(
    answer="HyperParameterTuningJobSummaries",
    name="HyperParameterTuningJobName",
    members=(
        "HyperParameterTuningJobName",
        "HyperParameterTuningJobArn",
        "HyperParameterTuningJobStatus",
        "Strategy",
        "CreationTime",
        "HyperParameterTuningEndTime",
        "LastModifiedTime",
        "TrainingJobStatusCounters",
        "ObjectiveStatusCounters",
        "ResourceLimits",
    ),
    filters={"StatusEquals": "HyperParameterTuningJobStatus"},
    sort_by="Name",
)
_TRAINING_LISTING = Listing(
    answer="TrainingJobSummaries",
    name="TrainingJobName",
    members=(
        "TrainingJobDefinitionName",
        "TrainingJobName",
        "TrainingJobArn",
        "CreationTime",
        "TrainingStartTime",
        "TrainingEndTime",
        "TrainingJobStatus",
        "TunedHyperParameters",
        "FailureReason",
        "FinalHyperParameterTuningJobObjectiveMetric",
        "ObjectiveStatus",
    ),
    filters={"StatusEquals": "TrainingJobStatus"},
    sort_by="Name",
)


class _Child:
    """A training job of a tuning job."""

    def __init__(self, job: TrainingJob, values: Values, objective: Objective) -> None:
        self.job = job
        self.values = values
        self._objective = objective

    @property
    def ended(self) -> bool:
        return self.job.finished.is_set()

    @property
    def metric(self) -> float | None:
        """The objective metric of a training job that has completed."""
        return self._metric_of(self.job.describe())

    def _metric_of(self, record: Record) -> float | None:
        if record["TrainingJobStatus"] != "Completed":
            return None
        found = {each["MetricName"]: each["Value"] for each in record.get("FinalMetricDataList", [])}
        return found.get(self._objective.metric)

    def trial(self) -> Trial:
        record = self.job.describe()
        metric = self._metric_of(record)
        cost = None if metric is None else (-metric if self._objective.maximize else metric)
        return Trial(self.values, cost, record["TrainingJobStatus"] in _ENDED)

    def summary(self) -> Record:
        """Return a HyperParameterTrainingJobSummary."""
        record = self.job.describe()
        metric, ended = self._metric_of(record), record["TrainingJobStatus"] in _ENDED
        summary = {**record, "TunedHyperParameters": dict(self.values)}
        if metric is not None:
            summary["FinalHyperParameterTuningJobObjectiveMetric"] = {
                "MetricName": self._objective.metric,
                "Value": metric,
            }
        summary["ObjectiveStatus"] = ("Failed" if metric is None else "Succeeded") if ended else "Pending"
        return {name: summary[name] for name in _TRAINING_LISTING.members if name in summary}


class TuningJob:
    """One job: its description and the thread that carries it out."""

    def __init__(
        self,
        context: Context,
        scope: Scope,
        parameters: Mapping[str, Any],
        *,
        objective: Objective,
        search: Search,
        count: int,
        launch: Callable[[Record], TrainingJob],
    ) -> None:
        """Take down what is to be done.

        Args:
            context: shared parts.
            scope: account and region.
            parameters: of CreateHyperParameterTuningJob.
            objective: what to optimize.
            search: chooses the hyperparameters.
            count: most training jobs to start.
            launch: starts a training job from a request of CreateTrainingJob.
        """
        self.name: str = parameters["HyperParameterTuningJobName"]
        self.arn = scope.arn("hyper-parameter-tuning-job", self.name)
        self.finished = threading.Event()
        self._context = context
        self._scope = scope
        self._objective = objective
        self._search = search
        self._count = count
        self._launch = launch
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._children: list[_Child] = []
        config = parameters["HyperParameterTuningJobConfig"]
        self._limits: Mapping[str, int] = config["ResourceLimits"]
        self._completion = Completion(config.get("TuningJobCompletionCriteria", {}), objective)
        definition = parameters["TrainingJobDefinition"]
        static = {**definition.get("StaticHyperParameters", {}), OBJECTIVE_HYPERPARAMETER: objective.metric}
        self._training_request = {**_training_request(definition), "HyperParameters": static}
        moment = now()
        self._record: Record = {
            **{key: value for key, value in parameters.items() if key != "Tags"},
            "HyperParameterTuningJobConfig": {"TrainingJobEarlyStoppingType": "Off", **config},
            "TrainingJobDefinition": _described(definition, static),
            "HyperParameterTuningJobArn": self.arn,
            "CreationTime": moment,
            "LastModifiedTime": moment,
        }
        self._enter("InProgress")

    def start(self) -> None:
        """Carry the job out in a thread of its own."""
        self._context.background(f"tuning-{self.name}", self._run)

    def describe(self) -> Record:
        """Return the job as DescribeHyperParameterTuningJob does."""
        with self._lock:
            record, children = dict(self._record), list(self._children)
        summaries = [child.summary() for child in children]
        end: datetime = record.get("HyperParameterTuningEndTime", now())
        metrics = [child.metric for child in children]
        best = self._completion.best(metrics)
        details = {"NumberOfTrainingJobsObjectiveNotImproving": self._completion.not_improving(metrics)}
        return {
            **record,
            "TrainingJobStatusCounters": _status_counters(summaries),
            "ObjectiveStatusCounters": {
                status: sum(summary["ObjectiveStatus"] == status for summary in summaries)
                for status in ("Succeeded", "Pending", "Failed")
            },
            "TuningJobCompletionDetails": details,
            "ConsumedResources": {"RuntimeInSeconds": round((end - record["CreationTime"]).total_seconds())},
            **({} if best is None else {"BestTrainingJob": summaries[best]}),
        }

    def summary(self) -> Record:
        """Return the job with the members that ListHyperParameterTuningJobs shows on the top level."""
        config = self._record["HyperParameterTuningJobConfig"]
        return {
            **self.describe(),
            "Strategy": config["Strategy"],
            "ResourceLimits": config["ResourceLimits"],
        }

    def training_jobs(self) -> list[Record]:
        """Return the summaries of the training jobs, oldest first."""
        with self._lock:
            children = list(self._children)
        return [child.summary() for child in children]

    @property
    def status(self) -> str:
        """HyperParameterTuningJobStatus."""
        with self._lock:
            return str(self._record["HyperParameterTuningJobStatus"])

    def stop(self) -> None:
        """Ask the job to end, and its training jobs with it.

        Raises:
            SageMakerError: it has ended already.
        """
        status = self.status
        if status in _ENDED:
            raise validation(
                f"The request was rejected because the hyperparameter tuning job is in status {status}."
            )
        if status == "InProgress":
            self._enter("Stopping")
        self._stop.set()

    def _enter(self, status: str, **members: object) -> None:
        with self._lock:
            self._record |= {
                "HyperParameterTuningJobStatus": status,
                "LastModifiedTime": now(),
                **members,
            }
        self._context.publish(
            self._scope, "SageMaker HyperParameter Tuning Job State Change", self.describe(), [self.arn]
        )

    def _run(self) -> None:
        status, reason = "Failed", None
        try:
            self._tune()
            status, reason = self._outcome()
        except SageMakerError as error:
            reason = f"ClientError: {error.message}"
        except Exception as error:
            logger.exception("Tuning job %s", self.name)
            reason = f"InternalServerError: {error}"
        finally:
            self._stop_children()
        members = {} if reason is None else {"FailureReason": reason}
        self._enter(status, HyperParameterTuningEndTime=now(), **members)
        self.finished.set()

    def _outcome(self) -> tuple[str, str | None]:
        if self._stop.is_set():
            return "Stopped", None
        self._stop_children()
        if any(child.metric is not None for child in self._children):
            return "Completed", None
        statuses = {child.job.describe()["TrainingJobStatus"] for child in self._children}
        if statuses == {"Failed"}:
            return "Failed", _ALL_FAILED
        return "Failed", f"No training job completed with the objective metric {self._objective.metric}."

    def _tune(self) -> None:
        """Start training jobs, as many at once as may be, until there are enough or it is time to end."""
        numbers = iter(range(1, self._count + 1))
        while not self._over():
            running = [child for child in self._children if not child.ended]
            if len(running) < self._limits["MaxParallelTrainingJobs"]:
                values = self._next_values(numbers)
                if values is not None:
                    self._start_child(*values)
                    continue
                if not running:
                    return
            self._stop.wait(_POLL_SECONDS)

    def _next_values(self, numbers: Iterator[int]) -> tuple[int, Values] | None:
        number = next(numbers, None)
        if number is None:
            return None
        values = self._search.next([child.trial() for child in self._children])
        return None if values is None else (number, values)

    def _over(self) -> bool:
        if self._stop.is_set():
            return True
        limit = self._limits.get("MaxRuntimeInSeconds")
        if limit is not None and (now() - self._record["CreationTime"]).total_seconds() > limit:
            return True
        return self._completion.met([child.metric for child in self._children])

    def _start_child(self, number: int, values: Values) -> None:
        request = {
            **self._training_request,
            "TrainingJobName": f"{self.name}-{number:03d}-{secrets.token_hex(4)}",
            "HyperParameters": {**self._training_request["HyperParameters"], **values},
            "TuningJobArn": self.arn,
        }
        child = _Child(self._launch(request), values, self._objective)
        with self._lock:
            self._children.append(child)

    def _stop_children(self) -> None:
        for child in self._children:
            if child.ended:
                continue
            try:
                child.job.stop()
            except SageMakerError:
                continue  # it has ended by itself
        for child in self._children:
            child.job.finished.wait()


def _status_counters(summaries: list[Record]) -> dict[str, int]:
    counters = dict.fromkeys(("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"), 0)
    for summary in summaries:
        status = summary["TrainingJobStatus"]
        if status == "Failed":
            internal = summary.get("FailureReason", "").startswith("InternalServerError")
            counters["RetryableError" if internal else "NonRetryableError"] += 1
        else:
            counters["InProgress" if status == "Stopping" else status] += 1
    return counters


class TuningJobs:
    """The tuning job operations."""

    def __init__(self, context: Context, training_jobs: TrainingJobs, tags: Tags) -> None:
        self._context = context
        self._training_jobs = training_jobs
        self._tags = tags
        self._jobs: Table[TuningJob] = Table()

    def create(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """CreateHyperParameterTuningJob."""
        name = parameters["HyperParameterTuningJobName"]
        arn = scope.arn("hyper-parameter-tuning-job", name)
        taken = in_use(
            "Hyperparameter tuning job names must be unique within an AWS account and region, and a job with "
            f"this name already exists ({arn})"
        )
        if self._jobs.get(scope, name) is not None:
            raise taken
        _require_supported(parameters)
        definition, config = parameters["TrainingJobDefinition"], parameters["HyperParameterTuningJobConfig"]
        static = _static(definition)
        channels = {channel["ChannelName"] for channel in definition.get("InputDataConfig", [])}
        objective = algorithm.objective(config.get("HyperParameterTuningJobObjective"), static, channels)
        search, count = _search(config, static)
        self._training_jobs.require_runnable(scope, _training_request(definition))

        def launch(request: Record) -> TrainingJob:
            job_arn = self._training_jobs.create(scope, request)["TrainingJobArn"]
            if parameters.get("Tags"):
                self._tags.put(job_arn, parameters["Tags"])
            return self._training_jobs.get(scope, request["TrainingJobName"])

        job = TuningJob(
            self._context, scope, parameters, objective=objective, search=search, count=count, launch=launch
        )
        self._jobs.add(scope, name, job, taken=taken)
        job.start()
        return {"HyperParameterTuningJobArn": arn}

    def get(self, scope: Scope, name: str) -> TuningJob:
        """Return a job.

        Raises:
            SageMakerError: there is none of that name.
        """
        job = self._jobs.get(scope, name)
        if job is None:
            arn = scope.arn("hyper-parameter-tuning-job", name)
            raise not_found(f"Could not find hyperparameter tuning job {arn}.")
        return job

    def describe(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DescribeHyperParameterTuningJob."""
        return self.get(scope, parameters["HyperParameterTuningJobName"]).describe()

    def list(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """ListHyperParameterTuningJobs."""
        return _LISTING.page((job.summary() for job in self._jobs.values(scope)), parameters)

    def list_training_jobs(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """ListTrainingJobsForHyperParameterTuningJob."""
        records = self.get(scope, parameters["HyperParameterTuningJobName"]).training_jobs()
        metric = "FinalHyperParameterTuningJobObjectiveMetric"
        if parameters.get("SortBy") != "FinalObjectiveMetricValue":
            return _TRAINING_LISTING.page(records, parameters)
        with_metric = [record for record in records if metric in record]
        return _TRAINING_LISTING.page(with_metric, parameters, key=lambda record: record[metric]["Value"])

    def stop(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """StopHyperParameterTuningJob."""
        self.get(scope, parameters["HyperParameterTuningJobName"]).stop()
        return {}

    def delete(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DeleteHyperParameterTuningJob: the job's entry, not its training jobs."""
        job = self._jobs.get(scope, parameters["HyperParameterTuningJobName"])
        if job is None:
            return {}
        if not job.finished.is_set():
            raise validation(
                f"The request was rejected because the hyperparameter tuning job is in status {job.status}: "
                "stop it first."
            )
        self._jobs.remove(scope, job.name)
        return {"HyperParameterTuningJobArn": job.arn}


def _require_supported(parameters: Mapping[str, Any]) -> None:
    for member in ("TrainingJobDefinitions", "WarmStartConfig", "Autotune"):
        if parameters.get(member):
            raise validation(f"The local cloud does not offer {member} of a hyperparameter tuning job")
    if "TrainingJobDefinition" not in parameters:
        raise validation("TrainingJobDefinition is required")
    definition, config = parameters["TrainingJobDefinition"], parameters["HyperParameterTuningJobConfig"]
    for member in ("TuningObjective", "HyperParameterRanges"):
        if member in definition:
            raise validation(
                f"TrainingJobDefinition.{member} is for several definitions: set it in "
                "HyperParameterTuningJobConfig"
            )
    if ("ResourceConfig" in definition) == ("HyperParameterTuningResourceConfig" in definition):
        raise validation(
            "TrainingJobDefinition needs one of ResourceConfig and HyperParameterTuningResourceConfig"
        )
    if config["Strategy"] == "Hyperband":
        raise validation(
            "The local cloud does not offer strategy Hyperband: it stops training jobs by objective metrics "
            "that they report while they train, and Factorization Machines reports its own once, at the end. "
            "Use Bayesian, Random or Grid"
        )
    if "StrategyConfig" in config:
        raise validation("StrategyConfig is for strategy Hyperband only")
    convergence = config.get("TuningJobCompletionCriteria", {}).get("ConvergenceDetected", {})
    if convergence.get("CompleteOnConvergence") == "Enabled":
        raise validation(
            "The local cloud does not detect convergence: set CompleteOnConvergence to Disabled, or use "
            "BestObjectiveNotImproving"
        )


def _training_request(definition: Mapping[str, Any]) -> Record:
    """Return what all training jobs of a definition have in common, as members of CreateTrainingJob."""
    resources = definition.get("ResourceConfig")
    if resources is None:
        flexible = definition["HyperParameterTuningResourceConfig"]
        # Of several instance configurations the first is the one that is preferred.
        chosen = {**flexible, **flexible.get("InstanceConfigs", [{}])[0]}
        members = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")
        resources = {member: chosen[member] for member in members if member in chosen}
    common = {member: definition[member] for member in _OF_A_TRAINING_JOB if member in definition}
    return {**common, "ResourceConfig": resources}


def _described(definition: Mapping[str, Any], static: Mapping[str, str]) -> Record:
    """Return a definition as DescribeHyperParameterTuningJob has it.

    The SageMaker SDK's ``attach`` finds ``ResourceConfig`` and ``MetricDefinitions`` there, although its
    requests have neither.
    """
    request = _training_request(definition)
    request["AlgorithmSpecification"] = {
        **request["AlgorithmSpecification"],
        "MetricDefinitions": METRIC_DEFINITIONS,
    }
    return {**definition, **request, "StaticHyperParameters": dict(static)}


def _static(definition: Mapping[str, Any]) -> dict[str, str]:
    static = dict(definition.get("StaticHyperParameters", {}))
    static.pop(OBJECTIVE_HYPERPARAMETER, None)
    return static


def _search(config: Mapping[str, Any], static: Mapping[str, str]) -> tuple[Search, int]:
    """Return the search that a tuning job asks for, and how many training jobs it may start."""
    space = dimensions(config.get("ParameterRanges", {}), static)
    count = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    if config["Strategy"] == "Grid":
        grid = GridSearch(space)
        if count is not None and count != grid.size:
            raise validation(
                f"MaxNumberOfTrainingJobs is {count}, and the grid has {grid.size} combinations: give that "
                "number or none"
            )
        return grid, grid.size
    if count is None:
        raise validation(
            f"ResourceLimits.MaxNumberOfTrainingJobs is required for strategy {config['Strategy']}"
        )
    seed = config.get("RandomSeed", secrets.randbits(31))
    strategy = RandomSearch if config["Strategy"] == "Random" else BayesianSearch
    return strategy(space, seed), count
