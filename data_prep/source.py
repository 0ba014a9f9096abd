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
_ZIP_SIGNATURE = b"PK"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Source:
    """The files of one data set, by bare name, wherever they lie."""

    name: str
    location: str
    openers: Mapping[str, Callable[[], IO[bytes]]]
    archive: Path | None

    def __contains__(self, file: str) -> bool:
        return file in self.openers

    def path(self, file: str) -> str:
        """The name of `file` as error messages give it."""
        return f"{self.location}/{file}"

    def blocks(self, file: str) -> Iterator[tuple[int, bytes]]:
        r"""Yield (number of the first line, whole lines), about 1 MiB at a time.

        Every line ends in "\n", whatever the file has; blank lines that only end the file are left out.
        Raises DataError where the file cannot be read, or where its last line lacks an end: that is how a
        transfer that stopped half-way looks.
        """
        number = 1
        rest = b""
        with self._reading(file), self.openers[file]() as stream:
            while data := stream.read(_BLOCK_BYTES):
                data = rest + data
                end = data.rfind(b"\n") + 1
                lines = data[:end].replace(b"\r\n", b"\n")
                text = lines.rstrip(b"\n")
                # Blank lines wait for what follows: the end of the file, or a line that makes them an error.
                if text:
                    yield number, text + b"\n"
                    number += text.count(b"\n") + 1
                    rest = lines[len(text) + 1 :] + data[end:]
                else:
                    rest = lines + data[end:]
                if len(rest) > _BLOCK_BYTES:
                    reason = f"no line of text ends within {_BLOCK_BYTES >> 20} MiB"
                    raise DataError(
                        self.path(file),
                        reason,
                        line=number,
                        text=rest,
                        remedy="This is not a MovieLens text file",
                    )
        tail = rest.lstrip(b"\n")
        if tail:
            raise DataError(
                self.path(file),
                "the file stops in the middle of a line, as an interrupted download does",
                line=number + len(rest) - len(tail),
                text=tail,
                remedy="Download it again; if it is complete, end its last line with a newline",
            )

    def lines(self, file: str) -> Iterator[tuple[int, bytes]]:
        """Yield (line number, line without its end)."""
        for first, block in self.blocks(file):
            yield from enumerate(block[:-1].split(b"\n"), first)

    def sha256(self) -> str:
        """Fingerprint the bytes: the archive's own sha256, or one over the names and bytes of the files."""
        if self.archive is not None:
            with self.archive.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        whole = hashlib.sha256()
        for file in sorted(self.openers):
            with self._reading(file), self.openers[file]() as stream:
                checksum = hashlib.sha256(stream.read())
            whole.update(f"{checksum.hexdigest()}  {file}\n".encode())
        return whole.hexdigest()

    @contextmanager
    def _reading(self, file: str) -> Iterator[None]:
        try:
            yield
        except _READ_ERRORS as error:
            raise DataError(
                self.path(file), f"cannot be read ({error})", remedy="Download the data set again"
            ) from error


@contextmanager
def opened(path: Path, *, marker: str, layout: str) -> Iterator[Source]:
    """Open the data set in the folder or zip archive at `path`.

    Its files are those beside the file named `marker`, which may lie at the top or one folder down. Whether
    `path` is an archive is told by its content, not by its name. `layout` says in words what was looked for.
    """
    name = path.resolve().name
    entries: dict[PurePosixPath, Callable[[], IO[bytes]]]
    if path.is_dir():
        entries = {
            PurePosixPath(child.relative_to(path)): partial(_open, child)
            for pattern in ("*", "*/*")
            for child in path.glob(pattern)
            if child.is_file()
        }
        yield _data_set(name, entries, None, marker, layout)
        return
    if not path.is_file():
        remedy = "Give the path of a folder or a zip archive"
        raise DataError(str(path), "no such file or folder", remedy=remedy)
    try:
        archive = zipfile.ZipFile(path)
    except _READ_ERRORS as error:
        with path.open("rb") as stream:
            looks_like_zip = stream.read(len(_ZIP_SIGNATURE)) == _ZIP_SIGNATURE
        if looks_like_zip:
            reason, remedy = f"the zip archive is damaged or cut short ({error})", "Download it again"
        else:
            reason, remedy = "this is neither a folder nor a zip archive", f"Give {layout}"
        raise DataError(name, reason, remedy=remedy) from error
    with archive:
        entries = {
            PurePosixPath(info.filename): partial(archive.open, info)
            for info in archive.infolist()
            if not info.is_dir()
        }
        yield _data_set(name, entries, path, marker, layout)


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _data_set(
    name: str,
    entries: Mapping[PurePosixPath, Callable[[], IO[bytes]]],
    archive: Path | None,
    marker: str,
    layout: str,
) -> Source:
    folders = {entry.parent for entry in entries if entry.name == marker and len(entry.parts) <= 2}
    if not folders:
        found = ", ".join(sorted(map(str, entries))[:8]) or "nothing"
        raise DataError(name, f"there is no {marker}; it holds {found}", remedy=f"Give {layout}")
    if len(folders) > 1:
        several = ", ".join(sorted(map(str, folders)))
        raise DataError(name, f"it holds several data sets: {several}", remedy="Give one of them")
    folder = folders.pop()
    return Source(
        name=name,
        location=str(name / folder),
        openers={
            entry.name: opener
            for entry, opener in entries.items()
            if entry.parent == folder and not entry.name.startswith(".")
        },
        archive=archive,
    )
