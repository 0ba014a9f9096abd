import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from release_model import handler
from release_model.messages import BeginRequest
from release_model.release import PATIENCE
from tests.unit.release_model.stubs import NOW, SSM_KEY, STACK, STACK_ID, Aws, package

ENTERED = "2026-11-24T10:00:00.000Z"
TOKEN = "release-0f5b7a1e-1-2026-11-24T10-00-00-000Z"
UPDATE = {
    "StackName": STACK,
    "UsePreviousTemplate": True,
    "Parameters": [
        {"ParameterKey": SSM_KEY, "UsePreviousValue": True},
        {"ParameterKey": "BootstrapVersion", "UsePreviousValue": True},
    ],
    "Capabilities": ["CAPABILITY_NAMED_IAM"],
    "ClientRequestToken": TOKEN,
}


@dataclass
class Context:
    function_name: str = "release"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:111111111111:function:release"
    aws_request_id: str = "52fdfc07-2182-154f-163f-5f0f9a621d72"


def begin(*, after: timedelta = timedelta(seconds=1)) -> dict[str, Any]:
    """The step Begin of an execution that was started so long ago."""
    event = {
        "execution": "0f5b7a1e_1",
        "started": (datetime.now(UTC) - after).isoformat(),
        "entered": ENTERED,
    }
    return handler.begin(event, Context())  # type: ignore[arg-type]


def check(version: int) -> dict[str, Any]:
    """The step Check of an update to a package."""
    release = {"state": "updating", "reason": "", "package": package(version), "token": TOKEN}
    return handler.check({"release": release}, Context())  # type: ignore[arg-type]


def event(
    logical_id: str, status: str, reason: str = "", *, token: str | None = TOKEN, of_stack: bool = False
) -> dict[str, Any]:
    found = {
        "StackId": STACK_ID,
        "EventId": f"{logical_id}-{status}",
        "StackName": STACK,
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": STACK_ID if of_stack else "physical",
        "Timestamp": NOW,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }
    return found if token is None else found | {"ClientRequestToken": token}


def expect_events(aws: Aws, *oldest_first: dict[str, Any]) -> None:
    """Two pages of events, as CloudFormation gives them: the newest first."""
    newest_first = oldest_first[::-1]
    half = len(newest_first) // 2
    aws.cloudformation.add_response(
        "describe_stack_events",
        {"StackEvents": newest_first[:half], "NextToken": "more"},
        {"StackName": STACK},
    )
    aws.cloudformation.add_response(
        "describe_stack_events",
        {"StackEvents": newest_first[half:]},
        {"StackName": STACK, "NextToken": "more"},
    )


BEGUN = event(STACK, "UPDATE_IN_PROGRESS", "User Initiated", of_stack=True)
ROLLBACK = (
    BEGUN,
    event("EndpointModel", "CREATE_COMPLETE"),
    event("Endpoint", "UPDATE_FAILED", "the container failed its ping\n\n    at an inner function"),
    event("ApiFunction", "UPDATE_FAILED", "Resource update cancelled"),
    event(STACK, "UPDATE_ROLLBACK_IN_PROGRESS", "The following failed: [Endpoint]", of_stack=True),
    event("ApiFunction", "UPDATE_COMPLETE"),
    event(STACK, "UPDATE_ROLLBACK_COMPLETE", of_stack=True),
)


