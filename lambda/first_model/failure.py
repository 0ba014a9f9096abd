"""Says in one line why a Step Functions execution did not succeed."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef, HistoryEventTypeDef

# CloudFormation takes 4,096 bytes from a custom resource, reason and all else:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
_LONGEST_BYTES = 1500

# Where a cause that is JSON keeps its point: the description of a failed SageMaker job, a Lambda function's
# error, a Step Functions error output.
_POINTS = ("FailureReason", "errorMessage", "ErrorMessage", "Cause", "cause")

_ENDINGS = {"FAILED": "failed", "TIMED_OUT": "timed out", "ABORTED": "was stopped"}


class FirstModelError(Exception):
    """The first model could not be made. CloudFormation shows the message."""


def failure_message(
    execution: "DescribeExecutionOutputTypeDef", history: "Sequence[HistoryEventTypeDef]"
) -> str:
    """Return one line with the state, the error and the cause of an execution that ended without success.

    `history`: the execution's events in any order; may be empty, then the state is left out.
    """
    cause = flattened_cause(execution.get("cause"))
    state = _failed_state(history, cause)
    ending = _ENDINGS.get(execution["status"], execution["status"])
    parts = [f"Training the first model {ending}" + (f" in state {state}" if state else "")]
    parts += [part for part in (execution.get("error"), cause) if part]
    return _cut(": ".join(parts)) + f" (execution {execution['name']})"


def flattened_cause(cause: str | None) -> str:
    """Return what a cause, which often is JSON in JSON, says; on one line."""
    text = cause or ""
    while True:
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            break
        if not isinstance(content, dict):
            break
        point = next((content[name] for name in _POINTS if isinstance(content.get(name), str)), None)
        if point is None:
            break
        text = point
    return " ".join(text.split())


def _failed_state(history: "Sequence[HistoryEventTypeDef]", cause: str) -> str | None:
    """Return the state that failed with this (flattened) cause, or else the one in which all ended.

    A failure may be caught, cleaned up after and only then end the execution, with the same cause. Events of
    parallel branches interleave, so the way from an event to its state is the chain of previous events.
    """
    events = {event["id"]: event for event in history}
    failures = [number for number, event in events.items() if cause and _own_cause(event) == cause]
    event = events.get(max(failures or events, default=0))
    while event:
        if "stateEnteredEventDetails" in event:
            return event["stateEnteredEventDetails"]["name"]
        event = events.get(event.get("previousEventId", event["id"] - 1))
    return None


def _own_cause(event: "HistoryEventTypeDef") -> str | None:
    """Return the flattened cause of a failure within the execution; its own end is none."""
    if event["type"].startswith("Execution"):
        return None
    causes = [
        details["cause"] for details in event.values() if isinstance(details, dict) and "cause" in details
    ]
    return flattened_cause(causes[0]) if causes else None


def _cut(text: str) -> str:
    encoded = text.encode(errors="replace")
    shown = encoded[:_LONGEST_BYTES].decode(errors="ignore")
    return shown if len(encoded) <= _LONGEST_BYTES else shown + "…"
