import io
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data_prep.errors import DataError
from data_prep.ratings import Ratings, read_ratings
from data_prep.source import Source

GOOD = b"196\t242\t3\t881250949\n"


def _read(content: bytes) -> Ratings:
    return read_ratings(Source("ml", "ml", {"u.data": lambda: io.BytesIO(content)}, None), "u.data")


def test_columns_are_read_in_file_order() -> None:
    ratings = _read(b"196\t242\t3\t881250949\n186\t302\t5\t0\n22\t1000000000000000\t1\t878887116\n")
    assert ratings.users.tolist() == [196, 186, 22]
    assert ratings.movies.tolist() == [242, 302, 10**15]
    assert ratings.stars.tolist() == [3, 5, 1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"196\t242\t3", "expected 4 tab-separated columns (user, movie, rating, time), not 3"),
        (b"196\t242\t3\t881250949\t1", "expected 4 tab-separated columns (user, movie, rating, time), not 5"),
        (b"196::242::3::881250949", "expected 4 tab-separated columns (user, movie, rating, time), not 1"),
        (b"", "expected 4 tab-separated columns (user, movie, rating, time), not 1"),
        (b"x\t242\t3\t881250949", "the user 'x' is not a whole number"),
        (b"-1\t242\t3\t881250949", "the user '-1' is not a whole number"),
        (b"196\t\t3\t881250949", "the movie '' is not a whole number"),
        (b"196\t2 42\t3\t881250949", "the movie '2 42' is not a whole number"),
        (b"196\t242\t3.5\t881250949", "the rating '3.5' is not a whole number"),
        (b"196\t242\t3\tyesterday", "the time 'yesterday' is not a whole number"),
        (b"196\t242\t3\r\t881250949", "the rating '3\\r' is not a whole number"),
        (
            b"196\t" + b"2" * 19 + b"\t3\t881250949",
            "the movie '2222222222222222222' is not a whole number of at",
        ),
        (b"0\t242\t3\t881250949", "the user is 0, where ids start at 1"),
        (b"196\t0\t3\t881250949", "the movie is 0, where ids start at 1"),
        (b"196\t242\t0\t881250949", "the rating 0 is not one of 1 to 5"),
        (b"196\t242\t6\t881250949", "the rating 6 is not one of 1 to 5"),
        (b"196\t242\t12\t881250949", "the rating 12 is not one of 1 to 5"),
        (
            b"196\t24\x00\t3\t881250949",
            "the line holds NUL bytes, as a download that stopped half-way leaves them",
        ),
        (b"196\t24\xff\t3\t881250949", "the movie '24ÿ' is not a whole number"),
        ("196\t٢\t3\t881250949".encode(), "the movie"),
    ],
)
@pytest.mark.parametrize("before", [0, 2])
def test_a_bad_line_is_named(line: bytes, reason: str, before: int) -> None:
    with pytest.raises(DataError) as caught:
        _read(GOOD * before + line + b"\n" + GOOD)
    error = caught.value
    assert (error.file, error.line) == ("ml/u.data", before + 1)
    assert error.reason.startswith(reason)
    assert str(error).startswith(f"ml/u.data, line {before + 1}: {reason}")
    assert str(error).endswith(". Correct the line, or download the data set again")


def test_line_numbers_hold_with_carriage_returns_and_blank_last_lines() -> None:
    content = GOOD.replace(b"\n", b"\r\n") * 3 + b"1\t2\t9\t3\r\n\r\n\r\n"
    with pytest.raises(DataError, match="line 4: the rating 9"):
        _read(content)
    assert len(_read(GOOD.replace(b"\n", b"\r\n") * 3 + b"\r\n")) == 3


def test_the_offending_text_is_cut_at_80_characters() -> None:
    with pytest.raises(DataError) as caught:
        _read(b"y" * 500 + b"\n")
    assert caught.value.text == repr("y" * 80 + "…")


def test_an_empty_file_is_refused() -> None:
    for content in (b"", b"\n\n"):
        with pytest.raises(DataError, match=r"ml/u\.data: the file is empty\. Download the data set again"):
            _read(content)


def test_a_cut_download_is_refused() -> None:
    with pytest.raises(DataError, match="line 3: the file stops in the middle of a line"):
        _read(GOOD * 2 + GOOD[:-4])


_LINE = re.compile(rb"([0-9]{1,18})\t([0-9]{1,18})\t([0-9]{1,18})\t[0-9]{1,18}")


def _expected(content: bytes) -> list[tuple[int, int, int]] | int:
    """The rows, or the number of the first bad line."""
    rows = []
    for number, line in enumerate(content[:-1].replace(b"\r\n", b"\n").split(b"\n"), 1):
        match = _LINE.fullmatch(line)
        if not match:
            return number
        user, movie, stars = map(int, match.groups())
        if user < 1 or movie < 1 or not 1 <= stars <= 5:
            return number
        rows.append((user, movie, stars))
    return rows


_near_misses = st.lists(
    st.one_of(
        st.tuples(
            st.integers(0, 10**19), st.integers(0, 2000), st.integers(0, 6), st.integers(0, 10**10)
        ).map(lambda row: "\t".join(map(str, row)).encode()),
        st.lists(st.sampled_from([b"1", b"0", b"5", b"\t", b"\t", b"-", b"\r", b"\0", b":"]), max_size=9).map(
            b"".join
        ),
    ),
    min_size=1,
    max_size=6,
)


@given(_near_misses)
@example([b"1\t1\t5", b"1\t1\t1\t1\t1"])
@example([b"1\t1\t5\t1\t1", b"1\t1"])
def test_parsing_agrees_with_a_line_by_line_reference(lines: list[bytes]) -> None:
    content = b"\n".join([*lines, b"7\t7\t3\t7\n"])
    expected = _expected(content)
    if isinstance(expected, int):
        with pytest.raises(DataError) as caught:
            _read(content)
        assert caught.value.line == expected
    else:
        ratings = _read(content)
        columns = (ratings.users.tolist(), ratings.movies.tolist(), ratings.stars.tolist())
        assert list(zip(*columns, strict=True)) == expected


@given(st.binary(max_size=200))
def test_any_bytes_give_ratings_or_a_data_error(content: bytes) -> None:
    try:
        ratings = _read(content)
    except DataError:
        return
    assert len(ratings) >= 1
