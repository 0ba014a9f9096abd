"""Each kind of disagreement, made one at a time out of an environment that has none."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.environment import Environment, load_environment
from ops.promotion.drift import Facts, ServingStack, drifts
from ops.promotion.live import LiveEndpoint
from ops.promotion.objects import StoredObject
from ops.promotion.packages import ModelPackage

SHA256 = "a" * 64


def package(environment: Environment, version: int, **changes: Any) -> ModelPackage:
    known = ModelPackage(
        arn=f"{environment.model_package_arn_prefix}{version}",
        status="Completed",
        approval="Approved",
        approval_description="",
        image="image",
        artifact_uri="s3://models/model.tar.gz",
        evaluation_uri="s3://models/evaluation.json",
        content_types=[],
        response_types=[],
        created=datetime(2026, 1, 1, tzinfo=UTC),
        metadata={"artifact_sha256": SHA256},
    )
    return replace(known, **changes)


def environment(name: str, version: int | None = None) -> Environment:
    settings = load_environment(name, folder=Path(__file__).parents[4] / "config")
    arn = f"{settings.model_package_arn_prefix}{version}"
    pin = (
        {"package_arn": arn, "artifact_sha256": SHA256}
        if version
        else {"package_arn": None, "artifact_sha256": None}
    )
    return settings.model_copy(update={"model": settings.model.model_copy(update=pin)})


def serving(settings: Environment, version: int) -> dict[str, Any]:
    arn = f"{settings.model_package_arn_prefix}{version}"
    return {
        "stack": ServingStack(f"{settings.prefix}-serving", "UPDATE_COMPLETE", arn, "configuration-1"),
        "endpoint": LiveEndpoint(settings.endpoint_name, "InService", "", "configuration-1", arn),
        "live": package(settings, version),
    }


@pytest.fixture
def promoted() -> Facts:
    settings = environment("staging", 3)
    return Facts(
        environment=settings,
        has_storage=True,
        parameter=None,
        newest_approved=None,
        pinned=package(settings, 3),
        artifact=StoredObject(SHA256),
        **serving(settings, 3),
    )


@pytest.fixture
def training() -> Facts:
    settings = environment("dev")
    arn = f"{settings.model_package_arn_prefix}3"
    return Facts(
        environment=settings,
        has_storage=True,
        parameter=arn,
        newest_approved=arn,
        pinned=None,
        artifact=StoredObject(None),
        **serving(settings, 3),
    )


def told(facts: Facts) -> tuple[str, str, str]:
    """The one disagreement of `facts`."""
    (drift,) = drifts(facts)
    return drift.kind, drift.what, drift.remedy


def test_none(promoted: Facts, training: Facts) -> None:
    assert drifts(promoted) == []
    assert drifts(training) == []


def test_nothing_deployed_is_no_disagreement(training: Facts) -> None:
    assert drifts(replace(training, stack=None, endpoint=None, live=None, parameter=None)) == []


def test_a_pin_that_is_not_deployed(promoted: Facts) -> None:
    settings = environment("staging", 4)
    kind, what, remedy = told(replace(promoted, environment=settings, pinned=package(settings, 4)))
    assert kind == "pin"
    assert "pins movie-recommender-staging/4" in what
    assert "was deployed with movie-recommender-staging/3" in what
    assert remedy == "deploy the pin: npx cdk deploy --all -c env=staging"


def test_a_pin_that_is_gone(promoted: Facts) -> None:
    kind, what, _ = told(replace(promoted, environment=environment("staging"), pinned=None))
    assert kind == "pin"
    assert "config/staging.toml pins nothing" in what


def test_a_pin_to_a_package_that_does_not_exist(promoted: Facts) -> None:
    kinds = [
        drift.what for drift in drifts(replace(promoted, environment=environment("staging", 9), pinned=None))
    ]
    assert kinds[0] == "config/staging.toml pins movie-recommender-staging/9, which is not in the registry"
    assert "was deployed with movie-recommender-staging/3" in kinds[1]


def test_a_pin_with_another_hash(promoted: Facts) -> None:
    other = package(promoted.environment, 3, metadata={"artifact_sha256": "b" * 64})
    kind, what, _ = told(replace(promoted, pinned=other))
    assert kind == "pin"
    assert "another artifact_sha256" in what


def test_a_pin_before_the_first_deployment_is_judged_too(promoted: Facts) -> None:
    rejected = package(promoted.environment, 3, approval="Rejected")
    kind, what, _ = told(replace(promoted, stack=None, endpoint=None, live=None, pinned=rejected))
    assert kind == "approval"
    assert "pins movie-recommender-staging/3, which is Rejected" in what


def test_a_parameter_that_is_not_deployed(training: Facts) -> None:
    arn = f"{training.environment.model_package_arn_prefix}4"
    kind, what, remedy = told(replace(training, parameter=arn, newest_approved=arn))
    assert kind == "parameter"
    assert "names movie-recommender-dev/4, but stack" in what
    assert "Release" in remedy


def test_a_parameter_that_does_not_follow_the_registry(training: Facts) -> None:
    arn = f"{training.environment.model_package_arn_prefix}4"
    kind, what, _ = told(replace(training, newest_approved=arn))
    assert kind == "parameter"
    assert "the newest approved package is movie-recommender-dev/4" in what


def test_a_parameter_that_is_gone(training: Facts) -> None:
    kind, what, _ = told(replace(training, parameter=None))
    assert kind == "parameter"
    assert what == "there is no SSM parameter /movie-recommender/dev/model-package"


@pytest.mark.parametrize("served", [2, 3, None])
def test_an_endpoint_changed_by_hand(promoted: Facts, served: int | None) -> None:
    """Also with the package of the stack: other instances, or none of the project's models."""
    settings = promoted.environment
    arn = f"{settings.model_package_arn_prefix}{served}" if served else None
    endpoint = LiveEndpoint(settings.endpoint_name, "InService", "", "by-hand", arn)
    live = package(settings, served) if served else None
    kind, what, remedy = told(replace(promoted, endpoint=endpoint, live=live))
    assert kind == "endpoint"
    assert "changed outside CloudFormation" in what
    assert (f"movie-recommender-staging/{served}" if served else "a model that is not known") in what
    assert remedy == (
        "aws sagemaker update-endpoint --endpoint-name movie-recommender-staging "
        "--endpoint-config-name configuration-1"
    )


