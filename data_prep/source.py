"""A data set's files, read in place from a folder or a zip archive."""

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from data_prep.errors import DataError

# What zipfile raises, by the state of the bytes, for an archive that is damaged, encrypted or unsupported.
_READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    OverflowError,
)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
OLD_LINE_ENDS = "its lines end in carriage returns alone, as on old Macs"
_WITH_NEWLINES = "Write it with newlines for line ends"
_ZIP_SIGNATURE = b"PK\x03\x04"
# So much text, with what is worked out for it, stays in the processor's second-level cache.
_BLOCK_BYTES = 1 << 18
_LONGEST_LINE = 1 << 20
_HEAD_BYTES = 1 << 16
# What archivers and file managers leave beside the files.
_LITTER = "__MACOSX"
# A data set lies at the top or one folder down; where no file is there, at the first level that has any.
_USUAL_DEPTH = 2
DEEPEST = 5


@dataclass(frozen=True)
class Source:
    """The files of one data set, by bare name, wherever they lie; `container` is the one file that holds all.

    `container` is None for a folder. `location` begins the names that error messages give, "" for a file.
    `proven` files are known to be whole, by a length and a checksum.
    """

    name: str
    location: str
    openers: Mapping[str, Callable[[], IO[bytes]]]
    container: Path | None
    proven: bool = False

    def __contains__(self, file: str) -> bool:
        return file in self.openers

    def path(self, file: str) -> str:
        """The name of `file` as error messages give it."""
        return f"{self.location}/{file}" if self.location else file

    def head(self, file: str) -> bytes:
        """The beginning of a file, without a byte order mark: 64 KiB, or all where it is shorter."""
        with self._reading(file), self.openers[file]() as stream:
            return stream.read(_HEAD_BYTES).removeprefix(BYTE_ORDER_MARK)

    def blocks(
        self, file: str, *, may_end: Callable[[bytes], bool] = lambda _: False
    ) -> Iterator[tuple[int, bytes]]:
        r"""Yield (number of the first line, whole lines), about 256 KiB at a time.

        Every line ends in "\n", whatever the file has; a byte order mark, and blank lines that only end the
        file, are left out. A last line without end is how a transfer that stopped half-way looks: it is taken
        only where the file is proven to be whole, or where `may_end` says so of it. Raises DataError where it
        is not, or where the file cannot be read.
        """
        number = 1
        # Blank lines wait for what follows: the end of the file, or a line that makes them an error.
        blank = 0
        rest = b""
        at_start = True
        with self._reading(file), self.openers[file]() as stream:
            while data := stream.read(_BLOCK_BYTES):
                first_end = data.find(b"\n")
                if len(rest) + (len(data) if first_end < 0 else first_end) > _LONGEST_LINE:
                    raise self._unended(
                        file,
                        number + blank,
                        (rest + data)[:_LONGEST_LINE],
                        f"the line is longer than {_LONGEST_LINE >> 20} MiB",
                        remedy="This is no text file of ratings, or it has lost its line ends",
                    )
                data = rest + data
                end = data.rfind(b"\n") + 1
                lines, rest = data[:end], data[end:]
                if at_start and lines:
                    lines, at_start = lines.removeprefix(BYTE_ORDER_MARK), False
                if b"\r" in lines:
                    lines = lines.replace(b"\r\n", b"\n")
                text = lines.rstrip(b"\n") + b"\n" if lines.endswith(b"\n\n") else lines
                if text not in {b"", b"\n"}:
                    yield from _blank_lines(number, blank)
                    number += blank
                    yield number, text
                    number += text.count(b"\n")
                    blank = len(lines) - len(text)
                else:
                    blank += len(lines)
        if at_start:
            rest = rest.removeprefix(BYTE_ORDER_MARK)
        if not rest:
            return
        yield from _blank_lines(number, blank)
        if b"\r" not in rest.strip() and (self.proven or may_end(rest)):
            yield number + blank, rest + b"\n"
        else:
            raise self._unended(
                file,
                number + blank,
                rest,
                "the file stops in the middle of a line, as an interrupted download does",
                remedy="Download it again; if it is complete, end its last line with a newline",
            )

    def lines(self, file: str) -> Iterator[tuple[int, bytes]]:
        """Yield (line number, line without its end)."""
        for first, block in self.blocks(file):
            yield from enumerate(block[:-1].split(b"\n"), first)

    def sha256(self) -> str:
        """Fingerprint the bytes: of the one file that holds all, or over the names and bytes of the files."""
        if self.container is not None:
            with self.container.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        whole = hashlib.sha256()
        for file in sorted(self.openers):
            checksum = hashlib.sha256()
            with self._reading(file), self.openers[file]() as stream:
                while block := stream.read(_BLOCK_BYTES):
                    checksum.update(block)
            whole.update(f"{checksum.hexdigest()}  {file}\n".encode())
        return whole.hexdigest()

    def _unended(self, file: str, number: int, line: bytes, reason: str, *, remedy: str) -> DataError:
        if b"\r" in line.strip():
            reason, remedy = OLD_LINE_ENDS, _WITH_NEWLINES
        return DataError(self.path(file), reason, line=number, text=line, remedy=remedy)

    @contextmanager
    def _reading(self, file: str) -> Iterator[None]:
        try:
            yield
        except _READ_ERRORS as error:
            raise DataError(
                self.path(file), f"cannot be read ({error})", remedy="Download the data set again"
            ) from error


