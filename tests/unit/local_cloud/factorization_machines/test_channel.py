"""Parts of whole batches, whatever the files' sizes; rows beyond the memory's share in a file."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_cloud.factorization_machines import channel
from local_cloud.factorization_machines.channel import Channel, FileChannel, PipeChannel, channel_files
from local_cloud.factorization_machines.dataset import Dataset, Schema
from local_cloud.factorization_machines.errors import ClientError

Encode = Callable[..., bytes]

SCHEMA = Schema(6, "regressor")


def rows_of(count: int, start: int = 0) -> tuple[list[dict[int, float]], list[float]]:
    """Rows of no to two entries, labelled with their number."""
    numbers = range(start, start + count)
    return [{number % 5 + place: 1.0 + number for place in range(number % 3)} for number in numbers], [
        *numbers
    ]


def flat(parts: list[Dataset]) -> tuple[list[float], list[list[int]], list[float]]:
    keys = [row.tolist() for part in parts for row in np.split(part.rows.keys, part.rows.indptr[1:-1])]
    return (
        np.concatenate([part.labels for part in parts]).tolist(),
        keys,
        np.concatenate([part.rows.values for part in parts]).tolist(),
    )


def expected(count: int) -> tuple[list[float], list[list[int]], list[float]]:
    rows, labels = rows_of(count)
    return labels, [list(row) for row in rows], [value for row in rows for value in row.values()]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "PART_ROWS", 10)
    monkeypatch.setattr(channel, "_READ_BYTES", 256)


@pytest.mark.usefixtures("small_parts")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 25), min_size=1, max_size=5),
    batch=st.integers(1, 12),
    kept=st.integers(0, 2000),
)
def test_files_become_parts_of_whole_batches(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    encode: Encode,
    sizes: list[int],
    batch: int,
    kept: int,
) -> None:
    monkeypatch.setattr(channel, "KEPT_BYTES", kept)
    folder = tmp_path_factory.mktemp("channel")
    total = batch_bytes = 0
    for number, size in enumerate(sizes):
        rows, labels = rows_of(size, total)
        (folder / f"part-{number}").write_bytes(encode(rows, labels))
        total += size
    rows, labels = rows_of(min(batch, total))
    batch_bytes = len(encode(rows, labels))
    read = FileChannel("train", folder, SCHEMA, batch, folder / "scratch")
    for _ in range(2):
        parts = list(read.passes())
        assert all(len(part) % batch == 0 for part in parts[:-1])
        assert flat(parts) == expected(total)
    assert read.size == sum(file.stat().st_size for file in folder.glob("part-*"))
    assert read.batch_bytes == batch_bytes
    assert not list((folder / "scratch").glob("*"))


def test_files_are_read_in_the_order_of_their_paths(tmp_path: Path, encode: Encode) -> None:
    for name in ("b/1", "a/2", "a/10"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encode(*rows_of(1)))
    (tmp_path / "a" / "0").write_bytes(b"")
    assert [str(path.relative_to(tmp_path)) for path in channel_files(tmp_path)] == ["a/10", "a/2", "b/1"]


@pytest.mark.usefixtures("small_parts")
def test_record_longer_than_the_buffer(tmp_path: Path, encode: Encode) -> None:
    wide = dict.fromkeys(range(1000), 1.0)
    (tmp_path / "train").write_bytes(encode([wide, {}, wide], [1, 2, 3], 1000))
    read = FileChannel("train", tmp_path, Schema(1000, "regressor"), 2, tmp_path)
    assert [part.rows.indptr.tolist() for part in read.passes()] == [[0, 1000, 1000, 2000]]


@pytest.mark.usefixtures("small_parts")
def test_errors_count_from_the_start_of_the_file(tmp_path: Path, encode: Encode) -> None:
    rows, labels = rows_of(30)
    good = encode(rows, labels)
    (tmp_path / "train").write_bytes(good + b"RecordIO")
    with pytest.raises(ClientError, match=f"file train: RecordIO data, record 31, byte {len(good)}: "):
        FileChannel("train", tmp_path, SCHEMA, 3, tmp_path)
    (tmp_path / "train").write_bytes(good[:-2])
    with pytest.raises(ClientError, match="record 30, byte"):
        FileChannel("train", tmp_path, SCHEMA, 3, tmp_path)
    (tmp_path / "train").write_bytes(good + encode([{0: float("nan")}], [1]))
    with pytest.raises(ClientError, match="Row 31 of channel 'train', file train has a value"):
        FileChannel("train", tmp_path, SCHEMA, 3, tmp_path)
    (tmp_path / "train").write_bytes(good + encode([{0: 1.0}], None))
    with pytest.raises(ClientError, match="Row 31 of channel 'train', file train has no label"):
        FileChannel("train", tmp_path, SCHEMA, 3, tmp_path)


@pytest.mark.usefixtures("small_parts")
def test_pipes_are_opened_in_turn(tmp_path: Path, encode: Encode) -> None:
    read: Channel = PipeChannel("train", tmp_path / "train", SCHEMA, 4)
    for number in range(2):
        pipe = tmp_path / f"train_{number}"
        os.mkfifo(pipe)
        content = encode(*rows_of(23))
        writer = threading.Thread(target=pipe.write_bytes, args=(content,))
        writer.start()
        parts = list(read.passes())
        writer.join(timeout=10)
        assert [len(part) for part in parts] == [8, 8, 7]
        assert flat(parts) == expected(23)
        assert read.size == len(content)
