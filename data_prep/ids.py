"""Numbers the ids of users and movies, whole numbers or names, while the ratings are read.

Each distinct id is held once: some tens of bytes, however often it occurs.
"""

from collections.abc import Iterable
from typing import Any, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from data_prep.arrays import Integers
from data_prep.formats.records import Ids

# Up to here an id's code is looked up in a table that the id indexes: 16 MiB at most.
_TABLE_IDS = 1 << 22
_LEAST_RECENT = 1 << 14
_UNKNOWN = -1

Codes = NDArray[np.int32]


def is_integers(ids: Ids) -> TypeGuard[Integers]:
    """Whether ids are whole numbers, not names."""
    return ids.dtype.kind == "i"


class IdTable:
    """Gives each distinct id a code from 0, in the order in which ids come.

    Where all ids are known beforehand, they are `closed`: others have the code -1.
    """

    def __init__(self) -> None:
        self.closed = False
        self._count = 0
        self._table = np.full(0, _UNKNOWN, dtype=np.int32)
        # Two sorted parts, so that few new ids do not move all that are there.
        self._settled = _SortedIds.empty()
        self._recent = _SortedIds.empty()

    def __len__(self) -> int:
        return self._count

    @classmethod
    def of(cls, ids: Iterable[int | str]) -> "IdTable":
        """A closed table of `ids`, which are all different; each one's code is its place."""
        table = cls()
        listed = list(ids)
        if listed and isinstance(listed[0], str):
            table._add(np.array([str(name).encode() for name in listed]))
        else:
            table._add(np.array(listed, dtype=np.int64))
        table.closed = True
        return table

    def codes(self, ids: Ids) -> Codes:
        """The codes of `ids`, int32[n]; new ones get the next codes, ascending by id within the block."""
        codes = self._find(ids)
        unknown = codes < 0
        if not self.closed and unknown.any():
            new = ids[unknown]
            # In files that are ordered by user, most of a block is gone with its neighbours.
            repeated = np.append(False, new[1:] == new[:-1])
            self._add(cast(Ids, np.unique(new[~repeated])))
            codes = self._find(ids)
        return codes

    def sorted_ids(self) -> tuple[NDArray[Any], Integers]:
        """All ids ascending (numbers by value, names by their bytes), and the code of each."""
        parts = [self._settled, self._recent]
        numbers = np.flatnonzero(self._table >= 0)
        if len(numbers):
            parts.append(_SortedIds(numbers, self._table[numbers]))
        ids = np.concatenate([part.ids for part in parts if len(part.ids)] or [numbers])
        codes = np.concatenate([part.codes for part in parts])
        order = np.argsort(ids, kind="stable")
        return ids[order], codes[order].astype(np.int64)

    def _add(self, ids: Ids) -> None:
        """Number `ids`, which are new and differ from each other."""
        codes = np.arange(self._count, self._count + len(ids), dtype=np.int32)
        self._count += len(ids)
        if is_integers(ids):
            small = (ids >= 0) & (ids < _TABLE_IDS)
            self._set_in_table(ids[small], codes[small])
            ids, codes = ids[~small], codes[~small]
        if len(ids):
            self._recent = self._recent.merged(_SortedIds(ids, codes))
            if len(self._recent.ids) > max(_LEAST_RECENT, len(self._settled.ids) // 4):
                self._settled = self._settled.merged(self._recent)
                self._recent = _SortedIds.empty()

    def _set_in_table(self, ids: Integers, codes: Codes) -> None:
        highest = int(ids.max(initial=-1))
        if highest >= len(self._table):
            size = min(_TABLE_IDS, max(highest + 1, 2 * len(self._table)))
            more = np.full(size - len(self._table), _UNKNOWN, dtype=np.int32)
            self._table = np.concatenate([self._table, more])
        self._table[ids] = codes

    def _find(self, ids: Ids) -> Codes:
        if is_integers(ids) and len(self._table):
            codes: Codes = self._table.take(ids, mode="clip")
            outside = (ids < 0) | (ids >= len(self._table))
            if outside.any():
                codes[outside] = self._find_sorted(ids[outside])
            return codes
        return self._find_sorted(ids)

    def _find_sorted(self, ids: Ids) -> Codes:
        codes = self._settled.find(ids)
        if len(self._recent.ids):
            missing = codes < 0
            codes[missing] = self._recent.find(ids[missing])
        return codes


class _SortedIds:
    """Ids ascending, with their codes."""

    def __init__(self, ids: NDArray[Any], codes: Codes) -> None:
        order = np.argsort(ids, kind="stable")
        self.ids = ids[order]
        self.codes = codes[order]

    @classmethod
    def empty(cls) -> "_SortedIds":
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32))

    def merged(self, other: "_SortedIds") -> "_SortedIds":
        if not len(self.ids):
            return other
        return _SortedIds(np.concatenate([self.ids, other.ids]), np.concatenate([self.codes, other.codes]))

    def find(self, ids: Ids) -> Codes:
        """The codes of `ids`, -1 for those that are not here."""
        if not len(self.ids):
            return np.full(len(ids), _UNKNOWN, dtype=np.int32)
        places = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        codes: Codes = np.where(self.ids[places] == ids, self.codes[places], np.int32(_UNKNOWN))
        return codes
