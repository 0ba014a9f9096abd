"""How the lines of one ratings file are written."""

from dataclasses import dataclass

# Every number of so many digits fits int64.
MOST_DIGITS = 18
# The last second of the year 9999: what is larger counts something else than seconds.
LATEST_TIME = 253_402_300_799
# A block of text ids takes as much for each row as its longest id does.
LONGEST_ID_BYTES = 255
# Two decimal numbers of so many digits are two numbers in float32, too, and in the same order.
MOST_RATING_DIGITS = 7


@dataclass(frozen=True)
class Stars:
    """The ratings that may occur: from `lowest` to `highest` in steps of 1, or of a half where `halves`."""

    lowest: float
    highest: float
    halves: bool

    def __str__(self) -> str:
        return f"{self.lowest:g} to {self.highest:g}" + (" in steps of 0.5" if self.halves else "")


WHOLE_STARS = Stars(1.0, 5.0, halves=False)
HALF_STARS = Stars(0.5, 5.0, halves=True)


@dataclass(frozen=True)
class Dialect:
    """The separator, the columns, and what may stand in them.

    `name` is what messages call the layout; `columns` are the columns' names in file order; `user`, `movie`,
    `rating` and `time` are places in it. With `header`, line 1 names the columns. Without `integer_ids` ids
    are any text. Without `stars` a rating is any decimal number. `quoted` allows fields in double quotes.
    `why_integers` goes on where a message says that an id is no whole number.
    """

    name: str
    separator: bytes
    columns: tuple[str, ...]
    user: int
    movie: int
    rating: int
    time: int | None
    header: bool
    integer_ids: bool
    lowest_id: int
    stars: Stars | None
    quoted: bool
    remedy: str
    why_integers: str = ""
