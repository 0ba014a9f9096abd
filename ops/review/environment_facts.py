"""What can be compared between the assemblies of several environments: stacks, resources, properties.

Where an environment lacks a whole stack or a resource, that is one fact, and what is in it is none.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops.review.intrinsics import Readable, as_text
from ops.review.model import Assembly, Resource
from ops.review.policies import statements

ABSENT = "–"
"""The value of what an environment does not have."""

_NOT_COMPARED = frozenset({"AWS::CDK::Metadata", "AWS::ApiGateway::Deployment"})
"""Types that say nothing about an environment; a deployment's logical id is a hash."""
_OF_THE_BUILD = re.compile(r"^(Code\.|Content\.S3|TemplateURL|Tags\[aws-cdk:)")
"""Properties that tell how something was built, not what it is."""


@dataclass(frozen=True)
class Fact:
    """One thing and its value in each environment."""

    subject: str
    path: str
    """The property; empty if the fact is about the subject itself."""
    values: Mapping[str, str]
    types: tuple[str, ...] = ()
    """The types of the resources that it is about."""
    stack: bool = False
    """True if the subject is a stack."""
    presence: bool = False
    """True if the fact is whether there is such a thing."""
    without: frozenset[str] = frozenset()
    """Environments that have no such subject, which is a fact of its own."""

    @property
    def told(self) -> dict[str, str]:
        """The values where there is a subject."""
        return {name: value for name, value in self.values.items() if name not in self.without}

    @property
    def key(self) -> str:
        """For a reader."""
        what = f"stack {self.subject}" if self.stack else self.subject
        if self.presence and not self.stack:
            what += f" ({', '.join(self.types)})"
        return f"{what}: {self.path}" if self.path else what

    @property
    def differs(self) -> bool:
        """Whether it is not the same everywhere."""
        return len(set(self.told.values())) > 1


@dataclass(frozen=True)
class Facts:
    """All facts about some environments, in a stable order."""

    presences: tuple[Fact, ...]
    counts: tuple[Fact, ...]
    properties: tuple[Fact, ...]


@dataclass(frozen=True)
class _Described:
    """One environment, without what must differ."""

    stacks: Mapping[str, tuple[str, ...]]
    """To the types of the stack's resources."""
    resources: Mapping[tuple[str, str, str], Mapping[str, str]]
    """Stack, path and type to the properties, flat."""


def facts(environments: Mapping[str, Assembly]) -> Facts:
    """Return what `environments` have, by comparable subjects."""
    described = {name: _described(name, assembly) for name, assembly in environments.items()}
    presences: list[Fact] = []
    properties: list[Fact] = []
    shared_stacks = set()
    for stack in sorted({stack for environment in described.values() for stack in environment.stacks}):
        has = {
            name: "yes" if stack in environment.stacks else ABSENT for name, environment in described.items()
        }
        types = {kind for environment in described.values() for kind in environment.stacks.get(stack, ())}
        presences.append(Fact(stack, "", has, tuple(sorted(types)), stack=True, presence=True))
        if ABSENT not in has.values():
            shared_stacks.add(stack)
    for key in sorted({key for environment in described.values() for key in environment.resources}):
        stack, path, kind = key
        if stack in shared_stacks:
            has = {
                name: "yes" if key in environment.resources else ABSENT
                for name, environment in described.items()
            }
            presences.append(Fact(path, "", has, (kind,), presence=True))
        properties.extend(_property_facts(key, described))
    return Facts(tuple(presences), tuple(_counts(described)), tuple(properties))


def _counts(described: Mapping[str, _Described]) -> Iterator[Fact]:
    counts = {
        name: Counter(kind for _, _, kind in environment.resources) for name, environment in described.items()
    }
    for kind in sorted({kind for count in counts.values() for kind in count if kind != "stack"}):
        yield Fact(
            kind, "", {name: str(count[kind]) if count[kind] else ABSENT for name, count in counts.items()}
        )


