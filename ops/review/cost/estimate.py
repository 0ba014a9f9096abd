"""What an estimator gets and gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from ops.review.cost.prices import RegionPrices, UnpricedError
from ops.review.cost.traffic import Traffic
from ops.review.cost.usage import Usage
from ops.review.intrinsics import Readable
from ops.review.model import Assembly, Resource


@dataclass(frozen=True)
class Estimate:
    """A month's cost of a resource, or of one part of it.

    Attributes:
        amount: USD, unrounded.
        driver: the quantities that make it up.
        part: names the part where a resource has several, such as a workflow's job.
        kind: what the part is; "" for the resource's own type.
        floor: the least that autoscaling goes down to; None without autoscaling.
        ceiling: the most that autoscaling goes up to.
    """

    amount: Decimal
    driver: str
    part: str = ""
    kind: str = ""
    floor: Decimal | None = None
    ceiling: Decimal | None = None


@dataclass(frozen=True)
class Unpriced:
    """A part of a resource that costs something unknown."""

    reason: str
    part: str = ""


@dataclass(frozen=True)
class Context:
    """What an estimator may ask."""

    assembly: Assembly
    readable: Readable
    prices: RegionPrices
    traffic: Traffic
    usage: Usage

    def value(self, resource: Resource, *path: str) -> Any:
        """Return a property with its intrinsic functions resolved; None if it is absent."""
        found: Any = resource.properties
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return None if found is None else self.readable.value(found, resource.stack)

    def number(self, resource: Resource, *path: str, default: int) -> Decimal:
        """Return a property that is a number, `default` if it is absent; raise UnpricedError if unknown."""
        value = self.value(resource, *path)
        return Decimal(default) if value is None else known_number(value, path[-1])

    def tables(self, resource: Resource, *path: str) -> list[Mapping[str, Any]]:
        """Return a property that lists tables, [] if it is absent; raise UnpricedError if unknown."""
        value = self.value(resource, *path)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
            raise UnpricedError(f"{path[-1]} is not known before deployment")
        return value

    def refers_to(self, value: Any, owner: Resource, target: Resource) -> bool:
        """Whether `value` of a template leads to `target`."""
        return any(
            (found.stack, found.logical_id) == (target.stack, target.logical_id)
            for found in self.readable.references(value, owner.stack)
        )


def known_number(value: Any, what: str) -> Decimal:
    """Return a number of a template; raise UnpricedError if only the deployment knows it."""
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise UnpricedError(f"{what} is not known before deployment") from None
