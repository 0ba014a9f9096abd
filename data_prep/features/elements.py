"""The non-zero elements of some rows, put together from those of each group of columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import Floats, Integers
from data_prep.lists import Lists, boundaries_of, spans


@dataclass(frozen=True)
class Elements:
    """Row i has the columns `keys[boundaries[i]:boundaries[i + 1]]`, and the values at the same places.

    `boundaries` is int64[n + 1], `keys` int64, `values` float32. `width` is the number of elements of every
    row, None where it differs.
    """

    boundaries: Integers
    keys: Integers
    values: Floats
    width: int | None

    @classmethod
    def single(cls, members: Integers, *, offset: int, scale: float) -> "Elements":
        """One element of value `scale` for each row, int64[n], none where the member is -1."""
        known = members >= 0
        if known.all():
            boundaries, keys, width = np.arange(len(members) + 1), members + offset, 1
        else:
            boundaries, keys, width = boundaries_of(known.astype(np.int64)), members[known] + offset, None
        return cls(boundaries, keys, np.full(len(keys), scale, dtype=np.float32), width)

    @classmethod
    def several(cls, members: Lists, *, offset: int, scale: float) -> "Elements":
        """An element for each member of a row's list, of value `scale` / √(length of the list)."""
        lengths = members.lengths
        values = (scale / np.sqrt(np.maximum(lengths, 1))).astype(np.float32)
        keys = members.members.astype(np.int64) + offset
        return cls(members.boundaries, keys, np.repeat(values, lengths), None)

    @classmethod
    def side_by_side(cls, parts: Sequence["Elements"]) -> "Elements":
        """Rows with the elements of all parts, which have the same number of rows, part after part."""
        if len(parts) == 1:
            return parts[0]
        widths = [part.width for part in parts if part.width is not None]
        rows = len(parts[0])
        if len(widths) == len(parts):
            width = sum(widths)
            pairs = list(zip(parts, widths, strict=True))
            keys = np.concatenate([part.keys.reshape(rows, size) for part, size in pairs], axis=1)
            values = np.concatenate([part.values.reshape(rows, size) for part, size in pairs], axis=1)
            return cls(width * np.arange(rows + 1), keys.ravel(), values.ravel(), width)
        boundaries = sum((part.boundaries for part in parts), np.zeros(rows + 1, dtype=np.int64))
        keys = np.empty(boundaries[-1], dtype=np.int64)
        values = np.empty(boundaries[-1], dtype=np.float32)
        begins = boundaries[:-1].copy()
        for part in parts:
            lengths = np.diff(part.boundaries)
            places = begins if part.width == 1 else spans(begins, lengths)
            keys[places], values[places] = part.keys, part.values
            begins = begins + lengths
        return cls(boundaries, keys, values, None)

    def __len__(self) -> int:
        return len(self.boundaries) - 1

    def take(self, rows: Integers) -> "Elements":
        """The rows of these numbers, which may repeat; a number of -1 stands for a row without elements."""
        if self.width is not None and (rows >= 0).all():
            keys = self.keys.reshape(-1, self.width)[rows].ravel()
            values = self.values.reshape(-1, self.width)[rows].ravel()
            return Elements(self.width * np.arange(len(rows) + 1), keys, values, self.width)
        places = Lists(self.boundaries, np.arange(len(self.keys))).take(rows)
        return Elements(places.boundaries, self.keys[places.members], self.values[places.members], None)
