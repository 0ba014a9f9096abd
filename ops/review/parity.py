"""What differs between the environments, and whether their settings say that it should.

Settings differ because somebody wrote so. A difference between the templates is explained by a setting if it
follows from it: wherever two environments agree in the setting they agree in the template too. Of the
settings of which that is true, the one is named that has the very values, or is known to decide the
property, or shares a word with it; where none does, the difference is unexplained.
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.errors import OperationError
from ops.review.environment_facts import ABSENT, Fact, facts, neutral, shown
from ops.review.model import Assembly

_DECIDED_BY: Mapping[str, tuple[str, ...]] = {
    "ApiKey": ("api.authorization",),
    "ApiKeyRequired": ("api.authorization",),
    "AuthorizationType": ("api.authorization",),
    "DeletionPolicy": ("storage.retain_data",),
    "EmptyBucketsLogs": ("storage.retain_data",),
    "EventBridgeEnabled": ("training.upload_trigger", "training", "model.source"),
    "Latency": ("serving.alarms.max_latency_ms",),
    "MissingAuthenticationToken": ("api.authorization",),
    "Quota": ("api.quota_per_day", "api.authorization"),
    "AutoDeleteObjects": ("storage.retain_data",),
    "S3AutoDeleteObjects": ("storage.retain_data",),
    "TrafficRoutingConfiguration": ("serving.deployment.canary_percent",),
    "UpdateReplacePolicy": ("storage.retain_data",),
    "UsagePlan": ("api.authorization",),
    "UsagePlanKey": ("api.authorization",),
    "serving": ("model.package_arn", "model.source", "model.source and model.package_arn"),
    "training": ("training", "model.source"),
}
"""What settings decide without being its value: a property, type or construct to the keys, best first; some
decide together."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_WORDS_OF_LITTLE_MEANING = frozenset(
    {"data", "days", "day", "group", "id", "key", "model", "name", "package", "per", "properties", "resource"}
    | {"role", "source", "type"}
)
_TELLING_LENGTH = 8
"""Text of this length is not equal by chance."""


@dataclass(frozen=True)
class ParityRow:
    """One thing that can differ, with its value in each environment."""

    key: str
    """A setting's (`serving.instance_type`), or a resource's path and property."""
    values: Mapping[str, str]
    """By environment, in the order of the environments; `–` where there is none."""
    differs: bool
    explained: bool
    """True if it does not differ, or the settings say that it should."""
    explanation: str


@dataclass(frozen=True)
class ParityReview:
    """The environments side by side: settings, stacks, number of resources by type, properties."""

    environments: tuple[str, ...] = ()
    rows: tuple[ParityRow, ...] = ()

    @property
    def unexplained(self) -> tuple[ParityRow, ...]:
        """The differences that no setting explains."""
        return tuple(row for row in self.rows if not row.explained)


def review_parity(
    environments: Mapping[str, Assembly], settings: Mapping[str, Mapping[str, Any]] | None = None
) -> ParityReview:
    """Compare environments with each other.

    Args:
        environments: the assembly of each, by its name.
        settings: the settings of each, as `read_settings` gives them; None if the app has none.
    """
    names = tuple(environments)
    if len(names) < 2:
        return ParityReview(names)
    flat = {name: dict(_flattened(values, "")) for name, values in (settings or {}).items() if name in names}
    known = flat if set(flat) == set(names) else {}
    judge = _Judge(names, known, environments)
    found = facts(environments)
    judged = [judge.row(fact) for fact in found.presences]
    of_type: dict[str, list[ParityRow]] = defaultdict(list)
    for fact, row in zip(found.presences, judged, strict=True):
        for kind in fact.types:
            of_type[kind].append(row)
    counts = [
        _count_row(fact, [row for row in of_type[fact.subject] if row.differs]) for fact in found.counts
    ]
    properties = [judge.row(fact) for fact in found.properties]
    # What agrees is the rule; the settings, stacks and counts tell how much does.
    shown_presences = [
        row for fact, row in zip(found.presences, judged, strict=True) if row.differs or fact.stack
    ]
    return ParityReview(
        names,
        (
            *_setting_rows(names, known),
            *shown_presences,
            *counts,
            *(row for row in properties if row.differs),
        ),
    )


def _count_row(fact: Fact, causes: list[ParityRow]) -> ParityRow:
    """A number of resources differs because of the stacks and resources that some environments lack."""
    differs = fact.differs
    reasons = dict.fromkeys(row.explanation for row in causes)
    return ParityRow(
        key=f"number of {fact.subject}",
        values=fact.values,
        differs=differs,
        explained=all(row.explained for row in causes) if differs else True,
        explanation="; ".join(reasons) if differs else "",
    )


