"""What is assumed about an environment's use: every amount that the templates do not say."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Annotated, get_type_hints

from ops.errors import OperationError

_LARGEST = Decimal(10) ** 12


@dataclass(frozen=True)
class Traffic:
    """A month's use of one environment, each amount annotated with its meaning; by default a small use."""

    requests_per_month: Annotated[Decimal, "requests to each API, shared evenly by its methods"] = Decimal(
        10_000
    )
    request_seconds: Annotated[Decimal, "seconds of a function per API request"] = Decimal("0.5")
    response_kb: Annotated[Decimal, "KB sent to the internet per API request"] = Decimal(4)
    endpoint_kb: Annotated[Decimal, "KB to and from the endpoint per API request"] = Decimal(200)
    endpoint_seconds: Annotated[Decimal, "seconds of a serverless endpoint per API request"] = Decimal("0.2")
    uploads_per_month: Annotated[Decimal, "events for each rule that waits for them"] = Decimal(4)
    manual_runs_per_month: Annotated[Decimal, "runs of a workflow that no template starts"] = Decimal(1)
    training_minutes: Annotated[Decimal, "billed minutes of each training job"] = Decimal(10)
    transform_minutes: Annotated[Decimal, "billed minutes of each transform job"] = Decimal(10)
    task_seconds: Annotated[Decimal, "seconds of a function as a step of a workflow"] = Decimal(60)
    invocations_per_month: Annotated[Decimal, "calls of a function whose caller is in no template"] = Decimal(
        1_000
    )
    invocation_seconds: Annotated[Decimal, "seconds of each such call, or of one by an event"] = Decimal(1)
    deployments_per_month: Annotated[Decimal, "deployments that call custom resources"] = Decimal(8)
    deployment_seconds: Annotated[Decimal, "seconds of a custom resource's function"] = Decimal(10)
    bucket_gb: Annotated[Decimal, "GB in each bucket, old versions included"] = Decimal(1)
    bucket_writes: Annotated[Decimal, "PUT, COPY, POST and LIST requests to each bucket"] = Decimal(1_000)
    bucket_reads: Annotated[Decimal, "GET and other requests to each bucket"] = Decimal(10_000)
    key_requests: Annotated[Decimal, "requests to each KMS key"] = Decimal(10_000)
    log_kb: Annotated[Decimal, "KB logged per request or invocation, by each logger"] = Decimal(2)
    log_mb: Annotated[Decimal, "MB logged to each other log group"] = Decimal(10)
    volume_gb: Annotated[Decimal, "GB of an instance's volume where no template says"] = Decimal(5)


def parse_traffic(assignments: Iterable[str]) -> Traffic:
    """Return the default assumptions with `key=value` assignments applied.

    Raises:
        OperationError: an assignment has an unknown key, no value, no number, or the key came before.
    """
    given: dict[str, Decimal] = {}
    for assignment in assignments:
        key, equals, text = (part.strip() for part in assignment.partition("="))
        if key not in meanings():
            raise OperationError(f'--traffic {assignment}: unknown key "{key}"{_nearest(key)}')
        if not equals:
            raise OperationError(f"--traffic {assignment}: has no value; write {key}=<number>")
        if key in given:
            raise OperationError(f"--traffic {assignment}: {key} is given twice; keep one")
        given[key] = _number(assignment, text)
    return replace(Traffic(), **given)


def meanings() -> dict[str, str]:
    """Return what each key of the assumptions means."""
    hints = get_type_hints(Traffic, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


def describe(traffic: Traffic) -> tuple[str, ...]:
    """Return every assumption as `key = value: meaning`."""
    return tuple(
        f"{key} = {readable(getattr(traffic, key))}: {meaning}" for key, meaning in meanings().items()
    )


def readable(number: Decimal | int) -> str:
    """Return a number with thousands separated and without trailing zeros, at most six decimals."""
    text = f"{Decimal(number):,.6f}"
    return text.rstrip("0").rstrip(".")


def _number(assignment: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not 0 <= number <= _LARGEST:
        raise OperationError(f'--traffic {assignment}: "{text}" is not a number from 0 to {_LARGEST:,}')
    return number


def _nearest(key: str) -> str:
    close = difflib.get_close_matches(key, meanings(), n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; the keys are: {', '.join(meanings())}"
