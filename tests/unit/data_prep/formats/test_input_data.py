import gzip
import hashlib
import random
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from data_prep.errors import DataError
from data_prep.formats import InputData, Movie, User, open_input
from data_prep.source import BYTE_ORDER_MARK
from tests.unit.data_prep.formats import samples

U_DATA = b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n"


def _folder(tmp_path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
    return tmp_path / "set"


def _users(data: InputData, role: str = "ratings") -> list[object]:
    return [user for block in data.files[role].blocks() for user in block.users.tolist()]


def _read_all(path: Path, *, max_bad_rows: int = 0) -> None:
    with open_input(path, max_bad_rows=max_bad_rows) as data:
        for file in data.files.values():
            list(file.blocks())


def _refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        _read_all(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("layout", "ratings", "scale"),
    [
        ("movielens-100k", U_DATA, (1, 5)),
        ("movielens-1m", b"1::1193::5::978300760\n", (1, 5)),
        ("movielens-10m", b"1::122::5::838985046\n1::185::4.5::838983525\n", (0.5, 5)),
        ("movielens-csv", b"userId,movieId,rating,timestamp\n1,296,5.0,1147880044\n", (0.5, 5)),
    ],
)
def test_each_movielens_is_found(
    tmp_path: Path, layout: str, ratings: bytes, scale: tuple[float, float]
) -> None:
    name, _ = samples.MOVIELENS[layout]
    noise = {
        "README": b"SUMMARY\n=======\n",
        "tags.csv": b"userId,movieId,tag,timestamp\n1,2,x,3\n",
        "tags.dat": b"15::4973::excellent!::1215184630\n",
    }
    with open_input(_folder(tmp_path, {**samples.BESIDE[layout], name: ratings, **noise})) as data:
        assert (data.format, data.id_type, data.lowest, data.highest) == (layout, "integer", *scale)
        assert list(data.files) == ["ratings"]
        assert data.pairs == {}
        assert data.movies()[0].year == 1995
        assert data.movies_file == f"set/{next(iter(samples.BESIDE[layout]))}"
        assert (
            bool(data.users())
            == (data.users_file is not None)
            == (layout in {"movielens-100k", "movielens-1m"})
        )
        assert _users(data)


def test_movielens_100k_as_it_is_published(movielens_zip: Path) -> None:
    with open_input(movielens_zip) as data:
        assert (data.name, data.format) == ("ml-100k.zip", "movielens-100k")
        assert list(data.pairs) == ["ua"]
        train, test = data.pairs["ua"]
        assert (data.files["train"], data.files["test"]) == (train, test)
        rows = {role: sum(map(len, file.blocks())) for role, file in data.files.items()}
        assert rows == {"ratings": 100_000, "train": 90_570, "test": 9_430}
        assert len(data.movies()) == 1682
        assert data.movies()[0] == Movie(1, "Toy Story (1995)", 1995, ("Animation", "Children's", "Comedy"))
        assert len(data.users()) == 943
        assert data.users()[0] == User(1, 24, "M", "technician")


def test_every_pair_of_movielens_100k_is_there(tmp_path: Path) -> None:
    pairs = {f"{split}.{part}": U_DATA for split in ("ub", "u1", "u5") for part in ("base", "test")}
    with open_input(_folder(tmp_path, {**pairs, "u2.base": U_DATA})) as data:
        assert list(data.pairs) == ["ub", "u1", "u5"]
        assert data.pairs["u1"][1].path == "set/u1.test"
        assert data.files == {}


def test_a_layout_is_found_by_content_under_other_names(tmp_path: Path) -> None:
    beside = samples.BESIDE["movielens-100k"]
    files = {"films.txt": beside["u.item"], "people.txt": beside["u.user"], "stars.tsv": U_DATA}
    with open_input(_folder(tmp_path, files)) as data:
        assert data.format == "movielens-100k"
        assert data.files["ratings"].path == "set/stars.tsv"
        assert (len(data.movies()), len(data.users())) == (1, 1)


def test_a_name_alone_tells_nothing(tmp_path: Path) -> None:
    with open_input(_folder(tmp_path, {"u.data": b"user,item,rating\na,b,10\n"})) as data:
        assert (data.format, data.id_type) == ("csv", "text")


HEADER = b"userId,movieId,rating,timestamp\n"


@pytest.mark.parametrize(
    ("rows", "layout", "id_type"),
    [
        (b"1,2,4.5,99\n1,3,5.0,99\n", "movielens-csv", "integer"),
        (b"1,2,4.5,99\n1,3,five,99\n", "movielens-csv", "integer"),
        (b"1,2,4.5,99\n1,3,10,99\n", "csv", "integer"),
        (b"0,2,4.5,99\n1,3,5.0,99\n", "csv", "integer"),
        (b"ann,B07,4.5,99\n", "csv", "text"),
        (b'"1","2","4.5","99"\n', "csv", "integer"),
    ],
)
def test_a_header_alone_does_not_make_movielens(
    tmp_path: Path, rows: bytes, layout: str, id_type: str
) -> None:
    with open_input(_folder(tmp_path, {"mine.csv": HEADER + rows}), max_bad_rows=1) as data:
        assert (data.format, data.id_type) == (layout, id_type)
        assert len(_users(data)) == rows.count(b"\n") - rows.count(b"five")


def test_the_header_makes_movielens_where_its_movies_are(tmp_path: Path) -> None:
    path = _folder(tmp_path, {**samples.BESIDE["movielens-csv"], "mine.csv": HEADER + b"0,2,4.5,99\n"})
    assert "the userId is 0, where ids start at 1" in _refusal(path)


def test_a_pair_with_the_header_of_movielens_is_anyones(tmp_path: Path) -> None:
    files = {"train.csv": HEADER + b"1,2,4.5,99\n", "test.csv": HEADER + b"1,3,4.5,99\n"}
    with open_input(_folder(tmp_path, files)) as data:
        assert (data.format, list(data.pairs)) == ("csv", ["given"])


@pytest.mark.parametrize("slip", [b"1x2,7,3", b"NaN,7,3", b"5.0,7,3", b"5,1x2,3", b"007,7,3"])
@pytest.mark.parametrize("before", [40, 40_000])
def test_a_slip_among_whole_numbers_does_not_make_them_names(
    tmp_path: Path, slip: bytes, before: int
) -> None:
    rows = b"12,34,5\n"
    message = _refusal(_folder(tmp_path, {"mine": rows * before + slip + b"\n" + rows}))
    assert f"set/mine, line {before + 1}: the " in message
    assert (
        "as ids are at the beginning of the file (to have names for ids, begin each with a letter)" in message
    )


def test_names_are_names_though_some_are_digits(tmp_path: Path) -> None:
    for whole, id_type in ((18, "text"), (19, "integer")):
        rows = b"1,2,3\n" * whole + b"ann,2,3\n"
        with open_input(_folder(tmp_path, {"mine": rows})) as data:
            assert data.id_type == id_type


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"a,b,nan,5", "the rating 'nan' is not a decimal number"),
        (b"1,2,3,soon", "the time 'soon' is not Unix time"),
        (b" a,b,3,5", "the user ' a' has spaces around it"),
    ],
)
def test_where_no_row_is_right_the_fault_is_named_that_all_have(
    tmp_path: Path, row: bytes, reason: str
) -> None:
    path = _folder(tmp_path, {"mine.csv": b"user,item,rating,time\n" + (row + b"\n") * 3})
    assert f"line 2: {reason}" in _refusal(path)