def read_settings(folder: Path) -> Mapping[str, Mapping[str, Any]] | None:
    """Read `<folder>/<environment>.toml`; None if there is no such file.

    Raises:
        OperationError: one is not TOML.
    """
    found = {}
    for file in sorted(folder.glob("*.toml")):
        try:
            found[file.stem] = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise OperationError(f"{file.parent.name}/{file.name}: not TOML: {error}") from error
    return found or None


def _flattened(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"{prefix}{key}", "a table"
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", shown(value)


def _setting_rows(names: tuple[str, ...], settings: Mapping[str, Mapping[str, str]]) -> Iterator[ParityRow]:
    keys = dict.fromkeys(key for name in names for key in settings.get(name, ()))
    for key in keys:
        values = {name: settings[name].get(key, ABSENT) for name in names}
        table = "a table" in values.values()
        if table and len(set(values.values())) == 1:
            continue
        if not table and any(
            values[name] == ABSENT and _parent_absent(key, settings[name]) for name in names
        ):
            # The table's own row says it.
            continue
        yield ParityRow(key, values, len(set(values.values())) > 1, explained=True, explanation="a setting")


def _parent_absent(key: str, settings: Mapping[str, str]) -> bool:
    parent = key.rpartition(".")[0]
    return bool(parent) and parent not in settings


class _Judge:
    """Says of a difference which setting explains it."""

    def __init__(
        self,
        names: tuple[str, ...],
        settings: Mapping[str, Mapping[str, str]],
        environments: Mapping[str, Assembly],
    ) -> None:
        self._settings = bool(settings)
        keys = dict.fromkeys(key for name in names for key in settings.get(name, ()))
        columns = {
            key: {name: neutral(settings[name].get(key, ABSENT), name, environments[name]) for name in names}
            for key in keys
        }
        self._columns = {key: column for key, column in columns.items() if len(set(column.values())) > 1}

    def row(self, fact: Fact) -> ParityRow:
        """Judge `fact`."""
        if not fact.differs:
            return ParityRow(fact.key, fact.values, differs=False, explained=True, explanation="")
        setting = self._explaining(fact)
        return ParityRow(
            fact.key,
            fact.values,
            True,
            setting is not None,
            self._excuse(fact) if setting is None else setting,
        )

    def _explaining(self, fact: Fact) -> str | None:
        candidates = self._candidates(fact)
        for key in candidates:
            if _same_values(fact.told, self._columns[key]):
                return key
        if fact.presence and fact.stack:
            parts: tuple[str, ...] = tuple(re.split(r"[^A-Za-z0-9]+", fact.subject))
        else:
            # What the construct is called says more than where it is.
            types = fact.types if fact.presence else ()
            named = " ".join((fact.subject.partition("/")[2], fact.path, *types))
            parts = tuple(re.split(r"[^A-Za-z0-9]+", named))
        known = [
            key
            for name, keys in _DECIDED_BY.items()
            if any(part.startswith(name) if name[0].isupper() else part == name for part in parts)
            for key in keys
            if self._decides(key, fact)
        ]
        if known:
            return known[0]
        words = _words(fact.path)
        return next((key for key in candidates if words & _words(key.rpartition(".")[2])), None)

    def _decides(self, keys: str, fact: Fact) -> bool:
        """Return whether `fact` can follow from settings that differ."""
        found = [self._columns[key] for key in keys.split(" and ") if key in self._columns]
        together = {name: "\n".join(column[name] for column in found) for name in fact.told}
        return bool(found) and _follows(fact.told, together)

    def _candidates(self, fact: Fact) -> list[str]:
        """The settings from which `fact` can follow."""
        return [key for key in self._columns if self._decides(key, fact)]

    def _excuse(self, fact: Fact) -> str:
        if not self._settings:
            return "there are no settings"
        candidates = self._candidates(fact)
        return "no setting says so" + (
            f" ({', '.join(candidates[:3])} differ in the same way)" if candidates else ""
        )


def _follows(values: Mapping[str, str], setting: Mapping[str, str]) -> bool:
    """Return whether environments that agree in the setting agree in the values."""
    seen: dict[str, str] = {}
    return all(seen.setdefault(setting[name], value) == value for name, value in values.items())


def _same_values(values: Mapping[str, str], setting: Mapping[str, str]) -> bool:
    """Return whether the values are the setting's, wherever there are both, and hardly by chance."""
    pairs = [(value, setting[name]) for name, value in values.items() if ABSENT not in (value, setting[name])]
    if not pairs or any(value != text for value, text in pairs):
        return False
    told = {value for value, _ in pairs}
    return len(told) > 1 or len(next(iter(told))) >= _TELLING_LENGTH


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text) if len(word) > 2} - _WORDS_OF_LITTLE_MEANING
