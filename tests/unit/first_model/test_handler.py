import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pydantic import ValidationError

from first_model import handler
from first_model.failure import FirstModelError

STATE_MACHINE = "arn:aws:states:us-east-1:111111111111:stateMachine:movie-recommender-dev"
RELEASES = "arn:aws:states:us-east-1:111111111111:stateMachine:movie-recommender-dev-release"
REQUEST_ID = "0f5b7a1e-6f5d-4a53-9d5b-5f1d3c1f9a11"
NAME = f"first-model-{REQUEST_ID}"
EXECUTION = f"arn:aws:states:us-east-1:111111111111:execution:movie-recommender-dev:{NAME}"
PACKAGE = "arn:aws:sagemaker:us-east-1:111111111111:model-package/movie-recommender-dev/1"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
"""For what no answer depends on."""
WAIT_MINUTES = 48
PROPERTIES = {
    "ServiceToken": "arn:aws:lambda:us-east-1:111111111111:function:provider",
    "StateMachineArn": STATE_MACHINE,
    "ReleaseStateMachineArn": RELEASES,
    "RawBucket": "raw",
    "AssetBucket": "assets",
    "AssetKey": "abc.zip",
    "RatingsKey": "ratings/abc.zip",
    "ModelPackageGroup": "movie-recommender-dev",
    "ParameterName": "/movie-recommender/dev/model-package",
    "NamePrefix": "movie-recommender-dev",
    "WaitMinutes": str(WAIT_MINUTES),
}
COPY = {
    "Bucket": "raw",
    "Key": "ratings/abc.zip",
    "CopySource": {"Bucket": "assets", "Key": "abc.zip"},
}
START = {
    "stateMachineArn": STATE_MACHINE,
    "name": NAME,
    "input": '{"ratings": {"bucket": "raw", "key": "ratings/abc.zip"}}',
}
RUNNING = {"stateMachineArn": STATE_MACHINE, "statusFilter": "RUNNING"}
RELEASING = {"stateMachineArn": RELEASES, "statusFilter": "RUNNING"}
NEWEST = {
    "ModelPackageGroupName": "movie-recommender-dev",
    "SortBy": "CreationTime",
    "SortOrder": "Descending",
    "MaxResults": 1,
}
APPROVED = {"ModelPackageGroupName": "movie-recommender-dev", "ModelApprovalStatus": "Approved"}
MODELS = {"NameContains": "movie-recommender-dev-"}
PAGE = {"ModelPackageGroupName": "movie-recommender-dev", "MaxResults": 20}
PARAMETER = {"Name": "/movie-recommender/dev/model-package"}


@dataclass
class Context:
    function_name: str = "first-model"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:111111111111:function:first-model"
    aws_request_id: str = "52fdfc07-2182-154f-163f-5f0f9a621d72"


def request(kind: str, **more: Any) -> dict[str, Any]:
    """A CloudFormation custom resource request, as the provider framework hands it on."""
    event = {
        "RequestType": kind,
        "ResponseURL": "...",
        "StackId": "arn:aws:cloudformation:us-east-1:111111111111:stack/movie-recommender-dev-training/1",
        "RequestId": REQUEST_ID,
        "ResourceType": "Custom::FirstModel",
        "LogicalResourceId": "FirstModel",
        "ResourceProperties": PROPERTIES,
    }
    if kind != "Create":
        event["PhysicalResourceId"] = "movie-recommender-dev"
    return event | more


def on_event(kind: str, **more: Any) -> Any:
    return handler.on_event(request(kind, **more), Context())  # type: ignore[arg-type]


def is_complete(kind: str, **more: Any) -> Any:
    more.setdefault("PhysicalResourceId", "movie-recommender-dev")
    return handler.is_complete(request(kind, **more), Context())  # type: ignore[arg-type]


def described(status: str, *, minutes: float = 5, **more: str) -> dict[str, Any]:
    """An execution that was started so many minutes ago."""
    return {
        "executionArn": EXECUTION,
        "stateMachineArn": STATE_MACHINE,
        "name": NAME,
        "status": status,
        "startDate": datetime.now(UTC) - timedelta(minutes=minutes),
        **more,
    }


