"""Compare two pieces of plain JSON, property by property.

What a person reads and what is compared are two things: a construct may move without its resource changing,
and a resource may be a new one under the same path. So every value comes twice, and only its identity is
compared.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from ops.review.intrinsics import as_text
from ops.review.schemas import Keys

WITHIN_TEXT = "(json)"
"""The key that stands for stepping into JSON that a property holds as text."""

_ITEM_NAMES = (
    "VariantName",
    "Sid",
    "Key",
    "Id",
    "Name",
    "AttributeName",
    "IndexName",
    "ParameterKey",
    "RuleName",
)
"""Properties that tell a list's items apart, in the order in which they are tried."""
_NEW = " (new)"


@dataclass(frozen=True)
class Value:
    """A value as it is compared and as it is shown."""

    identity: Any
    shown: Any

    def __getitem__(self, key: Any) -> "Value":
        return Value(self.identity[key], self.shown[key])


ABSENT = Value(None, None)


@dataclass(frozen=True)
class Difference:
    """One difference."""

    keys: Keys
    path: str
    before: Any
    after: Any
    order_only: bool = False
    """The same items in another order, in a list whose order means nothing."""


@dataclass(frozen=True)
class _Place:
    keys: Keys
    path: str
    policy: bool = False
    """Within an IAM policy document: no list has an order, and a single item needs no list."""

    def property(self, name: str) -> "_Place":
        return _Place((*self.keys, name), f"{self.path}.{name}" if self.path else name, self.policy)

    def item(self, label: object) -> "_Place":
        return _Place((*self.keys, "*"), f"{self.path}[{label}]", self.policy)


def differences(
    before: Value, after: Value, *, name: str, unordered: Callable[[Keys], bool]
) -> list[Difference]:
    """Return what differs between `before` and `after`.

    Args:
        before: None as its identity if absent.
        after: the same.
        name: what the values are, the first step of every path.
        unordered: tells whether the order of the list at some keys means nothing.
    """
    return list(_Comparison(unordered).compare(before, after, _Place((name,), name)))


def item_labels(items: Sequence[Any]) -> list[str] | None:
    """Return what tells the items of a list apart if it is one of their properties."""
    if not items or not all(isinstance(item, Mapping) for item in items):
        return None
    for name in _ITEM_NAMES:
        labels = [item.get(name) for item in items]
        if all(isinstance(label, str) for label in labels) and len(set(labels)) == len(labels):
            return [str(label) for label in labels]
    return None


class _Comparison:
    def __init__(self, unordered: Callable[[Keys], bool]) -> None:
        self._unordered = unordered

    def compare(self, before: Value, after: Value, place: _Place) -> Iterator[Difference]:
        if place.policy:
            before, after = _without_single_lists(before, after)
        old, new = before.identity, after.identity
        if _same(old, new):
            return
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from self._tables(before, after, place)
        elif isinstance(old, list) and isinstance(new, list):
            yield from self._lists(before, after, place)
        else:
            texts = _json_text(before), _json_text(after)
            if texts[0] is not None and texts[1] is not None:
                inner = _Place((*place.keys, WITHIN_TEXT), place.path, place.policy)
                yield from self.compare(texts[0], texts[1], inner)
            else:
                yield _difference(before, after, place)

    def _tables(self, before: Value, after: Value, place: _Place) -> Iterator[Difference]:
        policy = place.policy or ("Statement" in before.identity and "Statement" in after.identity)
        place = _Place(place.keys, place.path, policy)
        for key in dict.fromkeys((*before.identity, *after.identity)):
            old = before[key] if key in before.identity else ABSENT
            new = after[key] if key in after.identity else ABSENT
            yield from self.compare(old, new, place.property(str(key)))

    def _lists(self, before: Value, after: Value, place: _Place) -> Iterator[Difference]:
        unordered = place.policy or self._unordered(place.keys)
        old, new = before.identity, after.identity
        canonical = [_canonical(item) for item in old], [_canonical(item) for item in new]
        same_items = Counter(canonical[0]) == Counter(canonical[1])
        labels = item_labels(old), item_labels(new)
        tags = labels[0] is not None and all(set(item) == {"Key", "Value"} for item in old)
        if same_items and (unordered or tags):
            yield Difference(place.keys, place.path, before.shown, after.shown, order_only=True)
        elif not any(isinstance(item, Mapping | list) for item in (*old, *new)) or same_items:
            yield _difference(before, after, place)
        elif labels[0] is not None and labels[1] is not None:
            yield from self._labelled(before, after, (labels[0], labels[1]), place)
        else:
            for left, right in _matched(*canonical, unordered=unordered):
                yield from self._items(before, after, left, right, place)

    def _labelled(
        self, before: Value, after: Value, labels: tuple[list[str], list[str]], place: _Place
    ) -> Iterator[Difference]:
        for label in dict.fromkeys((*labels[0], *labels[1])):
            old = before[labels[0].index(label)] if label in labels[0] else ABSENT
            new = after[labels[1].index(label)] if label in labels[1] else ABSENT
            yield from self.compare(old, new, place.item(label))

    def _items(
        self, before: Value, after: Value, left: int | None, right: int | None, place: _Place
    ) -> Iterator[Difference]:
        old = ABSENT if left is None else before[left]
        new = ABSENT if right is None else after[right]
        inner = place.item(left if right is None else right)
        if left is not None and right is not None and not _alike(old.identity, new.identity):
            yield _difference(old, new, inner)
        else:
            yield from self.compare(old, new, inner)


