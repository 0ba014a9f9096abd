"""Anyone's ratings as text in columns: which separator, which columns, by the first lines."""

from collections.abc import Mapping
from dataclasses import replace

from data_prep.errors import shortened
from data_prep.formats.dialect import Dialect
from data_prep.formats.exact import SEPARATOR_NAMES, parse_line, split_quoted

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
_HEADERLESS = Dialect(
    name="a table of ratings",
    separator=b",",
    columns=COLUMNS,
    user=0,
    movie=1,
    rating=2,
    time=3,
    header=False,
    integer_ids=False,
    lowest_id=0,
    stars=None,
    quoted=True,
    remedy="Correct the line, or leave it out",
)


def find_dialect(head: bytes) -> Dialect | str:
    """How a file that begins with `head` is written; or why it holds no ratings."""
    lines = head.replace(b"\r\n", b"\n").split(b"\n")
    separator = b"\t" if b"\t" in lines[0] else b","
    fields = split_quoted(lines[0], separator)
    if isinstance(fields, str):
        return fields
    names = tuple(field.decode("utf-8", "replace").strip() for field in fields)
    places = {role: _places(names, accepted) for role, accepted in _NAMES.items()}
    if any(places.values()):
        return _named(separator, names, places)
    return _unnamed(separator, names, lines[:2])


def _named(separator: bytes, names: tuple[str, ...], places: Mapping[str, list[int]]) -> Dialect | str:
    several = [role for role, found in places.items() if len(found) > 1]
    if several:
        return f"several columns of the header could be the {several[0]}: {', '.join(names)}"
    missing = [role for role in COLUMNS[:3] if not places[role]]
    if missing:
        return f"the header names no column for {', '.join(missing)}; it has {', '.join(names)}"
    time = places["timestamp"][0] if places["timestamp"] else None
    user, movie, rating = (places[role][0] for role in COLUMNS[:3])
    return replace(
        _HEADERLESS,
        separator=separator,
        columns=names,
        user=user,
        movie=movie,
        rating=rating,
        time=time,
        header=True,
    )


def _unnamed(separator: bytes, fields: tuple[str, ...], lines: list[bytes]) -> Dialect | str:
    count = len(fields)
    if not 3 <= count <= len(COLUMNS):
        separated = SEPARATOR_NAMES[separator]
        return f"the first line has {count} {separated}-separated columns, and is no header that is known"
    columns = COLUMNS[:count]
    dialect = replace(_HEADERLESS, separator=separator, columns=columns, time=3 if count > 3 else None)
    # One bad line does not make a file something else; a line of unknown names does.
    good = [not isinstance(parse_line(line, dialect), str) for line in lines if line]
    if any(good) and (good[0] or not _is_heading(fields)):
        return dialect
    return f"the first line is neither a rating nor names the columns: {shortened(lines[0])}"


def _is_heading(fields: tuple[str, ...]) -> bool:
    return not any(character.isdigit() for field in fields[2:] for character in field)


def _places(names: tuple[str, ...], accepted: frozenset[str]) -> list[int]:
    plain = [name.lower().translate(_BETWEEN_WORDS) for name in names]
    return [place for place, name in enumerate(plain) if name in accepted]
