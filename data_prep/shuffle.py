"""The order of the train rows, kept although no step sees them all.

Each row has a key: a random number, or else its place. Buckets are ranges of keys, shards are neighbouring
buckets: sorted by key within each bucket, the shards one after another are the order of all rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Integers
from data_prep.sorting import stable_order
from data_prep.spool import BLOCK_ROWS, Rows, take

# Sorted and encoded in memory at once.
_BUCKET_ROWS = 1 << 20

Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class Buckets:
    """Equal ranges of the keys below `bound`, `per_shard` for each of `shards`."""

    bound: int
    shards: int
    per_shard: int

    @classmethod
    def of(cls, *, rows: int, shards: int, shuffled: bool) -> "Buckets":
        """As many as keep each small enough. Without a shuffle, the keys are the rows' places."""
        return cls(
            bound=1 << 64 if shuffled else rows, shards=shards, per_shard=-(-rows // (shards * _BUCKET_ROWS))
        )

    def __len__(self) -> int:
        return self.shards * self.per_shard

    def numbers(self, keys: Keys) -> Integers:
        """The number of the bucket that each key belongs to, int64[n]."""
        if self.bound == 1 << 64:
            # The product's upper half, with half of a key's bits.
            return ((keys >> np.uint64(32)) * np.uint64(len(self)) >> np.uint64(32)).astype(np.int64)
        return (keys * np.uint64(len(self)) // np.uint64(self.bound)).astype(np.int64)

    def of_shard(self, shard: int) -> range:
        """The numbers of a shard's buckets."""
        return range(shard * self.per_shard, (shard + 1) * self.per_shard)


def ascending(rows: Rows) -> Iterator[Rows]:
    """The rows of a bucket ascending by `key`, about a block at a time.

    Keys are spread evenly, so equal ranges of them make blocks, each sorted within the processor's cache.
    """
    keys = rows["key"].copy()
    differing = keys - keys.min()
    bits = int(differing.max()).bit_length()
    ranges = (differing >> np.uint64(max(0, bits - (len(rows) // BLOCK_ROWS).bit_length()))).astype(np.int64)
    ends = np.cumsum(np.bincount(ranges))
    for places in np.split(stable_order(ranges), ends[:-1]):
        if len(places):
            yield take(rows, places[stable_order(keys[places])])


def shuffled(count: int, *, seed: int) -> Integers:
    """The numbers below `count` in a random order fixed by `seed`.

    The order comes from PCG64's raw output, which NumPy keeps the same in every version, where it does not
    promise so for `permutation` (NEP 19).
    """
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")
