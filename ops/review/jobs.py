"""The SageMaker jobs and models that state machines create, and how each is protected."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops.review.intrinsics import Readable, as_text
from ops.review.model import Assembly
from ops.review.policies import shown_text

_KEYS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "createTrainingJob": {
        "volume": ("ResourceConfig", "VolumeKmsKeyId"),
        "output": ("OutputDataConfig", "KmsKeyId"),
    },
    "createTransformJob": {
        "volume": ("TransformResources", "VolumeKmsKeyId"),
        "output": ("TransformOutput", "KmsKeyId"),
    },
}
"""Integration to what is encrypted and the argument with its key."""
_ISOLATED = frozenset({"createTrainingJob", "createModel"})


@dataclass(frozen=True)
class WorkflowJob:
    """One state that creates a job or a model."""

    name: str
    """`Training/StateMachine: Train`."""
    type: str
    keys: tuple[tuple[str, str], ...] | None
    """What is encrypted and with which key (empty: none); None if the state stores nothing."""
    isolated: bool | None
    """Whether it runs without a network; None if that cannot be said of it."""


def workflow_jobs(assembly: Assembly) -> Iterator[WorkflowJob]:
    """Return the jobs of every state machine whose definition can be read."""
    readable = Readable(assembly)
    for machine in assembly.resources("AWS::StepFunctions::StateMachine"):
        definition = machine.properties.get("DefinitionString") or machine.properties.get("Definition")
        try:
            parsed = json.loads(readable.text(definition, machine.stack))
        except ValueError:
            continue
        for name, state in _states(parsed):
            integration = str(state.get("Resource", "")).partition("sagemaker:")[2].partition(".")[0]
            arguments = _table(state.get("Parameters") or state.get("Arguments"))
            if integration not in _KEYS and integration not in _ISOLATED:
                continue
            keys = {
                use: shown_text(as_text(_table(arguments.get(part)).get(key) or ""))
                for use, (part, key) in _KEYS.get(integration, {}).items()
            }
            yield WorkflowJob(
                name=f"{machine.path}: {name}",
                type=f"sagemaker:{integration}",
                keys=tuple(keys.items()) or None,
                isolated=arguments.get("EnableNetworkIsolation") is True
                if integration in _ISOLATED
                else None,
            )


def _states(definition: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All states, those within parallel and map states included."""
    for name, state in _table(_table(definition).get("States")).items():
        if isinstance(state, Mapping):
            yield name, state
            for branch in state.get("Branches") or ():
                yield from _states(branch)
            yield from _states(state.get("ItemProcessor") or state.get("Iterator"))


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