@pytest.mark.parametrize("layout", samples.BESIDE)
def test_byte_order_marks_lose_nothing(tmp_path: Path, layout: str) -> None:
    name, plain = samples.MOVIELENS[layout]
    ratings = samples.movielens_ratings(random.Random(1), plain, 3).removeprefix(BYTE_ORDER_MARK)
    renamed = {f"{name}.txt": content for name, content in samples.BESIDE[layout].items()}
    files = {**renamed, name: ratings}
    marked = {name: BYTE_ORDER_MARK + content for name, content in files.items()}
    with open_input(_folder(tmp_path, files)) as data:
        movies, users, rows = data.movies(), data.users(), samples.rows_of(data.files["ratings"])
    with open_input(_folder(tmp_path, marked)) as data:
        assert data.format == layout
        assert (data.movies(), data.users()) == (movies, users)
        assert samples.rows_of(data.files["ratings"]) == rows
    assert movies


@pytest.mark.parametrize(
    ("movies", "ratings", "layout"),
    [
        (samples.BESIDE["movielens-1m"]["movies.dat"], b"1::1::5::9\n", "movielens-1m"),
        (samples.BESIDE["movielens-10m"]["movies.dat"], b"1::1::5::9\n", "movielens-10m"),
        (b"1::Heat (1995)::Drama\n", b"1::1::5::9\n1::1::4.5::9\n", "movielens-10m"),
        (b"1::Heat (1995)::Drama\n", b"1::1::5::9\n", "movielens-1m"),
    ],
)
def test_movielens_1m_without_its_users_is_told_from_10m(
    tmp_path: Path, movies: bytes, ratings: bytes, layout: str
) -> None:
    path = _folder(tmp_path, {"movies.dat": movies, "ratings.dat": ratings})
    with open_input(path) as data:
        assert (data.format, data.users()) == (layout, ())
        assert data.movies()[0].title in {"Misérables, Les (1995)", "Heat (1995)"}
        assert _users(data)


