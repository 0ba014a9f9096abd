"""The ranges that a tuning job searches, as dimensions of a unit cube.

Rules of the ranges: https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-define-ranges.html.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from local_cloud.sagemaker.errors import validation
from local_cloud.sagemaker.tuning import algorithm

MAX_HYPERPARAMETERS = 30
"""Of all ranges together (API reference, HyperParameterTrainingJobDefinition)."""

_AUTO_LOGARITHMIC_RATIO = 100.0

Values = dict[str, str]
"""Hyperparameters by name, as the API carries them."""


class Dimension(Protocol):
    """One tuned hyperparameter."""

    @property
    def name(self) -> str:
        """Hyperparameter."""

    def at(self, position: float) -> str:
        """Return the value at a position in [0, 1)."""

    def features(self, value: str) -> list[float]:
        """Return coordinates of a value in which like values are near each other, each in [0, 1]."""


@dataclass(frozen=True)
class Numeric:
    """A range of numbers, searched on `scaling`."""

    name: str
    low: float
    high: float
    scaling: str
    integer: bool

    def at(self, position: float) -> str:
        """See `Dimension`."""
        # Half a step beyond both ends, rounding gives every integer an equal share of the scale.
        margin = 0.5 if self.integer and self.scaling == "Linear" else 0.0
        low, high = self._scaled(self.low - margin), self._scaled(self.high + margin)
        value = min(max(self._unscaled(low + position * (high - low)), self.low), self.high)
        return str(round(value)) if self.integer else repr(value)

    def features(self, value: str) -> list[float]:
        """See `Dimension`."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        return [0.0 if high == low else (self._scaled(float(value)) - low) / (high - low)]

    def _scaled(self, value: float) -> float:
        if self.scaling == "Logarithmic":
            return math.log(value)
        return -math.log1p(-value) if self.scaling == "ReverseLogarithmic" else value

    def _unscaled(self, value: float) -> float:
        if self.scaling == "Logarithmic":
            return math.exp(value)
        return -math.expm1(-value) if self.scaling == "ReverseLogarithmic" else value


@dataclass(frozen=True)
class Categorical:
    """A list of values without an order."""

    name: str
    values: tuple[str, ...]

    def at(self, position: float) -> str:
        """See `Dimension`."""
        return self.values[min(int(position * len(self.values)), len(self.values) - 1)]

    def features(self, value: str) -> list[float]:
        """See `Dimension`: any two different values are at distance 1."""
        return [math.sqrt(0.5) if each == value else 0.0 for each in self.values]


def dimensions(ranges: Mapping[str, Any], static: Mapping[str, str]) -> list[Dimension]:
    """Return the dimensions of a tuning job's ``ParameterRanges``.

    Args:
        ranges: as in the request.
        static: hyperparameters that are not tuned.

    Raises:
        SageMakerError: a range is not one of a tunable hyperparameter, or makes no sense.
    """
    if ranges.get("AutoParameters"):
        raise validation("The local cloud does not offer Autotune: give every tuned hyperparameter a range")
    found: list[Dimension] = [
        *(_numeric(each, static, integer=True) for each in ranges.get("IntegerParameterRanges", [])),
        *(_numeric(each, static, integer=False) for each in ranges.get("ContinuousParameterRanges", [])),
        *(_categorical(each, static) for each in ranges.get("CategoricalParameterRanges", [])),
    ]
    names = [dimension.name for dimension in found]
    if not names:
        raise validation("ParameterRanges has no range: there is nothing to tune")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise validation(f"Hyperparameters with more than one range: {', '.join(twice)}")
    if len(names) > MAX_HYPERPARAMETERS:
        raise validation(f"At most {MAX_HYPERPARAMETERS} hyperparameters can be tuned, not {len(names)}")
    return found


def _numeric(each: Mapping[str, str], static: Mapping[str, str], *, integer: bool) -> Numeric:
    name = each["Name"]
    if algorithm.is_integer(name, static) != integer:
        kind = "ContinuousParameterRanges" if integer else "IntegerParameterRanges"
        raise validation(f"The range of the hyperparameter {name!r} belongs into {kind}")
    low, high = (_number(name, each[end], integer=integer) for end in ("MinValue", "MaxValue"))
    if low > high:
        raise validation(f"The range of {name!r} is empty: MinValue {low:g} is above MaxValue {high:g}")
    return Numeric(
        name, low, high, _scaling(name, each.get("ScalingType", "Auto"), low, high, integer), integer
    )


def _number(name: str, text: str, *, integer: bool) -> float:
    try:
        value = float(int(text)) if integer else float(text)
    except ValueError:
        value = math.nan
    least = algorithm.lower_bound(name)
    if not math.isfinite(value) or (least is not None and value < least):
        kind = "an integer" if integer else "a number"
        bound = "" if least is None else f" from {least:g}"
        raise validation(f"{text!r} is not a value of the hyperparameter {name!r}, which is {kind}{bound}")
    return value


def _scaling(name: str, scaling: str, low: float, high: float, integer: bool) -> str:
    if scaling == "Auto":
        return "Logarithmic" if low > 0 and high >= _AUTO_LOGARITHMIC_RATIO * low else "Linear"
    if scaling == "Logarithmic" and low <= 0:
        raise validation(f"The range of {name!r} cannot be Logarithmic: MinValue {low:g} is not above 0")
    if scaling == "ReverseLogarithmic":
        if integer:
            raise validation(f"The range of {name!r} cannot be ReverseLogarithmic: it is one of integers")
        if low < 0 or high >= 1:
            raise validation(
                f"The range of {name!r} cannot be ReverseLogarithmic: {low:g} to {high:g} is not within "
                "0<=x<1"
            )
    return scaling


def _categorical(each: Mapping[str, Any], static: Mapping[str, str]) -> Categorical:
    name, values = each["Name"], tuple(each["Values"])
    integer = algorithm.is_integer(name, static)
    for value in values:
        _number(name, value, integer=integer)
    if len(set(values)) != len(values):
        raise validation(f"The range of {name!r} has a value more than once: {', '.join(values)}")
    return Categorical(name, values)


def values_at(space: Sequence[Dimension], position: Sequence[float]) -> Values:
    """Return the values at a point of the unit cube."""
    return {dimension.name: dimension.at(float(x)) for dimension, x in zip(space, position, strict=True)}


def features_of(space: Sequence[Dimension], values: Mapping[str, str]) -> list[float]:
    """Return the coordinates by which a search compares values."""
    return [x for dimension in space for x in dimension.features(values[dimension.name])]