def _blank_lines(number: int, count: int) -> Iterator[tuple[int, bytes]]:
    for first in range(0, count, _BLOCK_BYTES):
        yield number + first, b"\n" * min(count - first, _BLOCK_BYTES)


@dataclass(frozen=True)
class Files:
    """What a folder, a zip archive or a single file holds, by path within it."""

    name: str
    entries: Mapping[PurePosixPath, Callable[[], IO[bytes]]]
    container: Path | None
    single: bool

    def folders(self) -> list[Source]:
        """The files of each folder, at the top and one down, or deeper where none are there.

        Hidden ones are left out.
        """
        if self.single:
            (opener,) = self.entries.values()
            return [Source(self.name, "", {self.name: opener}, self.container)]
        folders: dict[PurePosixPath, dict[str, Callable[[], IO[bytes]]]] = {}
        shown = {entry: opener for entry, opener in sorted(self.entries.items()) if not _is_hidden(entry)}
        depth = max(_USUAL_DEPTH, min((len(entry.parts) for entry in shown), default=0))
        for entry, opener in shown.items():
            if len(entry.parts) <= depth:
                folders.setdefault(entry.parent, {})[entry.name] = opener
        # An archive has the length and the checksum of each file.
        proven = self.container is not None
        return [
            Source(self.name, str(self.name / folder), openers, self.container, proven)
            for folder, openers in folders.items()
        ]


@contextmanager
def open_files(path: Path) -> Iterator[Files]:
    """Open the folder, zip archive or single file at `path`; its content tells which of the last two.

    Raises DataError where it is not there or cannot be read.
    """
    name = path.resolve().name
    if path.is_dir():
        yield Files(name, _entries(path), None, single=False)
        return
    if not path.is_file():
        remedy = "Give the path of a folder, a zip archive or a file of ratings"
        raise DataError(str(path), "no such file or folder", remedy=remedy)
    try:
        archive = zipfile.ZipFile(path)
    except _READ_ERRORS as error:
        with path.open("rb") as stream:
            looks_like_zip = stream.read(len(_ZIP_SIGNATURE)) == _ZIP_SIGNATURE
        if looks_like_zip:
            reason = f"the zip archive is damaged or cut short ({error})"
            raise DataError(name, reason, remedy="Download it again") from error
        yield Files(name, {PurePosixPath(name): partial(_open, path)}, path, single=True)
        return
    with archive:
        entries = {
            PurePosixPath(info.filename): partial(archive.open, info)
            for info in archive.infolist()
            if not info.is_dir()
        }
        yield Files(name, entries, path, single=False)


def _entries(folder: Path) -> dict[PurePosixPath, Callable[[], IO[bytes]]]:
    entries: dict[PurePosixPath, Callable[[], IO[bytes]]] = {}
    for depth in range(1, DEEPEST + 1):
        for child in folder.glob("/".join("*" * depth)):
            entry = PurePosixPath(child.relative_to(folder))
            if not _is_hidden(entry) and child.is_file():
                entries[entry] = partial(_open, child)
        if depth >= _USUAL_DEPTH and entries:
            break
    return entries


def _is_hidden(entry: PurePosixPath) -> bool:
    return any(part.startswith(".") or part == _LITTER for part in entry.parts)


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")
