"""The numeric loops of Factorization Machines, compiled by Numba on first use.

Arithmetic on parameters is float32, in an order that depends neither on the number of threads nor on the
machine's vector width: long sums run in `LANES` partial sums, and threads share out rows and features, never
the terms of one sum. Nothing here checks its input.

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

from local_cloud.factorization_machines.prefetch import prefetch
from local_cloud.factorization_machines.threads import COUNTERS, meet, take

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
# How many entries, or features, ahead parameters are fetched; measured, and not critical.
ENTRIES_AHEAD = 16
FEATURES_AHEAD = 8
# How many rows, or features, of a batch a thread takes at once.
ROWS_TAKEN = 32
FEATURES_TAKEN = 32


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
    """Adam's first and second moments, in this order; updated in place by `train`.

    A feature's moments are next to each other, so that they come into the cache together.
    """

    bias: Float32
    """float32[2]."""
    linear: Float32
    """float32[D, 2]."""
    factors: Float32
    """float32[D, 2, k]."""


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


class Work(NamedTuple):
    """What the threads of `train` share while they run; see `working_memory`."""

    projections: Float32
    """float32[batch size, k]: each row's Σ_i v_i x_i."""
    slopes: Float32
    """float32[batch size]: the loss's slope in each row's score."""
    features: Int32
    """int32[entries]: the features of the batch, in order of appearance."""
    ends: Int32
    """int32[entries]: where each feature's entries end in the next two."""
    entry_rows: Int32
    """int32[entries]: an entry's row in the batch."""
    entry_values: Float32
    """float32[entries]: its value."""
    slots: Int32
    """int32[D]: a feature's place in `features`; -1 between batches."""
    counts: Int64
    """int64[1]: how many features the batch has."""
    counters: Int64
    """What the threads share the work out with (`threads.COUNTERS`)."""


def working_memory(features: int, num_factors: int, batch_size: int, most_entries: int) -> Work:
    """Make room for batches of at most `most_entries` entries."""
    return Work(
        np.empty((batch_size, num_factors), np.float32),
        np.empty(batch_size, np.float32),
        np.empty(most_entries, np.int32),
        np.empty(most_entries, np.int32),
        np.empty(most_entries, np.int32),
        np.empty(most_entries, np.float32),
        np.full(features, -1, np.int32),
        np.zeros(1, np.int64),
        np.zeros(COUNTERS, np.int64),
    )


Function = TypeVar("Function", bound=Callable[..., object])


def jit(function: Function) -> Function:
    """Compile a function so that it runs without Python's lock and is kept in Numba's cache."""
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


@jit
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


@jit
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
        factors = weights.factors[key]
        for factor in range(projection.shape[0]):
            projection[factor] += value * factors[factor]
    pairs = _sum_of_squares(projection, lanes)
    return np.float32((weights.bias[0] + linear) + HALF * pairs - HALF * own)


@jit
def _link(score: np.float32, logistic: bool) -> np.float32:
    if logistic:
        return np.float32(1.0 / (1.0 + math.exp(-np.float64(score))))
    return score


@jit
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


@jit
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


@jit
def square_norms(factors: Float32, out: Float32) -> None:
    """Write Σ_f factors[i, f]² of each feature i to `out`, float32[D]."""
    lanes = np.empty(LANES, np.float32)
    for feature in range(factors.shape[0]):
        out[feature] = _sum_of_squares(factors[feature], lanes)


@jit
def _fetch_ahead(row: int, rows: Rows, flat_factors: Float32, num_factors: int) -> None:
    """Ask for the factors of the entries that come a little after those of a row."""
    final = rows.keys.shape[0] - 1
    for entry in range(rows.indptr[row], rows.indptr[row + 1]):
        begin = np.int64(rows.keys[min(entry + ENTRIES_AHEAD, final)]) * num_factors
        prefetch(flat_factors, begin, begin + num_factors)


