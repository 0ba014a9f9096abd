"""Stable sorting, 16 bits at a time: NumPy does that in linear time, and sorts wider numbers slowly."""

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Integers

_DIGIT_BITS = 16
# More passes than this cost more than one comparison sort.
_MOST_DIGITS = 3


def stable_order(numbers: NDArray[np.integer]) -> Integers:
    """The places of `numbers` in ascending order, equal ones in the order they have: int64[n]."""
    if (numbers[1:] >= numbers[:-1]).all():
        return np.arange(len(numbers))
    least = numbers.min()
    bits = int(numbers.max() - least).bit_length()
    if bits > _DIGIT_BITS * _MOST_DIGITS:
        return _by_leading_bits(numbers)
    rest = (numbers - least).astype(np.uint64 if bits > 2 * _DIGIT_BITS else np.uint32)
    order = np.argsort(rest.astype(np.uint16), kind="stable")
    for shift in range(_DIGIT_BITS, bits, _DIGIT_BITS):
        digit = (rest >> rest.dtype.type(shift)).astype(np.uint16)
        order = order[np.argsort(digit[order], kind="stable")]
    return order


def _by_leading_bits(numbers: NDArray[np.integer]) -> Integers:
    """Sort by the leading 32 bits of what differs; of random numbers that leaves few for a merge sort."""
    differing = (numbers - numbers.min()).astype(np.uint64)
    leading = differing >> np.uint64(int(differing.max()).bit_length() - 2 * _DIGIT_BITS)
    order = stable_order(leading.astype(np.uint32))
    ordered = numbers[order]
    if (ordered[1:] >= ordered[:-1]).all():
        return order
    return order[np.argsort(ordered, kind="stable")]
