"""Exports that CloudFormation will refuse to change or to remove, because another stack imports them.

An export in use cannot be removed, and its value cannot change. The stack that exports is updated first, so
it does not help if the new version of the other stack imports it no longer.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops.review.intrinsics import Readable
from ops.review.model import Assembly
from ops.review.replacement import Identity


@dataclass(frozen=True)
class _Export:
    stack: str
    value: Any


def refused_exports(before: Assembly, after: Assembly, replaced: Collection[Identity]) -> tuple[str, ...]:
    """Return a sentence for every export in use that the change removes or changes.

    Args:
        before: what is deployed.
        after: what shall be.
        replaced: the resources, by their identity in `after`, that are created anew.
    """
    old, new = Readable(before, identities=True), Readable(after, identities=True)
    exports = _exports(after, new)
    users = _users(before, old)
    return tuple(
        sentence
        for name, export in _exports(before, old).items()
        if (stacks := [stack for stack in users.get(name, ()) if stack in after.stacks])
        for sentence in _sentence(name, export, exports.get(name), stacks, (old, new, replaced))
    )


def _sentence(
    name: str,
    old: _Export,
    new: _Export | None,
    users: list[str],
    sides: tuple[Readable, Readable, Collection[Identity]],
) -> Iterator[str]:
    before, after, replaced = sides
    importers = " and ".join(users)
    if new is None:
        yield (
            f"CloudFormation refuses to remove the export {name} of {old.stack} "
            f"while {importers} imports it: keep it for one deployment (Stack.export_value), "
            "and remove it with the next."
        )
        return
    references = after.references(new.value, new.stack)
    anew = any((found.stack, found.logical_id) in replaced for found in references)
    if anew or before.text(old.value, old.stack) != after.text(new.value, new.stack):
        yield (
            f"CloudFormation refuses to change the export {name} of {old.stack} "
            f"while {importers} imports it: export the new value under another name first."
        )


def _exports(assembly: Assembly, readable: Readable) -> Mapping[str, _Export]:
    found: dict[str, _Export] = {}
    for stack in assembly.stacks.values():
        for output in (stack.template.get("Outputs") or {}).values():
            name = (output.get("Export") or {}).get("Name")
            if name is not None:
                found[readable.text(name, stack)] = _Export(stack.id, output.get("Value"))
    return found


def _users(assembly: Assembly, readable: Readable) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for stack in assembly.stacks.values():
        for argument in dict.fromkeys(readable.text(name, stack) for name in _imports(stack.template)):
            found.setdefault(argument, []).append(stack.id)
    return found


def _imports(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _imports(item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key == "Fn::ImportValue":
                yield item
            else:
                yield from _imports(item)
