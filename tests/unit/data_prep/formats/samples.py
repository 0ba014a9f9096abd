"""Files of ratings in every layout, and what goes wrong with files."""

import random
from collections.abc import Mapping

from tests.unit.data_prep.formats.reference import ML_1M, ML_10M, ML_100K, ML_CSV, Layout

MOVIELENS: Mapping[str, tuple[str, Layout]] = {
    "movielens-100k": ("u.data", ML_100K),
    "movielens-1m": ("ratings.dat", ML_1M),
    "movielens-10m": ("ratings.dat", ML_10M),
    "movielens-csv": ("ratings.csv", ML_CSV),
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
    return (end.join(lines) + end * chance.choice([1, 1, 1, 3])).encode()


def any_ratings(chance: random.Random, rows: int) -> tuple[bytes, Layout]:
    """A file of someone's own ratings that breaks no rule, and how it is written."""
    separator, end = chance.choice([",", "\t"]), chance.choice(["\n", "\r\n"])
    columns = ["user", "item", "rating"] + (["time"] if chance.random() < 0.7 else [])
    header = None
    if chance.random() < 0.6:
        chance.shuffle(columns)
        names = {"user": "userId", "item": "product_id", "rating": "Rating", "time": "timestamp"}
        header = separator.join(names[column] for column in columns)
    whole = chance.random() < 0.4
    quoting = chance.choice([0.0, 0.0, 0.2, 1.0])
    lines = [] if header is None else [header]
    for _ in range(rows):
        values = {
            "user": _integer(chance, 6, 0) if whole else chance.choice(_NAMES),
            "item": _integer(chance, 17, 0) if whole else chance.choice(_NAMES),
            "rating": chance.choice(
                ["1", "5", "4.5", "-2", "0.125", "3.3333333333333335", "10", "123456.75"]
            ),
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
    return (end.join(lines) + end).encode(), layout


def corrupted(chance: random.Random, content: bytes, first: int = 0) -> bytes:
    """The file with one byte, not before `first`, changed, left out or put in."""
    place = chance.randrange(first, len(content)) if len(content) > first else len(content)
    byte = bytes([chance.choice(_NOISE) if chance.random() < 0.8 else chance.randrange(256)])
    if chance.random() < 0.1:
        # A neighbour copied: a digit doubled, a separator doubled.
        byte = content[place : place + 1]
    before, after = content[:place], content[place + 1 :]
    return chance.choice([before + byte + after, before + after, before + byte + content[place:]])


def _integer(chance: random.Random, digits: int, lowest: int) -> str:
    return str(chance.randint(lowest, 10 ** chance.randint(1, digits) - 1))


def _time(chance: random.Random) -> str:
    return str(min(int(_integer(chance, chance.choice([1, 9, 10, 12]), 0)), 253402300799))


def _field(chance: random.Random, text: str, separator: str, quoting: float) -> str:
    if '"' in text or separator in text or chance.random() < quoting:
        return '"' + text.replace('"', '""') + '"'
    return text
