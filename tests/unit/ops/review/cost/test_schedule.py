import contextlib
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.review.cost.schedule import runs_per_month


@pytest.mark.parametrize(
    ("expression", "per_month"),
    [
        ("rate(1 hour)", Decimal(730)),
        ("rate(10 minutes)", Decimal(4380)),
        ("rate(1 day)", Decimal(730) / 24),
        ("rate(7 days)", Decimal(730) / 168),
        ("cron(0 3 1 * ? *)", Decimal(1)),
        ("cron(0 3 L * ? *)", Decimal(1)),
        ("cron(0 3 15W * ? *)", Decimal(1)),
        ("cron(0 3 1W * ? *)", Decimal(1)),
        ("cron(0 3 LW * ? *)", Decimal(1)),
        ("cron(0 3 ? * MON#1 *)", Decimal(1)),
        ("cron(0 3 ? * 6L *)", Decimal(1)),
        ("cron(0 3 1 JAN,JUL ? *)", Decimal(2) / 12),
        ("cron(0 3 29 2 ? *)", Decimal(1) / 48),
        ("cron(0/15 8-17 1 * ? *)", Decimal(40)),
        ("cron(0 0,12 1,15 * ? *)", Decimal(4)),
        ("cron(0 3 ? * mon *)", Decimal(208) / 48),
        ("cron(0 3 ? * L *)", Decimal(209) / 48),
        ("cron(0 3 ? * FRI-MON *)", Decimal(835) / 48),
        ("cron(0 3 1 1 ? 2030)", Decimal(1) / 12),
        ("cron(0 3 1 1 ? 2030-2031)", Decimal(2) / 24),
        ("cron(5 * * * ? *)", Decimal(24 * 1461) / 48),
        ("at(2030-01-01T00:00:00)", Decimal(0)),
    ],
)
def test_runs_of_an_average_month(expression: str, per_month: Decimal) -> None:
    assert round(runs_per_month(expression), 20) == round(per_month, 20)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "rate(0 days)",
        "rate(1 week)",
        "rate(days)",
        "cron(0 3 * * ?)",
        "cron(60 3 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 3 32 * ? *)",
        "cron(0 3 ? 13 MON *)",
        "cron(0 3 ? * FUNDAY *)",
        "cron(0/0 3 ? * MON *)",
        "cron(x 3 ? * MON *)",
        "every week",
    ],
)
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        runs_per_month(expression)


@settings(deadline=None)
@given(every=st.integers(1, 1000), unit=st.sampled_from(["minutes", "hours", "days"]))
def test_twice_the_interval_is_half_the_runs(every: int, unit: str) -> None:
    assert runs_per_month(f"rate({every} {unit})") == pytest.approx(
        2 * runs_per_month(f"rate({2 * every} {unit})")
    )


@settings(deadline=None, max_examples=20)
@given(
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=5),
    days=st.sets(st.sampled_from(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]), min_size=1),
)
def test_lists_add_up(minutes: set[int], days: set[str]) -> None:
    together = runs_per_month(f"cron({','.join(map(str, minutes))} 3 ? * {','.join(days)} *)")
    apart = sum(runs_per_month(f"cron({minute} 3 ? * {day} *)") for minute in minutes for day in days)

    assert together == pytest.approx(apart)


@given(st.text())
def test_any_text_is_understood_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert runs_per_month(text) >= 0


@settings(deadline=None)
@given(
    fields=st.lists(
        st.text(alphabet="0123456789*?,-/LW#MONAJ", min_size=1, max_size=6), min_size=6, max_size=6
    )
)
def test_any_six_fields_are_understood_or_refused(fields: list[str]) -> None:
    with contextlib.suppress(ValueError):
        assert runs_per_month(f"cron({' '.join(fields)})") >= 0
