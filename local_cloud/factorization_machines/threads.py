"""How threads that run compiled code share out a loop's turns, and wait for each other.

Numba's own parallel loops wake their threads up for each loop, which takes longer than half a batch of small
rows: 80 µs where a meeting here takes one or two. The threads wait in a loop, and let others run after a
while, so that a busy machine is not kept busier.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

Int64 = npt.NDArray[np.int64]

# Each counter has a cache line of its own.
_LINE = 8
_LOOPS = 2
_ARRIVED, _MEETINGS = _LINE * _LOOPS, _LINE * (_LOOPS + 1)
COUNTERS = _LINE * (_LOOPS + 2)
"""The size of the int64 array that the threads share, all 0 at first: two loops' turns and the meetings."""

# About 50 µs.
_PATIENCE = 20_000

_yield = types.ExternalFunction("sched_yield", types.int32())


def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]])


@intrinsic  # type: ignore[untyped-decorator]
def _add(_typing: Any, array: Any, _place: Any, _number: Any) -> Any:
    """Add to a counter at once, and return what it was."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments)
        return builder.atomic_rmw("add", address, arguments[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def _read(_typing: Any, array: Any, _place: Any) -> Any:
    """Read a counter, and after it whatever was written before it was."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature, arguments)
        return builder.load_atomic(address, "seq_cst", align=ir.IntType(64).width // 8)

    return types.int64(array, types.int64), generate


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def take(counters: Int64, loop: int, turns: int) -> int:
    """Take the next `turns` turns of loop 0 or 1 for this thread: the number of the first."""
    return _add(counters, loop * _LINE, turns)  # type: ignore[no-any-return]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def meet(counters: Int64, threads: int) -> None:
    """Wait until all `threads` threads are here; both loops then begin anew."""
    meeting = _read(counters, _MEETINGS)
    if _add(counters, _ARRIVED, 1) == threads - 1:
        counters[_ARRIVED] = 0
        for loop in range(_LOOPS):
            counters[loop * _LINE] = 0
        _add(counters, _MEETINGS, 1)
        return
    looked = 0
    while _read(counters, _MEETINGS) == meeting:
        looked += 1
        if looked > _PATIENCE:
            _yield()
