"""`recommender status` and `recommender rollback`: drift made by hand, and the way back."""

import io
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ops.errors import OperationError
from ops.promotion import rollback
from ops.promotion.status import EnvironmentStatus, read_statuses
from ops.promotion.status_report import show, to_json
from tests.local_cloud.conftest import RunningCloud, wait_for
from tests.local_cloud.promotion_world import ARTIFACT, SHA256, Checkout, Place, archive

pytestmark = pytest.mark.local_cloud

OTHER = archive(b"another model")


@dataclass
class World:
    """Settings in which dev trains and staging serves what is pinned."""

    checkout: Checkout
    cloud: RunningCloud
    role: Callable[..., str]

    def place(self, name: str) -> Place:
        return Place(self.cloud, self.checkout.environment(name))

    def role_of(self, place: Place) -> str:
        return self.role(self.cloud, place.environment.account)

    def status(self, name: str) -> EnvironmentStatus:
        (status,) = read_statuses([name], config=self.checkout.config)
        return status

    def drift(self, name: str) -> list[str]:
        return [drift.kind for drift in self.status(name).drifts]

    def pin(self, name: str, arn: str, sha256: str) -> None:
        path = self.checkout.path(name)
        lines = [
            line
            for line in path.read_text().splitlines(keepends=True)
            if not line.startswith(("package_arn", "artifact_sha256"))
        ]
        own = f'[model]\npackage_arn = "{arn}"\nartifact_sha256 = "{sha256}"\n'
        path.write_text("".join(lines).replace("[model]\n", own))

    def rollback(self, name: str, **options: Any) -> str:
        output = io.StringIO()
        console = Console(file=output, width=200, highlight=False)
        rollback.rollback(console, name, config=self.checkout.config, **options)
        return output.getvalue()


@pytest.fixture
def world(
    stand_in_cloud: RunningCloud,
    service_role: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{stand_in_cloud.port}")
    return World(Checkout.create(tmp_path / "checkout"), stand_in_cloud, service_role)


@pytest.fixture
def staging(world: World) -> Place:
    """Two packages, of which the second is pinned, committed and deployed."""
    place = world.place("staging")
    place.deploy_storage()
    for arn, artifact in ((place.train("one", artifact=OTHER), OTHER), (place.train("two"), ARTIFACT)):
        world.pin("staging", arn, place.package(arn)["CustomerMetadataProperties"]["artifact_sha256"])
        world.checkout.commit(f"Pin {len(artifact)} bytes")
    place.deploy_serving(place.packages()[1], world.role_of(place))
    return place


@pytest.fixture
def dev(world: World) -> Place:
    """Two approved packages, of which the second is released and deployed."""
    place = world.place("dev")
    place.deploy_storage()
    place.train("one", artifact=OTHER)
    arn = place.train("two")
    place.release(arn)
    place.deploy_serving(arn, world.role_of(place))
    return place


# -- status --------------------------------------------------------------------------------------------------


def test_every_kind_of_drift_made_by_hand_and_put_right(world: World, staging: Place) -> None:
    first, second = staging.packages()
    assert world.drift("staging") == []

    world.pin("staging", first, "0" * 64)
    assert world.drift("staging") == ["pin", "pin"], "not what the package records, nor what is deployed"
    world.pin("staging", f"{first[:-1]}9", SHA256)
    assert world.drift("staging") == ["pin", "pin"], "not in the registry, nor deployed"
    world.checkout.git("checkout", "config")

    staging.serve(first, world.role_of(staging))
    (drift,) = world.status("staging").drifts
    assert drift.kind == "endpoint"
    configuration = drift.remedy.rpartition(" ")[2]
    sagemaker, endpoint = staging.client("sagemaker"), staging.environment.endpoint_name
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=configuration)
    wait_for(lambda: world.status("staging").state == "InService")
    assert world.drift("staging") == [], "the remedy is one"

    staging.set_approval(second, "Rejected", "it forgets users")
    (drift,) = world.status("staging").drifts
    assert drift.kind == "approval"
    assert "staging/2 is served, but it is Rejected (it forgets users)" in drift.what
    staging.set_approval(second, "Approved")

    staging.client("s3").delete_object(Bucket=staging.bucket, Key="models/two/output/model.tar.gz")
    assert world.drift("staging") == ["artifact"]


def test_what_becomes_of_a_parameter_changed_by_hand(world: World, dev: Place) -> None:
    assert world.drift("dev") == []
    dev.release(dev.packages()[0])
    assert world.drift("dev") == ["parameter", "parameter"], "not the newest approved one, nor deployed"
    dev.client("ssm").delete_parameter(Name=dev.environment.model_package_parameter)
    assert world.drift("dev") == ["parameter"]