@jit
def predict(rows: Rows, weights: Weights, logistic: bool, first: int, out: Float32) -> None:
    """Write the scores of the rows from `first` on, through the logistic function where `logistic`, to `out`.

    `out` is float32 of as many rows.
    """
    num_factors = weights.factors.shape[1]
    flat_factors = weights.factors.reshape(-1)
    projection = np.empty(num_factors, np.float32)
    lanes = np.empty(LANES, np.float32)
    for index in range(out.shape[0]):
        _fetch_ahead(first + index, rows, flat_factors, num_factors)
        out[index] = _link(_raw_score(first + index, rows, weights, projection, lanes), logistic)


@jit
def _forward(  # noqa: PLR0917 - compiled functions take no keywords
    rows: Rows,
    labels: Float32,
    first: int,
    bounds: tuple[int, int],
    logistic: bool,
    weights: Weights,
    projections: Float32,
    slopes: Float32,
    scores: Float32,
) -> None:
    """Score a share of a batch's rows, numbered `bounds` from `first` on, and take the loss's slopes."""
    num_factors = weights.factors.shape[1]
    flat_factors = weights.factors.reshape(-1)
    lanes = np.empty(LANES, np.float32)
    for index in range(bounds[0], bounds[1]):
        row = first + index
        _fetch_ahead(row, rows, flat_factors, num_factors)
        score = _link(_raw_score(row, rows, weights, projections[index], lanes), logistic)
        scores[index] = score
        slopes[index] = score - labels[row]


@jit
def _update(  # noqa: PLR0917 - compiled functions take no keywords
    bounds: tuple[int, int],
    count: int,
    groups: tuple[Int32, Int32, Int32, Float32],
    slots: Int32,
    projections: Float32,
    slopes: Float32,
    weights: Weights,
    moments: Moments,
    rates: tuple[tuple[np.float32, np.float32], tuple[np.float32, np.float32]],
    settings: Settings,
) -> None:
    """Take Adam's step for a share of the batch's `count` features, numbered `bounds` within `groups`.

    `rates` are the learning rate and the decay of the weights, and those of the factors.
    """
    features, ends, entry_rows, entry_values = groups
    num_factors = weights.factors.shape[1]
    flat_moments = moments.factors.reshape(-1)
    gradient = np.empty(num_factors, np.float32)
    lanes = np.empty(LANES, np.float32)
    begin = ends[bounds[0] - 1] if bounds[0] else 0
    for slot in range(bounds[0], bounds[1]):
        ahead = np.int64(features[min(slot + FEATURES_AHEAD, count - 1)]) * 2 * num_factors
        prefetch(flat_moments, ahead, ahead + 2 * num_factors)
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
            projection = projections[row]
            for factor in range(num_factors):
                gradient[factor] += slope * projection[factor]
        begin = ends[slot]
        weights.linear[feature], moments.linear[feature, 0], moments.linear[feature, 1] = _adam(
            weights.linear[feature],
            linear_gradient,
            (moments.linear[feature, 0], moments.linear[feature, 1]),
            rates[0],
            settings,
        )
        factors = weights.factors[feature]
        means, variances = moments.factors[feature, 0], moments.factors[feature, 1]
        for factor in range(num_factors):
            factors[factor], means[factor], variances[factor] = _adam(
                factors[factor],
                gradient[factor] - own_gradient * factors[factor],
                (means[factor], variances[factor]),
                rates[1],
                settings,
            )
        weights.square_norms[feature] = _sum_of_squares(factors, lanes)