def running(*arns: str) -> dict[str, Any]:
    return {
        "executions": [
            {
                "executionArn": arn,
                "stateMachineArn": STATE_MACHINE,
                "name": "x",
                "status": "RUNNING",
                "startDate": NOW,
            }
            for arn in arns
        ]
    }


def packages(*arns: str) -> dict[str, Any]:
    return {
        "ModelPackageSummaryList": [
            {"ModelPackageArn": arn, "CreationTime": NOW, "ModelPackageStatus": "Completed"} for arn in arns
        ]
    }


def expect_running(aws: Any, *training: str, releases: tuple[str, ...] = ()) -> None:
    aws.stepfunctions.add_response("list_executions", running(*training), RUNNING)
    aws.stepfunctions.add_response("list_executions", running(*releases), RELEASING)


def models(*names: str) -> dict[str, Any]:
    return {
        "Models": [{"ModelName": name, "ModelArn": f"arn:{name}" * 3, "CreationTime": NOW} for name in names]
    }


class TestCreate:
    def test_brings_the_ratings_in_and_starts_training(self, aws: Any) -> None:
        aws.s3.add_response("copy_object", {}, COPY)
        aws.stepfunctions.add_response(
            "start_execution", {"executionArn": EXECUTION, "startDate": NOW}, START
        )

        assert on_event("Create") == {
            "PhysicalResourceId": "movie-recommender-dev",
            "ExecutionArn": EXECUTION,
        }

    def test_a_second_delivery_joins_the_execution_of_the_first(self, aws: Any) -> None:
        aws.s3.add_response("copy_object", {}, COPY)
        aws.stepfunctions.add_client_error("start_execution", "ExecutionAlreadyExists", expected_params=START)

        assert on_event("Create")["ExecutionArn"] == EXECUTION

    def test_an_unreadable_asset_fails(self, aws: Any) -> None:
        aws.s3.add_client_error("copy_object", "NoSuchKey", "The specified key does not exist.")

        with pytest.raises(ClientError, match="The specified key does not exist"):
            on_event("Create")

    @pytest.mark.parametrize("status", ["RUNNING", "PENDING_REDRIVE"])
    def test_waits_while_training_runs(self, aws: Any, status: str) -> None:
        aws.stepfunctions.add_response("describe_execution", described(status), {"executionArn": EXECUTION})

        assert is_complete("Create", ExecutionArn=EXECUTION) == {"IsComplete": False}

    def test_gives_the_package_when_training_succeeded(self, aws: Any) -> None:
        aws.stepfunctions.add_response("describe_execution", described("SUCCEEDED"))
        aws.ssm.add_response("get_parameter", {"Parameter": {"Value": PACKAGE}}, PARAMETER)
        aws.sagemaker.add_response("list_model_packages", packages(PACKAGE), APPROVED)

        assert is_complete("Create", ExecutionArn=EXECUTION) == {
            "IsComplete": True,
            "Data": {"ModelPackageArn": PACKAGE},
        }

    def test_a_parameter_left_by_a_deletion_makes_no_model(self, aws: Any) -> None:
        aws.stepfunctions.add_response("describe_execution", described("SUCCEEDED"))
        left = PACKAGE.replace("/1", "/7")
        aws.ssm.add_response("get_parameter", {"Parameter": {"Value": left}}, PARAMETER)
        aws.sagemaker.add_response("list_model_packages", packages(PACKAGE), APPROVED)
        found = packages(PACKAGE)
        found["ModelPackageSummaryList"][0]["ModelApprovalStatus"] = "Approved"
        aws.sagemaker.add_response("list_model_packages", found, NEWEST)
        aws.stepfunctions.add_response("list_executions", running())

        assert is_complete("Create", ExecutionArn=EXECUTION) == {"IsComplete": False}

    @pytest.mark.parametrize("approval", ["PendingManualApproval", "Approved"])
    def test_waits_for_approval_and_release(self, aws: Any, approval: str) -> None:
        self._expect_unreleased(aws, approval)
        if approval == "Approved":
            aws.stepfunctions.add_response(
                "list_executions",
                running(),
                {"stateMachineArn": RELEASES, "statusFilter": "FAILED", "maxResults": 1},
            )

        assert is_complete("Create", ExecutionArn=EXECUTION) == {"IsComplete": False}

    @staticmethod
    def _expect_unreleased(aws: Any, approval: str, *, minutes: float = 5) -> None:
        aws.stepfunctions.add_response("describe_execution", described("SUCCEEDED", minutes=minutes))
        aws.ssm.add_client_error("get_parameter", "ParameterNotFound", expected_params=PARAMETER)
        found = packages(PACKAGE)
        found["ModelPackageSummaryList"][0]["ModelApprovalStatus"] = approval
        aws.sagemaker.add_response("list_model_packages", found, NEWEST)

    def test_says_how_to_approve_when_nobody_did_in_time(self, aws: Any) -> None:
        self._expect_unreleased(aws, "PendingManualApproval", minutes=WAIT_MINUTES + 0.1)

        with pytest.raises(FirstModelError) as error:
            is_complete("Create", ExecutionArn=EXECUTION)

        message = str(error.value)
        assert PACKAGE in message
        assert "48 minutes" in message
        assert "update-model-package --model-approval-status Approved" in message
        assert "--model-package-group-name movie-recommender-dev" in message

    def test_a_rejected_model_ends_the_wait(self, aws: Any) -> None:
        self._expect_unreleased(aws, "Rejected")

        with pytest.raises(FirstModelError, match=rf"{PACKAGE} was rejected"):
            is_complete("Create", ExecutionArn=EXECUTION)

    def test_a_failed_release_ends_the_wait_with_its_reason(self, aws: Any) -> None:
        self._expect_unreleased(aws, "Approved")
        aws.stepfunctions.add_response("list_executions", running("arn:release:1"))
        cause = json.dumps({"errorMessage": "not authorized", "errorType": "ClientError"})
        aws.stepfunctions.add_response(
            "describe_execution", described("FAILED", cause=cause), {"executionArn": "arn:release:1"}
        )

        with pytest.raises(
            FirstModelError, match=rf"Releasing model package {PACKAGE} failed: not authorized"
        ):
            is_complete("Create", ExecutionArn=EXECUTION)

    def test_a_release_that_never_came_is_told(self, aws: Any) -> None:
        self._expect_unreleased(aws, "Approved", minutes=WAIT_MINUTES + 0.1)
        aws.stepfunctions.add_response("list_executions", running())

        with pytest.raises(FirstModelError, match=rf"approved, but parameter .* executions of {RELEASES}"):
            is_complete("Create", ExecutionArn=EXECUTION)

    def test_a_training_that_takes_too_long_is_told(self, aws: Any) -> None:
        aws.stepfunctions.add_response("describe_execution", described("RUNNING", minutes=WAIT_MINUTES + 0.1))

        with pytest.raises(FirstModelError, match="longer than the 48 minutes"):
            is_complete("Create", ExecutionArn=EXECUTION)

    def test_fails_when_success_left_no_package(self, aws: Any) -> None:
        aws.stepfunctions.add_response("describe_execution", described("SUCCEEDED"))
        aws.ssm.add_client_error("get_parameter", "ParameterNotFound")
        aws.sagemaker.add_response("list_model_packages", packages())

        with pytest.raises(FirstModelError, match="model package group movie-recommender-dev holds no model"):
            is_complete("Create", ExecutionArn=EXECUTION)

    def test_says_why_training_failed(self, aws: Any) -> None:
        cause = json.dumps({"TrainingJobStatus": "Failed", "FailureReason": "AlgorithmError: bad\nvalue"})
        aws.stepfunctions.add_response(
            "describe_execution", described("FAILED", error="States.TaskFailed", cause=cause)
        )
        aws.stepfunctions.add_response(
            "get_execution_history",
            {
                "events": [
                    {"id": 3, "previousEventId": 2, "type": "ExecutionFailed", "timestamp": NOW},
                    {
                        "id": 2,
                        "previousEventId": 1,
                        "type": "TaskStateEntered",
                        "timestamp": NOW,
                        "stateEnteredEventDetails": {"name": "Train"},
                    },
                    {"id": 1, "type": "ExecutionStarted", "timestamp": NOW},
                ]
            },
            {
                "executionArn": EXECUTION,
                "maxResults": 1000,
                "reverseOrder": True,
                "includeExecutionData": False,
            },
        )

        with pytest.raises(FirstModelError) as error:
            is_complete("Create", ExecutionArn=EXECUTION)

        assert str(error.value) == (
            "Training the first model failed in state Train: States.TaskFailed: AlgorithmError: bad value "
            f"(execution {NAME})"
        )

    def test_says_why_even_if_the_history_is_closed_to_it(self, aws: Any) -> None:
        aws.stepfunctions.add_response(
            "describe_execution", described("FAILED", error="GateFailed", cause="accuracy is too low")
        )
        aws.stepfunctions.add_client_error("get_execution_history", "AccessDeniedException")

        with pytest.raises(FirstModelError, match="failed: GateFailed: accuracy is too low"):
            is_complete("Create", ExecutionArn=EXECUTION)

    def test_an_event_without_its_execution_is_refused(self, aws: Any) -> None:
        with pytest.raises(FirstModelError, match="no ExecutionArn"):
            is_complete("Create")


