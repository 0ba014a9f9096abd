import io
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from data_prep.errors import BadRow, DataError
from data_prep.formats import RatingBlock, RatingsFile, movielens, ratings_file
from data_prep.formats.csv_columns import find_dialect
from data_prep.formats.dialect import Dialect
from data_prep.formats.tolerance import Tolerance
from data_prep.source import Source

GOOD = b"196\t242\t3\t881250949\n"
COLUMNS = "expected 4 tab-separated columns (user, movie, rating, time), not"


def _file(
    content: bytes, dialect: Dialect = movielens.ML_100K, tolerance: Tolerance | None = None
) -> RatingsFile:
    source = Source("ml", "ml", {"u.data": lambda: io.BytesIO(content)}, None)
    return RatingsFile(source, "u.data", dialect, tolerance or Tolerance(0))


def _read(content: bytes, dialect: Dialect = movielens.ML_100K) -> RatingBlock:
    (block,) = _file(content, dialect).blocks()
    return block


def _anyones(head: bytes) -> Dialect:
    dialect = find_dialect(head)
    assert isinstance(dialect, Dialect), dialect
    return dialect


def test_columns_are_read_in_file_order() -> None:
    block = _read(b"196\t242\t3\t881250949\n186\t302\t5\t0\n22\t1000000000000000\t1\t878887116\n")
    assert block.users.tolist() == [196, 186, 22]
    assert block.movies.tolist() == [242, 302, 10**15]
    assert block.ratings.tolist() == [3, 5, 1]
    assert block.ratings.dtype == np.float32
    assert block.times is not None
    assert block.times.tolist() == [881250949, 0, 878887116]
    assert (block.first_row, block.lines) == (0, range(1, 4))


def test_text_ids_are_as_wide_as_the_longest_of_a_block() -> None:
    block = _read(b"user,item,rating\nann,B01,5\nzo\xc3\xab,B0002,4.5\n", _anyones(b"user,item,rating\n"))
    assert block.users.tolist() == [b"ann", "zoë".encode()]
    assert block.movies.dtype == "S5"
    assert block.times is None
    assert list(block.lines) == [2, 3]


