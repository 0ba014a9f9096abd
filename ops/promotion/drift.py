"""Where an environment's settings, its SSM parameter, its stack and its endpoint do not agree."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from infra.environment import Environment
from ops.promotion.live import LiveEndpoint
from ops.promotion.objects import StoredObject
from ops.promotion.packages import ModelPackage, package_name
from ops.promotion.pin import pin_of

Kind = Literal["pin", "parameter", "stack", "endpoint", "approval", "artifact", "unknown"]
_SETTLED = ("InService", "OutOfService", "Failed", "UpdateRollbackFailed")


@dataclass(frozen=True)
class ServingStack:
    """What CloudFormation says of the serving stack.

    Attributes:
        name: of the stack.
        status: StackStatus.
        package_arn: the model package that it was last deployed with, or None.
        configuration: the name of its endpoint configuration, or None.
    """

    name: str
    status: str
    package_arn: str | None
    configuration: str | None

    @property
    def changing(self) -> bool:
        """Whether an operation is under way."""
        return self.status.endswith("_IN_PROGRESS")

    @property
    def never_made(self) -> bool:
        """Whether its first deployment failed: it has never had anything, and cannot be updated."""
        return self.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")


@dataclass(frozen=True)
class Facts:
    """What was found of one environment, each asked of the service that knows it.

    Attributes:
        environment: the settings, with the pin.
        has_storage: whether the storage stack is there.
        parameter: the package that the SSM parameter names (environments that train).
        newest_approved: the newest package of the registry that may be deployed (environments that train).
        stack: None if there is none.
        endpoint: None if there is none.
        live: the package that the endpoint serves; None if it is gone, or none is known.
        pinned: the package that the pin names; None if it is not there.
        artifact: of the live package; None if it is gone.
    """

    environment: Environment
    has_storage: bool
    parameter: str | None
    newest_approved: str | None
    stack: ServingStack | None
    endpoint: LiveEndpoint | None
    live: ModelPackage | None
    pinned: ModelPackage | None
    artifact: StoredObject | None

    @property
    def changing(self) -> bool:
        """Whether a deployment is under way: what differs then need not stay so."""
        stack = self.stack is not None and self.stack.changing
        return stack or (self.endpoint is not None and self.endpoint.status not in _SETTLED)


@dataclass(frozen=True)
class Drift:
    """One disagreement.

    Attributes:
        kind: what is not as it should be.
        what: a sentence.
        remedy: what to do.
    """

    kind: Kind
    what: str
    remedy: str


def drifts(facts: Facts) -> list[Drift]:
    """Return all disagreements."""
    if facts.stack is None and facts.endpoint is None:
        return list(_pin_itself(facts))
    if facts.stack is not None and facts.stack.never_made:
        return [*_pin_itself(facts), _first_deployment(facts.environment, facts.stack)]
    wanted = _parameter(facts) if facts.environment.training is not None else _pin(facts)
    return [*_pin_itself(facts), *wanted, *_endpoint(facts), *_package(facts)]


def _pin_itself(facts: Facts) -> Iterator[Drift]:
    """The pin against the registry."""
    name, pin = facts.environment.name, pin_of(facts.environment)
    if pin is None:
        return
    if facts.pinned is None:
        yield Drift(
            "pin",
            f"config/{name}.toml pins {package_name(pin.package_arn)}, which is not in the registry",
            f"take the pin back (git checkout config/{name}.toml, or git revert), or promote again",
        )
    elif facts.pinned.metadata.get("artifact_sha256") != pin.artifact_sha256:
        yield Drift(
            "pin",
            f"config/{name}.toml pins {package_name(pin.package_arn)} with another artifact_sha256 than the "
            "package records",
            f"take the pin back (git checkout config/{name}.toml, or git revert), or promote again",
        )
    elif facts.pinned.approval != "Approved" and (facts.live is None or facts.live.arn != pin.package_arn):
        yield Drift(
            "approval",
            f"config/{name}.toml pins {facts.pinned.name}, which is {facts.pinned.approval}",
            "it cannot be deployed: approve it, or take the pin back",
        )


def _pin(facts: Facts) -> Iterator[Drift]:
    """The pin against the stack."""
    name, pin, stack = facts.environment.name, pin_of(facts.environment), facts.stack
    if stack is None or facts.changing:
        return
    deployed = _named(stack.package_arn)
    if pin is None:
        yield Drift(
            "pin",
            f"config/{name}.toml pins nothing, but stack {stack.name} was deployed with {deployed}",
            f"take the pin back from git, or promote to {name}",
        )
    elif pin.package_arn != stack.package_arn:
        yield Drift(
            "pin",
            f"config/{name}.toml pins {package_name(pin.package_arn)}, but stack {stack.name} was deployed "
            f"with {deployed}",
            f"deploy the pin: npx cdk deploy --all -c env={name}",
        )


def _parameter(facts: Facts) -> Iterator[Drift]:
    """The SSM parameter against the registry and the stack."""
    environment, stack = facts.environment, facts.stack
    parameter = f"SSM parameter {environment.model_package_parameter}"
    deploy = f"npx cdk deploy --all -c env={environment.name}"
    if facts.changing:
        return
    if facts.parameter is None:
        yield Drift("parameter", f"there is no {parameter}", f"deploy again: {deploy}")
        return
    if facts.newest_approved is not None and facts.newest_approved != facts.parameter:
        yield Drift(
            "parameter",
            f"{parameter} names {package_name(facts.parameter)}, but the newest approved package is "
            f"{package_name(facts.newest_approved)}",
            "the Release state machine brings it; if none of its executions runs, its last one says why not",
        )
    if stack is not None and stack.package_arn != facts.parameter:
        yield Drift(
            "parameter",
            f"{parameter} names {package_name(facts.parameter)}, but stack {stack.name} was deployed with "
            f"{_named(stack.package_arn)}",
            f"the Release state machine brings it; or deploy: {deploy}",
        )


def _first_deployment(environment: Environment, stack: ServingStack) -> Drift:
    """A stack that is to be deleted: the CDK does so by itself, but for its protection from deletion."""
    protection = "aws cloudformation update-termination-protection --no-enable-termination-protection"
    return Drift(
        "stack",
        f"the first deployment of stack {stack.name} failed ({stack.status}): nothing is served, and the "
        "stack cannot be updated",
        f"aws cloudformation describe-stack-events --stack-name {stack.name} says why; then "
        + (f"{protection} --stack-name {stack.name}, and " if environment.termination_protection else "")
        + f"deploy again, which deletes it first: npx cdk deploy --all -c env={environment.name}",
    )


def _endpoint(facts: Facts) -> Iterator[Drift]:
    """The stack against the endpoint."""
    stack, endpoint = facts.stack, facts.endpoint
    if facts.changing:
        return
    deploy = f"npx cdk deploy --all -c env={facts.environment.name}"
    if stack is None:
        yield Drift(
            "stack",
            f"there is an endpoint {facts.environment.endpoint_name}, but no serving stack",
            f"it was made or left outside CloudFormation: delete it, then deploy: {deploy}",
        )
        return
    if endpoint is None:
        yield Drift(
            "endpoint",
            f"there is stack {stack.name}, but no endpoint {facts.environment.endpoint_name}",
            f"it was deleted outside CloudFormation: delete the stack, then deploy again: {deploy}",
        )
        return
    if stack.configuration is None or stack.configuration == endpoint.configuration:
        if endpoint.package_arn is None:
            yield _unknown(endpoint)
        return
    served = package_name(endpoint.package_arn) if endpoint.package_arn else "a model that is not known"
    serves = f"{served} with configuration {endpoint.configuration}"
    yield Drift(
        "endpoint",
        f"endpoint {endpoint.name} serves {serves}, but stack {stack.name} made it serve "
        f"{_named(stack.package_arn)} with {stack.configuration}: it was changed outside CloudFormation",
        f"aws sagemaker update-endpoint --endpoint-name {endpoint.name} "
        f"--endpoint-config-name {stack.configuration}",
    )


def _package(facts: Facts) -> Iterator[Drift]:
    """The package that is served, and its artifact."""
    environment, endpoint, live = facts.environment, facts.endpoint, facts.live
    if endpoint is None:
        return
    back = f"recommender rollback {environment.name}"
    if live is None:
        if endpoint.package_arn is not None:
            yield Drift(
                "approval",
                f"{package_name(endpoint.package_arn)} is served, but no longer in the registry",
                f"serve another: {back}",
            )
        return
    if live.approval != "Approved":
        why = f" ({live.approval_description})" if live.approval_description else ""
        yield Drift(
            "approval", f"{live.name} is served, but it is {live.approval}{why}", f"serve another: {back}"
        )
    recorded = live.metadata.get("artifact_sha256")
    if facts.artifact is None:
        found = "is gone"
    elif facts.artifact.sha256 not in (None, recorded):
        found = f"has SHA-256 {facts.artifact.sha256}, not {recorded} as recorded"
    else:
        return
    yield Drift(
        "artifact",
        f"the artifact of {live.name}, {live.artifact_uri}, {found}: new instances could not start with it",
        "promote the model again, which puts the copy right"
        if environment.training is None
        else f"bring the object's earlier version back (the bucket is versioned), or serve another: {back}",
    )


def _unknown(endpoint: LiveEndpoint) -> Drift:
    return Drift(
        "unknown",
        f"which package endpoint {endpoint.name} serves is not known: its configuration "
        f"{endpoint.configuration} or that one's model is gone, or these credentials may not see it",
        "look with other credentials; if it was deleted outside CloudFormation, serve another package, which "
        "makes both anew",
    )


def _named(arn: str | None) -> str:
    return package_name(arn) if arn else "no package"