def test_an_endpoint_that_is_gone(promoted: Facts) -> None:
    kind, what, _ = told(replace(promoted, endpoint=None, live=None))
    assert kind == "endpoint"
    assert "but no endpoint movie-recommender-staging" in what


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED"])
def test_a_first_deployment_that_failed(promoted: Facts, training: Facts, status: str) -> None:
    for facts in (promoted, training):
        stack = replace(
            serving(facts.environment, 3)["stack"], status=status, package_arn=None, configuration=None
        )
        kind, what, remedy = told(replace(facts, stack=stack, endpoint=None, live=None))
        assert kind == "stack"
        assert what == (
            f"the first deployment of stack {stack.name} failed ({status}): nothing is served, and the stack "
            "cannot be updated"
        )
        assert f"describe-stack-events --stack-name {stack.name} says why" in remedy
        assert remedy.endswith(f"npx cdk deploy --all -c env={facts.environment.name}")
        assert "protection" not in remedy


def test_a_protected_stack_is_not_deleted_by_the_next_deployment(promoted: Facts) -> None:
    known = serving(promoted.environment, 3)["stack"]
    stack = replace(known, status="ROLLBACK_COMPLETE", package_arn=None, configuration=None)
    settings = promoted.environment.model_copy(update={"termination_protection": True})
    _, _, remedy = told(replace(promoted, environment=settings, stack=stack, endpoint=None, live=None))
    assert f"--no-enable-termination-protection --stack-name {stack.name}, and deploy again" in remedy


def test_what_is_behind_the_endpoint_is_not_known(promoted: Facts) -> None:
    endpoint = replace(serving(promoted.environment, 3)["endpoint"], package_arn=None)
    kind, what, _ = told(replace(promoted, endpoint=endpoint, live=None))
    assert kind == "unknown"
    assert "which package endpoint movie-recommender-staging serves is not known" in what


def test_a_stack_that_is_gone(promoted: Facts) -> None:
    kind, what, _ = told(replace(promoted, stack=None))
    assert kind == "stack"
    assert "no serving stack" in what


@pytest.mark.parametrize("approval", ["Rejected", "PendingManualApproval"])
def test_a_live_package_that_is_no_longer_approved(promoted: Facts, approval: str) -> None:
    package_now = package(promoted.environment, 3, approval=approval, approval_description="why")
    kind, what, remedy = told(replace(promoted, live=package_now, pinned=package_now))
    assert kind == "approval"
    assert f"it is {approval} (why)" in what
    assert remedy.endswith("recommender rollback staging")


def test_a_live_package_that_was_deleted(training: Facts) -> None:
    kind, what, _ = told(replace(training, live=None))
    assert kind == "approval"
    assert "no longer in the registry" in what


@pytest.mark.parametrize(
    ("artifact", "found"), [(None, "is gone"), (StoredObject("b" * 64), "has SHA-256 bbb")]
)
def test_an_artifact_that_changed(promoted: Facts, artifact: StoredObject | None, found: str) -> None:
    kind, what, remedy = told(replace(promoted, artifact=artifact))
    assert kind == "artifact"
    assert found in what
    assert "promote the model again" in remedy


def test_a_deployment_under_way_is_no_disagreement(promoted: Facts, training: Facts) -> None:
    for facts in (promoted, training):
        assert facts.stack is not None
        assert facts.endpoint is not None
        arn = f"{facts.environment.model_package_arn_prefix}4"
        stack = replace(facts.stack, status="UPDATE_IN_PROGRESS", package_arn=arn)
        assert drifts(replace(facts, stack=stack)) == []
        endpoint = replace(facts.endpoint, status="Updating", configuration="next")
        assert drifts(replace(facts, endpoint=endpoint)) == []
