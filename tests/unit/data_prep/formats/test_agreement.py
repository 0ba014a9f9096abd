"""Quick reader and plain reference agree on every file: whole, damaged, cut, in pieces of any size."""

import io
import random
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import DataError
from data_prep.formats import RatingsFile, movielens, open_input, ratings_file
from data_prep.formats.csv_columns import find_dialect
from data_prep.formats.dialect import Dialect
from data_prep.formats.tolerance import Tolerance
from data_prep.source import Source
from tests.unit.data_prep.formats import reference, samples
from tests.unit.data_prep.formats.reference import BadLine, Layout, Row

DIALECTS = {
    "movielens-100k": movielens.ML_100K,
    "movielens-1m": movielens.ML_1M,
    "movielens-10m": movielens.ML_10M,
    "movielens-csv": movielens.ML_CSV,
}
chances = st.randoms(use_true_random=False)
# Files are opened, and the machine may have other work.
unhurried = settings(deadline=None)


class _Trickle(io.BytesIO):
    """Gives at most so many bytes a read, so that blocks end everywhere."""

    def __init__(self, content: bytes, step: int) -> None:
        super().__init__(content)
        self._step = step

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._step)


def rows_of(file: RatingsFile) -> list[Row]:
    rows: list[Row] = []
    for block in file.blocks():
        assert block.first_row == len(rows)
        assert len(block) == len(block.users) == len(block.movies) == len(block.lines) > 0
        times = [None] * len(block) if block.times is None else block.times.tolist()
        rows += zip(block.users.tolist(), block.movies.tolist(), block.ratings.tolist(), times, strict=True)
    return rows


def outcome(content: bytes, dialect: Dialect, *, step: int = 1 << 20) -> list[Row] | BadLine:
    source = Source("x", "x", {"f": lambda: _Trickle(content, step)}, None)
    try:
        return rows_of(RatingsFile(source, "f", dialect, Tolerance(0)))
    except DataError as error:
        return BadLine(0 if error.line is None else error.line)


def assert_agreement(content: bytes, dialect: Dialect, layout: Layout, *, step: int = 1 << 20) -> None:
    found, expected = outcome(content, dialect, step=step), reference.read(content, layout)
    if isinstance(found, BadLine) and not found.number:
        assert isinstance(expected, BadLine)
    else:
        assert found == expected


@contextmanager
def _exactness(text: int) -> Iterator[None]:
    with mock.patch.object(ratings_file, "_EXACT_BYTES", text):
        yield


@pytest.mark.parametrize("layout", DIALECTS)
@pytest.mark.slow
@unhurried
@given(
    chance=chances, rows=st.integers(1, 12), step=st.integers(1, 90), exact=st.sampled_from([0, 40, 1 << 13])
)
def test_movielens_reads_back_in_pieces_of_any_size(
    layout: str, chance: random.Random, rows: int, step: int, exact: int
) -> None:
    _, plain = samples.MOVIELENS[layout]
    content = samples.movielens_ratings(chance, plain, rows)
    with _exactness(exact):
        assert len(outcome(content, DIALECTS[layout], step=step)) == rows  # type: ignore[arg-type]
        assert_agreement(content, DIALECTS[layout], plain, step=step)
        assert_agreement(content, DIALECTS[layout], plain)


@pytest.mark.parametrize("layout", DIALECTS)
@pytest.mark.slow
@unhurried
@given(chance=chances, rows=st.integers(1, 6), exact=st.sampled_from([0, 1 << 13]))
def test_movielens_with_a_wrong_byte_is_refused_at_its_line_or_read_as_it_stands(
    layout: str, chance: random.Random, rows: int, exact: int
) -> None:
    _, plain = samples.MOVIELENS[layout]
    content = samples.corrupted(chance, samples.movielens_ratings(chance, plain, rows))
    with _exactness(exact):
        assert_agreement(content, DIALECTS[layout], plain)


@pytest.mark.slow
@unhurried
@given(chances, st.integers(1, 12), st.integers(1, 90), st.sampled_from([0, 40, 1 << 13]))
def test_any_ratings_read_back_in_pieces_of_any_size(
    chance: random.Random, rows: int, step: int, exact: int
) -> None:
    content, layout = samples.any_ratings(chance, rows)
    dialect = find_dialect(content)
    assert isinstance(dialect, Dialect)
    with _exactness(exact):
        assert len(outcome(content, dialect, step=step)) == rows  # type: ignore[arg-type]
        assert_agreement(content, dialect, layout, step=step)


