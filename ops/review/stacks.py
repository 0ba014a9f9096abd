"""What changes about whole stacks, in sentences."""

from collections.abc import Iterator

from ops.review.changes import matched_stacks
from ops.review.intrinsics import Readable
from ops.review.model import Assembly, Stack


def stack_notes(before: Assembly, after: Assembly) -> tuple[str, ...]:
    """Return what a reviewer must know of the stacks beside the changes of their resources."""
    old_text, new_text = Readable(before), Readable(after)
    return tuple(
        note
        for old, new in matched_stacks(before, after)
        for note in (*_presence(old, new), *_settings(old, new), *_conditions(old, new, old_text, new_text))
    )


def _presence(old: Stack | None, new: Stack | None) -> Iterator[str]:
    if old is None and new is not None:
        yield f"The stack {new.id} is new."
    elif old is not None and new is None and old.nested_in is None:
        yield (
            f"The stack {old.id} is no longer in the app: `cdk deploy` leaves it as it is, "
            "and only deleting the stack removes its resources."
        )


def _settings(old: Stack | None, new: Stack | None) -> Iterator[str]:
    if old is None or new is None:
        return
    if old.termination_protection != new.termination_protection:
        what = "loses its" if old.termination_protection else "gets"
        yield f"The stack {new.id} {what} protection from being deleted."
    for what, before, after in (("account", old.account, new.account), ("region", old.region, new.region)):
        if before != after:
            where = f"from {what} {before} to {after}"
            yield f"The stack {new.id} moves {where}: everything is created anew there."


def _conditions(old: Stack | None, new: Stack | None, before: Readable, after: Readable) -> Iterator[str]:
    if old is None or new is None:
        return
    conditions = old.template.get("Conditions") or {}, new.template.get("Conditions") or {}
    for name in sorted({*conditions[0]} & {*conditions[1]}):
        texts = before.text(conditions[0][name], old), after.text(conditions[1][name], new)
        users = sorted(resource.path for resource in new.resources.values() if resource.condition == name)
        if texts[0] != texts[1] and users:
            which = f"{name}, which {', '.join(users)} depend on,"
            yield f"The condition {which} changes from {texts[0]} to {texts[1]}."
