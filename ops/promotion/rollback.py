"""`recommender rollback`: the previous model again, when there is no time for a pull request.

An environment with a pin gets the previous pin and a deployment of its serving stack. One that trains follows
its newest approved package: there the live package is rejected, and the Release state machine does the rest.
Either way the endpoint changes as it always does, with the environment's canary: what is saved is the review.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from rich.console import Console
from rich.markup import escape

from infra.environment import Environment, load_environment
from ops.accounts import caller, session_for, variables_of
from ops.cdk import cdk
from ops.errors import OperationError
from ops.paths import BUILD, CONFIG
from ops.progress import step
from ops.promotion.checkout import described, require_clean
from ops.promotion.live import live_endpoint, released_package
from ops.promotion.objects import S3Object, computed_sha256
from ops.promotion.packages import (
    approved_packages,
    package_name,
    read_package,
    require_member,
)
from ops.promotion.pin import Pin, committed_pins, pin_of, replace_settings, write_pin
from ops.refusals import refusals_told
from ops.stacks import find_stack, output_of

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

_POLL_SECONDS = 5.0
_BEGIN_SECONDS = 300.0
"""Until Release has begun: EventBridge and a cold start take seconds."""
_RELEASE_SECONDS = 5400.0
_APPROVE = "aws sagemaker update-model-package --model-approval-status Approved --model-package-arn"


def rollback(
    console: Console,
    name: str,
    *,
    package: str | None = None,
    profile: str | None = None,
    config: Path = CONFIG,
) -> None:
    """Make environment `name` serve the model that it served before, or that of `package`.

    Raises:
        OperationError, ConfigurationError: there is nothing to go back to, what is served is not what the
            checkout has, or a check or the deployment failed. The message says what is served then.
    """
    environment = load_environment(name, folder=config)
    if environment.training is not None and package is not None:
        raise OperationError(
            f"{name} trains its own models and follows the newest approved one, so --package is not for it: "
            "without it, rollback rejects the live package, and the newest other one that is approved serves"
        )
    with step(console, f"Credentials of {name}"):
        session = session_for(environment, profile, option="--profile")
    console.print(f"  The endpoint changes as in any deployment: {_pace(environment)}", soft_wrap=True)
    if environment.training is not None:
        _reject_live(console, environment, session)
    else:
        _deploy_pin(console, environment, session, package, config)


def _deploy_pin(
    console: Console, environment: Environment, session: boto3.Session, arn: str | None, config: Path
) -> None:
    name = environment.name
    console.print(f"  The checkout that is deployed: {escape(described(config))}", soft_wrap=True)
    require_clean(name, config=config)
    with step(console, "The package to go back to"):
        pin = _named_pin(environment, session, arn) if arn else _previous_pin(environment, session, config)
        _require_deployable(session, pin)
    version = package_name(pin.package_arn)
    console.print(f"  {version}: Approved, artifact {pin.artifact_sha256}, as recorded", soft_wrap=True)
    path = config / f"{name}.toml"
    before = path.read_bytes()
    write_pin(name, pin, config=config)
    stack = environment.stack_name("serving")
    try:
        with step(console, f"cdk deploy {stack}") as progress:
            cdk(
                [
                    *("deploy", stack, "--exclusively", "--require-approval", "never"),
                    *("--progress", "events", "--context", f"env={name}"),
                    *("--output", str(BUILD / "rollback" / "cdk.out")),
                ],
                variables=variables_of(session),
                log=BUILD / "rollback" / f"{name}.log",
                progress=progress,
                cwd=config.parent,
            )
    except OperationError as error:
        under_way = _under_way(session, stack, pin)
        if under_way is not None:
            raise OperationError(
                f"`cdk deploy` has failed, but {under_way}, so config/{name}.toml has the pin of {version} "
                f"still. `recommender status {name}` says what is served in the end: if it is {version}, "
                f"commit the pin; otherwise run this again. {error}"
            ) from error
        replace_settings(path, before)
        raise OperationError(
            f"{name} was not rolled back, and config/{name}.toml is as it was before. {error}"
        ) from error
    console.print(f"\n[bold green]{name}[/bold green] serves {version} again", soft_wrap=True)
    console.print(
        "Next, so that the next deployment does not undo it:\n"
        f'  git commit -m "Roll {name} back to {version}" config/{name}.toml\n'
        "  open a pull request with it",
        soft_wrap=True,
        markup=False,
    )


def _pace(environment: Environment) -> str:
    settings = environment.serving.deployment
    canary = (
        f"{settings.canary_percent} percent of the requests go to the new instances for "
        f"{settings.canary_wait_seconds} s, then all"
        if settings.canary_percent is not None
        else "all requests go to the new instances at once"
    )
    wait = settings.termination_wait_seconds
    return f"{canary}; the old ones stay for another {wait} s" if wait else canary


def _under_way(session: boto3.Session, name: str, pin: Pin) -> str | None:
    """Return why the deployment of `pin` may have an effect yet, or None if it has failed for good.

    CloudFormation goes on without whoever asked it to deploy.
    """
    try:
        stack = find_stack(session.client("cloudformation"), name)
    except OperationError as error:
        return f"what has become of stack {name} is not known ({error})"
    if stack is None:
        return None
    if stack["StackStatus"].endswith("_IN_PROGRESS"):
        return f"stack {name} is {stack['StackStatus']}"
    if output_of(stack, "ModelPackageArn") == pin.package_arn:
        return f"stack {name} is {stack['StackStatus']} with this package"
    return None


def _named_pin(environment: Environment, session: boto3.Session, arn: str) -> Pin:
    require_member(environment, arn)
    return Pin(arn, read_package(session.client("sagemaker"), arn).artifact_sha256)


def _previous_pin(environment: Environment, session: boto3.Session, config: Path) -> Pin:
    """Return the pin before the committed one, or the committed one if the settings were changed since.

    A pin that was rolled back from and pinned again by the rollback's own commit is not "previous": the one
    before the committed pin's first appearance is.

    Raises:
        OperationError: there is none, or what is served is not what the checkout pins: its history is then
            not that of what is served.
    """
    name, pinned = environment.name, pin_of(environment)
    pins = committed_pins(name, config=config)
    first = max((index for index, pin in enumerate(pins) if pin == pins[0]), default=-1)
    previous = pins[first + 1] if first + 1 < len(pins) else None
    # An interrupted rollback has written the previous pin, and deployed it or not.
    interrupted = pinned is not None and pinned == previous
    expected = [pin.package_arn for pin in (pinned, pins[0] if interrupted else None) if pin is not None]
    live = _live_arn(environment, session.client("sagemaker"))
    if live not in expected:
        raise OperationError(
            f"{name} serves {package_name(live)}, this checkout pins "
            f"{package_name(pinned.package_arn) if pinned else 'nothing'}: git pull, or name the package to "
            "go back to with --package"
        )
    if pins and pinned not in (pins[0], previous):
        return pins[0]  # the settings have a promotion that is not committed
    if previous is None:
        raise OperationError(
            f"git knows no earlier pin of {name} (git log config/{name}.toml; a shallow clone has no "
            "history: git fetch --unshallow): name the package to go back to with --package"
        )
    return previous  # also if an interrupted rollback has written it already


def _require_deployable(session: boto3.Session, pin: Pin) -> None:
    package = read_package(session.client("sagemaker"), pin.package_arn)
    package.require_usable()
    if package.artifact_sha256 != pin.artifact_sha256:
        raise OperationError(
            f"{package.name} records artifact_sha256 {package.artifact_sha256}, the pin in git has "
            f"{pin.artifact_sha256}: name another package with --package"
        )
    found = computed_sha256(session.client("s3"), S3Object.parse(package.artifact_uri))
    if found != pin.artifact_sha256:
        raise OperationError(
            f"The artifact of {package.name}, {package.artifact_uri}, has SHA-256 {found}, not "
            f"{pin.artifact_sha256} as recorded: its bytes have changed; name another package with --package"
        )


def _reject_live(console: Console, environment: Environment, session: boto3.Session) -> None:
    name, sagemaker = environment.name, session.client("sagemaker")
    with step(console, "What is served, and what was before"):
        live = read_package(sagemaker, _live_arn(environment, sagemaker))
        others = [arn for arn in approved_packages(sagemaker, environment) if arn != live.arn]
        if not others:
            raise OperationError(
                f"{name} has no approved package other than {live.name}, which it serves: approve one first "
                f"({_APPROVE} <ARN>)"
            )
    previous = others[0]
    if live.approval == "Rejected":
        console.print(f"  {live.name} is served, and Rejected already", soft_wrap=True)
    else:
        with refusals_told(f"{live.name} cannot be rejected"):
            sagemaker.update_model_package(
                ModelPackageArn=live.arn,
                ModelApprovalStatus="Rejected",
                ApprovalDescription=f"Rolled back by {caller(session)}",
            )
        console.print(f"  {live.name} was served, and is Rejected now", soft_wrap=True)
    with step(console, f"Release of {package_name(previous)}") as progress:
        _await_release(environment, session, previous, progress)
    console.print(
        f"\n[bold green]{name}[/bold green] serves {package_name(previous)} again. To undo it: "
        f"{_APPROVE} {live.arn}",
        soft_wrap=True,
    )


def _live_arn(environment: Environment, sagemaker: "SageMakerClient") -> str:
    endpoint = live_endpoint(sagemaker, environment.endpoint_name)
    if endpoint is None or endpoint.package_arn is None:
        raise OperationError(
            f"{environment.name} serves no model package that is known, so there is nothing to roll back: "
            f"`recommender status {environment.name}` says more"
        )
    return endpoint.package_arn


def _await_release(
    environment: Environment, session: boto3.Session, arn: str, progress: Callable[[str], None]
) -> None:
    """Wait until the parameter names the package and the endpoint serves it.

    Raises:
        OperationError: nothing happens, the stack rolled back, or it takes too long.
    """
    sagemaker, ssm, cloudformation = (
        session.client("sagemaker"),
        session.client("ssm"),
        session.client("cloudformation"),
    )
    name, stack_name = environment.name, environment.stack_name("serving")
    started, begun = time.monotonic(), False
    while True:
        stack = find_stack(cloudformation, stack_name)
        status = stack["StackStatus"] if stack else "not there"
        endpoint = live_endpoint(sagemaker, environment.endpoint_name)
        released = released_package(ssm, environment) == arn
        serves = endpoint is not None and endpoint.package_arn == arn and endpoint.status == "InService"
        changing = status.endswith("_IN_PROGRESS")
        if released and serves and not changing:
            return
        waited = time.monotonic() - started
        progress(f"stack {status}, endpoint {endpoint.status if endpoint else 'not there'}, {waited:.0f} s")
        if begun and not changing and not released:
            raise OperationError(
                f"{name} could not go back to {package_name(arn)}: stack {stack_name} is {status} and serves "
                "what it served before. The Release state machine's last execution says why"
            )
        begun = begun or released
        if not begun and not changing and waited > _BEGIN_SECONDS:
            raise OperationError(
                f"The live package of {name} is Rejected, but nothing has happened for {waited:.0f} s: no "
                f"Release state machine has begun. Deploy it: npx cdk deploy --all -c env={name}"
            )
        if waited > _RELEASE_SECONDS:
            raise OperationError(
                f"{package_name(arn)} is not served after {waited:.0f} s: stack {stack_name} is {status}; "
                f"`recommender status {name}` says how it goes on"
            )
        time.sleep(_POLL_SECONDS)