@pytest.mark.slow
@unhurried
@given(chances, st.integers(1, 6), st.sampled_from([0, 1 << 13]))
def test_any_ratings_with_a_wrong_byte_are_refused_at_its_line_or_read_as_they_stand(
    chance: random.Random, rows: int, exact: int
) -> None:
    content, layout = samples.any_ratings(chance, rows)
    dialect = find_dialect(content)
    assert isinstance(dialect, Dialect)
    first = 0 if layout.header is None else content.index(b"\n") + 1
    damaged = samples.corrupted(chance, content, first)
    with _exactness(exact):
        assert_agreement(damaged, dialect, layout)
        assert_agreement(damaged, replace(dialect, integer_ids=True), replace(layout, whole_ids=True))


@pytest.mark.parametrize(
    "content",
    [
        b'"a,b",5\n',
        b'"a,b",c\n5,5\n',
        b"1,2,3.5.5\n",
        b"1,2,3..5\n1,2,3\n",
        b"1,2.5,3\n",
        b"1.5,2,3\n1,2,3\n",
        b"1,2,.5\n",
        b"1,2,5.\n",
        b'1,2,"5\n1,2,5"\n',
        b'"1","2","5.5"\n',
        b'"",2,5\n',
        b'"""",2,5\n',
        b'1"",2,5\n',
        b"1,2,123456789\n1,2,0.12345678901234567\n",
        b"1,2,1234567890\n",
        b"1,2,03\n",
        b"1,2,00\n",
        b"01,2,3\n",
        b"0,00,3\n",
        b"1,2,-0.5\n",
        b"-1,2,3\n",
        b"-a,2,3\n",
        b"1, 2,3\n",
        b"1,2 ,3\n",
        "1,\u00a02,3\n".encode(),
        b"1,\xff,3\n",
        b"1,\x1f,3\n",
        b"1,\x7f,3\n",
        b"1," + b"x" * 256 + b",3\n",
        b"1," + b"x" * 255 + b",3\n1,y,3\n",
        b"1,2,3\r\n1,2,3\n",
        b"1,2,3\r\r\n",
        b"\n1,2,3\n",
        b"1,2,3\n\n\n1,2,3",
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_odd_lines_are_read_like_the_reference_does(content: bytes, whole: bool) -> None:
    dialect = find_dialect(b"user,item,rating\n1,2,3\n")
    assert isinstance(dialect, Dialect)
    layout = Layout(",", ("user", "item", "rating"), movielens=False, whole_ids=whole)
    plain = replace(dialect, header=False, integer_ids=whole)
    for exact in (0, 1 << 13):
        with _exactness(exact):
            assert_agreement(content, plain, layout)


def opened_rows(path: Path) -> list[Row] | None:
    """What a data set's ratings are, None where it is refused."""
    try:
        with open_input(path) as data:
            return rows_of(data.files["ratings"])
    except DataError:
        return None


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("layout", DIALECTS)
@pytest.mark.slow
@unhurried
@given(chance=chances, rows=st.integers(1, 6), damage=st.booleans())
def test_movielens_is_found_and_read_in_a_folder_or_an_archive(
    layout: str, packed: bool, chance: random.Random, rows: int, damage: bool
) -> None:
    name, plain = samples.MOVIELENS[layout]
    content = samples.movielens_ratings(chance, plain, rows)
    if damage:
        content = samples.corrupted(chance, content)
    expected = reference.read(content, plain)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), {**samples.BESIDE[layout], name: content}, packed=packed)
        found = opened_rows(path)
        assert found == (None if isinstance(expected, BadLine) else expected)
        with open_input(path) if found else mock.MagicMock() as data:
            assert found is None or data.format == layout


@pytest.mark.slow
@unhurried
@given(chance=chances, rows=st.integers(2, 6), damage=st.booleans())
def test_any_ratings_are_found_and_read_as_one_file(chance: random.Random, rows: int, damage: bool) -> None:
    content, layout = samples.any_ratings(chance, rows)
    first = 0 if layout.header is None else content.index(b"\n") + 1
    if damage:
        content = samples.corrupted(chance, content, first)
    expected = reference.read(content, layout)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine"
        path.write_bytes(content)
        found = opened_rows(path)
    if found is not None:
        assert not isinstance(expected, BadLine)
        assert found == reference.as_integers(expected)
    elif not damage:
        raise AssertionError("a right file was refused")


@pytest.mark.slow
@unhurried
@given(st.lists(st.binary(max_size=30), max_size=5), st.sampled_from([*DIALECTS.values()]))
def test_any_bytes_are_rows_or_a_data_error(lines: list[bytes], dialect: Dialect) -> None:
    content = b"\n".join(lines)
    for tried in (dialect, replace(dialect, header=False, quoted=True, separator=b",", integer_ids=False)):
        outcome(content, tried)


def write(folder: Path, files: dict[str, bytes], *, packed: bool) -> Path:
    if not packed:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder
    with zipfile.ZipFile(folder / "data.bin", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"within/{name}", content)
    return folder / "data.bin"
