"""Lists of different lengths in two arrays, handled without a loop over them."""

from dataclasses import dataclass

import numpy as np

from data_prep.arrays import Booleans, Integers


@dataclass(frozen=True)
class Lists:
    """List i is `members[boundaries[i]:boundaries[i + 1]]`.

    `boundaries` is int64[n + 1]; `members` are integers of any width.
    """

    boundaries: Integers
    members: Integers

    @classmethod
    def of_lengths(cls, lengths: Integers, members: Integers) -> "Lists":
        """Lists of `lengths`, int64[n], end to end in `members`."""
        return cls(boundaries_of(lengths), members)

    def __len__(self) -> int:
        return len(self.boundaries) - 1

    @property
    def lengths(self) -> Integers:
        """The number of members of each list, int64[n]."""
        return np.diff(self.boundaries)

    def take(self, numbers: Integers) -> "Lists":
        """The lists of these numbers, which may repeat; a number of -1 stands for an empty list."""
        lengths = self.lengths_of(numbers)
        return Lists.of_lengths(lengths, self.members[spans(self.boundaries[numbers], lengths)])

    def lengths_of(self, numbers: Integers) -> Integers:
        """The numbers of members of the lists that `take` gives, int64[len(numbers)]."""
        return np.where(numbers < 0, 0, self.boundaries[numbers + 1] - self.boundaries[numbers])

    def where(self, kept: Booleans) -> "Lists":
        """The same lists with only those members that are `kept`, bool[len(members)]."""
        before = np.zeros(len(kept) + 1, dtype=np.int64)
        np.cumsum(kept, out=before[1:])
        return Lists(before[self.boundaries], self.members[kept])


def boundaries_of(lengths: Integers) -> Integers:
    """Where lists of `lengths` begin and the last one ends when they lie end to end, int64[n + 1]."""
    boundaries = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=boundaries[1:])
    return boundaries


def spans(starts: Integers, lengths: Integers) -> Integers:
    """The numbers from starts[i] to starts[i] + lengths[i] - 1, for one i after the other."""
    boundaries = boundaries_of(lengths)
    return np.repeat(starts - boundaries[:-1], lengths) + np.arange(boundaries[-1])
