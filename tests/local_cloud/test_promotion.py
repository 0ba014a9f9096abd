"""`recommender promote` between accounts of the local cloud: what it makes, refuses and survives."""

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import botocore.loaders
import botocore.session
import pytest
from rich.console import Console

from infra.errors import ConfigurationError
from infra.images import image_uri
from ops.errors import OperationError
from ops.promotion import lock, promote
from tests.local_cloud.conftest import RunningCloud
from tests.local_cloud.promotion_world import (
    ARTIFACT,
    CATALOG,
    COPIES,
    SHA256,
    Checkout,
    Place,
    copies,
    evaluation,
    new_account,
)

pytestmark = pytest.mark.local_cloud

KILLED = 86


@dataclass
class World:
    """A source that serves a model, and a target with nothing but storage."""

    checkout: Checkout
    dev: Place
    staging: Place
    package: str
    """What dev serves."""

    def promote(self, source: str = "dev", target: str = "staging", **options: Any) -> str:
        """Promote and return what is shown."""
        output = io.StringIO()
        console = Console(file=output, width=200, highlight=False)
        promote.promote(console, source, target, config=self.checkout.config, **options)
        return output.getvalue()

    def pin(self) -> tuple[str | None, str | None]:
        model = self.checkout.environment("staging").model
        return model.package_arn, model.artifact_sha256

    def target_state(self) -> dict[str, Any]:
        """All that a promotion changes, less what differs from test to test: account, commit, time."""
        packages = []
        for arn in self.staging.packages():
            package = self.staging.package(arn)
            package["CustomerMetadataProperties"].pop("promoted_at")
            packages.append(
                {
                    key: value
                    for key, value in package.items()
                    if key not in ("CreationTime", "ResponseMetadata")
                }
            )
        state = {
            "versions": self.staging.versions("models/"),
            "objects": {key: len(self.staging.read(key)) for key in self.staging.object_keys()},
            "packages": packages,
            "settings": self.checkout.path("staging").read_text(),
            "files": sorted(path.name for path in self.checkout.config.iterdir()),
        }
        text = json.dumps(state, sort_keys=True).replace(self.checkout.git("rev-parse", "HEAD"), "COMMIT")
        return dict(json.loads(text.replace(self.staging.environment.account, "TARGET")))

    def unchanged(self) -> bool:
        return (
            self.staging.versions() == []
            and self.staging.packages() == []
            and self.checkout.git("status", "--porcelain") == ""
        )


@dataclass(frozen=True)
class Source:
    account: str
    package: str


@pytest.fixture(scope="module", autouse=True)
def _one_loader() -> Iterator[None]:
    """Read the services' models once: every promotion makes sessions of its own."""
    loader = botocore.loaders.create_loader()
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(botocore.session, "create_loader", lambda *_: loader)
        yield


