"""Files of ratings in every layout, what goes wrong with files, and how they are read to be compared."""

import io
import random
from collections.abc import Mapping
from unittest import mock

from data_prep.errors import DataError
from data_prep.formats import RatingsFile, movielens, ratings_file
from data_prep.formats.dialect import Dialect
from data_prep.formats.tolerance import Tolerance
from data_prep.source import BYTE_ORDER_MARK, Source
from tests.unit.data_prep.formats import reference
from tests.unit.data_prep.formats.reference import ML_1M, ML_10M, ML_100K, ML_CSV, BadLine, Layout, Row

MOVIELENS: Mapping[str, tuple[str, Layout]] = {
    "movielens-100k": ("u.data", ML_100K),
    "movielens-1m": ("ratings.dat", ML_1M),
    "movielens-10m": ("ratings.dat", ML_10M),
    "movielens-csv": ("ratings.csv", ML_CSV),
}
DIALECTS: Mapping[str, Dialect] = {
    "movielens-100k": movielens.ML_100K,
    "movielens-1m": movielens.ML_1M,
    "movielens-10m": movielens.ML_10M,
    "movielens-csv": movielens.ML_CSV,
}
_ITEM = "1|Toy Story (1995)|01-Jan-1995||http://x|" + "|".join("0" * 19) + "\n"
# Files beside the ratings, which tell the layout whatever happens to the ratings.
BESIDE: Mapping[str, Mapping[str, bytes]] = {
    "movielens-100k": {"u.item": _ITEM.encode(), "u.user": b"1|24|M|technician|85711\n"},
    "movielens-1m": {
        "movies.dat": "1::Misérables, Les (1995)::Drama|Musical\n".encode("latin-1"),
        "users.dat": b"1::F::1::10::48067\n",
    },
    "movielens-10m": {"movies.dat": "1::Misérables, Les (1995)::Drama|Musical\n".encode()},
    "movielens-csv": {"movies.csv": 'movieId,title,genres\n1,"Misérables, Les (1995)",Drama\n'.encode()},
}
_RATINGS = ("1", "5", "4.5", "-2", "0.125", "3.333333", "10", "12345.75", "4.0000000000")
_NAMES = (
    "a",
    "B0007",
    "0012",
    "ünï",
    "名前",
    "x y",
    "it's",
    'say "hi"',
    "a,b",
    "7",
    "1" * 18,
    "-x",
    "9" * 20,
)
_NOISE = b"0123459.,\t:;|\"'\n\r\0 -+eE_xyz{\x7f\x80\xc3\xff"


def movielens_ratings(chance: random.Random, layout: Layout, rows: int) -> bytes:
    """A file that breaks no rule."""
    end = chance.choice(["\n", "\n", "\n", "\r\n"])
    ratings = sorted(text.decode() for text in layout.ratings or ())
    if chance.random() < 0.4:
        # As one program writes them: all with a point, or all without.
        pointed = chance.random() < 0.5
        ratings = [text for text in ratings if ("." in text) == pointed] or ratings
    lines = [] if layout.header is None else [layout.header.decode()]
    longest = chance.choice([1, 4, 8, 9, 16, 18])
    for _ in range(rows):
        user, movie = (_integer(chance, longest, 1) for _ in range(2))
        time = _time(chance)
        lines.append(layout.separator.join([user, movie, chance.choice(ratings), time]))
    return _marked(chance, (end.join(lines) + end * chance.choice([1, 1, 1, 3])).encode())


