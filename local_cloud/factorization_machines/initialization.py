"""Initial parameters, drawn as MXNet's CPU generator draws them.

Source: Apache MXNet 1.3.1, `include/mxnet/random_generator.h` and `src/operator/random/sampler.h`, and
libstdc++'s `bits/random.tcc` for the distributions. A draw of N values is shared out among min(⌈N/64⌉, 1024)
Mersenne twister engines, engine t filling the t-th run of ⌈N/engines⌉ values; engine t is seeded with
`seed + t` and keeps its state from one draw to the next. With glibc, as in MXNet's Linux wheels, the values
are MXNet's bit for bit; elsewhere they may differ in the last places, as the C libraries' logf do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from local_cloud.factorization_machines import kernel

Float32 = npt.NDArray[np.float32]
InitMethod = Literal["normal", "uniform", "constant"]

MAX_ENGINES = 1024
MIN_VALUES_PER_ENGINE = 64
_WORD_RANGE = np.float32(2**32)


class _Engine:
    """One std::mt19937 whose unused words stay available to the next draw."""

    def __init__(self, seed: int) -> None:
        self._source = np.random.RandomState(seed)
        self._unused = np.empty(0, np.uint32)

    def _unit(self, count: int) -> Float32:
        """Show the next `count` values of uniform_real_distribution<float>(0, 1) without consuming them."""
        missing = count - self._unused.size
        if missing > 0:
            words = np.frombuffer(self._source.bytes(4 * missing), "<u4")
            self._unused = np.concatenate([self._unused, words])
        unit: Float32 = self._unused[:count].astype(np.float32) / _WORD_RANGE
        return np.minimum(unit, np.nextafter(np.float32(1), np.float32(0)))

    def uniform(self, count: int) -> Float32:
        """Draw `count` float32 values from [0, 1)."""
        values = self._unit(count)
        self._unused = self._unused[count:]
        return values

    def normal(self, count: int) -> Float32:
        """Draw `count` standard normal float32 values by the polar method, one of each pair discarded."""
        parts: list[Float32] = []
        needed = count
        while needed:
            # A pair is accepted with probability π/4.
            pairs = needed + needed // 3 + 16
            point = self._unit(2 * pairs) * np.float32(2) - np.float32(1)
            first, second = point[0::2], point[1::2]
            radius = first * first + second * second
            accepted = np.flatnonzero((radius <= 1) & (radius != 0))[:needed]
            used = 2 * (int(accepted[-1]) + 1) if accepted.size == needed else 2 * pairs
            self._unused = self._unused[used:]
            inside = radius[accepted]
            parts.append(second[accepted] * np.sqrt(np.float32(-2) * _logf(inside) / inside))
            needed -= accepted.size
        return np.concatenate(parts) if parts else np.empty(0, np.float32)


class MXNetGenerator:
    """MXNet's parallel CPU random generator after `mx.random.seed(seed)`."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._engines: list[_Engine] = []

    def _draw(self, count: int, sample: Callable[[_Engine, int], Float32]) -> Float32:
        values = np.empty(count, np.float32)
        if count == 0:
            return values
        engines = min(-(-count // MIN_VALUES_PER_ENGINE), MAX_ENGINES)
        step = -(-count // engines)
        while len(self._engines) < engines:
            self._engines.append(_Engine(self._seed + len(self._engines)))
        for index, start in enumerate(range(0, count, step)):
            stop = min(start + step, count)
            values[start:stop] = sample(self._engines[index], stop - start)
        return values

    def normal(self, count: int, sigma: float) -> Float32:
        """Draw `count` float32 values from N(0, sigma²)."""
        return self._draw(count, _Engine.normal) * np.float32(sigma)

    def uniform(self, count: int, scale: float) -> Float32:
        """Draw `count` float32 values from [-scale, scale)."""
        low, high = np.float32(-scale), np.float32(scale)
        return self._draw(count, _Engine.uniform) * (high - low) + low


def _logf(values: Float32) -> Float32:
    out = np.empty_like(values)
    kernel.logf(values, out)
    return out
