"""The table of all environments, on an ordinary terminal."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from ops.promotion.drift import Drift
from ops.promotion.live import LiveEndpoint
from ops.promotion.packages import ModelPackage
from ops.promotion.status import EnvironmentStatus
from ops.promotion.status_report import age, show, to_json

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def package(environment: str, **metadata: str) -> ModelPackage:
    return ModelPackage(
        arn=f"arn:aws:sagemaker:us-east-1:222222222222:model-package/movie-recommender-{environment}/112",
        status="Completed",
        approval="Approved",
        approval_description="",
        image="",
        artifact_uri="",
        evaluation_uri="",
        content_types=[],
        response_types=[],
        created=datetime.now(UTC) - timedelta(days=9),
        metadata=metadata,
    )


def serving(environment: str, *drifts: Drift, failure: str = "", **metadata: str) -> EnvironmentStatus:
    found = package(environment, **metadata)
    endpoint = LiveEndpoint(f"movie-recommender-{environment}", "InService", failure, "c", found.arn)
    return EnvironmentStatus(environment, "InService", "222222222222", None, endpoint, found, drifts)


PROMOTED = {
    "artifact_sha256": "0123456789abcdef" * 4,
    "accuracy": "0.7164",
    "auc": "0.78231",
    "git_commit": "89abcdef" * 5 + "-dirty",
}
PIN = Drift("pin", "the pin is not deployed", "npx cdk deploy")


def shown(*statuses: EnvironmentStatus) -> list[str]:
    output = io.StringIO()
    show(Console(file=output, width=80), statuses)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_a_row_fits_eighty_columns() -> None:
    header, _, dev, staging, *rest = shown(
        serving("dev", accuracy="0.7"),
        serving("staging", PIN, Drift("approval", "x", "y"), **PROMOTED),
    )
    assert header.split() == ["model", "artifact", "accuracy", "AUC", "age", "commit", "endpoint", "drift"]
    assert dev.split() == ["dev", "112", "–", "0.7000", "–", "9d", "–", "InService", "none"]
    assert staging.split() == [
        *("staging", "112", "01234567", "0.7164", "0.7823", "9d", "89abcde*", "InService"),
        "pin,",
    ]
    assert rest[0].strip() == "approval"


def test_what_is_wrong_is_told_with_what_to_do() -> None:
    lines = shown(
        serving("staging", PIN, failure="the alarm rang", **PROMOTED),
        EnvironmentStatus("prod", "not reached", "333333333333", "Account 333333333333 (prod): no [bold]"),
    )
    assert "staging: pin drift: the pin is not deployed. To do: npx cdk deploy" in lines
    assert "staging: the endpoint's last change failed: the alarm rang" in lines
    assert "prod: Account 333333333333 (prod): no [bold]" in lines


def test_figures_that_are_none_are_unknown() -> None:
    assert "0.7 or so" not in "".join(shown(serving("dev", accuracy="0.7 or so")))


@pytest.mark.parametrize(
    ("since", "told"),
    [
        ({"seconds": -5}, "0m"),
        ({"seconds": 59}, "0m"),
        ({"minutes": 119}, "119m"),
        ({"hours": 2}, "2h"),
        ({"hours": 47}, "47h"),
        ({"days": 400}, "400d"),
    ],
)
def test_ages(since: dict[str, Any], told: str) -> None:
    assert age(NOW - timedelta(**since), NOW) == told


def test_json_has_the_same_and_more() -> None:
    documents = json.loads(
        to_json([serving("staging", PIN, **PROMOTED), EnvironmentStatus("prod", "not reached")])
    )
    assert [document["environment"] for document in documents] == ["staging", "prod"]
    assert documents[0]["package"]["artifact_sha256"] == PROMOTED["artifact_sha256"]
    assert documents[0]["package"]["cross_entropy"] is None
    assert documents[0]["drift"] == [
        {"kind": "pin", "what": "the pin is not deployed", "remedy": "npx cdk deploy"}
    ]
    assert documents[1]["package"] is None
    assert documents[1]["endpoint"] is None
