"""How GroupLens writes the ratings of each MovieLens, and how its files are told apart.

The archives' READMEs describe the layouts; `tables` names them.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from data_prep.formats.dialect import HALF_STARS, WHOLE_STARS, Dialect
from data_prep.formats.tables import MOVIES_CSV_HEADER

RATINGS_CSV_HEADER = b"userId,movieId,rating,timestamp"
SPLITS_100K = ("ua", "ub", "u1", "u2", "u3", "u4", "u5")
# The kinds of files, called by the names that GroupLens gives them.
U_DATA, U_ITEM, U_USER = "u.data", "u.item", "u.user"
RATINGS_DAT, MOVIES_DAT, USERS_DAT = "ratings.dat", "movies.dat", "users.dat"
RATINGS_CSV, MOVIES_CSV = "ratings.csv", "movies.csv"

ML_100K = Dialect(
    name="MovieLens 100K",
    separator=b"\t",
    columns=("user", "movie", "rating", "time"),
    user=0,
    movie=1,
    rating=2,
    time=3,
    header=False,
    integer_ids=True,
    lowest_id=1,
    stars=WHOLE_STARS,
    quoted=False,
    remedy="Correct the line, or download the data set again",
)
ML_1M = replace(ML_100K, name="MovieLens 1M", separator=b"::")
ML_10M = replace(ML_1M, name="MovieLens 10M", stars=HALF_STARS)
ML_CSV = replace(
    ML_10M,
    name="MovieLens",
    separator=b",",
    columns=tuple(RATINGS_CSV_HEADER.decode().split(",")),
    header=True,
)

_FIRST_LINES = 8
_HALF_STARS = re.compile(rb"^\d+::\d+::\d\.\d::\d", re.MULTILINE)
_PATTERNS: Mapping[str, re.Pattern[bytes]] = {
    U_DATA: re.compile(rb"\d+\t\d+\t\d\t\d+"),
    U_ITEM: re.compile(rb"\d+\|[^|]*\|[^|]*\|[^|]*\|[^|]*(?:\|[01]){19}"),
    U_USER: re.compile(rb"\d+\|\d+\|[MF]\|[^|]*\|[^|]*"),
    RATINGS_DAT: re.compile(rb"\d+::\d+::\d(?:\.\d)?::\d+"),
    USERS_DAT: re.compile(rb"\d+::[MF]::\d+::\d+::.*"),
    MOVIES_DAT: re.compile(rb"\d+::(?:(?!::).)+::(?:(?!::).)+"),
}


def kind_of(head: bytes) -> str | None:
    """Which of GroupLens' files begins like this; one bad line does not hide it. None for any other."""
    lines = head.replace(b"\r\n", b"\n").split(b"\n")[:_FIRST_LINES]
    if lines[0] == RATINGS_CSV_HEADER:
        return RATINGS_CSV
    if lines[0] == MOVIES_CSV_HEADER:
        return MOVIES_CSV
    kinds = (kind for line in lines for kind, pattern in _PATTERNS.items() if pattern.fullmatch(line))
    return next(kinds, None)


def has_half_stars(head: bytes) -> bool:
    """Whether ratings.dat, which begins like this, has decimals."""
    return bool(_HALF_STARS.search(head))


def pair_names(split: str) -> tuple[str, str]:
    """The files that MovieLens 100K gives a split in."""
    return f"{split}.base", f"{split}.test"
