"""`recommender promote`: the same model bytes, from one environment to the next.

Each step looks at what is there before it adds anything, and the order makes what an interruption leaves
harmless: files that no package names yet, then a package that no pin names yet, then the pin.
"""

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from rich.console import Console
from rich.markup import escape

from infra.environment import Environment, load_environment
from ops.accounts import caller, session_for
from ops.errors import OperationError
from ops.git import git, git_succeeds
from ops.paths import CONFIG
from ops.progress import step
from ops.promotion.destination import Provenance, model_bucket, place_of, registration_of, summary_of
from ops.promotion.lock import PromotionLock, promotion_lock
from ops.promotion.objects import FetchedFile, find_object, store
from ops.promotion.packages import (
    ModelPackage,
    completed,
    package_name,
    read_package,
    register,
    registered_copy,
)
from ops.promotion.pin import Pin, pin_of, write_pin
from ops.promotion.source import Model, chosen_package, fetch_model

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient


@dataclass(frozen=True)
class Side:
    """An environment with a session in its account."""

    environment: Environment
    session: boto3.Session

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.environment.name

    @cached_property
    def s3(self) -> "S3Client":
        """Amazon S3."""
        return self.session.client("s3")

    @cached_property
    def sagemaker(self) -> "SageMakerClient":
        """Amazon SageMaker AI."""
        return self.session.client("sagemaker")


@dataclass(frozen=True)
class Promotion:
    """All that is known once everything has been checked and nothing has been changed."""

    source: Side
    target: Side
    model: Model
    bucket: str
    """The target's model bucket."""
    origin: Provenance

    @property
    def name(self) -> str:
        """What others are told of it."""
        return f"{self.source.name} → {self.target.name}"

    def missing_files(self) -> list[FetchedFile]:
        """Return the files that are not in the target's bucket with the right SHA-256."""
        return [file for file in self.model.files if not self._is_there(file)]

    def _is_there(self, file: FetchedFile) -> bool:
        found = find_object(self.target.s3, place_of(file, self.model, self.bucket))
        return found is not None and found.sha256 == file.sha256

    def registered(self) -> ModelPackage | None:
        """Return the package that an earlier run registered in the target, if it may be deployed.

        Raises:
            OperationError: it may not, because somebody rejected it there.
        """
        package = registered_copy(
            self.target.sagemaker,
            self.target.environment,
            artifact_sha256=self.model.package.artifact_sha256,
            source_package_arn=self.model.package.arn,
        )
        if package is not None and package.approval != "Approved":
            raise OperationError(
                f"{self.target.name} has this model already, as {package.name}, and there it is "
                f"{package.approval}: approve it there if it is to serve, or promote another package"
            )
        return package

    def register(self) -> str:
        """Register the model in the target and return the package's ARN.

        Raises:
            OperationError: the source's package may no longer be deployed, or AWS refuses.
        """
        read_package(self.source.sagemaker, self.model.package.arn).require_usable()
        return register(
            self.target.sagemaker,
            registration_of(self.model, self.target.environment, self.bucket, self.origin),
        )


def promote(
    console: Console,
    source: str,
    target: str,
    *,
    package: str | None = None,
    dry_run: bool = False,
    source_profile: str | None = None,
    target_profile: str | None = None,
    config: Path = CONFIG,
) -> None:
    """Copy a model of environment `source` into `target`, register it there and pin it.

    Args:
        console: shows the progress.
        source: name of an environment.
        target: name of an environment that serves promoted models.
        package: ARN of the source's package; without it the one that the source serves.
        dry_run: say what would be done, and change nothing.
        source_profile: AWS profile of the source's account.
        target_profile: AWS profile of the target's account.
        config: the folder of the settings, in a git checkout.

    Raises:
        OperationError, ConfigurationError: a check failed; nothing is deployable that was not before.
    """
    environments = _checked(source, target, config)
    commit = _commit(config)
    with step(console, f"Credentials of {source} and {target}"):
        sides = (
            Side(environments[0], session_for(environments[0], source_profile, option="--source-profile")),
            Side(environments[1], session_for(environments[1], target_profile, option="--target-profile")),
        )
    with tempfile.TemporaryDirectory(prefix="promotion-") as folder:
        promotion = _prepared(console, sides, package, Path(folder), commit)
        if dry_run:
            _show_plan(console, promotion)
            return
        with promotion_lock(
            promotion.target.s3, promotion.bucket, owner=promotion.origin.promoted_by, purpose=promotion.name
        ) as lock:
            pin = _carried_out(console, promotion, lock)
            changed = write_pin(target, pin, config=config)
    _show_next(console, promotion, pin, changed=changed)


