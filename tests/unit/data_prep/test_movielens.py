import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import DataError
from data_prep.movielens import GENRES, Movie, read_movies, read_users
from data_prep.source import Source

ITEM = "7|Twelve Monkeys (1995)|01-Jan-1995||http://x|" + "|".join(
    "1" if genre in {"Drama", "Sci-Fi"} else "0" for genre in GENRES
)


def _source(**files: bytes) -> Source:
    named = {
        name.replace("_", "."): (lambda content=content: io.BytesIO(content))
        for name, content in files.items()
    }
    return Source("ml", "ml", named, None)


def _movies(content: str) -> tuple[Movie, ...]:
    return read_movies(_source(u_item=content.encode("latin-1")))


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
    assert read_users(_source(u_user=b"10|24|M|technician|85711\n9|53|F|other|94043\n")) == (9, 10)


@pytest.mark.parametrize(
    ("line", "reason"), [(b"3|1|M", "expected 5 columns"), (b"1|1|M|x|1", "id 1 is on line 1 already")]
)
def test_a_bad_user_is_named(line: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=rf"^ml/u\.user, line 2: {reason}"):
        read_users(_source(u_user=b"1|24|M|technician|85711\n" + line + b"\n"))


def test_empty_files_are_refused() -> None:
    with pytest.raises(DataError, match=r"u\.item: the file is empty"):
        _movies("")
    with pytest.raises(DataError, match=r"u\.user: the file is empty"):
        read_users(_source(u_user=b"\n"))


@given(st.binary(max_size=300))
def test_any_bytes_give_movies_or_a_data_error(content: bytes) -> None:
    try:
        movies = read_movies(_source(u_item=content))
    except DataError:
        return
    assert movies
