"""When an alarm rings. Periods of a minute; it is half past the minute `NOW`."""

import pytest

from local_cloud.alarm_evaluation import AlarmRule

MINUTE = 28_333_333 * 60.0
NOW = MINUTE + 30.0


def rule(of: int = 1, out_of: int = 1, missing: str = "notBreaching", comparison: str = "") -> AlarmRule:
    return AlarmRule(
        comparison=comparison or "GreaterThanThreshold",
        threshold=5,
        period=60,
        evaluation_periods=out_of,
        datapoints_to_alarm=of,
        treat_missing=missing,
    )


def state(alarm: AlarmRule, *minutes: float | None) -> str | None:
    """Evaluate with the values of the last minutes; the last of them is the present one."""
    values = {MINUTE - 60 * age: value for age, value in enumerate(reversed(minutes))}
    return alarm.evaluate(NOW, values.get)[0]


@pytest.mark.parametrize(
    ("alarm", "minutes", "expected"),
    [
        # The present minute raises the alarm at once and does not end it.
        (rule(), (0, 6), "ALARM"),
        (rule(), (0, 5), "OK"),
        (rule(), (6, 0), "ALARM"),
        (rule(), (6, None), "ALARM"),
        (rule(), (6, 0, 0), "OK"),
        (rule(), (6, None, None), "OK"),
        # Each datapoint is one period: errors do not add up.
        (rule(3, 3), (2, 2, 2, 2), "OK"),
        (rule(3, 3), (6, 0, 6, 6), "OK"),
        (rule(3, 3), (0, 6, 6, 6), "ALARM"),
        (rule(2, 3), (6, 0, 6, 0), "ALARM"),
        (rule(2, 3), (0, 6, 0, 6), "ALARM"),
        # Missing data.
        (rule(missing="missing"), (None, None), "INSUFFICIENT_DATA"),
        (rule(missing="missing"), (None, 0), "OK"),
        (rule(missing="missing"), (None, 6), "ALARM"),
        (rule(missing="breaching"), (None, None), "ALARM"),
        (rule(missing="ignore"), (None, None), None),
        (rule(2, 2, missing="breaching"), (None, 6, None), "ALARM"),
        (rule(2, 2), (None, 6, None), "OK"),
        # A sum that still grows is not too low yet.
        (rule(comparison="LessThanThreshold"), (9, 1), "OK"),
        (rule(comparison="LessThanThreshold"), (1, 9), "ALARM"),
        (rule(comparison="LessThanOrEqualToThreshold"), (5, 9), "ALARM"),
        (rule(comparison="GreaterThanOrEqualToThreshold"), (0, 5), "ALARM"),
    ],
)
def test_state(alarm: AlarmRule, minutes: tuple[float | None, ...], expected: str | None) -> None:
    assert state(alarm, *minutes) == expected


def test_datapoints_behind_the_state_are_given() -> None:
    values = {MINUTE - 120: 1.0, MINUTE - 60: 2.0, MINUTE: 9.0}
    assert rule(1, 2).evaluate(NOW, values.get) == ("ALARM", [2.0, 9.0])
    assert rule(2, 2).evaluate(NOW, values.get) == ("OK", [1.0, 2.0])
