"""The status of the environments on a terminal and as JSON."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ops.promotion.live import LiveEndpoint
from ops.promotion.packages import ModelPackage
from ops.promotion.status import EnvironmentStatus

_UNKNOWN = "–"
_DIGITS = 8
"""Of a hash: enough to tell models apart, and the table fits 80 columns."""


def show(console: Console, statuses: Sequence[EnvironmentStatus]) -> None:
    """Print one table with a row for each environment, then each drift with what to do about it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column in ("", "model", "artifact", "accuracy", "AUC", "age", "commit", "endpoint", "drift"):
        table.add_column(
            column, justify="right" if column in ("accuracy", "AUC") else "left", no_wrap=column != "drift"
        )
    now = datetime.now(UTC)
    for status in statuses:
        table.add_row(f"[bold]{escape(status.name)}", *_cells(status, now))
    console.print(table)
    for status in statuses:
        if status.problem:
            console.print(_line(status.name, "dim", status.problem), soft_wrap=True)
        for drift in status.drifts:
            sentence = f"{drift.kind} drift: {drift.what}. To do: {drift.remedy}"
            console.print(_line(status.name, "yellow", sentence), soft_wrap=True)
        if status.endpoint is not None and status.endpoint.failure_reason:
            told = f"the endpoint's last change failed: {status.endpoint.failure_reason}"
            console.print(_line(status.name, "yellow", told), soft_wrap=True)


def to_json(statuses: Sequence[EnvironmentStatus]) -> str:
    """Return a list with one object for each environment; what is unknown is null."""
    return json.dumps([_document(status) for status in statuses], indent=2, ensure_ascii=False)


def age(since: datetime, now: datetime) -> str:
    """Return how long ago `since` was, in the largest unit that gives two or more, or in minutes."""
    minutes = int((now - since).total_seconds() // 60)
    for unit, size in (("d", 24 * 60), ("h", 60)):
        if minutes >= 2 * size:
            return f"{minutes // size}{unit}"
    return f"{max(minutes, 0)}m"


def _cells(status: EnvironmentStatus, now: datetime) -> list[Text]:
    package, endpoint = status.package, status.endpoint
    metadata = package.metadata if package else {}
    served = package.arn if package else endpoint.package_arn if endpoint else None
    colour = "dim" if endpoint is None else "green" if endpoint.status == "InService" else "yellow"
    drift = ", ".join(dict.fromkeys(drift.kind for drift in status.drifts))
    if not drift:
        drift = "none" if endpoint else _UNKNOWN
    return [
        Text(served.rpartition("/")[2] if served else _UNKNOWN),
        Text(metadata.get("artifact_sha256", _UNKNOWN)[:_DIGITS]),
        Text(_figure(package.figure("accuracy") if package else None)),
        Text(_figure(package.figure("auc") if package else None)),
        Text(age(package.created, now) if package else _UNKNOWN),
        Text(_commit(metadata.get("git_commit"))),
        Text(status.state, style=colour),
        Text(drift, style="yellow" if status.drifts else ""),
    ]


def _commit(value: str | None) -> str:
    """A commit as git shortens it, with a star if the checkout had changes."""
    if value is None:
        return _UNKNOWN
    return value[:7] + ("*" if value.endswith("-dirty") else "")


def _figure(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.4f}"


def _line(name: str, style: str, sentence: str) -> Text:
    return Text.assemble((f"{name}: ", "bold"), (sentence, style))


def _document(status: EnvironmentStatus) -> dict[str, Any]:
    return {
        "environment": status.name,
        "state": status.state,
        "account": status.account,
        "problem": status.problem,
        "endpoint": _endpoint(status.endpoint) if status.endpoint else None,
        "package": _package(status.package) if status.package else None,
        "drift": [
            {"kind": drift.kind, "what": drift.what, "remedy": drift.remedy} for drift in status.drifts
        ],
    }


def _endpoint(endpoint: LiveEndpoint) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "status": endpoint.status,
        "failure_reason": endpoint.failure_reason or None,
        "configuration": endpoint.configuration,
        "package_arn": endpoint.package_arn,
    }


def _package(package: ModelPackage) -> dict[str, Any]:
    metadata = package.metadata
    figures = {key: package.figure(key) for key in ("accuracy", "auc", "cross_entropy")}
    return {
        "arn": package.arn,
        "approval": package.approval,
        "registered_at": package.created.astimezone(UTC).isoformat(timespec="seconds"),
        "artifact_sha256": metadata.get("artifact_sha256"),
        **figures,
        "git_commit": metadata.get("git_commit"),
        "source_package_arn": metadata.get("source_package_arn"),
        "promoted_by": metadata.get("promoted_by"),
        "promoted_at": metadata.get("promoted_at"),
    }