class TestBegin:
    """What is served is compared with the newest approved package."""

    def test_updates_the_stack_to_a_newer_package(self, aws: Aws) -> None:
        aws.expect_stack("CREATE_COMPLETE", serves=1)
        aws.expect_packages(3, 2, 1)
        aws.expect_parameter(1)
        aws.expect_parameter_set(3)
        aws.cloudformation.add_response("update_stack", {"StackId": STACK_ID}, UPDATE)

        outcome = begin()

        assert (outcome["state"], outcome["package"], outcome["token"]) == ("updating", package(3), TOKEN)

    def test_updates_the_stack_to_the_last_approved_when_the_live_one_is_rejected(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_COMPLETE", serves=3)
        aws.expect_packages(2, 1)
        aws.expect_parameter(3)
        aws.expect_parameter_set(2)
        aws.cloudformation.add_response("update_stack", {"StackId": STACK_ID}, UPDATE)

        assert begin()["state"] == "updating"

    def test_passes_over_packages_that_are_not_complete(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_ROLLBACK_COMPLETE", serves=1)
        aws.expect_packages(3, 2, 1, incomplete=(3,))
        aws.expect_parameter(1)
        aws.expect_parameter_set(2)
        aws.cloudformation.add_response("update_stack", {"StackId": STACK_ID}, UPDATE)

        assert begin()["package"] == package(2)

    def test_does_nothing_when_the_newest_is_served(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_COMPLETE", serves=3)
        aws.expect_packages(3)
        aws.expect_parameter(3)

        assert begin()["state"] == "released"

    def test_puts_the_parameter_right_when_it_alone_differs(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_COMPLETE", serves=3)
        aws.expect_packages(3)
        aws.expect_parameter(2)
        aws.expect_parameter_set(3)

        assert begin()["state"] == "released"

    @pytest.mark.parametrize("status", ["", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE"])
    def test_leaves_the_first_deployment_to_the_parameter(self, aws: Aws, status: str) -> None:
        if status:
            aws.expect_stack(status)
        else:
            aws.expect_no_stack()
        aws.expect_packages(1)
        aws.expect_parameter(None)
        aws.expect_parameter_set(1)

        assert begin()["state"] == "released"

    @pytest.mark.parametrize(
        "status",
        ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "CREATE_IN_PROGRESS"],
    )
    def test_waits_for_the_deployment_of_a_person_and_changes_nothing(self, aws: Aws, status: str) -> None:
        aws.expect_stack(status, serves=1)
        aws.expect_packages(2)

        outcome = begin(after=PATIENCE / 2)

        assert outcome["state"] == "waiting"
        assert status in outcome["reason"]

    def test_gives_up_waiting_and_says_what_to_do(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_IN_PROGRESS", serves=1)
        aws.expect_packages(2)

        outcome = begin(after=PATIENCE + timedelta(minutes=1))

        assert outcome["state"] == "failed"
        assert "3 hours" in outcome["reason"]
        assert "start this state machine again" in outcome["reason"]

    def test_begins_nothing_that_it_has_no_time_to_watch(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_COMPLETE", serves=1)
        aws.expect_packages(2)

        assert begin(after=PATIENCE + timedelta(minutes=1))["state"] == "failed"

    @pytest.mark.parametrize(
        "message",
        [
            f"Stack:{STACK_ID} is in UPDATE_IN_PROGRESS state and can not be updated.",
            f"Stack [{STACK}] is in UPDATE_IN_PROGRESS state and cannot be updated",
        ],
    )
    def test_waits_when_another_update_was_a_moment_earlier(self, aws: Aws, message: str) -> None:
        aws.expect_stack("UPDATE_COMPLETE", serves=1)
        aws.expect_packages(2)
        aws.expect_parameter(2)
        aws.cloudformation.add_client_error("update_stack", "ValidationError", message)

        assert begin()["state"] == "waiting"

    def test_a_stack_that_does_not_follow_the_parameter_is_told(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_COMPLETE", serves=1)
        aws.expect_packages(2)
        aws.expect_parameter(2)
        aws.cloudformation.add_client_error(
            "update_stack", "ValidationError", "No updates are to be performed."
        )

        outcome = begin()

        assert outcome["state"] == "failed"
        assert "Deploy the environment again" in outcome["reason"]

    def test_puts_the_parameter_back_when_the_update_is_refused(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_COMPLETE", serves=1)
        aws.expect_packages(2)
        aws.expect_parameter(1)
        aws.expect_parameter_set(2)
        aws.cloudformation.add_client_error("update_stack", "AccessDenied", "not authorized")
        aws.expect_parameter_set(1)

        with pytest.raises(ClientError, match="not authorized"):
            begin()

    def test_puts_the_parameter_back_when_cloudformation_is_not_reached(
        self, aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unreachable(*_: Any, **__: Any) -> None:
            raise EndpointConnectionError(endpoint_url="https://cloudformation")

        monkeypatch.setattr(handler._release()._stack, "update", unreachable)
        aws.expect_stack("UPDATE_COMPLETE", serves=1)
        aws.expect_packages(2)
        aws.expect_parameter(1)
        aws.expect_parameter_set(2)
        aws.expect_parameter_set(1)

        with pytest.raises(EndpointConnectionError):
            begin()

    @pytest.mark.parametrize(
        ("status", "command"),
        [
            ("UPDATE_ROLLBACK_FAILED", f"continue-update-rollback --stack-name {STACK}"),
            ("UPDATE_FAILED", f"rollback-stack --stack-name {STACK}"),
            ("ROLLBACK_FAILED", f"delete-stack --stack-name {STACK}"),
            ("DELETE_FAILED", f"delete-stack --stack-name {STACK}"),
        ],
    )
    def test_leaves_a_broken_stack_to_a_person(self, aws: Aws, status: str, command: str) -> None:
        aws.expect_stack(status, serves=1)
        aws.expect_packages(2)

        outcome = begin()

        assert outcome["state"] == "failed"
        assert status in outcome["reason"]
        assert command in outcome["reason"]

    @pytest.mark.parametrize("served_by", ["stack", "parameter"])
    def test_keeps_what_is_served_when_no_package_is_approved_any_more(
        self, aws: Aws, served_by: str
    ) -> None:
        if served_by == "stack":
            aws.expect_stack("UPDATE_COMPLETE", serves=1)
        else:
            aws.expect_no_stack()
            aws.expect_parameter(1)
        aws.expect_packages()

        outcome = begin()

        assert outcome["state"] == "failed"
        assert package(1) in outcome["reason"]
        assert "--model-approval-status Approved" in outcome["reason"]

    def test_a_rejection_before_anything_was_released_is_no_failure(self, aws: Aws) -> None:
        aws.expect_no_stack()
        aws.expect_packages()
        aws.expect_parameter(None)

        assert begin()["state"] == "released"

    def test_an_error_of_cloudformation_is_not_taken_for_a_missing_stack(self, aws: Aws) -> None:
        aws.cloudformation.add_client_error("describe_stacks", "AccessDenied", "not authorized")

        with pytest.raises(ClientError, match="not authorized"):
            begin()


class TestCheck:
    """How the update goes, and what a rollback leaves."""

    @pytest.mark.parametrize(
        "status",
        ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"],
    )
    def test_goes_on_while_the_update_does(self, aws: Aws, status: str) -> None:
        aws.expect_stack(status, serves=1)

        outcome = check(2)

        assert (outcome["state"], outcome["package"], outcome["token"]) == ("updating", package(2), TOKEN)

    def test_is_done_when_the_stack_serves_the_package(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_COMPLETE", serves=2)

        assert check(2)["state"] == "released"

    def test_a_failed_package_is_rejected_for_what_failed_first_and_the_parameter_put_back(
        self, aws: Aws
    ) -> None:
        aws.expect_stack("UPDATE_ROLLBACK_COMPLETE", serves=1)
        expect_events(aws, event("Endpoint", "UPDATE_FAILED", "long ago", token="other"), *ROLLBACK)
        aws.expect_parameter(2)
        aws.expect_rejection(2, "Not released: Endpoint: the container failed its ping")
        aws.expect_parameter_set(1)

        outcome = check(2)

        assert outcome["state"] == "failed"
        assert "failed its ping" in outcome["reason"]
        assert f"serves {package(1)}" in outcome["reason"]
        assert "now Rejected" in outcome["reason"]

    def test_the_release_that_the_rejection_starts_finds_all_done(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_ROLLBACK_COMPLETE", serves=1)
        aws.expect_packages(1)
        aws.expect_parameter(1)

        assert begin()["state"] == "released"

    def test_a_package_that_stands_in_for_a_rejected_one_stays_approved(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_ROLLBACK_COMPLETE", serves=3)
        expect_events(aws, *ROLLBACK)
        aws.expect_parameter(2)
        aws.expect_parameter_set(3)

        outcome = check(2)

        assert outcome["state"] == "failed"
        assert "stays Approved" in outcome["reason"]

    def test_versions_are_compared_as_numbers(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_ROLLBACK_COMPLETE", serves=9)
        expect_events(aws, *ROLLBACK)
        aws.expect_parameter(10)
        aws.expect_rejection(10, "Not released: Endpoint: the container failed its ping")
        aws.expect_parameter_set(9)

        assert check(10)["state"] == "failed"

    def test_a_reason_of_the_stack_itself_is_told_when_no_resource_failed(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_ROLLBACK_COMPLETE", serves=1)
        alarm = event(STACK, "UPDATE_ROLLBACK_IN_PROGRESS", "Alarm too-slow went to ALARM", of_stack=True)
        expect_events(aws, BEGUN, alarm)
        aws.expect_parameter(2)
        aws.expect_rejection(2, f"Not released: {STACK}: Alarm too-slow went to ALARM")
        aws.expect_parameter_set(1)

        assert check(2)["state"] == "failed"

    def test_a_cancelled_update_is_not_the_packages_fault(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_ROLLBACK_COMPLETE", serves=1)
        cancelled = event(
            STACK, "UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated", token="cancel", of_stack=True
        )
        expect_events(aws, BEGUN, event("Endpoint", "UPDATE_FAILED", "Resource update cancelled"), cancelled)
        aws.expect_parameter(2)
        aws.expect_parameter_set(1)

        outcome = check(2)

        assert outcome["state"] == "failed"
        assert "cancelled" in outcome["reason"]

    def test_a_failed_rollback_says_what_to_do_too(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_ROLLBACK_FAILED", serves=1)
        expect_events(aws, *ROLLBACK[:-1], event(STACK, "UPDATE_ROLLBACK_FAILED", of_stack=True))
        aws.expect_parameter(2)
        aws.expect_rejection(2, "Not released: Endpoint: the container failed its ping")
        aws.expect_parameter_set(1)

        assert "continue-update-rollback" in check(2)["reason"]

    def test_begins_again_when_a_later_update_brought_another_package(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_COMPLETE", serves=3)
        complete = event(STACK, "UPDATE_COMPLETE", of_stack=True)
        expect_events(aws, BEGUN, complete, event(STACK, "UPDATE_COMPLETE", token="later", of_stack=True))

        assert check(2)["state"] == "waiting"

    def test_blames_no_package_for_an_update_that_may_have_read_another(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_ROLLBACK_COMPLETE", serves=1)
        expect_events(aws, *ROLLBACK)
        aws.expect_parameter(3)

        assert check(2)["state"] == "waiting"

    def test_begins_again_when_the_stack_is_gone(self, aws: Aws) -> None:
        aws.expect_no_stack()

        assert check(2)["state"] == "waiting"

    def test_a_long_reason_is_cut_to_what_the_registry_takes(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_ROLLBACK_COMPLETE", serves=1)
        expect_events(aws, BEGUN, event("Endpoint", "UPDATE_FAILED", "x" * 2000))
        aws.expect_parameter(2)
        aws.expect_rejection(2, f"{'Not released: Endpoint: ' + 'x' * 2000:.1023}…")
        aws.expect_parameter_set(1)

        assert check(2)["state"] == "failed"


class TestRestore:
    """After a step that failed for good."""

    @staticmethod
    def _restore(version: int | None, cause: str = "") -> dict[str, Any]:
        state: dict[str, Any] = {"failure": {"Error": "States.Timeout", "Cause": cause}, "approval": "…"}
        if version is not None:
            state["release"] = {
                "state": "updating",
                "reason": "",
                "package": package(version),
                "token": TOKEN,
            }
        return handler.restore(state, Context())  # type: ignore[arg-type]

    def test_puts_the_parameter_back(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_ROLLBACK_COMPLETE", serves=1)
        aws.expect_parameter(2)
        aws.expect_parameter_set(1)

        outcome = self._restore(2, json.dumps({"errorMessage": "not\nauthorized", "stackTrace": []}))

        assert outcome["state"] == "failed"
        assert f"{package(2)} was not released: States.Timeout: not authorized. " in outcome["reason"]

    def test_finds_out_which_package_it_was_when_begin_has_not_said(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_COMPLETE", serves=1)
        aws.expect_packages(3, 1)
        aws.expect_parameter(3)
        aws.expect_parameter_set(1)

        assert self._restore(None)["state"] == "failed"

    def test_leaves_what_somebody_else_has_set(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_ROLLBACK_COMPLETE", serves=1)
        aws.expect_parameter(3)

        assert self._restore(2)["state"] == "failed"

    def test_waits_for_an_update_that_may_still_bring_the_package(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_IN_PROGRESS", serves=1)

        outcome = self._restore(2)

        assert (outcome["state"], outcome["package"]) == ("updating", package(2))

    def test_keeps_a_package_that_the_update_has_brought(self, aws: Aws) -> None:
        aws.expect_stack("UPDATE_COMPLETE", serves=2)

        assert self._restore(2)["state"] == "released"

    def test_leaves_the_first_deployment_to_the_parameter(self, aws: Aws) -> None:
        aws.expect_no_stack()

        assert self._restore(2)["state"] == "failed"


@given(execution=st.text(min_size=1, max_size=80), entered=st.datetimes().map(datetime.isoformat))
def test_any_execution_gives_a_token_that_cloudformation_takes(execution: str, entered: str) -> None:
    request = BeginRequest(execution=execution, started=datetime.now(UTC), entered=entered)

    assert re.fullmatch("[a-zA-Z0-9][-a-zA-Z0-9]{0,127}", request.token)
    assert request.token == request.model_copy().token


def test_each_entry_of_the_step_has_its_own_token() -> None:
    first = BeginRequest(execution="a" * 80, started=datetime.now(UTC), entered=ENTERED)
    second = first.model_copy(update={"entered": "2026-11-24T10:00:10.000Z"})

    assert first.token != second.token


def test_a_missing_input_is_named(aws: Aws) -> None:
    with pytest.raises(ValidationError, match="entered"):
        handler.begin({"execution": "x", "started": ENTERED}, Context())  # type: ignore[arg-type]
