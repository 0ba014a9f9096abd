"""What one execution of a Step Functions state machine does that costs money, read from its definition.

The language: https://states-language.net/spec.html. Every branch of a Choice is taken to run, the items of a
Map count as one, and what only a Catch leads to is left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

JobKind = Literal["training", "transform", "tuning"]

_JOBS: Final[Mapping[str, JobKind]] = {
    "createTrainingJob": "training",
    "createTransformJob": "transform",
    "createHyperParameterTuningJob": "tuning",
}
_FREE_CALLS: Final = {
    "sagemaker:createModel",
    "sagemaker:createEndpointConfig",
    "states:startExecution",
    "events:putEvents",
}
"""Integrations whose own cost is counted where the called resource is, or is none."""


@dataclass(frozen=True)
class Job:
    """A SageMaker job that an execution starts.

    Attributes:
        jobs: how many training jobs it runs, for tuning; else 1.
        volume_gb: of each instance; None where the definition gives none.
    """

    state: str
    kind: JobKind
    instance_type: str
    instances: int
    volume_gb: int | None
    jobs: int = 1


@dataclass(frozen=True)
class Workflow:
    """What one execution does.

    Attributes:
        transitions: states entered on the longest way through.
        functions: of every task that invokes a Lambda function, its ARN or name as the definition has it.
        other: `<state>: <integration>` of tasks that cost something that is not priced.
    """

    transitions: int
    jobs: tuple[Job, ...]
    functions: tuple[str, ...]
    other: tuple[str, ...]


def read_workflow(definition: Mapping[str, Any]) -> Workflow:
    """Read a definition in Amazon States Language."""
    jobs: list[Job] = []
    functions: list[str] = []
    other: list[str] = []
    for name, state in _states(definition):
        resource = str(state.get("Resource", "")) if state.get("Type") == "Task" else ""
        arguments = _mapping(state.get("Parameters") or state.get("Arguments"))
        service, _, action = _integration(resource).partition(":")
        if not resource or service == "aws-sdk" or f"{service}:{action}" in _FREE_CALLS:
            continue
        if service == "sagemaker" and action in _JOBS:
            jobs.append(_job(name, _JOBS[action], arguments))
        elif not service:
            functions.append(resource)
        elif (service, action) == ("lambda", "invoke"):
            functions.append(str(arguments.get("FunctionName", "")))
        else:
            other.append(f"{name}: {service}:{action}")
    return Workflow(_longest(definition), tuple(jobs), tuple(functions), tuple(other))


def _integration(resource: str) -> str:
    """`sagemaker:createTrainingJob` of `arn:aws:states:::sagemaker:createTrainingJob.sync`; else ""."""
    _, found, integration = resource.partition(":states:::")
    return integration.split(".")[0] if found else ""


def _job(state: str, kind: JobKind, arguments: Mapping[str, Any]) -> Job:
    jobs = 1
    if kind == "transform":
        cluster = _mapping(arguments.get("TransformResources"))
    elif kind == "training":
        cluster = _mapping(arguments.get("ResourceConfig"))
    else:
        cluster = _mapping(_mapping(arguments.get("TrainingJobDefinition")).get("ResourceConfig"))
        limits = _mapping(_mapping(arguments.get("HyperParameterTuningJobConfig")).get("ResourceLimits"))
        jobs = _whole(limits.get("MaxNumberOfTrainingJobs")) or 1
    return Job(
        state=state,
        kind=kind,
        instance_type=str(cluster.get("InstanceType", "an instance type that the input decides")),
        instances=_whole(cluster.get("InstanceCount")) or 1,
        volume_gb=_whole(cluster.get("VolumeSizeInGB")),
        jobs=jobs,
    )


def _states(machine: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every state that runs when nothing fails, those of branches and iterators included, each once."""
    states = _mapping(machine.get("States"))
    waiting, seen = [str(machine.get("StartAt"))], set[str]()
    while waiting:
        name = waiting.pop(0)
        state = states.get(name)
        if name in seen or not isinstance(state, Mapping):
            continue
        seen.add(name)
        yield name, state
        for inner in _inner(state):
            yield from _states(inner)
        waiting.extend(_next(state))


def _next(state: Mapping[str, Any]) -> list[str]:
    choices = [choice.get("Next") for choice in state.get("Choices", ())]
    return [str(name) for name in (state.get("Next"), *choices, state.get("Default")) if name]


def _inner(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    iterator = state.get("ItemProcessor") or state.get("Iterator")
    return [*state.get("Branches", ()), *([iterator] if isinstance(iterator, Mapping) else [])]


def _longest(machine: Mapping[str, Any]) -> int:
    states = _mapping(machine.get("States"))

    def from_state(name: str, before: frozenset[str]) -> int:
        state = states.get(name)
        if name in before or not isinstance(state, Mapping):
            return 0
        within = sum(_longest(inner) for inner in _inner(state))
        after = max((from_state(each, before | {name}) for each in _next(state)), default=0)
        return 1 + within + after

    return from_state(str(machine.get("StartAt")), frozenset())


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _whole(value: Any) -> int | None:
    return (
        int(value) if isinstance(value, int | float) or (isinstance(value, str) and value.isdigit()) else None
    )
