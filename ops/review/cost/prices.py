"""Unit prices by region, from `prices.toml`: each dated and with the public sources that give it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

_FILE: Final = Path(__file__).with_name("prices.toml")


class UnpricedError(Exception):
    """Something cannot be priced; the message says what is missing, without a full stop."""


@dataclass(frozen=True)
class Source:
    """Where a price was read.

    Attributes:
        read: the day on which the source read AWS's prices.
        evidence: "public code", "published page copy" or "public article".
    """

    name: str
    address: str
    read: date
    evidence: str
    note: str = ""


@dataclass(frozen=True)
class Price:
    """What one `unit` (or `per` of them) costs in USD."""

    usd: Decimal
    unit: str
    sources: tuple[Source, ...]
    per: int = 1

    def of(self, quantity: Decimal | int) -> Decimal:
        """Return what `quantity` units cost, unrounded."""
        return self.usd * quantity / self.per


@dataclass(frozen=True)
class RegionPrices:
    """The prices of one region."""

    region: str
    prices: Mapping[str, Price]
    instance_hours: Mapping[str, Price]
    """By SageMaker instance type."""

    def __getitem__(self, name: str) -> Price:
        """Return the price that is called `name` in `prices.toml`; raise UnpricedError if there is none."""
        if name not in self.prices:
            raise UnpricedError(f"no price for {name} in {self.region}")
        return self.prices[name]

    def instance_hour(self, instance_type: str) -> Price:
        """Return the price of an hour of `instance_type`; raise UnpricedError if there is none."""
        if instance_type not in self.instance_hours:
            raise UnpricedError(f"no price for {instance_type} in {self.region}")
        return self.instance_hours[instance_type]

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every source of the region's prices, oldest first."""
        prices = (*self.prices.values(), *self.instance_hours.values())
        return tuple(
            sorted(
                {source for price in prices for source in price.sources},
                key=lambda source: (source.read, source.name),
            )
        )


@cache
def price_table() -> Mapping[str, RegionPrices]:
    """Return all prices, by region."""
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"), parse_float=Decimal)
    sources = {name: Source(name=name, **source) for name, source in content["sources"].items()}
    return {region: _region(region, tables, sources) for region, tables in content["regions"].items()}


def _region(region: str, tables: Mapping[str, Any], sources: Mapping[str, Source]) -> RegionPrices:
    return RegionPrices(
        region=region,
        prices={name: _price(entry, sources) for name, entry in tables["prices"].items()},
        instance_hours={
            name: _price({"usd": usd, "unit": "hour", "sources": group["sources"]}, sources)
            for group in tables["instance_hours"]
            for name, usd in group["usd"].items()
        },
    )


def _price(entry: Mapping[str, Any], sources: Mapping[str, Source]) -> Price:
    return Price(
        usd=Decimal(entry["usd"]),
        unit=entry["unit"],
        sources=tuple(sources[name] for name in entry["sources"]),
        per=entry.get("per", 1),
    )
