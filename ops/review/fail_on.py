"""Conditions under which a review fails a pipeline: `--fail-on replacement,cost-increase:20%`."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from ops.errors import OperationError
from ops.review.model import EnvironmentReview, Grade, Review
from ops.review.verdict import cost_increase, permission, widened

_COST_INCREASE = "cost-increase"
_PERCENTAGE = re.compile(r"(\d+(?:\.\d+)?)%")


@dataclass(frozen=True)
class Condition:
    """One condition."""

    name: str
    percentage: Decimal | None = None
    """Of `cost-increase`: more than this much of the cost before."""

    def met_by(self, review: Review) -> list[str]:
        """Return what meets the condition, a line each."""
        return [
            f"{environment.name}: {found}" if len(review.environments) > 1 else found
            for environment in review.environments
            if environment.before is not None
            for found in self._found(environment)
        ]

    def _found(self, environment: EnvironmentReview) -> Iterator[str]:
        if self.percentage is None:
            yield from _FINDERS[self.name](environment)
            return
        increase, before = cost_increase(environment), environment.cost.monthly_before or Decimal(0)
        if increase > before * self.percentage / 100:
            yield f"{before} {environment.cost.currency} a month become {environment.cost.monthly_after}"


def parse_fail_on(values: list[str]) -> list[Condition]:
    """Read the conditions, each value a comma-separated list of them.

    Raises:
        OperationError: there is no such condition, or its percentage is missing or no number.
    """
    texts = [text.strip() for value in values for text in value.split(",")]
    return [_condition(text) for text in dict.fromkeys(texts) if text]


def _condition(text: str) -> Condition:
    name, colon, argument = text.partition(":")
    if name == _COST_INCREASE:
        number = _PERCENTAGE.fullmatch(argument)
        if number is None:
            raise OperationError(f"--fail-on {text}: say how much is too much, such as {_COST_INCREASE}:20%")
        return Condition(name, Decimal(number.group(1)))
    if name not in _FINDERS:
        known = ", ".join((*_FINDERS, f"{_COST_INCREASE}:<percent>%"))
        raise OperationError(f"--fail-on {text}: there is no such condition; there are {known}")
    if colon:
        raise OperationError(f"--fail-on {text}: {name} takes no value")
    return Condition(name)


def _graded(grade: Grade) -> Callable[[EnvironmentReview], list[str]]:
    return lambda environment: [change.path for change in environment.changes if grade in change.grades]


def _widened(environment: EnvironmentReview) -> list[str]:
    return [permission(change) for change in widened(environment)]


def _opened(environment: EnvironmentReview) -> list[str]:
    return [f"{door.subject}: {door.what}" for door in environment.permissions.opened if door.public]


_FINDERS: Mapping[str, Callable[[EnvironmentReview], list[str]]] = {
    "replacement": _graded(Grade.REPLACED),
    "data-loss": _graded(Grade.DATA_LOSS),
    "iam-widening": _widened,
    "public": _opened,
}