def any_ratings(chance: random.Random, rows: int) -> tuple[bytes, Layout]:
    """A file of someone's own ratings that breaks no rule, and how it is written."""
    separator, end = chance.choice([",", "\t"]), chance.choice(["\n", "\r\n"])
    columns = ["user", "item", "rating"] + (["time"] if chance.random() < 0.7 else [])
    header = None
    headed = chance.random()
    if headed < 0.4:
        chance.shuffle(columns)
        names = {"user": "userId", "item": "product_id", "rating": "Rating", "time": "timestamp"}
        header = separator.join(names[column] for column in columns)
    elif headed < 0.6:
        # Like MovieLens', whether or not the rows are.
        separator, columns = ",", ["user", "item", "rating", "time"]
        header = movielens.RATINGS_CSV_HEADER.decode()
    whole = chance.random() < 0.5
    ratings = _RATINGS if chance.random() < 0.6 else ("1", "2.0", "3.5", "5")
    quoting = chance.choice([0.0, 0.0, 0.2, 1.0])
    lines = [] if header is None else [header]
    for _ in range(rows):
        values = {
            "user": _integer(chance, 6, 0) if whole else chance.choice(_NAMES),
            "item": _integer(chance, 18, 0) if whole else chance.choice(_NAMES),
            "rating": chance.choice(ratings),
            "time": _time(chance),
        }
        if separator == "\t":
            values["item"] = values["item"].replace("\t", "")
        fields = [_field(chance, values[column], separator, quoting) for column in columns]
        lines.append(separator.join(fields))
    layout = Layout(
        separator,
        tuple(columns),
        None if header is None else header.encode(),
        ratings=None,
        movielens=False,
        whole_ids=False,
    )
    return _marked(chance, (end.join(lines) + chance.choice([end, end, ""])).encode()), layout


def corrupted(chance: random.Random, content: bytes, first: int = 0) -> bytes:
    """The file with one byte, not before `first`, changed, left out or put in."""
    place = chance.randrange(first, len(content)) if len(content) > first else len(content)
    byte = bytes([chance.choice(_NOISE) if chance.random() < 0.8 else chance.randrange(256)])
    if chance.random() < 0.1:
        # A neighbour copied: a digit doubled, a separator doubled.
        byte = content[place : place + 1]
    before, after = content[:place], content[place + 1 :]
    return chance.choice([before + byte + after, before + after, before + byte + content[place:]])


class Trickle(io.BytesIO):
    """Gives at most so many bytes a read, so that blocks end everywhere."""

    def __init__(self, content: bytes, step: int) -> None:
        super().__init__(content)
        self._step = step

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._step)


def rows_of(file: RatingsFile) -> list[Row]:
    """All rows, one by one."""
    rows: list[Row] = []
    for block in file.blocks():
        assert block.first_row == len(rows)
        assert len(block) == len(block.users) == len(block.movies) == len(block.lines) > 0
        times = [None] * len(block) if block.times is None else block.times.tolist()
        rows += zip(block.users.tolist(), block.movies.tolist(), block.ratings.tolist(), times, strict=True)
    return rows


def readings(
    content: bytes, dialect: Dialect, layout: Layout, *, step: int = 1 << 20, exact: int = 1 << 13
) -> tuple[list[Row] | BadLine, list[Row] | BadLine]:
    """What the quick reader finds, and what the reference does.

    The file comes `step` bytes at a time; so many bytes as `exact` are read line by line around a fault.
    """
    source = Source("x", "x", {"f": lambda: Trickle(content, step)}, None)
    expected = reference.read(content, layout)
    with mock.patch.object(ratings_file, "_EXACT_BYTES", exact):
        try:
            return rows_of(RatingsFile(source, "f", dialect, Tolerance(0))), expected
        except DataError as error:
            # A file without rows has no line to name.
            nameless = error.line is None and isinstance(expected, BadLine)
            return expected if nameless else BadLine(error.line or 0), expected


def _marked(chance: random.Random, content: bytes) -> bytes:
    """The file, now and then with a byte order mark."""
    return BYTE_ORDER_MARK + content if chance.random() < 0.1 else content


def _integer(chance: random.Random, digits: int, lowest: int) -> str:
    return str(chance.randint(lowest, 10 ** chance.randint(1, digits) - 1))


def _time(chance: random.Random) -> str:
    return str(min(int(_integer(chance, chance.choice([1, 9, 10, 12]), 0)), 253402300799))


def _field(chance: random.Random, text: str, separator: str, quoting: float) -> str:
    if '"' in text or separator in text or chance.random() < quoting:
        return '"' + text.replace('"', '""') + '"'
    return text
