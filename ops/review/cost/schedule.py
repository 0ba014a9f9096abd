"""How often a schedule of EventBridge starts something.

Syntax: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import calendar
import re
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Final, Literal

HOURS_PER_MONTH: Final = 730
"""A twelfth of a year, as AWS's own calculator counts."""

_PER_MONTH: Final = {
    "minute": Decimal(HOURS_PER_MONTH) * 60,
    "hour": Decimal(HOURS_PER_MONTH),
    "day": Decimal(HOURS_PER_MONTH) / 24,
}
_RATE: Final = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_CRON: Final = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_MONTHS: Final = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS: Final = {
    name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)
}
_FIRST_YEAR: Final = 2025
"""The years that are counted, four of them, have one leap day, like any four of this century."""


def runs_per_month(expression: str) -> Decimal:
    """Return how often `expression` fires in an average month; one that fires once does not count.

    Raises:
        ValueError: `expression` is no `rate(...)`, `cron(...)` or `at(...)`.
    """
    if expression.startswith("at("):
        return Decimal(0)
    if rate := _RATE.fullmatch(expression):
        number, unit = int(rate[1]), rate[2]
        if number:
            return _PER_MONTH[unit] / number
    if cron := _CRON.fullmatch(expression.upper().replace("CRON", "cron", 1)):
        minute, hour, day_of_month, month, day_of_week, year = cron.groups()
        times = len(_values(minute, 0, 59)) * len(_values(hour, 0, 23))
        return times * _days_per_month(day_of_month, month, day_of_week, year)
    raise ValueError(f"{expression} is not a schedule of EventBridge")


def _days_per_month(day_of_month: str, month: str, day_of_week: str, year: str) -> Decimal:
    months = _values(month, 1, 12, "months")
    years = range(_FIRST_YEAR, _FIRST_YEAR + 4) if year == "*" else sorted(_values(year, 1970, 2199))
    matching = sum(
        1
        for each_year in years
        for day in _days_of(each_year)
        if day.month in months and _day_of_month(day, day_of_month) and _day_of_week(day, day_of_week)
    )
    return Decimal(matching) / (12 * len(years))


def _days_of(year: int) -> list[date]:
    first = date(year, 1, 1)
    return [first + timedelta(days=day) for day in range(366 if calendar.isleap(year) else 365)]


def _day_of_month(day: date, field: str) -> bool:
    if field in ("?", "*"):
        return True
    last = calendar.monthrange(day.year, day.month)[1]
    if field == "L":
        return day.day == last
    if nearest := re.fullmatch(r"(\d+|L)W", field):
        wanted = last if nearest[1] == "L" else min(int(nearest[1]), last)
        return day == _nearest_weekday(date(day.year, day.month, wanted))
    return day.day in _values(field, 1, 31)


def _nearest_weekday(day: date) -> date:
    moves = {5: (-1, 2), 6: (1, -2)}.get(day.weekday(), (0, 0))
    return next(moved for moved in (day + timedelta(days=move) for move in moves) if moved.month == day.month)


def _day_of_week(day: date, field: str) -> bool:
    if field in ("?", "*"):
        return True
    number = day.isoweekday() % 7 + 1
    if field == "L":
        return number == 7
    if last := re.fullmatch(r"(\d|[A-Z]{3})L", field):
        return number in _values(last[1], 1, 7, "days") and (day + timedelta(days=7)).month != day.month
    if nth := re.fullmatch(r"(\d|[A-Z]{3})#([1-5])", field):
        return number in _values(nth[1], 1, 7, "days") and (day.day - 1) // 7 + 1 == int(nth[2])
    return number in _values(field, 1, 7, "days")


@cache
def _values(
    field: str, lowest: int, highest: int, names: Literal["months", "days"] | None = None
) -> set[int]:
    """The values that a field with `,`, `-`, `*` and `/` allows."""
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        if span in ("*", "?"):
            first, last = lowest, highest
        else:
            start, dash, end = span.partition("-")
            first = _value(start, names)
            last = _value(end, names) if dash else highest if slash else first
        if not (lowest <= first <= highest and lowest <= last <= highest) or (slash and not int(step)):
            raise ValueError(f"{part} is not between {lowest} and {highest}")
        last += 0 if first <= last else highest - lowest + 1
        values = range(first, last + 1, int(step) if slash else 1)
        found.update((value - lowest) % (highest - lowest + 1) + lowest for value in values)
    return found


def _value(text: str, names: Literal["months", "days"] | None) -> int:
    known = {"months": _MONTHS, "days": _DAYS, None: {}}[names]
    return known[text] if text in known else int(text)
