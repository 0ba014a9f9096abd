"""`histories.bin`: what each user has rated, laid out so that one user's movies can be fetched alone.

    magic        8 bytes, "MRHIST01"
    n_users      uint64
    boundaries   uint64[n_users + 1]; user u has the elements from boundaries[u] up to boundaries[u + 1]
    movies       uint32[boundaries[n_users]], movie indexes, ascending for each user

All little-endian. The reader needs neither numpy nor the whole file: two ranged reads for a user.
"""

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from data_prep.errors import DataError

if TYPE_CHECKING:
    from data_prep.arrays import Integers

FILE_NAME = "histories.bin"
MAGIC = b"MRHIST01"
_HEADER = struct.Struct("<8sQ")
_BOUNDARY_BYTES, _MOVIE_BYTES = 8, 4


def encode_histories(boundaries: "Integers", movies: "Integers") -> bytes:
    """The file for int64[n_users + 1] boundaries and int64 movie indexes, ascending for each user."""
    header = _HEADER.pack(MAGIC, len(boundaries) - 1)
    return header + boundaries.astype("<u8").tobytes() + movies.astype("<u4").tobytes()


class HistoryIndex:
    """Reads one user's movies at a time through `read_range(offset, length)`, which returns that part of the
    file.

    Opening it reads the first 16 bytes. Raises DataError where the file is not of this format or is cut
    short.
    """

    def __init__(self, read_range: Callable[[int, int], bytes]) -> None:
        self._read_range = read_range
        magic, self.n_users = _HEADER.unpack(self._read(0, _HEADER.size))
        if magic != MAGIC:
            raise _fault(f"it begins with {magic!r}, not with {MAGIC!r}")
        self._movies_at = _HEADER.size + _BOUNDARY_BYTES * (self.n_users + 1)

    def movies(self, user: int) -> tuple[int, ...]:
        """The indexes of the movies that the user with this index has rated, ascending."""
        if not 0 <= user < self.n_users:
            raise IndexError(f"user index {user} is not one of 0 to {self.n_users - 1}")
        boundaries = self._read(_HEADER.size + _BOUNDARY_BYTES * user, 2 * _BOUNDARY_BYTES)
        first, end = struct.unpack("<2Q", boundaries)
        if first > end:
            raise _fault(f"the boundaries of user index {user} run backwards, from {first} to {end}")
        if first == end:
            return ()
        content = self._read(self._movies_at + _MOVIE_BYTES * first, _MOVIE_BYTES * (end - first))
        return struct.unpack(f"<{end - first}I", content)

    def _read(self, offset: int, length: int) -> bytes:
        content = self._read_range(offset, length)
        if len(content) != length:
            raise _fault(f"it is cut short: {len(content)} of {length} bytes at {offset}")
        return content


def _fault(reason: str) -> DataError:
    return DataError(FILE_NAME, reason, remedy="Prepare the data set again")
