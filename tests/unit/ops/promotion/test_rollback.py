"""What a rollback says of a deployment: how it goes, and whether one that failed may have an effect yet."""

from typing import Any

import boto3
import pytest

from infra.environment import load_environment
from ops.errors import OperationError
from ops.promotion import rollback
from ops.promotion.pin import Pin

PIN = Pin("arn:aws:sagemaker:us-east-1:222222222222:model-package/movie-recommender-staging/2", "a" * 64)
OTHER = f"{PIN.package_arn[:-1]}3"
SESSION = boto3.Session("222222222222", "local", region_name="us-east-1")


def stack(status: str, package: str) -> dict[str, Any]:
    outputs = [{"OutputKey": "ModelPackageArn", "OutputValue": package}]
    return {"StackStatus": status, "Outputs": outputs}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (stack("UPDATE_IN_PROGRESS", OTHER), "stack s is UPDATE_IN_PROGRESS"),
        (stack("UPDATE_ROLLBACK_IN_PROGRESS", OTHER), "stack s is UPDATE_ROLLBACK_IN_PROGRESS"),
        (stack("UPDATE_COMPLETE", PIN.package_arn), "stack s is UPDATE_COMPLETE with this package"),
        (stack("UPDATE_ROLLBACK_COMPLETE", OTHER), None),
        (stack("UPDATE_COMPLETE", OTHER), None),
        (None, None),
    ],
)
def test_a_deployment_that_failed_may_have_an_effect_yet(
    monkeypatch: pytest.MonkeyPatch, found: Any, told: str | None
) -> None:
    monkeypatch.setattr(rollback, "find_stack", lambda *_: found)
    assert rollback._under_way(SESSION, "s", PIN) == told


def test_what_cannot_be_asked_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OperationError("the credentials have expired")

    monkeypatch.setattr(rollback, "find_stack", refuse)
    told = rollback._under_way(SESSION, "s", PIN)
    assert told == "what has become of stack s is not known (the credentials have expired)"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"canary_percent": 50, "canary_wait_seconds": 300, "termination_wait_seconds": 60},
            "50 percent of the requests go to the new instances for 300 s, then all; the old ones stay for "
            "another 60 s",
        ),
        (
            {"canary_percent": None, "canary_wait_seconds": None, "termination_wait_seconds": 0},
            "all requests go to the new instances at once",
        ),
    ],
)
def test_a_rollback_goes_at_the_pace_of_any_deployment(settings: dict[str, Any], told: str) -> None:
    environment = load_environment("staging")
    serving = environment.serving
    deployment = serving.deployment.model_copy(update=settings)
    changed = serving.model_copy(update={"deployment": deployment})
    assert rollback._pace(environment.model_copy(update={"serving": changed})) == told
