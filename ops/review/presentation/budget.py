"""Fit a report into a number of characters: all of it briefly, then in full as far as there is room."""

from collections.abc import Sequence
from dataclasses import dataclass

_REMARK = 160
"""Characters that the remark takes that some pieces are missing."""


@dataclass(frozen=True)
class Piece:
    """What is shown in full, briefly or not at all."""

    full: str
    brief: str


def piece(text: str) -> Piece:
    """Return a piece that has no shorter form."""
    return Piece(text, text)


@dataclass(frozen=True)
class Part:
    """Pieces that belong together, such as the changes to one stack."""

    section: str
    opening: str
    pieces: tuple[Piece, ...]
    closing: str
    unit: tuple[str, str]
    """What a piece is: `("resource", "resources")`."""
    separator: str = "\n"
    weight: int = 1
    """How much room the part deserves, compared with the others."""

    @property
    def overhead(self) -> int:
        """Characters beside the pieces."""
        return len(self.opening) + len(self.closing) + _REMARK

    @property
    def size(self) -> int:
        """Characters of the whole part, in full."""
        return self.overhead + sum(len(each.full) + len(self.separator) for each in self.pieces)


@dataclass(frozen=True)
class Fitted:
    """A part as it is shown."""

    part: Part
    texts: tuple[str, ...]
    shortened: int
    """How many pieces are shown briefly although there is more to say."""

    @property
    def missing(self) -> int:
        """How many pieces are left out."""
        return len(self.part.pieces) - len(self.texts)

    @property
    def whole(self) -> bool:
        """Whether everything is shown in full."""
        return not self.missing and not self.shortened

    @property
    def size(self) -> int:
        """Characters that it takes."""
        if not self.texts:
            return 0
        return self.part.overhead + sum(len(text) + len(self.part.separator) for text in self.texts)


def fit(parts: Sequence[Part], room: int) -> tuple[Fitted, ...]:
    """Choose what of each part is shown, so that together they take at most `room` characters.

    Parts that need less than their share leave the rest to the others; what is left at the end goes to the
    first parts that lack something.
    """
    fitted = [_fill(part, share) for part, share in zip(parts, _shares(parts, room), strict=True)]
    left = room - sum(each.size for each in fitted)
    for position, each in enumerate(fitted):
        if not each.whole:
            fuller = _fill(each.part, each.size + left)
            left -= fuller.size - each.size
            fitted[position] = fuller
    return tuple(fitted)


def _shares(parts: Sequence[Part], room: int) -> list[int]:
    shares = [0] * len(parts)
    waiting = set(range(len(parts)))
    left = room
    while waiting:
        weight = sum(parts[index].weight for index in waiting)
        content = {index for index in waiting if parts[index].size <= left * parts[index].weight // weight}
        if not content:
            for index in waiting:
                shares[index] = left * parts[index].weight // weight
            break
        for index in content:
            shares[index] = parts[index].size
        left -= sum(shares[index] for index in content)
        waiting -= content
    return shares


def _fill(part: Part, room: int) -> Fitted:
    left = room - part.overhead
    chosen: dict[int, str] = {}
    for position, each in enumerate(part.pieces):
        size = len(each.brief) + len(part.separator)
        if size <= left:
            chosen[position] = each.brief
            left -= size
    for position in chosen:
        more = len(part.pieces[position].full) - len(part.pieces[position].brief)
        if more <= left:
            chosen[position] = part.pieces[position].full
            left -= more
    shortened = sum(text != part.pieces[position].full for position, text in chosen.items())
    return Fitted(part, tuple(chosen.values()), shortened)