def test_columns_that_are_not_asked_for_are_passed_over() -> None:
    content = b'"review","stars","customer_id","product_id"\n"Good, but","4","7","9"\n"Bad",1,8,9\n'
    dialect = replace(_anyones(content), integer_ids=True)
    block = _read(content, dialect)
    assert (block.users.tolist(), block.movies.tolist(), block.ratings.tolist()) == ([7, 8], [9, 9], [4, 1])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"196\t242\t3", f"{COLUMNS} 3"),
        (b"196\t242\t3\t881250949\t1", f"{COLUMNS} 5"),
        (b"196::242::3::881250949", f"{COLUMNS} 1; this line is '::'-separated"),
        (b"196,242,3,881250949", f"{COLUMNS} 1; this line is comma-separated"),
        (b"", f"{COLUMNS} 1"),
        (b"x\t242\t3\t881250949", "the user 'x' is not a whole number"),
        (b"-1\t242\t3\t881250949", "the user '-1' is negative"),
        (b"196\t\t3\t881250949", "the movie '' is not a whole number"),
        (b"196\t2 42\t3\t881250949", "the movie '2 42' is not a whole number"),
        (b"196\t242\t3.5\t881250949", "the rating '3.5' is not one of 1 to 5"),
        (b"196\t242\t3\tyesterday", "the time 'yesterday' is not Unix time in whole seconds"),
        (b"196\t242\t3\t-5", "the time '-5' is not Unix time in whole seconds"),
        (b"196\t242\t3\t881250949000000", "the time 881250949000000 is past the year 9999"),
        (b"196\t242\t3\r\t881250949", "the rating '3\\r' is not one of 1 to 5"),
        (
            b"196\t" + b"2" * 19 + b"\t3\t1",
            "the movie '2222222222222222222' is not a whole number of at most 18",
        ),
        (b"0\t242\t3\t881250949", "the user is 0, where ids start at 1"),
        (b"196\t0\t3\t881250949", "the movie is 0, where ids start at 1"),
        (b"196\t0242\t3\t881250949", "the movie '0242' begins with a zero"),
        (b"196\t242\t0\t881250949", "the rating '0' is not one of 1 to 5"),
        (b"196\t242\t6\t881250949", "the rating '6' is not one of 1 to 5"),
        (b"196\t242\t12\t881250949", "the rating '12' is not one of 1 to 5"),
        (
            b"196\t24\x00\t3\t881250949",
            "the line holds NUL bytes, as a download that stopped half-way leaves",
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
    assert str(error).startswith(f"ml/u.data, line {before + 1}: {reason}")
    assert str(error).endswith(". Correct the line, or download the data set again")


@pytest.mark.parametrize(
    "rating", ["0", "0.0", "5.5", "3.7", "4.50", "-1", "1e0", ".5", "3.", "03", "nan", ""]
)
def test_ratings_off_the_half_star_scale_are_named(rating: str) -> None:
    with pytest.raises(
        DataError, match=r"line 2: the rating '.*' is not one of 0\.5 to 5 in steps of 0\.5, found"
    ):
        _read(f"userId,movieId,rating,timestamp\n1,2,{rating},3\n".encode(), movielens.ML_CSV)


def test_a_header_where_none_belongs_is_named() -> None:
    with pytest.raises(DataError, match="line 1: the line is a header, where MovieLens 100K has none, found"):
        _read(b"user\tmovie\trating\ttime\n" + GOOD)
    with pytest.raises(DataError, match="line 2: the user 'user' is not a whole number"):
        _read(GOOD + b"user\tmovie\trating\ttime\n")


def test_a_missing_header_is_named() -> None:
    with pytest.raises(
        DataError, match="line 1: the first line is not userId,movieId,rating,timestamp, as MovieLens has it"
    ):
        _read(b"1,2,4.5,3\n", movielens.ML_CSV)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b",b,3", "the user is missing"),
        (b"a, b,3", "the item ' b' has spaces around it"),
        (b"a,-7,3", "the item '-7' is negative"),
        (b"a,b\x1b,3", r"the item 'b\x1b' holds a control character"),
        (b"a,\xffb,3", "the item 'ÿb' is not valid UTF-8"),
        (b"a," + b"b" * 256 + b",3", "the item is 256 bytes long, where 255 are the most"),
        (b"a,b,three", "the rating 'three' is not a decimal number such as 4 or 3.5"),
        (b"a,b,inf", "the rating 'inf' is not a decimal number"),
        (
            b"a,b,3.99999999",
            "the rating '3.99999999' has more than 7 digits, which is what float32 holds: round",
        ),
        (b"a,b,12345678", "the rating '12345678' has more than 7 digits"),
        (b"a,b", "expected 3 comma-separated columns (user, item, rating), not 2"),
        (b"a\tb\t3", "expected 3 comma-separated columns (user, item, rating), not 1; this line is tab-sep"),
        (b'"a,b,3', "a quoted field does not end on its line"),
        (b'a"b,c,3', "a field holds a quote but does not begin with one"),
        (b'"a"b,c,3', "a quoted field goes on after its closing quote"),
    ],
)
def test_a_bad_line_of_anyones_ratings_is_named(line: bytes, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        _read(b"user,item,rating\na,b,1\n" + line + b"\n", _anyones(b"user,item,rating\n"))
    assert str(caught.value).startswith(f"ml/u.data, line 3: {reason}")


def test_line_numbers_hold_with_carriage_returns_and_blank_last_lines() -> None:
    content = GOOD.replace(b"\n", b"\r\n") * 3 + b"1\t2\t9\t3\r\n\r\n\r\n"
    with pytest.raises(DataError, match="line 4: the rating '9'"):
        _read(content)
    assert len(_read(GOOD.replace(b"\n", b"\r\n") * 3 + b"\r\n")) == 3


def test_the_offending_text_is_cut_at_80_characters() -> None:
    with pytest.raises(DataError) as caught:
        _read(b"y" * 500 + b"\n")
    assert caught.value.text == repr("y" * 80 + "…")


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"ml/u\.data: the file is empty"):
        _read(content)


def test_a_header_alone_is_refused() -> None:
    with pytest.raises(DataError, match=r"the file is empty: it holds no ratings"):
        _read(b"userId,movieId,rating,timestamp\n", movielens.ML_CSV)


