"""`recommender promote`: the same model bytes, from one environment to the next.

Each step looks at what is there before it adds anything, and the order makes what an interruption leaves
harmless: files that no package names yet, then a package that no pin names yet, then the pin.
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from infra.environment import Environment, load_environment
from ops.accounts import caller, session_for
from ops.errors import OperationError
from ops.git import git, git_succeeds
from ops.paths import CONFIG
from ops.progress import step
from ops.promotion.destination import Provenance, model_bucket, place_of, registration_of
from ops.promotion.lock import PromotionLock, promotion_lock
from ops.promotion.objects import store
from ops.promotion.packages import completed, package_name
from ops.promotion.pin import Pin, write_pin
from ops.promotion.plan import Promotion, Side
from ops.promotion.promote_report import figures, show_next, show_plan
from ops.promotion.source import chosen_package, fetch_model


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
            show_plan(console, promotion)
            return
        with promotion_lock(
            promotion.target.s3, promotion.bucket, owner=promotion.origin.promoted_by, purpose=promotion.name
        ) as lock:
            pin = _carried_out(console, promotion, lock)
            changed = write_pin(target, pin, config=config)
    show_next(console, promotion, pin, changed=changed)


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
    console.print(f"  gate passed: {figures(package)}", soft_wrap=True)
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
