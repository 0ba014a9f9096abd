"""Quick reader and plain reference agree on every file: whole, damaged, cut, in pieces of any size."""

import io
import random
import tempfile
import zipfile
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import DataError
from data_prep.formats import RatingsFile, open_input
from data_prep.formats.csv_columns import find_dialect
from data_prep.formats.dialect import Dialect
from data_prep.formats.tolerance import Tolerance
from data_prep.source import BYTE_ORDER_MARK, Source
from tests.unit.data_prep.formats import reference, samples
from tests.unit.data_prep.formats.reference import BadLine, Layout, Row
from tests.unit.data_prep.formats.samples import DIALECTS

chances = st.randoms(use_true_random=False)
# Files are opened, and the machine may have other work.
unhurried = settings(deadline=None)


def assert_agreement(
    content: bytes, dialect: Dialect, layout: Layout, *, step: int = 1 << 20, exact: int = 1 << 13
) -> list[Row] | BadLine:
    found, expected = samples.readings(content, dialect, layout, step=step, exact=exact)
    assert found == expected
    return found


def columns_of(content: bytes) -> Dialect:
    dialect = find_dialect(content.removeprefix(BYTE_ORDER_MARK))
    assert isinstance(dialect, Dialect)
    return dialect


def header_end(content: bytes, layout: Layout) -> int:
    return 0 if layout.header is None else content.index(b"\n") + 1


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
    found = assert_agreement(content, DIALECTS[layout], plain, step=step, exact=exact)
    assert isinstance(found, list)
    assert len(found) == rows
    assert_agreement(content, DIALECTS[layout], plain, exact=exact)


@pytest.mark.parametrize("layout", DIALECTS)
@pytest.mark.slow
@unhurried
@given(chance=chances, rows=st.integers(1, 6), exact=st.sampled_from([0, 1 << 13]))
def test_movielens_with_a_wrong_byte_is_refused_at_its_line_or_read_as_it_stands(
    layout: str, chance: random.Random, rows: int, exact: int
) -> None:
    _, plain = samples.MOVIELENS[layout]
    content = samples.corrupted(chance, samples.movielens_ratings(chance, plain, rows))
    assert_agreement(content, DIALECTS[layout], plain, exact=exact)


@pytest.mark.slow
@unhurried
@given(chances, st.integers(1, 12), st.integers(1, 90), st.sampled_from([0, 40, 1 << 13]))
def test_any_ratings_read_back_in_pieces_of_any_size(
    chance: random.Random, rows: int, step: int, exact: int
) -> None:
    content, layout = samples.any_ratings(chance, rows)
    found = assert_agreement(content, columns_of(content), layout, step=step, exact=exact)
    assert isinstance(found, list)
    assert len(found) == rows


@pytest.mark.slow
@unhurried
@given(chances, st.integers(1, 6), st.sampled_from([0, 1 << 13]))
def test_any_ratings_with_a_wrong_byte_are_refused_at_its_line_or_read_as_they_stand(
    chance: random.Random, rows: int, exact: int
) -> None:
    content, layout = samples.any_ratings(chance, rows)
    dialect = columns_of(content)
    damaged = samples.corrupted(chance, content, header_end(content, layout))
    assert_agreement(damaged, dialect, layout, exact=exact)
    whole = replace(dialect, integer_ids=True)
    assert_agreement(damaged, whole, replace(layout, whole_ids=True), exact=exact)


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
        b"1,2,3\n4,5,6",
        b"1,2,3\n4,5",
        b"1,2,3\n4,5,6\r",
        b"1,2,3\r4,5,6\r",
        b"\xef\xbb\xbf1,2,3\n",
        b"\xef\xbb\xbf",
        b"1,2,3.99999999\n",
        b"1,2,3.999999\n1,2,3.9999990000000\n1,2,4.0000000000\n",
        b"123456789012345678,98765432109876543,1234567\n1,2,1\n",
        b"123456789012345678,1234567890123456789,1\n",
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_odd_lines_are_read_like_the_reference_does(content: bytes, whole: bool) -> None:
    layout = Layout(",", ("user", "item", "rating"), movielens=False, whole_ids=whole)
    plain = replace(columns_of(b"user,item,rating\n"), header=False, integer_ids=whole)
    for exact in (0, 1 << 13):
        assert_agreement(content, plain, layout, exact=exact)


def opened_rows(path: Path) -> list[Row] | None:
    """What a data set's ratings are, None where it is refused."""
    try:
        with open_input(path) as data:
            return samples.rows_of(data.files["ratings"])
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
    expected = reference.read(content, plain, proven=packed)
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
    if damage:
        content = samples.corrupted(chance, content, header_end(content, layout))
    expected = reference.read_alone(content, layout)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine"
        path.write_bytes(content)
        found = opened_rows(path)
    if found is None:
        assert damage or isinstance(expected, BadLine)
    else:
        assert found == expected


@pytest.mark.slow
@unhurried
@given(st.lists(st.binary(max_size=30), max_size=5), st.sampled_from([*DIALECTS.values()]))
def test_any_bytes_are_rows_or_a_data_error(lines: list[bytes], dialect: Dialect) -> None:
    content = b"\n".join(lines)
    for tried in (dialect, replace(dialect, header=False, quoted=True, separator=b",", integer_ids=False)):
        source = Source("x", "x", {"f": partial(io.BytesIO, content)}, None)
        with suppress(DataError):
            samples.rows_of(RatingsFile(source, "f", tried, Tolerance(0)))


def write(folder: Path, files: dict[str, bytes], *, packed: bool) -> Path:
    if not packed:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder
    with zipfile.ZipFile(folder / "data.bin", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"within/{name}", content)
    return folder / "data.bin"