def test_a_deleted_endpoint_and_a_left_one(world: World, staging: Place) -> None:
    staging.client("sagemaker").delete_endpoint(EndpointName=staging.environment.endpoint_name)
    wait_for(lambda: not staging.client("sagemaker").list_endpoints()["Endpoints"])
    status = world.status("staging")
    assert [drift.kind for drift in status.drifts] == ["endpoint"]
    assert status.state == "no endpoint"
    cloudformation = staging.client("cloudformation")
    cloudformation.delete_stack(StackName="movie-recommender-staging-serving")
    wait_for(lambda: world.status("staging").state == "not serving")
    staging.serve(staging.packages()[1], world.role_of(staging))
    assert world.drift("staging") == ["stack"]


def test_all_environments_in_one_table(world: World, staging: Place) -> None:
    world.place("dev").deploy_storage()
    world.checkout.path("prod").write_text("[model")
    statuses = {status.name: status for status in read_statuses(config=world.checkout.config)}
    assert {name: status.state for name, status in statuses.items()} == {
        "dev": "not serving",
        "prod": "not valid",
        "staging": "InService",
    }
    output = io.StringIO()
    show(Console(file=output, width=80), list(statuses.values()))
    lines = output.getvalue().splitlines()
    (row,) = (line for line in lines if line.startswith("staging "))
    assert row.split()[:5] == ["staging", "2", SHA256[:8], "0.7164", "0.7823"]
    assert row.split()[-2:] == ["InService", "none"]
    assert any(line.startswith("prod: config/prod.toml: not TOML") for line in lines)


def test_the_same_as_json(world: World, staging: Place) -> None:
    (document,) = json.loads(to_json([world.status("staging")]))
    arn = staging.packages()[1]
    assert document["environment"] == "staging"
    assert document["account"] == staging.environment.account
    assert document["endpoint"]["package_arn"] == arn
    assert document["package"]["arn"] == arn
    assert document["package"]["auc"] == 0.7823
    assert document["drift"] == []


def test_an_environment_that_is_not_there_is_a_row(world: World) -> None:
    status = world.status("prod")
    assert status.state == "not deployed"
    assert status.problem is not None
    assert "npx cdk deploy --all -c env=prod" in status.problem
    world.place("prod").deploy_storage()
    assert world.status("prod").state == "no model yet"


