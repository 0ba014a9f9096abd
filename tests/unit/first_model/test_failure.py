import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from first_model.failure import failure_message, flattened_cause


def ended(status: str = "FAILED", **more: str) -> Any:
    return {"name": "run-1", "status": status, **more}


def event(number: int, kind: str, *, after: int | None = None, state: str | None = None) -> Any:
    found: dict[str, Any] = {"id": number, "type": kind, "timestamp": datetime(2026, 1, 1, tzinfo=UTC)}
    if after is not None:
        found["previousEventId"] = after
    if state:
        found["stateEnteredEventDetails"] = {"name": state}
    return found


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (None, ""),
        ("plain text", "plain text"),
        ("two\n  lines", "two lines"),
        (
            '{"errorMessage": "u.data, line 3: 5 columns", "errorType": "DataError"}',
            "u.data, line 3: 5 columns",
        ),
        ('{"TrainingJobName": "x", "FailureReason": "ClientError: no data"}', "ClientError: no data"),
        ('{"Error": "E", "Cause": "{\\"FailureReason\\": \\"out of memory\\"}"}', "out of memory"),
        ('{"unknown": 1}', '{"unknown": 1}'),
        ('"a string"', '"a string"'),
        ("3", "3"),
        ("[" * 5000, "[" * 5000),
    ],
)
def test_a_cause_is_flattened_to_its_point(cause: str | None, said: str) -> None:
    assert flattened_cause(cause) == said


@given(st.text(), st.integers(0, 4))
def test_any_text_comes_through_any_depth(text: str, depth: int) -> None:
    cause = "reason: " + text
    for _ in range(depth):
        cause = json.dumps({"Cause": cause})

    assert flattened_cause(cause) == " ".join(("reason: " + text).split())


def test_the_state_is_found_along_the_chain_of_events() -> None:
    history = [
        event(1, "ExecutionStarted"),
        event(2, "TaskStateEntered", after=1, state="ScoreTest"),
        event(3, "TaskStateEntered", after=1, state="ScoreRanking"),
        event(4, "TaskFailed", after=2),
        event(5, "ExecutionFailed", after=4),
    ]

    for order in (history, history[::-1]):
        assert "failed in state ScoreTest: Boom" in failure_message(ended(error="Boom"), order)


def test_a_failure_that_was_cleaned_up_after_is_traced_to_its_state() -> None:
    history = [
        event(1, "ExecutionStarted"),
        event(2, "TaskStateEntered", after=1, state="Train"),
        event(3, "TaskFailed", after=2)
        | {"taskFailedEventDetails": {"cause": '{"FailureReason": "out of memory"}', "resource": "x"}},
        event(4, "TaskStateEntered", after=3, state="CleanUp"),
        event(5, "FailStateEntered", after=4, state="JobFailed"),
        event(6, "ExecutionFailed", after=5)
        | {"executionFailedEventDetails": {"error": "JobFailed", "cause": "out of memory"}},
    ]

    assert failure_message(ended(error="JobFailed", cause="out of memory"), history) == (
        "Training the first model failed in state Train: JobFailed: out of memory (execution run-1)"
    )


def test_a_failed_gate_is_named_whatever_was_retried_before() -> None:
    history = [
        event(1, "TaskStateEntered", state="Train"),
        event(2, "TaskFailed", after=1) | {"taskFailedEventDetails": {"cause": "throttled"}},
        event(3, "TaskSucceeded", after=2),
        event(4, "FailStateEntered", after=3, state="GateFailed"),
        event(5, "ExecutionFailed", after=4),
    ]

    assert "in state GateFailed" in failure_message(ended(error="GateFailed", cause="too low"), history)


def test_without_links_the_last_state_entered_is_named() -> None:
    history = [
        event(1, "ExecutionStarted"),
        event(2, "TaskStateEntered", state="Prepare"),
        event(3, "TaskStateEntered", state="Train"),
        event(4, "ExecutionFailed"),
    ]

    assert "in state Train" in failure_message(ended(), history)


def test_a_history_cut_short_leaves_the_state_out() -> None:
    assert failure_message(ended(error="E", cause="c"), [event(9, "ExecutionFailed", after=8)]) == (
        "Training the first model failed: E: c (execution run-1)"
    )


@pytest.mark.parametrize(
    ("status", "said"), [("TIMED_OUT", "timed out"), ("ABORTED", "was stopped"), ("FAILED", "failed")]
)
def test_endings(status: str, said: str) -> None:
    assert failure_message(ended(status), []) == f"Training the first model {said} (execution run-1)"


@given(st.text(st.characters(), min_size=1))
def test_a_long_cause_is_cut_to_fit_cloudformations_answer(cause: str) -> None:
    message = failure_message(ended(error="E", cause=cause * 2000), [])

    assert len(message.encode()) < 1600
    assert message.endswith("(execution run-1)")
    assert "\n" not in message
