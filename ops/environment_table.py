"""The README's table of environments: what differs between them, side by side."""

from collections.abc import Callable, Sequence
from typing import Final

from infra.environment import Environment

_NONE: Final = "–"


def render(environments: Sequence[Environment]) -> str:
    """Return a Markdown table with a row for each aspect and a column for each of `environments`.

    The pin is left out: it changes with each promotion, and `recommender status` tells what is live.
    """
    lines = [
        "| | " + " | ".join(f"`{environment.name}`" for environment in environments) + " |",
        "|---" * (len(environments) + 1) + "|",
    ]
    for aspect, told in _ASPECTS:
        lines.append(f"| {aspect} | " + " | ".join(map(told, environments)) + " |")
    return "\n".join(lines)


def _model(environment: Environment) -> str:
    return "trained here" if environment.training is not None else "promoted to it"


def _training(environment: Environment) -> str:
    training = environment.training
    if training is None:
        return _NONE
    starts = [
        *(["on upload"] if training.upload_trigger else []),
        *([f"`{training.schedule}`"] if training.schedule else []),
    ]
    approved = "" if training.approval == "automatic" else "; somebody approves"
    return f"{training.instance_type}, {' and '.join(starts) or 'by hand'}{approved}"


def _endpoint(environment: Environment) -> str:
    return f"{environment.serving.instance_count} × {environment.serving.instance_type}"


def _take_over(environment: Environment) -> str:
    deployment = environment.serving.deployment
    if deployment.canary_percent is None:
        return "all at once"
    return f"{deployment.canary_percent} % for {_duration(deployment.canary_wait_seconds or 0)}, then all"


def _old_instances(environment: Environment) -> str:
    seconds = environment.serving.deployment.termination_wait_seconds
    return f"{_duration(seconds)} more" if seconds else "no longer"


def _errors(environment: Environment) -> str:
    return f"more than {environment.serving.alarms.max_server_errors} a minute, {_in_a_row(environment)}"


def _latency(environment: Environment) -> str:
    return f"above {environment.serving.alarms.max_latency_ms:,} ms, {_in_a_row(environment)}"


def _in_a_row(environment: Environment) -> str:
    return f"{environment.serving.alarms.evaluation_minutes} min"


def _callers(environment: Environment) -> str:
    api = environment.api
    return "IAM" if api.authorization == "iam" else f"API key, {api.quota_per_day:,} requests a day"


def _throttle(environment: Environment) -> str:
    return f"{environment.api.rate_per_second:,} a second, {environment.api.burst:,} at once"


def _data(environment: Environment) -> str:
    return "stay" if environment.storage.retain_data else "go with it"


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number:,} days"


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min" if not rest else f"{seconds:,} s"


_ASPECTS: Final[Sequence[tuple[str, Callable[[Environment], str]]]] = (
    ("model", _model),
    ("account", lambda environment: environment.account),
    ("region", lambda environment: environment.region),
    ("training", _training),
    ("endpoint", _endpoint),
    ("a new model gets requests", _take_over),
    ("the old instances stay", _old_instances),
    ("alarm: server errors", _errors),
    ("alarm: p99 latency", _latency),
    ("callers of the API", _callers),
    ("throttle", _throttle),
    ("logs are kept", lambda environment: _days(environment.logs.retention_days)),
    ("overwritten data are kept", lambda environment: _days(environment.storage.noncurrent_expiry_days)),
    ("data, when it is destroyed", _data),
    ("termination protection", lambda environment: "on" if environment.termination_protection else "off"),
)