def _difference(before: Value, after: Value, place: _Place) -> Difference:
    shown = after.shown
    if shown == before.shown and isinstance(shown, str):
        shown += _NEW
    return Difference(place.keys, place.path, before.shown, shown)


def _matched(
    before: list[str], after: list[str], *, unordered: bool
) -> Iterator[tuple[int | None, int | None]]:
    """Pair the positions of what differs; what is equal is left out."""
    if unordered:
        rest = Counter(after) - Counter(before), Counter(before) - Counter(after)
        right = [index for index, item in enumerate(after) if _take(rest[0], item)]
        left = [index for index, item in enumerate(before) if _take(rest[1], item)]
        yield from _side_by_side(_closest(left, right, before, after), right)
        return
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from _side_by_side(list(range(a, b)), list(range(c, d)))


def _take(counter: Counter[str], item: str) -> bool:
    if counter[item] == 0:
        return False
    counter[item] -= 1
    return True


def _closest(left: list[int], right: list[int], before: list[str], after: list[str]) -> list[int]:
    """Order `left` so that each position stands beside the most similar one of `right`."""
    remaining = list(left)
    ordered: list[int] = []
    for position in right:
        if remaining:
            best = max(remaining, key=lambda index: _similarity(before[index], after[position]))
            remaining.remove(best)
            ordered.append(best)
    return ordered + remaining


def _similarity(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _side_by_side(left: list[int], right: list[int]) -> Iterator[tuple[int | None, int | None]]:
    for index in range(max(len(left), len(right))):
        yield (
            left[index] if index < len(left) else None,
            right[index] if index < len(right) else None,
        )


def _alike(old: Any, new: Any) -> bool:
    """Tell whether two items are so similar that one is the other, changed."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return isinstance(old, list) and isinstance(new, list)
    shared = sum(1 for key in old if key in new and _same(old[key], new[key]))
    return 2 * shared >= max(len(old), len(new))


def _same(old: Any, new: Any) -> bool:
    """Equal, or scalars that CloudFormation takes for the same: 1 and "1", true and "true"."""
    if old is None or new is None or isinstance(old, Mapping | list) or isinstance(new, Mapping | list):
        return bool(old == new)
    return as_text(old) == as_text(new)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _without_single_lists(before: Value, after: Value) -> tuple[Value, Value]:
    if isinstance(before.identity, list) and isinstance(after.identity, str | Mapping):
        return before, Value([after.identity], [after.shown])
    if isinstance(after.identity, list) and isinstance(before.identity, str | Mapping):
        return Value([before.identity], [before.shown]), after
    return before, after


def _json_text(value: Value) -> Value | None:
    """The JSON that `value` holds as text; None if it holds none."""
    if not isinstance(value.identity, str) or not value.identity.lstrip().startswith(("{", "[")):
        return None
    try:
        parsed = Value(json.loads(value.identity), json.loads(str(value.shown)))
    except ValueError:
        return None
    return parsed if isinstance(parsed.identity, dict | list) else None
