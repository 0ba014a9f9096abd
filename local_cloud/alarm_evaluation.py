"""How CloudWatch decides on the state of a metric alarm.

As in https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html: a datapoint for
each of the last ``EvaluationPeriods`` periods, of which ``DatapointsToAlarm`` must breach the threshold, and
missing ones treated as ``TreatMissingData`` says.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


@dataclass(frozen=True)
class AlarmRule:
    """When an alarm rings.

    Attributes:
        comparison: ``ComparisonOperator``.
        threshold: what each datapoint is compared with.
        period: seconds of one datapoint.
        evaluation_periods: how many datapoints are looked at.
        datapoints_to_alarm: how many of them must breach.
        treat_missing: ``missing``, ``ignore``, ``breaching`` or ``notBreaching``.
    """

    comparison: str
    threshold: float
    period: int
    evaluation_periods: int
    datapoints_to_alarm: int
    treat_missing: str

    def evaluate(
        self, moment: float, value: Callable[[float], float | None]
    ) -> tuple[str | None, list[float | None]]:
        """Return the alarm's state at `moment`, None to keep the present one, and the datapoints behind it.

        Periods begin at multiples of their length. The one that `moment` lies in may raise the alarm, not end
        it: its value still grows. For the same reason it says nothing to a comparison with a lower bound.

        Args:
            moment: seconds since the epoch.
            value: gives a period's datapoint by the period's beginning, None where there is no data.

        Raises:
            KeyError: the comparison is of an anomaly detector.
        """
        current = moment // self.period * self.period
        starts = [current - self.period * age for age in range(self.evaluation_periods, 0, -1)]
        complete = [value(start) for start in starts]
        newest = value(current) if self.comparison.startswith("Greater") else None
        if newest is not None:
            datapoints = [*complete[1:], newest]
            state = self._state(datapoints)
            if state == "ALARM" or not any(each is not None for each in complete):
                return state, datapoints
        return self._state(complete), complete

    def _state(self, datapoints: Sequence[float | None]) -> str | None:
        breaches = _COMPARISONS[self.comparison]
        known = [breaches(value, self.threshold) for value in datapoints if value is not None]
        if not known and self.treat_missing == "ignore":
            return None
        if not known and self.treat_missing == "missing":
            return "INSUFFICIENT_DATA"
        absent = len(datapoints) - len(known)
        breaching = sum(known) + (absent if self.treat_missing == "breaching" else 0)
        return "ALARM" if breaching >= self.datapoints_to_alarm else "OK"
