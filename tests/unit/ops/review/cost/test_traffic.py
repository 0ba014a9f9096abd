from dataclasses import fields, replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import OperationError
from ops.review.cost import Traffic, parse_traffic
from ops.review.cost.traffic import describe, meanings, readable

KEYS = [entry.name for entry in fields(Traffic)]


def test_without_assignments_the_defaults_hold() -> None:
    assert parse_traffic([]) == Traffic()


def test_assignments_change_what_they_name() -> None:
    traffic = parse_traffic(["requests_per_month=1_000_000", "request_seconds = 0.25"])

    assert traffic == replace(
        Traffic(), requests_per_month=Decimal(1_000_000), request_seconds=Decimal("0.25")
    )


@given(key=st.sampled_from(KEYS), number=st.decimals(min_value=0, max_value=10**12, allow_nan=False))
def test_every_key_takes_every_amount(key: str, number: Decimal) -> None:
    assert getattr(parse_traffic([f"{key}={number}"]), key) == number


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["users=5"], '--traffic users=5: unknown key "users"; the keys are: requests_per_month, '),
        (
            ["request_per_month=5"],
            '--traffic request_per_month=5: unknown key "request_per_month"; '
            'did you mean "requests_per_month"?',
        ),
        (["log_kb"], "--traffic log_kb: has no value; write log_kb=<number>"),
        (["log_kb="], '--traffic log_kb=: "" is not a number from 0 to 1,000,000,000,000'),
        (["log_kb=many"], '--traffic log_kb=many: "many" is not a number from 0 to '),
        (["log_kb=-1"], '--traffic log_kb=-1: "-1" is not a number from 0 to '),
        (["log_kb=nan"], '--traffic log_kb=nan: "nan" is not a number from 0 to '),
        (["log_kb=inf"], '--traffic log_kb=inf: "inf" is not a number from 0 to '),
        (["log_kb=1e13"], '--traffic log_kb=1e13: "1e13" is not a number from 0 to '),
        (["log_kb=1", "log_kb=2"], "--traffic log_kb=2: log_kb is given twice; keep one"),
    ],
)
def test_mistakes_are_told_in_one_line(assignments: list[str], message: str) -> None:
    with pytest.raises(OperationError) as error:
        parse_traffic(assignments)

    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@given(text=st.text())
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(OperationError, match=r"^--traffic "):
        parse_traffic([f"{text}!"])


def test_every_amount_is_described() -> None:
    assert set(meanings()) == set(KEYS)
    assert "requests_per_month = 10,000: requests to each API, shared evenly by its methods" in describe(
        Traffic()
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [("1000000", "1,000,000"), ("0.50", "0.5"), ("0", "0"), ("10", "10"), ("0.0000001", "0")],
)
def test_numbers_are_readable(number: str, text: str) -> None:
    assert readable(Decimal(number)) == text
