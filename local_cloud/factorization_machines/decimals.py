"""Writes float32 scores as Python writes them once widened to float64, compiled.

`repr` of a float is the shortest decimal that reads back as the same float64, and of those the nearest. A
float32 is m / 2^s with a whole m below 2^24, so that its first 17 digits come out of integers alone; then
digits are dropped for as long as what is left still lies within half a unit in the last place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from local_cloud.factorization_machines import kernel
from local_cloud.factorization_machines.kernel import Float32

Bytes = npt.NDArray[np.uint8]

MOST_CHARACTERS: Final = 26
"""Of one number."""

_DIGITS = 17
_LEAST_EXPONENT, _MOST_EXPONENT = -4, 5
# A power of ten past this one does not fit uint64.
_MOST_POWER = 19
_POWERS: Final = [10**power for power in range(_DIGITS - _LEAST_EXPONENT)]
_POWER = np.array(_POWERS[: _DIGITS + 1], np.int64)
_HIGH_HALF = np.array([power >> 32 for power in _POWERS[: _MOST_POWER + 1]], np.int64)
_LOW_HALF = np.array([power & 0xFFFFFFFF for power in _POWERS[: _MOST_POWER + 1]], np.int64)
# Half a unit in the last place of float64, 2^-30 of float32's, in units of 10^-power / 2^s.
_TOLERANCE = np.array([power >> 30 for power in _POWERS], np.int64)
_THRESHOLDS = np.array([10.0**power for power in range(_LEAST_EXPONENT, _MOST_EXPONENT + 2)])
_HALF_MASK = 0xFFFFFFFF


def join(scores: Float32, before: bytes, endings: Sequence[bytes], choices: npt.NDArray[np.uint8]) -> bytes:
    """Write `before`, the number and `endings[choices[i]]` for each of `scores`, float32[n], end to end."""
    width = len(before) + MOST_CHARACTERS + max(map(len, endings))
    out = np.empty(len(scores) * width, np.uint8)
    start = np.frombuffer(before, np.uint8)
    ends = np.frombuffer(b"".join(endings), np.uint8)
    bounds = np.cumsum([0, *map(len, endings)])
    row, at = write(scores, start, ends, bounds, choices, 0, out, 0)
    while row < len(scores):
        # A number of a kind that is left to Python.
        text = before + repr(float(scores[row])).encode() + endings[choices[row]]
        out[at : at + len(text)] = np.frombuffer(text, np.uint8)
        row, at = write(scores, start, ends, bounds, choices, row + 1, out, at + len(text))
    return out[:at].tobytes()


@kernel.jit
def _shortest(number: np.float32) -> tuple[int, int, int]:
    """Find the digits of a positive number: as one whole number, how many, and the exponent of the first.

    No digits, 0, stand for a number of a kind that is not treated here.
    """
    bits = np.int64(np.float32(number).view(np.int32))
    fraction = bits & 0x7FFFFF
    # The neighbours of a power of two are not equally far away.
    if fraction == 0 or not _THRESHOLDS[0] <= number < _THRESHOLDS[-1]:
        return 0, 0, 0
    exponent = _LEAST_EXPONENT
    while number >= _THRESHOLDS[exponent + 1 - _LEAST_EXPONENT]:
        exponent += 1
    shift = 150 - (bits >> 23)
    whole = fraction | 0x800000
    power = _DIGITS - 1 - exponent
    factor = min(power, _MOST_POWER)
    if factor < power:
        whole *= 10
    # whole * 10^factor, in two halves of which the lower has 32 bits.
    low = whole * _LOW_HALF[factor]
    high = whole * _HIGH_HALF[factor] + (low >> 32)
    low &= _HALF_MASK
    if shift <= 32:
        digits = (high << (32 - shift)) | (low >> shift)
        rest = low & ((1 << shift) - 1)
    else:
        digits = high >> (shift - 32)
        rest = ((high & ((1 << (shift - 32)) - 1)) << 32) | low

    tolerance = _TOLERANCE[power]
    count = _DIGITS + 1
    found: Any = np.int64(0)
    for dropped in range(_DIGITS):
        unit = _POWER[dropped]
        over = digits % unit
        # Half of the unit, against what is dropped: the last digits and, beyond them, the rest.
        if dropped == 0:
            excess = 2 * rest - (1 << shift)
        else:
            excess = 2 * over - unit
            if excess == 0:
                excess = rest
        # Of two that are equally near, the even one.
        up = excess > 0 or (excess == 0 and digits // unit % 2 == 1)
        moved = unit - over if up else -over
        if abs(moved) > (tolerance >> shift) + 1:
            break
        if abs((moved << shift) - rest) > tolerance:
            break
        found = (digits + moved) // unit
        count = _DIGITS - dropped
    if count > _DIGITS or found >= _POWER[count]:
        return 0, 0, 0
    return found, count, exponent


@kernel.jit
def _put(digits: int, count: int, exponent: int, out: Bytes, at: int) -> int:
    """Write the number digits * 10^(exponent + 1 - count) with a decimal point; returns where it ends."""
    point = exponent + 1
    if point <= 0:
        out[at] = 48
        out[at + 1] = 46
        at += 2
        for _ in range(-point):
            out[at] = 48
            at += 1
        for place in range(count):
            out[at + count - 1 - place] = 48 + digits % 10
            digits //= 10
        return at + count
    behind = max(count - point, 0)
    end = at + point + 1 + max(behind, 1)
    if behind == 0:
        out[end - 1] = 48
    for place in range(behind):
        out[end - 1 - place] = 48 + digits % 10
        digits //= 10
    out[at + point] = 46
    for place in range(point):
        if place < point - count:
            out[at + point - 1 - place] = 48
        else:
            out[at + point - 1 - place] = 48 + digits % 10
            digits //= 10
    return end


@kernel.jit
def write(  # noqa: PLR0917 - compiled functions take no keywords
    scores: Float32,
    before: Bytes,
    endings: Bytes,
    bounds: npt.NDArray[np.int64],
    choices: Bytes,
    row: int,
    out: Bytes,
    at: int,
) -> tuple[int, int]:
    """Write rows from `row` on to `out` from `at` on, until one is not treated here: that row, and where."""
    while row < scores.shape[0]:
        number = scores[row]
        digits, count, exponent = _shortest(abs(number))
        if count == 0:
            return row, at
        for index in range(before.shape[0]):
            out[at + index] = before[index]
        at += before.shape[0]
        if number < 0:
            out[at] = 45
            at += 1
        at = _put(digits, count, exponent, out, at)
        choice = choices[row]
        for index in range(bounds[choice], bounds[choice + 1]):
            out[at] = endings[index]
            at += 1
        row += 1
    return row, at


_TEXT = numba.types.Array(numba.uint8, 1, "C", readonly=True)
kernel.declare(
    write,
    (
        *(numba.float32[::1], _TEXT, _TEXT, numba.int64[::1], numba.uint8[::1]),
        *(numba.int64, numba.uint8[::1], numba.int64),
    ),
)
WRITING = (write,)
