"""How many bad rows an input may have."""

from data_prep.errors import BadRow, DataError, shortened

_SHOWN_ROWS = 3


class Tolerance:
    """The bad rows of an input so far; a row that is read again counts once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows: dict[tuple[str, int], BadRow] = {}

    @property
    def rows(self) -> list[BadRow]:
        """The bad rows, by file and line."""
        return [self._rows[place] for place in sorted(self._rows)]

    def reject(self, file: str, line: int, text: bytes, reason: str, *, remedy: str) -> None:
        """Remember a bad row. Raises DataError where it is one more than are tolerated."""
        if not self._limit:
            raise DataError(file, reason, line=line, text=text, remedy=remedy)
        self._rows.setdefault((file, line), BadRow(file, line, shortened(text), reason))
        if len(self._rows) > self._limit:
            first = "; ".join(
                f"{row.file}, line {row.line}: {row.reason}, found {row.text}"
                for row in list(self._rows.values())[:_SHOWN_ROWS]
            )
            whole = f"{reason}: one more bad row than the {self._limit} tolerated (first {first})"
            raise DataError(file, whole, line=line, text=text, remedy=remedy)