class TestUpdate:
    def test_brings_changed_ratings_in(self, aws: Any) -> None:
        aws.s3.add_response("copy_object", {}, COPY)
        old = PROPERTIES | {"AssetKey": "old.zip", "RatingsKey": "ratings/old.zip"}

        assert on_event("Update", OldResourceProperties=old) == {
            "PhysicalResourceId": "movie-recommender-dev"
        }

    def test_leaves_everything_alone_if_the_ratings_are_the_same(self, aws: Any) -> None:
        old = PROPERTIES | {"StateMachineArn": "arn:old", "AssetBucket": "old"}

        assert on_event("Update", OldResourceProperties=old) == {
            "PhysicalResourceId": "movie-recommender-dev"
        }

    def test_keeps_its_identity_whatever_changes(self, aws: Any) -> None:
        changed = PROPERTIES | {"ModelPackageGroup": "another"}

        result = on_event("Update", ResourceProperties=changed, OldResourceProperties=PROPERTIES)
        assert result == {"PhysicalResourceId": "movie-recommender-dev"}

    def test_gives_the_current_package_at_once(self, aws: Any) -> None:
        aws.ssm.add_response("get_parameter", {"Parameter": {"Value": PACKAGE}}, PARAMETER)

        assert is_complete("Update", OldResourceProperties=PROPERTIES) == {
            "IsComplete": True,
            "Data": {"ModelPackageArn": PACKAGE},
        }

    def test_does_not_need_a_package(self, aws: Any) -> None:
        aws.ssm.add_client_error("get_parameter", "ParameterNotFound")

        assert is_complete("Update", OldResourceProperties=PROPERTIES) == {"IsComplete": True, "Data": {}}


