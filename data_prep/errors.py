"""The one exception that wrong input raises, and how a row that is passed over is remembered."""

from dataclasses import dataclass

_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class BadRow:
    """A line that was passed over; `line` counts from 1, `text` is quoted and cut at 80 characters."""

    file: str
    line: int
    text: str
    reason: str


class DataError(Exception):
    """Input that cannot be used: says where, what was found, why it is wrong and what to do.

    `str()` of it is one line, fit to be shown to a user or to surface as a Lambda function's error.
    """

    def __init__(
        self,
        file: str,
        reason: str,
        *,
        remedy: str,
        line: int | None = None,
        text: bytes | str | None = None,
    ) -> None:
        self.file = file
        self.reason = reason
        self.remedy = remedy
        self.line = line
        self.text = None if text is None else shortened(text)
        where = file if line is None else f"{file}, line {line}"
        found = "" if self.text is None else f", found {self.text}"
        super().__init__(f"{where}: {reason}{found}. {remedy}")


def shortened(text: bytes | str) -> str:
    """Quote `text` with control characters escaped, cut at 80 characters."""
    if isinstance(text, bytes):
        text = text[: _SHOWN_CHARACTERS + 1].decode("latin-1")
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return repr(cut)