def test_a_last_line_without_end_is_right_in_an_archive_but_cut_in_a_folder(tmp_path: Path) -> None:
    files = {**samples.BESIDE["movielens-100k"], "u.data": U_DATA[:-1]}
    assert "u.data, line 2: the file stops in the middle of a line" in _refusal(_folder(tmp_path, files))
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content[:-1] if name == "u.item" else content)
    with open_input(path) as data:
        assert (_users(data), len(data.movies())) == ([196, 186], 1)


def test_text_may_begin_like_markup(tmp_path: Path) -> None:
    for first in ("[1]", "{x}", "<y>"):
        with open_input(_folder(tmp_path, {"mine": f"{first},a,5\n".encode()})) as data:
            assert _users(data) == [first.encode()]


@pytest.mark.parametrize("pack", [False, True])
def test_an_archive_or_a_folder_may_hold_a_folder(tmp_path: Path, pack: bool) -> None:
    path = tmp_path / "set"
    if pack:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("ml/u.data", U_DATA)
            archive.writestr("__MACOSX/ml/._u.data", b"\0\5\26\7")
    else:
        _folder(tmp_path, {"ml/u.data": U_DATA})
    with open_input(path) as data:
        assert data.files["ratings"].path == "set/ml/u.data"
        assert _users(data) == [196, 186]


@pytest.mark.parametrize(
    ("content", "id_type", "users"),
    [
        (b"user,item,rating\n1,2,3\n", "integer", [1]),
        (b"\xef\xbb\xbfuser,item,rating\r\n1,2,3\r\n", "integer", [1]),
        (b"\xef\xbb\xbf1,2,3\n", "integer", [1]),
        (b"1,2,3\n0,2,3\n", "integer", [1, 0]),
        (b"1\t2\t-3.25\t99\n", "integer", [1]),
        (b"7,2,3\n007,2,3\n", "text", [b"7", b"007"]),
        (b"1,2,3\n1,b,3\n", "text", [b"1", b"1"]),
        (b"1234567890123456789,2,3\n", "text", [b"1234567890123456789"]),
        (b"timestamp,RATING,Item ID,user-id\n5,1.5,x,y\n", "text", [b"y"]),
        ('"user","item","rating"\n"zoë","a ""b"", c","3"\n'.encode(), "text", ["zoë".encode()]),
        (b"user_id\tproduct_id\tscore\ta\nu\tp\t3\t\n", "text", [b"u"]),
        (b"1,2,x\n1,2,3\n", None, []),
    ],
)
def test_anyones_ratings(tmp_path: Path, content: bytes, id_type: str | None, users: list[object]) -> None:
    path = tmp_path / "mine"
    path.write_bytes(content)
    if id_type is None:
        assert "line is neither a rating nor names the columns: '1,2,x'" in _refusal(path)
        return
    with open_input(path) as data:
        assert (data.format, data.id_type, data.lowest, data.highest) == ("csv", id_type, None, None)
        assert (data.movies(), data.users(), data.movies_file, data.users_file) == ((), (), None, None)
        assert _users(data) == users
        assert data.files["ratings"].path == "mine"


def test_ids_are_text_in_both_files_where_they_are_in_one(tmp_path: Path) -> None:
    files = {"train.csv": b"1,2,3\n", "my-test.csv": b"1,b,3\n"}
    with open_input(_folder(tmp_path, files)) as data:
        assert data.id_type == "text"
        assert (_users(data, "train"), _users(data, "test")) == ([b"1"], [b"1"])
        assert data.pairs["given"] == (data.files["train"], data.files["test"])