@pytest.fixture(autouse=True)
def _this_process(stand_in_cloud: RunningCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{stand_in_cloud.port}")


@pytest.fixture(scope="module")
def served(
    stand_in_cloud: RunningCloud,
    service_role: Callable[[RunningCloud, str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Source:
    """An account in which dev serves a model; tests that change it make another."""
    account = new_account()
    dev = Place(
        stand_in_cloud, Checkout.create(tmp_path_factory.mktemp("dev") / "x", dev=account).environment("dev")
    )
    dev.deploy_storage()
    package = dev.train()
    dev.release(package)
    dev.serve(package, service_role(stand_in_cloud, account))
    return Source(account, package)


@pytest.fixture
def world(stand_in_cloud: RunningCloud, served: Source, tmp_path: Path) -> World:
    checkout = Checkout.create(tmp_path / "checkout", dev=served.account)
    dev = Place(stand_in_cloud, checkout.environment("dev"))
    staging = Place(stand_in_cloud, checkout.environment("staging"))
    staging.deploy_storage()
    return World(checkout, dev, staging, served.package)


@pytest.fixture
def fresh(stand_in_cloud: RunningCloud, tmp_path: Path) -> World:
    """A world whose source may be changed: it has a package, but serves nothing."""
    checkout = Checkout.create(tmp_path / "fresh")
    dev = Place(stand_in_cloud, checkout.environment("dev"))
    staging = Place(stand_in_cloud, checkout.environment("staging"))
    dev.deploy_storage()
    staging.deploy_storage()
    return World(checkout, dev, staging, dev.train())


# -- what it makes -------------------------------------------------------------------------------------------


def test_the_live_model_arrives_byte_for_byte(world: World) -> None:
    shown = world.promote()
    assert world.staging.object_keys() == sorted(COPIES.values())
    for name, key in COPIES.items():
        original = "output/model.tar.gz" if name == "model.tar.gz" else name
        assert world.staging.read(key) == world.dev.read(f"models/run-1/{original}")
        stored = world.staging.client("s3").head_object(
            Bucket=world.staging.bucket, Key=key, ChecksumMode="ENABLED"
        )
        assert "ChecksumSHA256" in stored, "S3 itself has checked the bytes"
        assert (stored["ContentType"] == "application/json") == name.endswith(".json")
    arn = world.staging.environment.model_package_arn_prefix + "1"
    assert world.pin() == (arn, SHA256)
    assert "5 copied, 0 there already" in shown
    for step in ("git commit", "config/staging.toml", "pull request", "npx cdk deploy --all -c env=staging"):
        assert step in shown


def test_the_package_says_where_it_came_from(world: World) -> None:
    commit = world.checkout.git("rev-parse", "HEAD")
    world.promote()
    package = world.staging.package(world.staging.packages()[0])
    assert package["ModelApprovalStatus"] == "Approved"
    container = package["InferenceSpecification"]["Containers"][0]
    bucket = world.staging.bucket
    assert container["Image"] == image_uri("us-east-1")
    assert container["ModelDataUrl"] == f"s3://{bucket}/models/{SHA256}/model.tar.gz"
    quality = package["ModelMetrics"]["ModelQuality"]
    assert quality["Statistics"]["S3Uri"] == f"s3://{bucket}/{COPIES['evaluation.json']}"
    metadata = package["CustomerMetadataProperties"]
    assert metadata.pop("promoted_at").endswith("+00:00")
    assert metadata == {
        "artifact_sha256": SHA256,
        "dataset_digest": "0123456789abcdef",
        "training_job": "run-1",
        "source_key": "ratings/ml-100k.zip",
        "accuracy": "0.7164",
        "auc": "0.7823",
        "cross_entropy": "0.5602",
        "catalog_uri": f"s3://{bucket}/{COPIES['catalog.json']}",
        "histories_uri": f"s3://{bucket}/{COPIES['histories.bin']}",
        "reference_uri": f"s3://{bucket}/{COPIES['reference.json']}",
        "source_account": world.dev.environment.account,
        "source_package_arn": world.package,
        "source_environment": "dev",
        "git_commit": commit,
        "promoted_by": f"arn:aws:iam::{world.staging.environment.account}:root",
    }


def test_a_changed_checkout_is_told_from_its_commit(world: World) -> None:
    world.checkout.git("tag", "v1", "--annotate", "--message", "A tag")
    commit = world.checkout.git("rev-parse", "HEAD")
    world.checkout.path("prod").write_text(world.checkout.path("prod").read_text() + "\n")
    world.promote()
    metadata = world.staging.package(world.staging.packages()[0])["CustomerMetadataProperties"]
    assert metadata["git_commit"] == f"{commit}-dirty"


def test_only_the_pin_changes_in_the_settings(world: World) -> None:
    before = world.checkout.path("staging").read_text().splitlines()
    world.promote()
    after = world.checkout.path("staging").read_text().splitlines()
    added = [line for line in after if line not in before]
    assert [line.split(" = ")[0] for line in added] == ["package_arn", "artifact_sha256"]
    assert [line for line in after if line not in added] == before


def test_a_promoted_model_is_promoted_on_and_region_and_lineage_are_the_next_ones(
    world: World, stand_in_cloud: RunningCloud
) -> None:
    world.promote()
    settings = world.checkout.path("prod").read_text()
    world.checkout.path("prod").write_text(settings.replace('"us-east-1"', '"eu-west-1"'))
    prod = Place(stand_in_cloud, world.checkout.environment("prod"))
    prod.deploy_storage()
    arn = world.staging.packages()[0]
    world.promote("staging", "prod", package=arn)
    package = prod.package(prod.packages()[0])
    assert package["InferenceSpecification"]["Containers"][0]["Image"] == image_uri("eu-west-1")
    metadata = package["CustomerMetadataProperties"]
    assert metadata["source_package_arn"] == arn
    assert metadata["source_environment"] == "staging"
    assert metadata["training_job"] == "run-1"
    assert world.checkout.environment("prod").model.artifact_sha256 == SHA256


def test_a_second_promotion_does_nothing_again(world: World) -> None:
    world.promote()
    state = world.target_state()
    shown = world.promote()
    assert world.target_state() == state
    assert "0 copied, 5 there already" in shown
    assert "config/staging.toml already pins movie-recommender-staging/1" in shown


def test_a_dry_run_says_all_and_changes_nothing(world: World) -> None:
    shown = world.promote(dry_run=True)
    assert world.unchanged()
    for key in COPIES.values():
        assert f"copy s3://{world.staging.bucket}/{key}" in shown
    assert "register it in movie-recommender-staging" in shown
    assert f"source_package_arn = {world.package}" in shown
    assert "write the pin into config/staging.toml (it pins nothing now)" in shown
    world.promote()
    state = world.target_state()
    shown = world.promote(dry_run=True)
    assert world.target_state() == state
    assert shown.count("keep (there already)") == len(COPIES)
    assert "keep the pin" in shown


def test_a_flipped_byte_in_the_copy_is_put_right(world: World) -> None:
    world.promote()
    flipped = ARTIFACT[:1000] + bytes([ARTIFACT[1000] ^ 1]) + ARTIFACT[1001:]
    world.staging.put(COPIES["model.tar.gz"], flipped)
    assert "1 copied, 4 there already" in world.promote()
    assert world.staging.read(COPIES["model.tar.gz"]) == ARTIFACT
    assert len(world.staging.packages()) == 1


def test_the_same_artifact_with_another_catalogue_leaves_the_first_ones_files(fresh: World) -> None:
    """A model that is trained again on the same ratings may come out the same, byte for byte."""
    fresh.promote(package=fresh.package)
    other = b'{"catalog": 2}'
    shown = fresh.promote(package=fresh.dev.train("run-2", catalog=other))
    assert "4 copied, 1 there already" in shown
    both = COPIES | {f"second {name}": key for name, key in copies(catalog=other).items()}
    assert fresh.staging.object_keys() == sorted(set(both.values()))
    assert fresh.staging.versions("models/") == sorted(set(both.values())), "nothing was written over"
    for arn, catalog in zip(fresh.staging.packages(), (CATALOG, other), strict=True):
        uri = fresh.staging.package(arn)["CustomerMetadataProperties"]["catalog_uri"]
        assert fresh.staging.read(uri.removeprefix(f"s3://{fresh.staging.bucket}/")) == catalog


# -- what it refuses -----------------------------------------------------------------------------------------


def refused(world: World, match: str, *names: str, **options: Any) -> None:
    with pytest.raises(OperationError, match=match):
        world.promote(*names, **options)
    assert world.unchanged()


def test_an_unknown_environment(world: World) -> None:
    with pytest.raises(ConfigurationError, match='"stagin" is unknown; did you mean "staging"'):
        world.promote("dev", "stagin")


def test_the_same_environment_twice(world: World) -> None:
    refused(world, "staging cannot be promoted to itself", "staging", "staging")


def test_a_target_that_trains(world: World) -> None:
    refused(world, "dev trains its own models", "staging", "dev")


def test_a_target_without_a_bucket(world: World) -> None:
    match = (
        r"prod has no model bucket \(there is no stack movie-recommender-prod-storage\): deploy its storage "
        r"first: `npx cdk deploy movie-recommender-prod-storage -c env=prod`"
    )
    refused(world, match, "dev", "prod")


def test_settings_that_are_not_valid(world: World) -> None:
    path = world.checkout.path("staging")
    text = path.read_text().replace('source = "promoted"', 'source = "promted"')
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"config/staging.toml: model.source = \"promted\""):
        world.promote()
    assert path.read_text() == text
    assert world.staging.versions() == []


def test_settings_that_become_invalid_meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path = world.checkout.path("staging")

    def broken(*arguments: Any) -> Any:
        path.write_text("[model\n")
        return completed(*arguments)

    completed = promote.completed
    monkeypatch.setattr(promote, "completed", broken)
    with pytest.raises(ConfigurationError, match=r"config/staging\.toml: not TOML"):
        world.promote()
    assert path.read_text() == "[model\n"
    world.checkout.git("checkout", "config/staging.toml")
    monkeypatch.undo()


def test_a_source_that_serves_nothing(fresh: World) -> None:
    refused(fresh, "dev serves no model: it has no endpoint movie-recommender-dev")


def test_a_source_whose_parameter_says_something_else(
    fresh: World, stand_in_cloud: RunningCloud, service_role: Callable[[RunningCloud, str], str]
) -> None:
    fresh.dev.serve(fresh.package, service_role(stand_in_cloud, fresh.dev.environment.account))
    fresh.dev.release(fresh.dev.train("run-2"))
    refused(
        fresh,
        "dev serves movie-recommender-dev/1, but its SSM parameter says movie-recommender-dev/2: "
        "`recommender status dev`",
    )


def test_a_package_that_does_not_exist(world: World) -> None:
    prefix = world.dev.environment.model_package_arn_prefix
    refused(world, f"There is no model package {prefix}99", package=f"{prefix}99")


@pytest.mark.parametrize("arn", ["3", "arn:aws:sagemaker:us-east-1:1:model-package/x/1"])
def test_a_package_of_another_registry(world: World, arn: str) -> None:
    refused(world, "is not a package of dev's registry", package=arn)


@pytest.mark.parametrize("approval", ["PendingManualApproval", "Rejected"])
def test_a_package_that_is_not_approved(fresh: World, approval: str) -> None:
    fresh.dev.set_approval(fresh.package, approval, "the alarm rang")
    match = rf"movie-recommender-dev/1 cannot be used: it is {approval} \(the alarm rang\), not Approved"
    refused(fresh, match, package=fresh.package)


def test_a_package_that_is_rejected_meanwhile(fresh: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(*arguments: Any) -> Any:
        fresh.dev.set_approval(fresh.package, "Rejected", "just now")
        return store(*arguments)

    store = promote.store
    monkeypatch.setattr(promote, "store", reject)
    with pytest.raises(OperationError, match=r"it is Rejected \(just now\)"):
        fresh.promote(package=fresh.package)
    assert fresh.staging.packages() == []
    assert fresh.checkout.git("status", "--porcelain") == ""


def test_a_model_that_failed_its_gate(fresh: World) -> None:
    arn = fresh.dev.train("run-2", verdict=evaluation(passed=False))
    match = "did not pass its gate: accuracy 0.6999 is below the floor 0.7000"
    refused(fresh, match, package=arn)


@pytest.mark.parametrize(
    ("verdict", "match"),
    [
        (b"{", "its evaluation cannot be read: s3://.*/evaluation.json"),
        (b'{"model": {"artifact_sha256": "0"}}', "gate: Field required"),
        (evaluation(sha256="0" * 64), "is the evaluation of another artifact"),
    ],
)
def test_an_evaluation_that_says_nothing_of_this_model(fresh: World, verdict: bytes, match: str) -> None:
    refused(fresh, match, package=fresh.dev.train("run-2", verdict=verdict))


def test_a_flipped_byte_in_the_source(fresh: World) -> None:
    flipped = bytes([ARTIFACT[0] ^ 1]) + ARTIFACT[1:]
    fresh.dev.put("models/run-1/output/model.tar.gz", flipped)
    refused(fresh, "the SHA-256 of its artifact is not what was registered", package=fresh.package)


def test_a_file_that_is_gone(fresh: World) -> None:
    fresh.dev.client("s3").delete_object(Bucket=fresh.dev.bucket, Key="models/run-1/reference.json")
    refused(fresh, "models/run-1/reference.json cannot be read", package=fresh.package)


@pytest.mark.parametrize("key", ["artifact_sha256", "reference_uri", "auc"])
def test_a_package_without_its_metadata(fresh: World, key: str) -> None:
    arn = fresh.dev.train("run-2", without=(key,))
    refused(fresh, f"movie-recommender-dev/2 does not record its {key}", package=arn)


def test_a_model_that_was_rejected_in_the_target(world: World) -> None:
    world.promote()
    world.staging.set_approval(world.staging.packages()[0], "Rejected")
    before = world.checkout.git("status", "--porcelain")
    with pytest.raises(OperationError, match="has this model already, as movie-recommender-staging/1"):
        world.promote()
    assert len(world.staging.packages()) == 1
    assert world.checkout.git("status", "--porcelain") == before


def test_a_checkout_without_git(world: World) -> None:
    (world.checkout.root / ".git").rename(world.checkout.root / "git")
    with pytest.raises(OperationError, match="is in no git checkout"):
        world.promote()
    assert world.staging.versions() == []


# -- one at a time -------------------------------------------------------------------------------------------


def holder(**changes: Any) -> bytes:
    known = {
        "owner": "arn:aws:iam::1:user/alice",
        "host": "elsewhere",
        "pid": 7,
        "purpose": "dev → staging",
        "since": "2026-01-01T10:20:30Z",
    }
    return json.dumps(known | changes).encode()


def test_a_promotion_at_the_same_time_is_refused_with_its_name(world: World) -> None:
    world.staging.put(lock.KEY, holder())
    match = r"alice on elsewhere \(process 7, dev → staging, since 10:20:30 UTC\) is promoting"
    with pytest.raises(OperationError, match=match):
        world.promote()
    assert world.staging.object_keys() == [lock.KEY]
    assert world.staging.packages() == []
    assert world.staging.read(lock.KEY) == holder(), "the lock is the other's still"


def test_a_lock_that_nobody_renewed_is_taken_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.staging.put(lock.KEY, holder())
    monkeypatch.setattr(lock, "LEASE_SECONDS", -1.0)
    with contextlib.suppress(OperationError):  # nor has this one so short a life
        world.promote()
    assert lock.KEY not in world.staging.object_keys(), "taken over and given back"


def test_two_at_once_do_the_work_of_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second begins while the first copies, and is refused; afterwards it finds everything done."""
    refusals = []

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(promote, "store", store)
        with pytest.raises(OperationError, match="is promoting to the same environment") as refusal:
            world.promote()
        refusals.append(refusal)
        return store(*arguments)

    store = promote.store
    monkeypatch.setattr(promote, "store", meanwhile)
    world.promote()
    assert len(refusals) == 1
    assert "0 copied" in world.promote()
    assert len(world.staging.packages()) == 1


@pytest.fixture
def session(world: World) -> boto3.Session:
    return boto3.Session(
        aws_access_key_id=world.staging.environment.account,
        aws_secret_access_key="local",
        region_name="us-east-1",
    )


def test_a_holder_that_lost_its_lock_stops(
    world: World, session: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "RENEWAL_SECONDS", 0.05)
    with lock.promotion_lock(session.client("s3"), world.staging.bucket, owner="me", purpose="x") as held:
        held.require()
        renewed = json.loads(world.staging.read(lock.KEY))
        held._released.wait(0.3)
        assert json.loads(world.staging.read(lock.KEY))["renewals"] > renewed["renewals"]
        world.staging.put(lock.KEY, holder())
        held._released.wait(0.3)
        with pytest.raises(OperationError, match="was lost"):
            held.require()
    assert world.staging.read(lock.KEY) == holder(), "the lock is the other's now, and stays"


def test_a_lock_that_cannot_be_read_ends_too(
    world: World, session: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.staging.put(lock.KEY, b"?")
    with (
        pytest.raises(OperationError, match="somebody whose name cannot be read"),
        lock.promotion_lock(session.client("s3"), world.staging.bucket, owner="me", purpose="x"),
    ):
        pass
    monkeypatch.setattr(lock, "LEASE_SECONDS", -1.0)
    with lock.promotion_lock(session.client("s3"), world.staging.bucket, owner="me", purpose="x"):
        assert json.loads(world.staging.read(lock.KEY))["owner"] == "me"


# -- interruptions -------------------------------------------------------------------------------------------

READING = ("Get", "Head", "List", "Describe")
STEPS = [
    f"PutObject {lock.KEY}",
    *(f"PutObject {key}" for key in COPIES.values()),
    "CreateModelPackage",
    "fsync",
    "rename staging.toml",
    f"DeleteObject {lock.KEY}",
]
"""Everything that a promotion changes anywhere, in order."""


@contextlib.contextmanager
def watched(before: Callable[[str], None], after: Callable[[str], None]) -> Iterator[None]:
    """Call `before` and `after` around each change that this process makes, with its name."""

    def around(name: str, change: Callable[[], Any]) -> Any:
        before(name)
        result = change()
        after(name)
        return result

    call, sync, replace = botocore.client.BaseClient._make_api_call, os.fsync, Path.replace

    def _make_api_call(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if operation.startswith(READING):
            return call(self, operation, parameters)
        name = f"{operation} {parameters.get('Key', '')}".strip()
        return around(name, lambda: call(self, operation, parameters))

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(botocore.client.BaseClient, "_make_api_call", _make_api_call)
        patches.setattr(os, "fsync", lambda file: around("fsync", lambda: sync(file)))
        patches.setattr(
            Path, "replace", lambda self, to: around(f"rename {Path(to).name}", lambda: replace(self, to))
        )
        yield


def killed(world: World, *, before: str | None = None, after: str | None = None) -> None:
    """Promote in another process that ends at once, as by SIGKILL, before or after a change."""

    def end_at(name: str | None) -> Callable[[str], None]:
        return lambda change: os._exit(KILLED) if change == name else None

    child = os.fork()
    if child == 0:
        try:
            with watched(end_at(before), end_at(after)):
                world.promote()
        finally:
            os._exit(1)  # it was to be killed
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


@pytest.fixture(scope="module")
def uninterrupted() -> dict[str, Any]:
    """Filled by the first test below."""
    return {}


def test_the_steps_below_are_all_that_a_promotion_changes(
    world: World, uninterrupted: dict[str, Any]
) -> None:
    changes: list[str] = []
    with watched(changes.append, lambda _: None):
        world.promote()
    assert changes == STEPS
    uninterrupted |= world.target_state()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("change", STEPS)
def test_killed_and_run_again_it_ends_as_if_nothing_had_been(
    world: World, uninterrupted: dict[str, Any], change: str, when: str
) -> None:
    killed(world, **{when: change})
    if world.pin() != (None, None):
        arn = world.pin()[0]
        assert world.staging.package(arn)["ModelApprovalStatus"] == "Approved", "a pin is deployable"
    if world.staging.packages():
        assert set(COPIES.values()) <= set(world.staging.object_keys()), "a package has all of its files"
    world.promote()
    assert world.target_state() == uninterrupted
