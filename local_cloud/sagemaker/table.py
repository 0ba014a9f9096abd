"""Resources by scope and name, and SageMaker's List operations over them."""

import base64
import binascii
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from local_cloud.sagemaker.errors import validation
from local_cloud.sagemaker.scope import Scope

T = TypeVar("T")

Record = dict[str, Any]
"""A resource as its Describe operation answers: member name to value."""


class Table(Generic[T]):
    """A thread-safe dictionary of resources, separate for each account and region."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._items: dict[tuple[Scope, str], T] = {}

    def add(self, scope: Scope, name: str, item: T, *, taken: Exception) -> None:
        """Add `item`, or raise `taken` when the name is in use."""
        with self._lock:
            if (scope, name) in self._items:
                raise taken
            self._items[scope, name] = item

    def get(self, scope: Scope, name: str) -> T | None:
        """Return the resource called `name`, or None."""
        with self._lock:
            return self._items.get((scope, name))

    def remove(self, scope: Scope, name: str) -> T | None:
        """Forget the resource called `name` and return it, or None."""
        with self._lock:
            return self._items.pop((scope, name), None)

    def values(self, scope: Scope) -> list[T]:
        """Return the scope's resources, oldest first."""
        with self._lock:
            return [item for (owner, _), item in self._items.items() if owner == scope]

    def __iter__(self) -> Iterator[T]:
        with self._lock:
            return iter(list(self._items.values()))


@dataclass(frozen=True)
class Listing:
    """How one List operation selects, orders and shows records.

    Attributes:
        answer: the member of the response that holds the page.
        name: the member that ``NameContains`` and sorting by name look at.
        members: members of a summary.
        filters: request members that select by equality, and the record members they look at.
        ascending: the order when ``SortOrder`` is not given.
        sort_by: what to sort by when ``SortBy`` is not given.
    """

    answer: str
    name: str
    members: tuple[str, ...]
    filters: Mapping[str, str]
    ascending: bool = True
    sort_by: str = "CreationTime"

    def page(
        self,
        records: Iterable[Record],
        parameters: Mapping[str, Any],
        *,
        key: Callable[[Record], Any] | None = None,
    ) -> dict[str, Any]:
        """Answer the request `parameters` over `records`, sorted by `key` instead of ``SortBy`` if given."""
        chosen = [record for record in records if self._selected(record, parameters)]
        chosen.sort(key=key or self._sort_key(parameters.get("SortBy", self.sort_by)))
        order = parameters.get("SortOrder")
        if not (self.ascending if order is None else order == "Ascending"):
            chosen.reverse()
        start = _offset(parameters.get("NextToken"))
        end = start + parameters.get("MaxResults", 10)
        answer: dict[str, Any] = {
            self.answer: [
                {name: record[name] for name in self.members if record.get(name) is not None}
                for record in chosen[start:end]
            ]
        }
        if end < len(chosen):
            answer["NextToken"] = base64.b64encode(str(end).encode()).decode()
        return answer

    def _selected(self, record: Record, parameters: Mapping[str, Any]) -> bool:
        for parameter, member in self.filters.items():
            if parameter in parameters and record.get(member) != parameters[parameter]:
                return False
        if parameters.get("NameContains", "").lower() not in str(record.get(self.name, "")).lower():
            return False
        for member in ("CreationTime", "LastModifiedTime"):
            moment = record.get(member)
            if moment is None:
                continue
            after, before = parameters.get(f"{member}After"), parameters.get(f"{member}Before")
            if (after is not None and moment <= after) or (before is not None and moment >= before):
                return False
        return True

    def _sort_key(self, sort_by: str) -> Callable[[Record], Any]:
        if sort_by == "Name":
            return lambda record: str(record.get(self.name, ""))
        status = next((member for member in self.members if member.endswith("Status")), self.name)
        if sort_by == "Status":
            return lambda record: str(record.get(status, ""))
        return lambda record: record["CreationTime"]


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.b64decode(token, validate=True))
    except (ValueError, binascii.Error) as error:
        raise validation(f"NextToken {token!r} was not given by this operation") from error
