from datetime import date
from decimal import Decimal

import pytest

from infra import instance_types
from ops.review.cost.prices import UnpricedError, price_table


@pytest.mark.parametrize("kind", ["TRAINING", "TRANSFORM", "HOSTING"])
def test_every_instance_type_that_an_environment_may_name_is_priced(kind: str) -> None:
    hours = price_table()["us-east-1"].instance_hours

    assert set(getattr(instance_types, kind)) <= set(hours)


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_every_price_is_positive_dated_and_sourced(region: str) -> None:
    table = price_table()[region]
    for name, price in [*table.prices.items(), *table.instance_hours.items()]:
        assert price.usd > 0, name
        assert price.per >= 1, name
        assert price.sources, name
        for source in price.sources:
            assert source.address.startswith("https://"), source.name
            assert source.read >= date(2022, 1, 1), source.name
            assert source.evidence in ("public code", "published page copy", "public article"), source.name


def test_larger_instances_cost_more() -> None:
    hours = price_table()["us-east-1"].instance_hours
    for family in ("t2", "m5", "c5", "m6i", "c6i"):
        sizes = [name for name in instance_types.HOSTING if name.startswith(f"ml.{family}.")]
        prices = [hours[name].usd for name in sizes]
        assert prices == sorted(set(prices))


def test_prices_are_exact_decimals() -> None:
    prices = price_table()["us-east-1"]

    assert prices["lambda_arm64"].usd == Decimal("0.0000133334")
    assert prices["rest_request"].of(1) == Decimal("0.0000035")
    assert prices.instance_hour("ml.m5.large").of(730) == Decimal("83.95")


def test_hosting_on_the_smallest_type_has_its_own_price_and_source() -> None:
    price = price_table()["us-east-1"].instance_hour("ml.t2.medium")

    assert price.usd == Decimal("0.056")
    assert [source.name for source in price.sources] == ["serverless-benchmarking"]


def test_what_is_not_in_the_table_is_said_by_name() -> None:
    prices = price_table()["eu-west-1"]

    with pytest.raises(UnpricedError, match=r"^no price for sagemaker_serverless in eu-west-1$"):
        prices["sagemaker_serverless"]
    with pytest.raises(UnpricedError, match=r"^no price for ml\.p5\.48xlarge in eu-west-1$"):
        prices.instance_hour("ml.p5.48xlarge")