def _property_facts(key: tuple[str, str, str], described: Mapping[str, _Described]) -> Iterator[Fact]:
    _, subject, kind = key
    tables = {
        name: environment.resources[key]
        for name, environment in described.items()
        if key in environment.resources
    }
    without = frozenset(described) - frozenset(tables)
    for path in sorted({path for table in tables.values() for path in table}):
        values = {name: tables[name].get(path, ABSENT) if name in tables else ABSENT for name in described}
        yield Fact(subject, path, values, (kind,), without=without)


def _described(name: str, assembly: Assembly) -> _Described:
    readable = Readable(assembly)
    stacks: dict[str, tuple[str, ...]] = {}
    resources: dict[tuple[str, str, str], dict[str, str]] = {}
    places: dict[str, tuple[str, str, str]] = {}
    for stack in assembly.stacks.values():
        identity = neutral(stack.id, name, assembly)
        compared = [resource for resource in stack.resources.values() if resource.type not in _NOT_COMPARED]
        stacks[identity] = tuple(resource.type for resource in compared)
        if stack.nested_in is None:
            protection = "on" if stack.termination_protection else "off"
            resources[identity, identity, "stack"] = {"termination protection": protection}
        for resource in compared:
            place = identity, neutral(resource.path, name, assembly), resource.type
            resources[place] = {
                path: neutral(value, name, assembly) for path, value in _properties(resource, readable)
            }
            places[resource.path] = place
    for statement in statements(assembly):
        table = resources.get(places.get(statement.source, ("", "", "")))
        if table is not None:
            actions = " ".join(statement.shown_actions)
            text = f"{statement.effect} {statement.principal.label}: {actions}"
            on = f"on {' '.join(statement.shown_resources)}"
            conditions = "".join(f" if {condition}" for condition in statement.conditions)
            table[neutral(text, name, assembly)] = neutral(f"{on}{conditions}", name, assembly)
    return _Described(stacks, resources)


def neutral(text: str, environment: str, assembly: Assembly) -> str:
    """Return `text` without what must differ between environments: names, accounts."""
    text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(environment)}(?![A-Za-z0-9])", "{env}", text)
    for stack in assembly.stacks.values():
        # CDK's unique ids: a path without punctuation, then a hash of it.
        squeezed = re.sub(r"[^A-Za-z0-9]", "", stack.id)
        if squeezed in text:
            name = squeezed.replace(environment, "{env}")
            text = re.sub(rf"{squeezed}(\w*?)[0-9A-F]{{8}}", rf"{name}\1", text)
    for account in {stack.account for stack in assembly.stacks.values()}:
        if account.isdigit():
            text = text.replace(account, "{account}")
    return text


def _properties(resource: Resource, readable: Readable) -> Iterator[tuple[str, str]]:
    if resource.deletion_policy is not None:
        yield "DeletionPolicy", resource.deletion_policy
    if resource.update_replace_policy is not None:
        yield "UpdateReplacePolicy", resource.update_replace_policy
    resolved = readable.value(resource.properties, resource.stack)
    yield from ((path, value) for path, value in _leaves(resolved, "") if not _OF_THE_BUILD.match(path))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        if "Statement" in value:
            # Policies are compared by statement.
            return
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        names = [_item_name(item) for item in value]
        named = None not in names and len(set(names)) == len(names)
        for index, item in enumerate(value):
            if named and isinstance(item, Mapping) and set(item) == {"Key", "Value"}:
                yield f"{path}[{item['Key']}]", shown(item["Value"])
            else:
                yield from _leaves(item, f"{path}[{names[index] if named else index}]")
    else:
        yield path, shown(value)


def _item_name(item: Any) -> str | None:
    """What tells an item of a list from the others, better than its position."""
    if isinstance(item, Mapping):
        for key in ("Key", "VariantName", "Name", "Id", "PolicyName"):
            if isinstance(item.get(key), str):
                return str(item[key])
    return None


def shown(value: Any) -> str:
    """Return a setting or a property for a reader."""
    return ("true" if value else "false") if isinstance(value, bool) else as_text(value)
