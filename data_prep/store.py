"""Where a prepared data set's files are put and read again: a folder here, a prefix in data_prep.storage."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """Files by relative name. A file is there as a whole or not at all."""

    @property
    def uri(self) -> str:
        """What messages call the place."""
        ...

    def sizes(self) -> dict[str, int]:
        """The sizes in bytes of all files that are there."""
        ...

    def read(self, name: str) -> bytes | None:
        """A small file's content, None where there is none."""
        ...

    def fetch(self, name: str, scratch: Path) -> Path:
        """A local copy of the file, in `scratch`, or the file itself. Raises DataError if there is none."""
        ...

    def put(self, path: Path, name: str) -> None:
        """Move a local file there; what was there before is replaced at once."""
        ...

    def remove(self, names: Collection[str]) -> None:
        """Delete files; those that are gone already do not matter."""
        ...


class Folder:
    """A folder as a Store."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def uri(self) -> str:
        """The path."""
        return str(self._path)

    def sizes(self) -> dict[str, int]:
        """The sizes of all files, in subfolders too, hidden ones included."""
        return {
            path.relative_to(self._path).as_posix(): path.stat().st_size
            for path in self._path.rglob("*")
            if path.is_file()
        }

    def read(self, name: str) -> bytes | None:
        """A file's content, None where there is none."""
        try:
            return (self._path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def fetch(self, name: str, scratch: Path) -> Path:  # noqa: ARG002
        """The file itself."""
        return self._path / name

    def put(self, path: Path, name: str) -> None:
        """Rename the file; it must be on the same file system."""
        target = self._path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)

    def remove(self, names: Collection[str]) -> None:
        """Delete files, and folders that this leaves empty."""
        for name in names:
            (self._path / name).unlink(missing_ok=True)
        for folder in {(self._path / name).parent for name in names} - {self._path}:
            # Where another run has put something meanwhile, it stays.
            with suppress(OSError):
                folder.rmdir()