class TestDelete:
    def test_stops_what_runs(self, aws: Any) -> None:
        expect_running(aws, "arn:1", releases=("arn:2",))
        cause = "The stack that owns the state machine is being deleted."
        aws.stepfunctions.add_response(
            "stop_execution", {"stopDate": NOW}, {"executionArn": "arn:1", "cause": cause}
        )
        aws.stepfunctions.add_client_error(
            "stop_execution",
            "ValidationException",
            "Execution is not running",
            expected_params={"executionArn": "arn:2", "cause": cause},
        )

        assert on_event("Delete") == {"PhysicalResourceId": "movie-recommender-dev"}

    @pytest.mark.parametrize("what", ["training", "releases"])
    def test_waits_for_executions_to_end(self, aws: Any, what: str) -> None:
        if what == "training":
            expect_running(aws, "arn:1")
        else:
            expect_running(aws, releases=("arn:1",))

        assert is_complete("Delete") == {"IsComplete": False}

    def test_removes_packages_a_page_at_a_time_then_the_parameter(self, aws: Any) -> None:
        for left in (["arn:p1", "arn:p2"], ["arn:p3"], []):
            expect_running(aws)
            aws.sagemaker.add_response("list_models", models(), MODELS)
            more = {"NextToken": "more"} if len(left) == 2 else {}
            aws.sagemaker.add_response("list_model_packages", packages(*left) | more, PAGE)
            for arn in left:
                aws.sagemaker.add_response("delete_model_package", {}, {"ModelPackageName": arn})
        aws.ssm.add_response("delete_parameter", {}, PARAMETER)

        answers = [is_complete("Delete") for _ in range(3)]
        assert answers == [{"IsComplete": False}, {"IsComplete": False}, {"IsComplete": True}]

    def test_removes_the_models_of_stopped_runs_and_no_others(self, aws: Any) -> None:
        left, also_left = "movie-recommender-dev-0a1b2c3d-4e5f6071", "movie-recommender-dev-00000000-ffffffff"
        others = (
            "movie-recommender-dev-serving-EndpointModel-1a2b3c4d",
            "movie-recommender-dev-0a1b2c3d-4e5f6071-copy",
            "old-movie-recommender-dev-0a1b2c3d-4e5f6071",
            "movie-recommender-dev-0A1B2C3D-4e5f6071",
        )
        expect_running(aws)
        aws.sagemaker.add_response("list_models", models(others[0], left) | {"NextToken": "more"}, MODELS)
        aws.sagemaker.add_response(
            "list_models", models(*others[1:], also_left), MODELS | {"NextToken": "more"}
        )
        for name in (left, also_left):
            aws.sagemaker.add_response("delete_model", {}, {"ModelName": name})
        aws.sagemaker.add_response("list_model_packages", packages(), PAGE)
        aws.ssm.add_response("delete_parameter", {}, PARAMETER)

        assert is_complete("Delete") == {"IsComplete": True}

    def test_what_is_gone_already_is_no_error(self, aws: Any) -> None:
        for _ in range(2):
            aws.stepfunctions.add_client_error("list_executions", "StateMachineDoesNotExist")
        aws.sagemaker.add_response("list_models", models("movie-recommender-dev-0a1b2c3d-4e5f6071"))
        aws.sagemaker.add_client_error(
            "delete_model", "ValidationException", 'Could not find model "arn:aws:sagemaker:…".'
        )
        aws.sagemaker.add_response("list_model_packages", packages("arn:p1", "arn:p2"))
        aws.sagemaker.add_client_error(
            "delete_model_package", "ValidationException", "ModelPackage arn:p1 does not exist."
        )
        aws.sagemaker.add_response("delete_model_package", {}, {"ModelPackageName": "arn:p2"})
        assert is_complete("Delete") == {"IsComplete": False}

        for _ in range(2):
            aws.stepfunctions.add_client_error("list_executions", "StateMachineDoesNotExist")
        aws.sagemaker.add_response("list_models", models())
        aws.sagemaker.add_response("list_model_packages", packages())
        aws.ssm.add_client_error("delete_parameter", "ParameterNotFound")
        assert is_complete("Delete") == {"IsComplete": True}

    def test_a_missing_group_is_no_error(self, aws: Any) -> None:
        expect_running(aws)
        aws.sagemaker.add_response("list_models", models())
        aws.sagemaker.add_client_error(
            "list_model_packages", "ValidationException", "ModelPackageGroup x does not exist."
        )
        aws.ssm.add_response("delete_parameter", {})

        assert is_complete("Delete") == {"IsComplete": True}

    @pytest.mark.parametrize("refused", ["delete_model", "delete_model_package"])
    def test_any_other_refusal_fails(self, aws: Any, refused: str) -> None:
        expect_running(aws)
        aws.sagemaker.add_response("list_models", models("movie-recommender-dev-0a1b2c3d-4e5f6071"))
        if refused == "delete_model_package":
            aws.sagemaker.add_response("delete_model", {})
            aws.sagemaker.add_response("list_model_packages", packages("arn:p1"))
        aws.sagemaker.add_client_error(refused, "AccessDeniedException", "no")

        with pytest.raises(ClientError, match="AccessDeniedException"):
            is_complete("Delete")


def test_a_missing_property_is_named(aws: Any) -> None:
    incomplete = {name: value for name, value in PROPERTIES.items() if name != "RatingsKey"}

    with pytest.raises(ValidationError, match=r"ResourceProperties\.RatingsKey"):
        on_event("Create", ResourceProperties=incomplete)
