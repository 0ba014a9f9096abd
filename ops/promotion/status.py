"""What every environment serves, and where that is not what it should be."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from infra.environment import load_environment
from infra.errors import ConfigurationError
from ops.accounts import session_for
from ops.errors import OperationError
from ops.paths import CONFIG
from ops.promotion.drift import Drift, Facts, drifts
from ops.promotion.facts import read_facts
from ops.promotion.live import LiveEndpoint
from ops.promotion.packages import ModelPackage
from ops.promotion.pin import pin_of
from ops.stages import stage


@dataclass(frozen=True)
class EnvironmentStatus:
    """One environment.

    Attributes:
        name: of the environment.
        state: of its endpoint, or in a few words why there is none or none is known.
        account: None if the settings are not valid.
        problem: why there is no endpoint or none is known, with what to do; or None.
        endpoint: what it serves with; None if nothing.
        package: what it serves; None if nothing, or unknown.
        drifts: what does not agree.
    """

    name: str
    state: str
    account: str | None = None
    problem: str | None = None
    endpoint: LiveEndpoint | None = None
    package: ModelPackage | None = None
    drifts: Sequence[Drift] = ()


def read_statuses(names: Sequence[str] = (), *, config: Path = CONFIG) -> list[EnvironmentStatus]:
    """Return the status of the environments called `names`, or of all that have settings, side by side.

    Raises:
        ConfigurationError: one of `names` is unknown, or its settings are not valid.
    """
    for name in names:
        load_environment(name, folder=config)
    chosen = names or sorted((path.stem for path in config.glob("*.toml")), key=stage)
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda name: _status(name, config), chosen))


def _status(name: str, config: Path) -> EnvironmentStatus:
    try:
        environment = load_environment(name, folder=config)
    except ConfigurationError as error:
        return EnvironmentStatus(name, "not valid", problem=str(error))
    try:
        facts = read_facts(environment, session_for(environment))
    except OperationError as error:
        return EnvironmentStatus(name, "not reached", environment.account, problem=str(error))
    state, problem = _state(facts)
    return EnvironmentStatus(
        name,
        state,
        environment.account,
        problem=problem,
        endpoint=facts.endpoint,
        package=facts.live,
        drifts=drifts(facts),
    )


def _state(facts: Facts) -> tuple[str, str | None]:
    environment = facts.environment
    deploy = f"deploy it: npx cdk deploy --all -c env={environment.name}"
    if facts.endpoint is not None:
        return facts.endpoint.status, None
    if facts.stack is not None:
        return "no endpoint", f"stack {facts.stack.name} is {facts.stack.status}"
    if not facts.has_storage:
        return "not deployed", f"there is no stack {environment.stack_name('storage')}: {deploy}"
    if environment.training is None and pin_of(environment) is None:
        return "no model yet", f"waits for its promotion: recommender promote <source> {environment.name}"
    return "not serving", f"there is no stack {environment.stack_name('serving')}: {deploy}"
