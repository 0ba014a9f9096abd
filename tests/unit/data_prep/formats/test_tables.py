import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import DataError
from data_prep.formats import Movie, User
from data_prep.formats.tables import (
    GENRES,
    find_encoding,
    read_items_100k,
    read_movies_csv,
    read_movies_dat,
    read_users_100k,
    read_users_dat,
)
from data_prep.source import Source

ITEM = "7|Twelve Monkeys (1995)|01-Jan-1995||http://x|" + "|".join(
    "1" if genre in {"Drama", "Sci-Fi"} else "0" for genre in GENRES
)


def _source(file: str, content: bytes) -> Source:
    return Source("ml", "ml", {file: lambda: io.BytesIO(content)}, None)


def _movies(content: str) -> tuple[Movie, ...]:
    return read_items_100k(_source("u.item", content.encode("latin-1")), "u.item")


def _users(content: bytes) -> tuple[User, ...]:
    return read_users_100k(_source("u.user", content), "u.user")


def test_a_movie_has_its_title_year_and_genres() -> None:
    assert _movies(ITEM + "\n") == (Movie(7, "Twelve Monkeys (1995)", 1995, ("Drama", "Sci-Fi")),)


@pytest.mark.parametrize(
    ("title", "year"),
    [
        ("unknown", None),
        ("Misérables, Les (1995)", 1995),
        ("Land Before Time III: The Time of the Great Giving (1995) (V)", 1995),
        ("Blood & Sand (1922) (1989)", 1989),
        ("2001: A Space Odyssey", None),
    ],
)
def test_the_year_is_the_last_in_parentheses(title: str, year: int | None) -> None:
    (movie,) = _movies(ITEM.replace("Twelve Monkeys (1995)", title) + "\n")
    assert (movie.title, movie.year) == (title, year)


def test_movies_are_ordered_by_number() -> None:
    content = "".join(ITEM.replace("7|", f"{key}|", 1) + "\n" for key in (10, 9, 2))
    assert [movie.id for movie in _movies(content)] == [2, 9, 10]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (ITEM + "|0", r"expected 24 columns separated by '\|', not 25"),
        ("", r"expected 24 columns separated by '\|', not 1"),
        (ITEM.replace("7|", "seven|", 1), "the id in the first column is not a whole number from 1"),
        (ITEM.replace("7|", "0|", 1), "the id in the first column is not a whole number from 1"),
        (ITEM.replace("7|", "-7|", 1), "the id in the first column is not a whole number from 1"),
        (ITEM.replace("7|", "²|", 1), "the id in the first column is not a whole number from 1"),
        (ITEM.replace("7|", "2|", 1), "id 2 is on line 1 already"),
        (ITEM.replace("Twelve Monkeys (1995)", " "), "the movie has no title"),
        (
            ITEM.replace("Monkeys", "Mon\0keys"),
            "the line holds NUL bytes, as an interrupted download leaves them",
        ),
        (ITEM[:-1] + "2", "the last 19 columns say which genres the movie has, each 0 or 1"),
    ],
)
def test_a_bad_movie_is_named(line: str, reason: str) -> None:
    with pytest.raises(DataError, match=rf"^ml/u\.item, line 2: {reason}, found '.*'\. Correct the line"):
        _movies(ITEM.replace("7|", "2|", 1) + "\n" + line + "\n" + ITEM + "\n")


def test_users_are_read_and_ordered() -> None:
    assert _users(b"10|24|M|technician|85711\n9|53|F|other|94043\n") == (
        User(9, 53, "F", "other"),
        User(10, 24, "M", "technician"),
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"3|1|M", "expected 5 columns"),
        (b"1|1|M|x|1", "id 1 is on line 1 already"),
        (b"3|0|M|x|1", "the age is not a whole number from 1 to 120"),
        (b"3|x|M|x|1", "the age is not a whole number from 1 to 120"),
        (b"3|30|m|x|1", "the gender is neither F nor M"),
    ],
)
def test_a_bad_user_is_named(line: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=rf"^ml/u\.user, line 2: {reason}"):
        _users(b"1|24|M|technician|85711\n" + line + b"\n")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_movies_dat_is_read_in_its_encoding(encoding: str) -> None:
    lines = "10::Misérables, Les (1995)::Drama|Musical\n9::Title::(no genres listed)\n"
    source = _source("movies.dat", lines.encode(encoding))
    assert read_movies_dat(source, "movies.dat") == (
        Movie(9, "Title", None, ()),
        Movie(10, "Misérables, Les (1995)", 1995, ("Drama", "Musical")),
    )


