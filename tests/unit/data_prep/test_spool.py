import errno
from pathlib import Path

import numpy as np
import pytest

from data_prep.spool import Spool, count_into, read_rows, scatter, take

ROW = np.dtype([("number", "<i8"), ("flag", "u1")])


def _rows(*numbers: int) -> np.ndarray:
    rows = np.zeros(len(numbers), dtype=ROW)
    rows["number"] = numbers
    return rows


@pytest.mark.parametrize("held_bytes", [0, 30, 10_000])
def test_rows_come_back_as_they_went(tmp_path: Path, held_bytes: int) -> None:
    spool = Spool(tmp_path / "rows", ROW, held_bytes=held_bytes)
    assert spool.rows().tolist() == []
    for first in range(0, 10, 2):
        spool.append(_rows(first, first + 1))
    assert len(spool) == 10
    for _ in range(2):
        assert np.concatenate(list(spool.blocks(3)))["number"].tolist() == list(range(10))
    assert spool.rows()["number"].tolist() == list(range(10))
    assert spool.path.exists() == (held_bytes < 10_000)
    assert next(read_rows(spool.file(), ROW))["number"].tolist() == list(range(10))
    spool.remove()
    assert not spool.path.exists()


def test_an_empty_spool_has_a_file_when_it_is_asked_for(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "rows", ROW)
    assert spool.file().read_bytes() == b""
    assert list(spool.blocks()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's disk that is always full")
def test_a_full_disk_is_an_error_that_says_so() -> None:
    with pytest.raises(OSError, match="No space left on device") as caught:
        Spool(Path("/dev/full"), ROW).append(_rows(*range(10_000)))
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("spools", [1, 4])
def test_rows_are_scattered_in_their_order(tmp_path: Path, spools: int) -> None:
    made = [Spool(tmp_path / str(number), ROW) for number in range(spools)]
    for first in (0, 50):
        rows = _rows(*range(first, first + 50))
        scatter(rows, rows["number"] % spools, made)
    for number, spool in enumerate(made):
        assert spool.rows()["number"].tolist() == list(range(number, 100, spools))


def test_rows_are_taken_by_their_places() -> None:
    assert take(_rows(5, 6, 7), np.array([2, 0, 2]))["number"].tolist() == [7, 5, 7]


@pytest.mark.parametrize("size", [3, 100])
def test_indexes_are_counted(size: int) -> None:
    counts = np.ones(size, dtype=np.int64)
    count_into(counts, np.array([0, 2, 2, 1, 2], dtype=np.uint32))
    assert counts[:3].tolist() == [2, 2, 4]
    assert counts.sum() == size + 5