@jit
def train(  # noqa: PLR0917 - compiled functions take no keywords
    rows: Rows,
    labels: Float32,
    batches: tuple[int, int, int],
    logistic: bool,
    weights: Weights,
    moments: Moments,
    settings: Settings,
    steps: int,
    work: Work,
    scores: Float32,
    thread: int,
    threads: int,
) -> None:
    """Do a thread's part of training on the batches (first, last, size), `last` not included, of the rows.

    To be called by each of `threads` threads at once, with the same arguments but for its number `thread`.
    `labels` is float32[n]; `steps` is the number of batches taken before, in all epochs. Each row's score
    before its batch's update goes to `scores`, float32[(last - first) * size].
    """
    first_batch, last_batch, size = batches
    groups = (work.features, work.ends, work.entry_rows, work.entry_values)
    for batch in range(first_batch, last_batch):
        first = batch * size
        count = min(size, labels.shape[0] - first)
        out = scores[(batch - first_batch) * size : (batch - first_batch + 1) * size]
        if thread == 0:
            # The others begin with the scores meanwhile.
            work.counts[0] = _group(rows, first, first + count, work.slots, groups)
        begin = take(work.counters, 0, ROWS_TAKEN)
        while begin < count:
            bounds = (begin, min(begin + ROWS_TAKEN, count))
            _forward(rows, labels, first, bounds, logistic, weights, work.projections, work.slopes, out)
            begin = take(work.counters, 0, ROWS_TAKEN)
        meet(work.counters, threads)

        step = steps + batch - first_batch + 1
        correction = math.sqrt(1.0 - 0.999**step) / (1.0 - 0.9**step)
        linear_rates = (np.float32(settings.learning_rates[1] * correction), settings.decays[1])
        factor_rates = (np.float32(settings.learning_rates[2] * correction), settings.decays[2])
        if thread == 0:
            bias_gradient = 0.0
            for index in range(count):
                bias_gradient += work.slopes[index]
            # A short last batch is filled up with rows that have no entries and the label 0.
            for index in range(count, size):
                out[index] = _link(weights.bias[0], logistic)
                bias_gradient += out[index]
            weights.bias[0], moments.bias[0], moments.bias[1] = _adam(
                weights.bias[0],
                np.float32(bias_gradient),
                (moments.bias[0], moments.bias[1]),
                (np.float32(settings.learning_rates[0] * correction), settings.decays[0]),
                settings,
            )
        features = work.counts[0]
        begin = take(work.counters, 1, FEATURES_TAKEN)
        while begin < features:
            _update(
                (begin, min(begin + FEATURES_TAKEN, features)),
                features,
                groups,
                work.slots,
                work.projections,
                work.slopes,
                weights,
                moments,
                (linear_rates, factor_rates),
                settings,
            )
            begin = take(work.counters, 1, FEATURES_TAKEN)
        meet(work.counters, threads)


@jit
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
_INTEGERS = numba.int32[::1]
_WORK = numba.types.NamedTuple(
    (_MATRIX, _VECTOR, *[_INTEGERS] * 3, _VECTOR, _INTEGERS, numba.int64[::1], numba.int64[::1]), Work
)
_BATCHES = numba.types.UniTuple(_COUNT, 3)
_SIGNATURES: dict[Callable[..., object], tuple[Any, ...]] = {
    logf: (_VECTOR, _VECTOR),
    square_norms: (_MATRIX, _VECTOR),
    predict: (_ROWS, _WEIGHTS, _FLAG, _COUNT, _VECTOR),
    train: (
        *(_ROWS, _VECTOR, _BATCHES, _FLAG, _WEIGHTS, _MOMENTS, _SETTINGS),
        *(_COUNT, _WORK, _VECTOR, _COUNT, _COUNT),
    ),
}
TRAINING = (logf, square_norms, train, predict)
SCORING = (square_norms, predict)


def declare(function: Callable[..., object], signature: tuple[Any, ...]) -> None:
    """Say for which types `load` shall compile a function of another module."""
    _SIGNATURES[function] = signature


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


def load(kernels: tuple[Callable[..., object], ...], announce: Callable[[], None] = lambda: None) -> None:
    """Make some of the kernels ready, from Numba's cache (NUMBA_CACHE_DIR) or by compiling them.

    `announce` is called before compilation begins, and not at all where the cache has every kernel asked for.
    """
    with event.install_listener("numba:compile", _FirstCompilation(announce)):
        for kernel in kernels:
            cast(Any, kernel).compile(_SIGNATURES[kernel])
