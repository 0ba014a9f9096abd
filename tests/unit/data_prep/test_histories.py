import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import DataError
from data_prep.histories import HistoryIndex, encode_histories


def _encode(histories: list[list[int]]) -> bytes:
    boundaries = np.cumsum([0, *map(len, histories)])
    return encode_histories(
        boundaries, np.array([movie for history in histories for movie in history], dtype=np.int64)
    )


class _File:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.reads: list[tuple[int, int]] = []

    def read_range(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        return self.content[offset : offset + length]


def test_the_layout_is_as_documented() -> None:
    expected = (
        b"MRHIST01" + struct.pack("<Q", 2) + struct.pack("<3Q", 0, 2, 3) + struct.pack("<3I", 1, 70000, 5)
    )
    assert _encode([[1, 70000], [5]]) == expected


@given(st.lists(st.lists(st.integers(0, 2**32 - 1)).map(sorted), min_size=1, max_size=8))
def test_each_users_history_is_read_back(histories: list[list[int]]) -> None:
    index = HistoryIndex(_File(_encode(histories)).read_range)
    assert index.n_users == len(histories)
    assert [list(index.movies(user)) for user in range(len(histories))] == histories


def test_a_user_costs_two_short_reads() -> None:
    file = _File(_encode([[1, 2], [], list(range(100))]))
    index = HistoryIndex(file.read_range)
    file.reads.clear()
    assert index.movies(2) == tuple(range(100))
    assert file.reads == [(16 + 2 * 8, 16), (16 + 4 * 8 + 2 * 4, 400)]
    file.reads.clear()
    assert index.movies(1) == ()
    assert len(file.reads) == 1


@pytest.mark.parametrize("user", [-1, 2])
def test_users_that_are_not_there_are_refused(user: int) -> None:
    index = HistoryIndex(_File(_encode([[1], [2]])).read_range)
    with pytest.raises(IndexError, match=f"user index {user} is not one of 0 to 1"):
        index.movies(user)


def test_damaged_files_are_refused() -> None:
    content = _encode([[1, 2], [3]])
    with pytest.raises(DataError, match=r"histories\.bin: it begins with b'MRHIST99'"):
        HistoryIndex(_File(content.replace(b"01", b"99", 1)).read_range)
    with pytest.raises(DataError, match=r"it is cut short: 10 of 16 bytes at 0"):
        HistoryIndex(_File(content[:10]).read_range)
    with pytest.raises(DataError, match=r"it is cut short: 1 of 4 bytes at 48"):
        HistoryIndex(_File(content[:-3]).read_range).movies(1)
    backwards = bytearray(content)
    backwards[16:24] = struct.pack("<Q", 9)
    with pytest.raises(DataError, match="run backwards, from 9 to 2"):
        HistoryIndex(_File(bytes(backwards)).read_range).movies(0)


def test_reading_catalog_and_histories_needs_no_numpy() -> None:
    code = "import sys, data_prep.catalog, data_prep.histories; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
