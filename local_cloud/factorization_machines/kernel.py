"""The numeric loops of Factorization Machines, compiled by Numba on first use.

Arithmetic on parameters is float32, in an order that depends neither on the number of threads nor on the
machine's vector width: long sums run in `LANES` partial sums. Nothing here checks its input.

Sources of the update rule: Apache MXNet 1.3.1, `src/operator/optimizer_op-inl.h` (Adam on row_sparse weights
with `lazy_update`), `python/mxnet/optimizer.py` (bias correction), `src/operator/tensor/square_sum-inl.h`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba.core import event

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

LANES = 16
BETA1 = np.float32(0.9)
BETA2 = np.float32(0.999)
ONE = np.float32(1)
ZERO = np.float32(0)
HALF = np.float32(0.5)


class Rows(NamedTuple):
    """Sparse rows in CSR form; arrays are C-contiguous and writeable, keys below the number of features."""

    indptr: Int64
    """int64[n + 1]: row i has the entries from indptr[i] up to, not including, indptr[i + 1]."""
    keys: Int32
    """int32[entries]: the feature of each entry."""
    values: Float32
    """float32[entries]: its value."""


class Weights(NamedTuple):
    """The parameters, D features and k factors; updated in place by `train`."""

    bias: Float32
    """float32[1]."""
    linear: Float32
    """float32[D]."""
    factors: Float32
    """float32[D, k]."""
    square_norms: Float32
    """float32[D]: each feature's Σ_f factors², kept up to date with `factors`."""


class Moments(NamedTuple):
    """Adam's first and second moments, in this order along the first axis; updated in place by `train`."""

    bias: Float32
    """float32[2]."""
    linear: Float32
    """float32[2, D]."""
    factors: Float32
    """float32[2, D, k]."""


class Settings(NamedTuple):
    """What Adam needs to know; the arrays hold one number each for bias, linear and factors."""

    learning_rates: Float64
    """float64[3]."""
    decays: Float32
    """float32[3]: the coefficient of the L2 penalty, which is part of the gradient."""
    rescale: np.float32
    """What the sum of a batch's gradients is multiplied with."""
    clip: np.float32
    """The largest absolute gradient; below 0, gradients are not clipped."""
    epsilon: np.float32
    """Keeps the division by the second moment's root finite."""


Function = TypeVar("Function", bound=Callable[..., object])


def _jit(function: Function) -> Function:
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


@_jit
def _sum_of_squares(row: Float32, lanes: Float32) -> np.float32:
    size = row.shape[0]
    whole = size - size % LANES
    for lane in range(LANES):
        lanes[lane] = ZERO
    for base in range(0, whole, LANES):
        for lane in range(LANES):
            lanes[lane] += row[base + lane] * row[base + lane]
    for index in range(whole, size):
        lanes[index - whole] += row[index] * row[index]
    width = LANES // 2
    while width:
        for lane in range(width):
            lanes[lane] += lanes[lane + width]
        width //= 2
    return np.float32(lanes[0])


@_jit
def _raw_score(row: int, rows: Rows, weights: Weights, projection: Float32, lanes: Float32) -> np.float32:
    """Score one row before the link function, and leave its Σ_i v_i x_i in `projection`."""
    linear = ZERO
    own = ZERO
    projection[:] = ZERO
    for entry in range(rows.indptr[row], rows.indptr[row + 1]):
        key = rows.keys[entry]
        value = rows.values[entry]
        linear += value * weights.linear[key]
        own += value * value * weights.square_norms[key]
        for factor in range(projection.shape[0]):
            projection[factor] += value * weights.factors[key, factor]
    pairs = _sum_of_squares(projection, lanes)
    return np.float32((weights.bias[0] + linear) + HALF * pairs - HALF * own)


@_jit
def _link(score: np.float32, logistic: bool) -> np.float32:
    if logistic:
        return np.float32(1.0 / (1.0 + math.exp(-np.float64(score))))
    return score


@_jit
def _adam(
    weight: np.float32,
    gradient: np.float32,
    moments: tuple[np.float32, np.float32],
    rates: tuple[np.float32, np.float32],
    settings: Settings,
) -> tuple[np.float32, np.float32, np.float32]:
    """Take one step: the new weight, first and second moment. `rates` are the learning rate and the decay."""
    gradient = gradient * settings.rescale + rates[1] * weight
    if settings.clip >= ZERO:
        gradient = max(min(gradient, settings.clip), -settings.clip)
    mean = BETA1 * moments[0] + (ONE - BETA1) * gradient
    variance = BETA2 * moments[1] + (ONE - BETA2) * gradient * gradient
    return weight - rates[0] * mean / (np.sqrt(variance) + settings.epsilon), mean, variance


