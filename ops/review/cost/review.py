"""A month's cost of an environment, before and after a change."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from ops.review.cost.estimate import Context, Estimate, Unpriced
from ops.review.cost.estimators import ESTIMATORS, is_free
from ops.review.cost.prices import RegionPrices, UnpricedError, price_table
from ops.review.cost.schedule import HOURS_PER_MONTH
from ops.review.cost.traffic import Traffic, describe
from ops.review.cost.usage import Usage
from ops.review.intrinsics import Readable
from ops.review.model import Assembly, Resource

RULES: Final = (
    "Prices are on-demand list prices in USD, of the first tier; free tiers, taxes, savings plans and "
    "discounts are not taken off.",
    f"A month has {HOURS_PER_MONTH} hours; 1 GB has 1,000 MB or 1,000,000 KB.",
    "Each line is rounded half up to the cent, and so is a total, which adds up what was not rounded before.",
    "Every branch of a workflow's Choice is taken to run, a Map's items count as one, retries as none.",
    "A resource with a condition counts as if the condition held.",
)
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True)
class CostLine:
    """A resource's cost in a month, or that of one part of it.

    Attributes:
        subject: the construct's path, with the part after it in parentheses where there are several.
        driver: the quantities behind `after`; behind `before` if the resource is gone.
        before: USD rounded to the cent; None if the resource is not there.
        floor: of `after`, the least that autoscaling goes down to; None without autoscaling.
        ceiling: of `after`, the most that autoscaling goes up to.
    """

    subject: str
    type: str
    driver: str
    before: Decimal | None
    after: Decimal | None
    floor: Decimal | None = None
    ceiling: Decimal | None = None


@dataclass(frozen=True)
class CostReview:
    """A month's cost of an environment at the stated assumptions.

    Attributes:
        monthly_before: None if there is nothing to compare with.
        lines: dearest first.
        unpriced: what costs something that `monthly_after` leaves out, with the reason.
        assumptions: the rules and the traffic that the amounts rest on.
        prices_as_of: regions with the days on which their prices were read.
    """

    monthly_before: Decimal | None
    monthly_after: Decimal
    lines: tuple[CostLine, ...]
    unpriced: tuple[str, ...]
    assumptions: tuple[str, ...]
    prices_as_of: str
    currency: str = "USD"


@dataclass(frozen=True)
class _Side:
    """One assembly's estimates, by subject and type."""

    estimates: Mapping[tuple[str, str], Estimate]
    unpriced: tuple[str, ...]

    @property
    def total(self) -> Decimal:
        return _rounded(sum((estimate.amount for estimate in self.estimates.values()), Decimal(0)))


_NOTHING: Final = _Side({}, ())


def review_cost(before: Assembly | None, after: Assembly, *, traffic: Traffic | None = None) -> CostReview:
    """Price both assemblies at `traffic`, by default the small use that `Traffic` describes."""
    assumed = Traffic() if traffic is None else traffic
    old = _NOTHING if before is None else _side(before, assumed)
    new = _side(after, assumed)
    keys = sorted({*old.estimates, *new.estimates})
    lines = [_line(key, old.estimates.get(key), new.estimates.get(key)) for key in keys]
    return CostReview(
        monthly_before=None if before is None else old.total,
        monthly_after=new.total,
        lines=tuple(
            sorted(lines, key=lambda line: -max(line.before or Decimal(0), line.after or Decimal(0)))
        ),
        unpriced=new.unpriced,
        assumptions=(*RULES, *describe(assumed)),
        prices_as_of=_as_of(after),
    )


def _line(key: tuple[str, str], old: Estimate | None, new: Estimate | None) -> CostLine:
    current = new or old
    assert current is not None  # noqa: S101
    return CostLine(
        subject=key[0],
        type=key[1],
        driver=current.driver,
        before=None if old is None else _rounded(old.amount),
        after=None if new is None else _rounded(new.amount),
        floor=None if new is None or new.floor is None else _rounded(new.floor),
        ceiling=None if new is None or new.ceiling is None else _rounded(new.ceiling),
    )


def _side(assembly: Assembly, traffic: Traffic) -> _Side:
    readable = Readable(assembly)
    usage = Usage(assembly, readable, traffic)
    estimates: dict[tuple[str, str], Estimate] = {}
    unpriced: list[str] = []
    for resource in assembly.resources():
        if is_free(resource):
            continue
        region = assembly.stacks[resource.stack].region
        prices = price_table().get(region, RegionPrices(region, {}, {}))
        for found in _priced(resource, Context(assembly, readable, prices, traffic, usage)):
            subject = f"{resource.path} ({found.part})" if found.part else resource.path
            if isinstance(found, Unpriced):
                unpriced.append(f"{subject} ({resource.type}): {found.reason}")
                continue
            kind = found.kind or resource.type
            # Templates that CDK did not write may give two resources one path.
            taken = (subject, kind) in estimates
            estimates[f"{subject} [{resource.logical_id}]" if taken else subject, kind] = found
    return _Side(estimates, tuple(sorted(unpriced)))


def _priced(resource: Resource, context: Context) -> Iterator[Estimate | Unpriced]:
    estimator = ESTIMATORS.get(resource.type)
    if estimator is None:
        yield Unpriced("no estimator for this type")
        return
    if not context.prices.prices:
        yield Unpriced(_no_prices(context.prices.region))
        return
    try:
        yield from estimator(resource, context)
    except UnpricedError as error:
        yield Unpriced(str(error))


def _as_of(assembly: Assembly) -> str:
    regions = sorted({stack.region for stack in assembly.stacks.values()})
    return "; ".join(
        f"{region}: read {prices.sources[0].read} to {prices.sources[-1].read}"
        if (prices := price_table().get(region))
        else _no_prices(region)
        for region in regions
    )


def _no_prices(region: str) -> str:
    return (
        "its stack is bound to no region" if region == "unknown-region" else f"no prices for region {region}"
    )


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, rounding=ROUND_HALF_UP)
