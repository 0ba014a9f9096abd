"""What a file is that is no text."""

from collections.abc import Mapping

from data_prep.source import OLD_LINE_ENDS

_SIGNATURES: Mapping[bytes, str] = {
    b"\x1f\x8b": "gzip data: unpack it first",
    b"PAR1": "a Parquet file: write it as CSV first",
    b"BZh": "bzip2 data: unpack it first",
    b"\xfd7zXZ\x00": "xz data: unpack it first",
    b"7z\xbc\xaf": "a 7z archive: unpack it first",
    b"\x28\xb5\x2f\xfd": "Zstandard data: unpack it first",
    b"PK\x03\x04": "a zip archive within: unpack it first",
    b"%PDF": "a PDF",
    b"SQLite format 3": "an SQLite database: write it as CSV first",
    b"\xff\xfe": "text in UTF-16: write it as UTF-8",
    b"\xfe\xff": "text in UTF-16: write it as UTF-8",
}
# What text may begin with, too.
_MARKUP: Mapping[bytes, str] = {
    b"{": "JSON: write it as CSV first",
    b"[": "JSON: write it as CSV first",
    b"<": "HTML or XML",
}


def describe(head: bytes) -> str | None:
    """Say what a file is that begins like this, where it can be no ratings; None where it may be text."""
    if not head.strip():
        return "the file is empty"
    if b"\n" not in head and b"\r" in head.strip():
        return f"{OLD_LINE_ENDS}: write it with newlines"
    return _named(head, _SIGNATURES)


def describe_markup(head: bytes) -> str | None:
    """Say which markup text that is no ratings seems to be, None where it is none that is known."""
    return _named(head, _MARKUP)


def _named(head: bytes, signatures: Mapping[bytes, str]) -> str | None:
    return next(
        (f"it is {name}" for signature, name in signatures.items() if head.startswith(signature)), None
    )