def test_credentials_that_are_missing_are_a_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("AWS_ENDPOINT_URL", ""),
        ("AWS_CONFIG_FILE", "/none"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/none"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, value)
    status = world.status("prod")
    assert status.state == "not reached"
    assert status.problem is not None
    assert "Unable to locate credentials" in status.problem


# -- rollback ------------------------------------------------------------------------------------------------


@pytest.fixture
def deployments(world: World, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the CDK was told; it does what the serving stack would, with the pin in the settings."""
    calls: list[list[str]] = []

    def cdk(arguments: list[str], *, variables: Mapping[str, str], cwd: Path, **_: Any) -> None:
        place = world.place("staging")
        assert variables["AWS_ACCESS_KEY_ID"] == place.environment.account
        assert cwd == world.checkout.root
        calls.append(arguments)
        arn = place.environment.model.package_arn
        assert arn is not None
        place.deploy_serving(arn, world.role_of(place))

    monkeypatch.setattr(rollback, "cdk", cdk)
    return calls


def test_the_previous_pin_is_deployed(world: World, staging: Place, deployments: list[list[str]]) -> None:
    first, _ = staging.packages()
    shown = world.rollback("staging")
    (arguments,) = deployments
    assert arguments[:2] == ["deploy", "movie-recommender-staging-serving"]
    assert "env=staging" in arguments
    assert world.checkout.environment("staging").model.package_arn == first
    status = world.status("staging")
    assert status.drifts == []
    assert status.package is not None
    assert status.package.arn == first
    assert "The checkout that is deployed: branch main, commit" in shown
    assert "50 percent of the requests go to the new instances for 300 s, then all" in shown
    assert "git commit" in shown


def test_an_interrupted_rollback_is_finished_not_undone(
    world: World, staging: Place, deployments: list[list[str]]
) -> None:
    first, _ = staging.packages()
    for _ in range(2):
        world.rollback("staging")
        assert world.checkout.environment("staging").model.package_arn == first
    world.checkout.commit("Roll back")
    with pytest.raises(OperationError, match="git knows no earlier pin of staging"):
        world.rollback("staging")  # and does not return to what it was rolled back from


def test_a_promotion_that_is_not_committed_is_what_is_rolled_back(
    world: World, staging: Place, deployments: list[list[str]]
) -> None:
    _, second = staging.packages()
    third = staging.train("three")
    world.pin("staging", third, SHA256)
    staging.deploy_serving(third, world.role_of(staging))
    world.rollback("staging")
    assert world.checkout.environment("staging").model.package_arn == second


def test_a_package_can_be_named(world: World, staging: Place, deployments: list[list[str]]) -> None:
    arn = staging.train("three")
    world.rollback("staging", package=arn)
    model = world.checkout.environment("staging").model
    assert (model.package_arn, model.artifact_sha256) == (arn, SHA256)


def test_nothing_is_touched_if_the_previous_one_will_not_do(
    world: World, staging: Place, deployments: list[list[str]]
) -> None:
    first, _ = staging.packages()
    staging.set_approval(first, "Rejected")
    with pytest.raises(OperationError, match="it is Rejected, not Approved"):
        world.rollback("staging")
    staging.set_approval(first, "Approved")
    staging.put("models/one/output/model.tar.gz", ARTIFACT)
    with pytest.raises(OperationError, match="its bytes have changed"):
        world.rollback("staging")
    with pytest.raises(OperationError, match="is not a package of staging's registry"):
        world.rollback("staging", package="x")
    assert deployments == []
    assert world.checkout.git("status", "--porcelain") == ""


def test_a_checkout_that_is_behind_goes_back_nowhere(
    world: World, staging: Place, deployments: list[list[str]]
) -> None:
    third = staging.train("three")
    staging.deploy_serving(third, world.role_of(staging))
    match = (
        "staging serves movie-recommender-staging/3, this checkout pins movie-recommender-staging/2: "
        "git pull, or name the package to go back to with --package"
    )
    with pytest.raises(OperationError, match=match):
        world.rollback("staging")
    assert deployments == []
    assert world.checkout.git("status", "--porcelain") == ""
    world.rollback("staging", package=staging.packages()[1])
    assert world.drift("staging") == []


def test_what_is_not_committed_is_not_deployed(
    world: World, staging: Place, deployments: list[list[str]]
) -> None:
    prod = world.checkout.path("prod")
    prod.write_text(prod.read_text() + "\n")
    (world.checkout.root / "new.py").touch()
    match = r"deploy what is not committed as well: M config/prod\.toml, \?\? new\.py\. Commit it"
    for package in (None, staging.packages()[0]):
        with pytest.raises(OperationError, match=match):
            world.rollback("staging", package=package)
    assert deployments == []


def test_a_deployment_that_goes_on_without_the_cdk_keeps_the_pin(
    world: World, staging: Place, deployments: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = staging.packages()
    deploy = rollback.cdk

    def lose(*arguments: Any, **options: Any) -> None:
        deploy(*arguments, **options)
        raise OperationError("`cdk deploy` failed: the network is down")

    monkeypatch.setattr(rollback, "cdk", lose)
    match = r"has failed, but stack .* is UPDATE_COMPLETE with this package.*the network is down"
    with pytest.raises(OperationError, match=match):
        world.rollback("staging")
    assert world.checkout.environment("staging").model.package_arn == first
    assert world.drift("staging") == []


def test_a_deployment_that_fails_leaves_the_pin(
    world: World, staging: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OperationError("`cdk deploy` failed: smoke test")

    monkeypatch.setattr(rollback, "cdk", fail)
    match = "staging was not rolled back, and config/staging.toml is as it was before.*smoke test"
    with pytest.raises(OperationError, match=match):
        world.rollback("staging")
    assert world.checkout.git("status", "--porcelain") == ""


def test_where_it_trains_the_live_package_is_rejected_and_release_awaited(
    world: World, dev: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollback, "_POLL_SECONDS", 0.1)
    first, second = dev.packages()

    def release() -> None:
        wait_for(lambda: dev.package(second)["ModelApprovalStatus"] == "Rejected")
        dev.release(first)
        dev.deploy_serving(first, world.role_of(dev))

    thread = threading.Thread(target=release)
    thread.start()
    shown = world.rollback("dev")
    thread.join()
    assert "movie-recommender-dev/2 was served, and is Rejected now" in shown
    assert "dev serves movie-recommender-dev/1 again" in shown
    assert "Rolled back by arn:" in dev.package(second)["ApprovalDescription"]
    assert world.drift("dev") == []
    with pytest.raises(OperationError, match="has no approved package other than movie-recommender-dev/1"):
        world.rollback("dev")
    assert dev.package(first)["ModelApprovalStatus"] == "Approved"


def test_a_release_that_does_not_begin_or_fails_is_told(
    world: World, dev: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollback, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(rollback, "_BEGIN_SECONDS", 0.3)
    first, second = dev.packages()
    with pytest.raises(OperationError, match="no Release state machine has begun"):
        world.rollback("dev")
    dev.release(first)

    def give_up(_message: str) -> None:
        dev.release(second)

    environment = world.checkout.environment("dev")
    session = rollback.session_for(environment)
    with pytest.raises(OperationError, match="dev could not go back to movie-recommender-dev/1"):
        rollback._await_release(environment, session, first, give_up)


def test_where_it_trains_no_package_can_be_named(world: World) -> None:
    with pytest.raises(OperationError, match="--package is not for it"):
        world.rollback("dev", package="x")


def test_where_nothing_is_served_there_is_nothing_to_roll_back(world: World) -> None:
    world.place("dev").deploy_storage()
    with pytest.raises(OperationError, match="serves no model package"):
        world.rollback("dev")
