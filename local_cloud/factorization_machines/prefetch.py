"""Asks the processor for memory before a compiled loop needs it.

Rows name features in no order, so that the processor cannot foresee which parameters come next; most of the
time of a pass over the data would be spent waiting for them.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

FLOATS_PER_LINE = 16
"""In a cache line of 64 bytes."""

_READ, _KEEP, _DATA = 0, 3, 1


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch(typing_context: Any, array: Any, index: Any) -> tuple[Any, Any]:  # noqa: ARG001 - Numba's interface
    """Fetch the cache line of `array[index]`: LLVM's llvm.prefetch."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte_pointer, integer = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte_pointer, integer, integer, integer]),
            "llvm.prefetch.p0",
        )
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), byte_pointer)
        builder.call(function, [pointer, integer(_READ), integer(_KEEP), integer(_DATA)])
        return context.get_dummy_value()

    return types.none(array, types.intp), generate


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def prefetch(array: Any, begin: int, end: int) -> None:
    """Fetch the float32 values from `begin` up to `end` of a one-dimensional array."""
    for index in range(begin, end, FLOATS_PER_LINE):
        _prefetch(array, index)