@_jit
def _group(
    rows: Rows, first: int, last: int, slots: Int32, groups: tuple[Int32, Int32, Int32, Float32]
) -> int:
    """Sort the entries of the rows from `first` up to `last` by feature, keeping row order within a feature.

    Fills `groups`: the features in order of appearance, the end of each feature's entries, and for each entry
    its row, counted from `first`, and its value. `slots`, int32[D], is all -1 before; the caller resets it.
    """
    features, ends, entry_rows, entry_values = groups
    count = 0
    for entry in range(rows.indptr[first], rows.indptr[last]):
        key = rows.keys[entry]
        if slots[key] < 0:
            slots[key] = count
            features[count] = key
            ends[count] = 0
            count += 1
        ends[slots[key]] += 1
    begin = 0
    for slot in range(count):
        size = ends[slot]
        ends[slot] = begin
        begin += size
    for row in range(first, last):
        for entry in range(rows.indptr[row], rows.indptr[row + 1]):
            slot = slots[rows.keys[entry]]
            entry_rows[ends[slot]] = row - first
            entry_values[ends[slot]] = rows.values[entry]
            ends[slot] += 1
    return count


@_jit
def square_norms(factors: Float32, out: Float32) -> None:
    """Write Σ_f factors[i, f]² of each feature i to `out`, float32[D]."""
    lanes = np.empty(LANES, np.float32)
    for feature in range(factors.shape[0]):
        out[feature] = _sum_of_squares(factors[feature], lanes)


@_jit
def predict(rows: Rows, weights: Weights, logistic: bool, out: Float32) -> None:
    """Write each row's score, through the logistic function where `logistic`, to `out`, float32[n]."""
    projection = np.empty(weights.factors.shape[1], np.float32)
    lanes = np.empty(LANES, np.float32)
    for row in range(out.shape[0]):
        out[row] = _link(_raw_score(row, rows, weights, projection, lanes), logistic)


@_jit
def train(  # noqa: PLR0917 - compiled functions take no keywords
    rows: Rows,
    labels: Float32,
    batches: tuple[int, int, int],
    logistic: bool,
    weights: Weights,
    moments: Moments,
    settings: Settings,
    steps: int,
    slots: Int32,
    most_entries: int,
    scores: Float32,
) -> None:
    """Train on the batches (first, last, size), `last` not included, of rows with `labels` float32[n].

    `steps` is the number of batches taken before, in all epochs; `slots` int32[D] is all -1 on entry and on
    return; `most_entries` is the number of entries of the fullest of the batches. Each row's score before its
    batch's update goes to `scores`, float32[(last - first) * size].
    """
    first_batch, last_batch, size = batches
    num_factors = weights.factors.shape[1]
    projections = np.empty((size, num_factors), np.float32)
    slopes = np.empty(size, np.float32)
    gradient = np.empty(num_factors, np.float32)
    lanes = np.empty(LANES, np.float32)
    groups = (
        np.empty(most_entries, np.int32),
        np.empty(most_entries, np.int32),
        np.empty(most_entries, np.int32),
        np.empty(most_entries, np.float32),
    )
    features, ends, entry_rows, entry_values = groups
    for batch in range(first_batch, last_batch):
        first = batch * size
        last = min(first + size, labels.shape[0])
        out = (batch - first_batch) * size
        bias_gradient = 0.0
        for index in range(last - first):
            score = _link(_raw_score(first + index, rows, weights, projections[index], lanes), logistic)
            scores[out + index] = score
            slopes[index] = score - labels[first + index]
            bias_gradient += slopes[index]
        # A short last batch is filled up with rows that have no entries and the label 0.
        for index in range(last - first, size):
            scores[out + index] = _link(weights.bias[0], logistic)
            bias_gradient += scores[out + index]

        step = steps + batch - first_batch + 1
        correction = math.sqrt(1.0 - 0.999**step) / (1.0 - 0.9**step)
        bias_rates = (np.float32(settings.learning_rates[0] * correction), settings.decays[0])
        linear_rates = (np.float32(settings.learning_rates[1] * correction), settings.decays[1])
        factor_rates = (np.float32(settings.learning_rates[2] * correction), settings.decays[2])

        weights.bias[0], moments.bias[0], moments.bias[1] = _adam(
            weights.bias[0],
            np.float32(bias_gradient),
            (moments.bias[0], moments.bias[1]),
            bias_rates,
            settings,
        )
        begin = 0
        for slot in range(_group(rows, first, last, slots, groups)):
            feature = features[slot]
            slots[feature] = -1
            linear_gradient = ZERO
            own_gradient = ZERO
            gradient[:] = ZERO
            for entry in range(begin, ends[slot]):
                row = entry_rows[entry]
                slope = entry_values[entry] * slopes[row]
                linear_gradient += slope
                own_gradient += entry_values[entry] * slope
                for factor in range(num_factors):
                    gradient[factor] += slope * projections[row, factor]
            begin = ends[slot]
            weights.linear[feature], moments.linear[0, feature], moments.linear[1, feature] = _adam(
                weights.linear[feature],
                linear_gradient,
                (moments.linear[0, feature], moments.linear[1, feature]),
                linear_rates,
                settings,
            )
            for factor in range(num_factors):
                weight = weights.factors[feature, factor]
                weight, mean, variance = _adam(
                    weight,
                    gradient[factor] - own_gradient * weight,
                    (moments.factors[0, feature, factor], moments.factors[1, feature, factor]),
                    factor_rates,
                    settings,
                )
                weights.factors[feature, factor] = weight
                moments.factors[0, feature, factor] = mean
                moments.factors[1, feature, factor] = variance
            weights.square_norms[feature] = _sum_of_squares(weights.factors[feature], lanes)


