"""The page about cost: what each environment costs, on which assumptions, at which prices."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from ops.review.cost.prices import RegionPrices, Source, price_table
from ops.review.cost.review import RULES, CostReview
from ops.review.cost.traffic import Traffic, describe, readable

_TITLE: Final = """\
# What an environment costs

Estimated from the synthesized templates, at list prices and at the small use that is assumed below;
`recommender review --traffic requests_per_month=1000000` assumes another. The endpoint's instances run all
month, asked or not, and are nearly all of it.
"""
_ELSEWHERE: Final = """\
## Other regions and instance types

Nothing is guessed: what the tables above have no price for is listed as not priced.
"""
_DATES: Final = """\
A date is the day on which the source read AWS's prices; of an undated copy of a page, the day on which the
copy was read. None was read from AWS directly: check with AWS's own calculator before anything large
depends on them.
"""
_SHOWN: Final = Decimal("0.05")
"""Lines below this are summed up in one."""


def render(reviews: Mapping[str, CostReview]) -> str:
    """Return the page as Markdown, for reviews with the default traffic by the environment's description."""
    return "\n".join(
        [
            *_introduction(reviews),
            *(line for name, review in reviews.items() for line in _environment(name, review)),
            *_assumptions(),
            *(line for prices in price_table().values() for line in _prices(prices)),
            _ELSEWHERE,
            *_sources(),
        ]
    )


def overview(reviews: Mapping[str, CostReview]) -> str:
    """Return the table of the environments' monthly costs as Markdown, for the README."""
    return "\n".join(_totals(reviews))


def _introduction(reviews: Mapping[str, CostReview]) -> Iterator[str]:
    yield _TITLE
    yield from _totals(reviews)
    yield ""


def _totals(reviews: Mapping[str, CostReview]) -> Iterator[str]:
    yield "| environment | USD per month | of which the endpoint |"
    yield "|---|---:|---:|"
    for name, review in reviews.items():
        endpoint = sum(
            (line.after or Decimal(0) for line in review.lines if line.type == "AWS::SageMaker::Endpoint"),
            Decimal("0.00"),
        )
        yield f"| {name} | {review.monthly_after:,} | {endpoint:,} |"


def _environment(name: str, review: CostReview) -> Iterator[str]:
    yield f"## {name[0].upper()}{name[1:]}"
    yield ""
    yield "| resource | USD per month | for |"
    yield "|---|---:|---|"
    shown = [line for line in review.lines if (line.after or Decimal(0)) >= _SHOWN]
    for line in shown:
        yield f"| {line.subject} | {line.after:,} | {line.driver} |"
    rest = review.monthly_after - sum((line.after or Decimal(0) for line in shown), Decimal(0))
    yield f"| {len(review.lines) - len(shown)} others, each below {_SHOWN} | {rest} | |"
    yield f"| **total** | **{review.monthly_after:,}** | |"
    yield ""
    yield "Not priced: " + ("; ".join(review.unpriced) if review.unpriced else "nothing") + "."
    yield ""


def _assumptions() -> Iterator[str]:
    yield "## Assumptions"
    yield ""
    yield from (f"- {rule}" for rule in RULES)
    yield ""
    yield "A month's use, which `--traffic key=value` changes:"
    yield ""
    for line in describe(Traffic()):
        amount, _, meaning = line.partition(": ")
        yield f"- `{amount}`: {meaning}"
    yield ""


def _prices(prices: RegionPrices) -> Iterator[str]:
    yield f"## Prices in {prices.region}"
    yield ""
    yield "| price | USD | per | sources |"
    yield "|---|---:|---|---|"
    for name, price in prices.prices.items():
        per = price.unit if price.per == 1 else f"{readable(price.per)} {price.unit}"
        yield f"| `{name}` | {price.usd:f} | {per} | {_links(price.sources)} |"
    for name, price in prices.instance_hours.items():
        yield f"| `{name}` | {price.usd:f} | {price.unit} | {_links(price.sources)} |"
    yield ""


def _links(sources: tuple[Source, ...]) -> str:
    return ", ".join(f"[{source.name}](#sources)" for source in sources)


def _sources() -> Iterator[str]:
    yield "## Sources"
    yield ""
    yield "| source | read | evidence | |"
    yield "|---|---|---|---|"
    sources = {source for prices in price_table().values() for source in prices.sources}
    for source in sorted(sources, key=lambda each: each.name):
        yield f"| [{source.name}]({source.address}) | {source.read} | {source.evidence} | {source.note} |"
    yield ""
    yield _DATES