def _checked(source: str, target: str, config: Path) -> tuple[Environment, Environment]:
    environments = load_environment(source, folder=config), load_environment(target, folder=config)
    if source == target:
        raise OperationError(f"{source} cannot be promoted to itself: name two environments")
    if environments[1].training is not None:
        raise OperationError(
            f"{target} trains its own models and follows them (config/{target}.toml: model.source), so "
            'nothing can be promoted to it: name an environment with model.source = "promoted"'
        )
    return environments


def _prepared(
    console: Console, sides: tuple[Side, Side], arn: str | None, folder: Path, commit: str
) -> Promotion:
    source, target = sides
    bucket = model_bucket(target.environment, target.session)
    with step(console, f"The model package of {source.name}") as progress:
        package = chosen_package(source.environment, source.session, arn)
        progress(package.name)
    console.print(f"  {package.name}: Approved", soft_wrap=True)
    with step(console, "Its files, and whether they are what was registered") as progress:
        model = fetch_model(source.s3, package, folder, progress)
    console.print(f"  artifact {package.artifact_sha256}, as recorded", soft_wrap=True)
    console.print(f"  gate passed: {summary_of(package.metadata)}", soft_wrap=True)
    origin = Provenance(source.environment, commit, caller(target.session), datetime.now(UTC))
    promotion = Promotion(source, target, model, bucket, origin)
    # What cannot be registered is refused before anything is copied.
    registration_of(model, target.environment, bucket, origin)
    promotion.registered()
    return promotion


def _carried_out(console: Console, promotion: Promotion, lock: PromotionLock) -> Pin:
    target, model = promotion.target, promotion.model
    with step(console, f"Files to {target.name}") as progress:
        missing = promotion.missing_files()
        for file in missing:
            progress(f"{file.path.name}: {file.size:,} bytes")
            lock.require()
            store(target.s3, file, place_of(file, model, promotion.bucket))
    present = len(model.files) - len(missing)
    console.print(f"  {len(missing)} copied, {present} there already", soft_wrap=True)
    with step(console, f"Registration in {target.name}") as progress:
        package = promotion.registered()
        known = package is not None
        if package is None:
            lock.require()
            arn = promotion.register()
        else:
            arn = package.arn
        progress(package_name(arn))
        registered = completed(target.sagemaker, arn)
        registered.require_usable()
    console.print(
        f"  {registered.name}{', there already' if known else ''}: {registered.arn}", soft_wrap=True
    )
    lock.require()
    return Pin(registered.arn, model.package.artifact_sha256)


def _commit(config: Path) -> str:
    """The checkout's commit, as a promotion records it."""
    if not git_succeeds(config, "rev-parse", "--verify", "--quiet", "HEAD"):
        raise OperationError(
            f"{config} is in no git checkout with a commit: a promotion records the commit, and its pin is "
            "to be committed"
        )
    # `--exclude=*`: by its hash, whatever tags there are.
    return git(config, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")


def _show_plan(console: Console, promotion: Promotion) -> None:
    target, model = promotion.target, promotion.model
    missing = promotion.missing_files()
    console.print(f"\n[bold]What a promotion {promotion.name} would do[/bold]")
    for file in model.files:
        verb = "copy" if file in missing else "keep (there already)"
        place = place_of(file, model, promotion.bucket).uri
        console.print(f"  {verb} {escape(place)}, {file.size:,} bytes", soft_wrap=True)
    package = promotion.registered()
    if package is None:
        console.print(f"  register it in {target.environment.model_package_group}, with", soft_wrap=True)
        registration = registration_of(model, target.environment, promotion.bucket, promotion.origin)
        for key, value in sorted(registration.metadata.items()):
            console.print(f"    {key} = {escape(value)}", soft_wrap=True)
    else:
        console.print(f"  keep {package.arn} (registered already)", soft_wrap=True)
    pinned = pin_of(target.environment)
    if package is not None and pinned == Pin(package.arn, model.package.artifact_sha256):
        console.print(f"  keep the pin in config/{target.name}.toml", soft_wrap=True)
    else:
        before = package_name(pinned.package_arn) if pinned else "nothing"
        console.print(
            f"  write the pin into config/{target.name}.toml (it pins {before} now)", soft_wrap=True
        )
    console.print("Nothing has been changed.")


def _show_next(console: Console, promotion: Promotion, pin: Pin, *, changed: bool) -> None:
    name = promotion.target.name
    console.print(
        f"\n[bold green]{promotion.name}[/bold green]: config/{name}.toml "
        f"{'now pins' if changed else 'already pins'} {package_name(pin.package_arn)}",
        soft_wrap=True,
    )
    version = package_name(pin.package_arn)
    console.print(
        "Next:\n"
        f"  git switch -c promote-{version.replace('/', '-')} && "
        f'git commit -m "Promote {version}" config/{name}.toml\n'
        "  open a pull request with it; then, or by hand:\n"
        f"  npx cdk deploy --all -c env={name}",
        soft_wrap=True,
        markup=False,
    )