def test_ratings_stay_apart_and_in_order_in_float32() -> None:
    content = b"a,b,3.999999\na,b,4.0000000000\na,b,-99.99999\na,b,1234567\n"
    ratings = _read(content, replace(_anyones(b"user,item,rating\n"), header=False)).ratings
    assert ratings[0] < 4
    assert ratings.tolist()[1::2] == [4, 1234567]
    assert -100 < ratings[2] < np.float32(-99.99998)


@pytest.mark.parametrize("row", [b"123456789012345678,99999999999999999,4\n", b"1,2,3.5000000000\n"])
def test_long_ids_and_decimals_are_read_many_at_a_time(row: bytes) -> None:
    dialect = replace(_anyones(b"user,item,rating\n"), header=False, integer_ids=True)
    with mock.patch.object(ratings_file, "parse_line", side_effect=AssertionError):
        block = _read(row * 1000, dialect)
    assert f"{block.users[0]},{block.movies[0]}".encode() == row.rpartition(b",")[0]
    assert len(block) == 1000


def test_anyones_last_line_needs_no_end_where_it_is_a_row() -> None:
    anyones = _anyones(b"user,item,rating\n")
    blocks = _file(b"user,item,rating\na,b,3\na,b,4", anyones).blocks()
    assert [block.ratings.tolist() for block in blocks] == [[3], [4]]
    for cut in (b"a,b,", b"a,b", b"user,item,rating"):
        with pytest.raises(DataError, match="the file stops in the middle of a line"):
            list(_file(b"user,item,rating\na,b,3\n" + cut, anyones).blocks())


def test_a_cut_download_is_refused() -> None:
    with pytest.raises(DataError, match="line 3: the file stops in the middle of a line"):
        _read(GOOD * 2 + GOOD[:-4])


def test_tolerated_rows_are_listed_once_and_passed_over() -> None:
    tolerance = Tolerance(2)
    file = _file(GOOD + b"x\n" + GOOD * 2 + b"1\t2\t9\t3\n" + GOOD, tolerance=tolerance)
    for _ in range(2):
        (block,) = file.blocks()
        assert block.lines.tolist() == [1, 3, 4, 6]  # type: ignore[union-attr]
        assert len(block) == 4
        assert tolerance.rows == [
            BadRow("ml/u.data", 2, "'x'", f"{COLUMNS} 1"),
            BadRow("ml/u.data", 5, r"'1\t2\t9\t3'", "the rating '9' is not one of 1 to 5"),
        ]


def test_one_bad_row_too_many_is_refused_with_the_first_ones() -> None:
    with pytest.raises(DataError) as caught:
        list(_file(b"x\ny\n" + GOOD + b"z\n", tolerance=Tolerance(2)).blocks())
    assert str(caught.value) == (
        f"ml/u.data, line 4: {COLUMNS} 1: one more bad row than the 2 tolerated (first ml/u.data, line 1: "
        f"{COLUMNS} 1, found 'x'; ml/u.data, line 2: {COLUMNS} 1, found 'y'; ml/u.data, line 4: {COLUMNS} 1, "
        "found 'z'), found 'z'. Correct the line, or download the data set again"
    )


def test_a_file_of_tolerated_rows_alone_is_refused() -> None:
    with pytest.raises(DataError, match="it holds no ratings"):
        list(_file(b"x\n", tolerance=Tolerance(9)).blocks())


def test_blocks_count_rows_and_lines_through_a_large_file() -> None:
    rows = 100_000
    lines = [b"%d\t%d\t%d\t%d\n" % (1 + n, 1 + n % 7, 1 + n % 5, n) for n in range(rows)]
    lines.insert(50_000, b"bad\n")
    file = _file(b"".join(lines), tolerance=Tolerance(1))
    seen = 0
    for block in file.blocks():
        assert block.first_row == seen
        users, numbers = np.asarray(block.users, dtype=np.int64), np.asarray(block.lines)
        assert (users == np.arange(seen + 1, seen + len(block) + 1)).all()
        assert (numbers == users + (users > 50_000)).all()
        seen += len(block)
    assert seen == rows