def test_bad_rows_do_not_make_ids_text_and_are_counted_over_all_files(tmp_path: Path) -> None:
    path = _folder(tmp_path, {"train.csv": b"1,2,3\n1,a,x\n", "test.csv": b"1,2,3\n1,-2,3\n"})
    with open_input(path, max_bad_rows=2) as data:
        assert data.id_type == "integer"
        assert data.rejected == []
        assert _users(data, "train") == _users(data, "test") == [1]
        assert [(row.file, row.line) for row in data.rejected] == [("set/test.csv", 2), ("set/train.csv", 2)]
    with pytest.raises(DataError, match="one more bad row than the 1 tolerated"):
        _read_all(path, max_bad_rows=1)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.csv": b""}, r"there are no ratings \(set/a\.csv: the file is empty\)\. Give a folder, a zip"),
        ({"a.gz": gzip.compress(b"1,2,3\n")}, r"set/a\.gz: it is gzip data: unpack it first"),
        (
            {"a.csv": b"1,2,3\r1,2,3\r"},
            r"set/a\.csv: its lines end in carriage returns alone, as on old Macs",
        ),
        (
            {**samples.BESIDE["movielens-100k"], "u.data": U_DATA.replace(b"\n", b"\r")},
            r"set/u\.data, line 1: its lines end in carriage returns alone",
        ),
        ({"a.html": b"<html>\n"}, r"set/a\.html: it is HTML or XML"),
        ({"a.json": b'[{"user": 1, "item": 2, "rating": 3}]'}, r"set/a\.json: it is JSON"),
        ({"a.json": b'{"a": 1}'}, r"set/a\.json: it is JSON: write it as CSV first"),
        ({"a.parquet": b"PAR1\0\0"}, "it is a Parquet file"),
        ({"a.csv": "user,item,rating\n".encode("utf-16")}, "it is text in UTF-16: write it as UTF-8"),
        ({"a.csv": b"user,rating\n1,2\n"}, "the header names no column for item; it has user, rating"),
        ({"a.csv": b"user,movie,item,rating\n"}, "several columns of the header could be the item"),
        (
            {"a.csv": b"reader,title,grade\na,b,3\n"},
            "neither a rating nor names the columns: 'reader,title,grade'",
        ),
        ({"a.csv": b"1,2\n"}, "the first line has 2 comma-separated columns, and is no header that is known"),
        ({"a.csv": b'"1,2,3\n'}, "a quoted field does not end on its line"),
        ({"a.csv": b"1,2,3\n", "b.csv": b"1,2,3\n"}, r"^set: both a\.csv and b\.csv hold ratings"),
        (
            {"a/u.data": U_DATA, "b/u.data": U_DATA},
            "it holds several data sets: set/a, set/b. Give one of them",
        ),
        (
            {"train.csv": b"1,2,3\n", "more.csv": b"1,2,3\n"},
            r"there is train\.csv but no file with test in its name",
        ),
        (
            {"u.item": samples.BESIDE["movielens-100k"]["u.item"]},
            r"there is neither u\.data nor a pair of files",
        ),
        ({"movies.csv": b"movieId,title,genres\n"}, r"this is MovieLens, but there is no ratings\.csv"),
        (
            {**samples.BESIDE["movielens-csv"], "ratings.csv": b"1,2,3.5,4\n"},
            r"ratings\.csv, line 1: the first line is not userId,movieId,rating,timestamp",
        ),
        ({f"{n}.txt": b"x\n" for n in range(300)}, "it holds more than 256 files"),
        ({}, "no such file or folder"),
    ],
)
def test_what_is_no_data_set_is_refused_with_what_was_found(
    tmp_path: Path, files: Mapping[str, bytes], message: str
) -> None:
    assert re.search(message, _refusal(_folder(tmp_path, files)))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "it holds no files, nor does any folder in it, 4 deep" in _refusal(tmp_path)


def test_a_truncated_archive_is_refused(movielens_zip: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.zip"
    path.write_bytes(movielens_zip.read_bytes()[:100_000])
    assert _refusal(path).startswith("cut.zip: the zip archive is damaged or cut short")


def test_the_fingerprint_is_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_bytes(b"1,2,3\n")
    with open_input(path) as data:
        assert data.sha256 == hashlib.sha256(b"1,2,3\n").hexdigest()
