"""Anyone's ratings as text in columns: which separator, which columns, by the first lines."""

from collections.abc import Mapping

from data_prep.errors import shortened
from data_prep.formats.dialect import Dialect
from data_prep.formats.exact import SEPARATOR_NAMES, parse_line, split_quoted

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
COLUMNS = ("user", "item", "rating", "timestamp")
# A header may call each column one of these, in any case, with or without "_", "-", " " between words.
_NAMES: Mapping[str, frozenset[str]] = {
    "user": frozenset({"user", "userid", "customer", "customerid", "reviewer", "reviewerid"}),
    "item": frozenset(
        {"item", "itemid", "movie", "movieid", "film", "filmid", "product", "productid", "book", "bookid"}
    ),
    "rating": frozenset({"rating", "stars", "score"}),
    "timestamp": frozenset({"timestamp", "time", "unixtime"}),
}
ACCEPTED = (
    "lines of user, item, rating and perhaps Unix time, separated by commas or tabs, with or without a first "
    f"line that names them ({', '.join(COLUMNS)})"
)
_BETWEEN_WORDS = str.maketrans("", "", "_- ")
_REMEDY = "Correct the line, or leave it out"


def find_dialect(head: bytes) -> Dialect | str:
    """How a file that begins with `head` is written; or why it holds no ratings."""
    lines = head.removeprefix(BYTE_ORDER_MARK).replace(b"\r\n", b"\n").split(b"\n")
    first = lines[0]
    separator = b"\t" if b"\t" in first else b","
    names = split_quoted(first, separator)
    if isinstance(names, str):
        return names
    texts = tuple(name.decode("utf-8", "replace").strip() for name in names)
    found = {role: _places(texts, accepted) for role, accepted in _NAMES.items()}
    if any(len(places) > 1 for places in found.values()):
        several = next(role for role, places in found.items() if len(places) > 1)
        return f"several columns of the header could be the {several}: {', '.join(texts)}"
    if found["user"] and found["item"] and found["rating"]:
        time = found["timestamp"][0] if found["timestamp"] else None
        return _dialect(separator, texts, found["user"][0], found["item"][0], found["rating"][0], time)
    if any(found.values()):
        missing = ", ".join(role for role in COLUMNS[:3] if not found[role])
        return f"the header names no column for {missing}: it has {', '.join(texts)}"
    count = len(texts)
    if not 3 <= count <= len(COLUMNS):
        return f"the first line has {count} {SEPARATOR_NAMES[separator]}-separated columns and is no known header"
    plain = _dialect(separator, COLUMNS[:count], 0, 1, 2, 3 if count > 3 else None, header=False)
    # One bad line does not make a file something else; a line of unknown names does.
    good = [not isinstance(parse_line(line, plain), str) for line in lines[:2] if line]
    if any(good) and (good[0] or not _is_heading(texts)):
        return plain
    return f"the first line is neither a rating nor names the columns: {shortened(first)}"


def _is_heading(fields: tuple[str, ...]) -> bool:
    return not any(character.isdigit() for field in fields[2:] for character in field)


def _places(names: tuple[str, ...], accepted: frozenset[str]) -> list[int]:
    plain = [name.lower().translate(_BETWEEN_WORDS) for name in names]
    return [place for place, name in enumerate(plain) if name in accepted]


def _dialect(
    separator: bytes,
    columns: tuple[str, ...],
    user: int,
    movie: int,
    rating: int,
    time: int | None,
    *,
    header: bool = True,
) -> Dialect:
    return Dialect(
        name="ratings",
        separator=separator,
        columns=columns,
        user=user,
        movie=movie,
        rating=rating,
        time=time,
        header=header,
        integer_ids=False,
        lowest_id=0,
        stars=None,
        quoted=True,
        remedy=_REMEDY,
    )