def test_text_that_is_not_utf_8_is_refused() -> None:
    source = _source("movies.csv", "movieId,title,genres\n1,Misérables,Drama\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"movies\.csv, line 2: the line is not valid UTF-8"):
        read_movies_csv(source, "movies.csv")


@pytest.mark.parametrize(
    ("content", "encoding"), [("Amelie", "ASCII"), ("Amélie", "UTF-8"), ("Amélie", "ISO-8859-1")]
)
def test_an_encoding_is_that_of_the_whole_file(content: str, encoding: str) -> None:
    text = "Up\n" * 100_000 + content + "\n"
    assert find_encoding(_source("movies.dat", text.encode(encoding)), "movies.dat") == encoding


def test_users_dat_numbers_occupations() -> None:
    source = _source("users.dat", b"2::M::56::16::70072\n1::F::1::10::48067\n")
    assert read_users_dat(source, "users.dat") == (
        User(1, 1, "F", "K-12 student"),
        User(2, 56, "M", "self-employed"),
    )
    for wrong in (b"21", b"x", b"-1"):
        with pytest.raises(DataError, match="line 1: the occupation is not a number from 0 to 20"):
            read_users_dat(_source("users.dat", b"1::F::1::" + wrong + b"::48067\n"), "users.dat")


def _csv(*lines: str, end: str = "\n") -> tuple[Movie, ...]:
    content = end.join(["movieId,title,genres", *lines, ""])
    return read_movies_csv(_source("movies.csv", content.encode()), "movies.csv")


@pytest.mark.parametrize(
    ("line", "movie"),
    [
        (
            "1,Toy Story (1995),Adventure|Children",
            Movie(1, "Toy Story (1995)", 1995, ("Adventure", "Children")),
        ),
        (
            '11,"American President, The (1995)",Drama',
            Movie(11, "American President, The (1995)", 1995, ("Drama",)),
        ),
        ('6,"""Great"" Cats (1998)",Musical', Movie(6, '"Great" Cats (1998)', 1998, ("Musical",))),
        ("7,Babylon 5,(no genres listed)", Movie(7, "Babylon 5", None, ())),
        ("8,Fawlty Towers (1975-1979),Comedy", Movie(8, "Fawlty Towers (1975-1979)", 1975, ("Comedy",))),
        ("9,Misérables (2006–2007) ,Drama", Movie(9, "Misérables (2006–2007)", 2006, ("Drama",))),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_movies_csv_is_read(line: str, movie: Movie, end: str) -> None:
    assert _csv(line, end=end) == (movie,)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,American President, The (1995),Drama", "expected 3 columns separated by ',', not 4"),
        ('1,"American (1995),Drama', "a quoted field does not end on its line"),
        ('1,American "President" (1995),Drama', "a field holds a quote but does not begin with one"),
        ('1,"American"s,Drama', "a quoted field goes on after its closing quote"),
        ("1,Title,Drama|", "genres are separated by"),
        ("1,Title,", "genres are separated by"),
    ],
)
def test_a_bad_line_of_movies_csv_is_named(line: str, reason: str) -> None:
    with pytest.raises(DataError, match=rf"^ml/movies\.csv, line 3: {reason}"):
        _csv("5,Title,Drama", line)


def test_movies_csv_without_its_header_is_refused() -> None:
    source = _source("movies.csv", b"1,Title,Drama\n")
    with pytest.raises(
        DataError, match=r"line 1: the first line is not movieId,title,genres, found '1,Title"
    ):
        read_movies_csv(source, "movies.csv")


@given(st.binary(max_size=300))
def test_any_bytes_give_movies_or_a_data_error(content: bytes) -> None:
    try:
        movies = read_items_100k(_source("u.item", content), "u.item")
    except DataError:
        return
    assert movies