@_jit
def logf(values: Float32, out: Float32) -> None:
    """Write the C library's float32 logarithm of each value to `out`."""
    for index in range(values.shape[0]):
        out[index] = math.log(values[index])


_VECTOR, _MATRIX, _CUBE = numba.float32[::1], numba.float32[:, ::1], numba.float32[:, :, ::1]
_COUNT, _FLAG, _NUMBER = numba.int64, numba.boolean, numba.float32
_ROWS = numba.types.NamedTuple((numba.int64[::1], numba.int32[::1], _VECTOR), Rows)
_WEIGHTS = numba.types.NamedTuple((_VECTOR, _VECTOR, _MATRIX, _VECTOR), Weights)
_MOMENTS = numba.types.NamedTuple((_VECTOR, _MATRIX, _CUBE), Moments)
_SETTINGS = numba.types.NamedTuple((numba.float64[::1], _VECTOR, _NUMBER, _NUMBER, _NUMBER), Settings)
_BATCHES = numba.types.UniTuple(_COUNT, 3)
_SIGNATURES: dict[Callable[..., None], tuple[Any, ...]] = {
    logf: (_VECTOR, _VECTOR),
    square_norms: (_MATRIX, _VECTOR),
    predict: (_ROWS, _WEIGHTS, _FLAG, _VECTOR),
    train: (
        *(_ROWS, _VECTOR, _BATCHES, _FLAG, _WEIGHTS, _MOMENTS, _SETTINGS),
        *(_COUNT, numba.int32[::1], _COUNT, _VECTOR),
    ),
}
TRAINING = (logf, square_norms, train, predict)
SCORING = (square_norms, predict)


class _FirstCompilation(event.Listener):  # type: ignore[misc]
    """Calls back once, before the first function that is not in Numba's cache is compiled."""

    def __init__(self, announce: Callable[[], None]) -> None:
        self._announce: Callable[[], None] | None = announce

    def on_start(self, event: object) -> None:  # noqa: ARG002 - Numba's interface
        if self._announce is not None:
            self._announce()
            self._announce = None

    def on_end(self, event: object) -> None:
        pass


def load(kernels: tuple[Callable[..., None], ...], announce: Callable[[], None] = lambda: None) -> None:
    """Make some of the kernels ready, from Numba's cache (NUMBA_CACHE_DIR) or by compiling them.

    `announce` is called before compilation begins, and not at all where the cache has every kernel asked for.
    """
    with event.install_listener("numba:compile", _FirstCompilation(announce)):
        for kernel in kernels:
            cast(Any, kernel).compile(_SIGNATURES[kernel])
