"""A small data set in MovieLens-100k's layout."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from data_prep.formats.tables import GENRES
from data_prep.source import Source

Writer = Callable[[Mapping[str, bytes]], Path]


def _item(movie: int, title: str, *genres: str) -> str:
    return "|".join([str(movie), title, "", "", "", *("1" if g in genres else "0" for g in GENRES)]) + "\n"


@pytest.fixture
def small() -> dict[str, bytes]:
    """Three users; movie ids with a gap. User 1 has 12 ratings, so that two of them train."""
    movies = [*range(1, 13), 40]
    items = "".join(_item(m, f"Film {m} (19{m + 50})", "Drama", "War") for m in movies[:-1])
    items += _item(40, "Misérables, Les", "unknown")
    ratings = [(1, movie, 1 + movie % 5) for movie in reversed(movies[:12])]
    ratings += [(3, movie, 5) for movie in movies[2:]]
    ratings += [(2, 40, 4), (2, 1, 2)]
    lines = [f"{user}\t{movie}\t{stars}\t{880000000 + n}\n" for n, (user, movie, stars) in enumerate(ratings)]
    users = "".join(f"{user}|30|F|writer|55105\n" for user in (1, 2, 3))
    return {"u.data": "".join(lines).encode(), "u.item": items.encode("latin-1"), "u.user": users.encode()}


@pytest.fixture
def fingerprinted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the sources whose bytes have been fingerprinted."""
    names: list[str] = []
    sha256 = Source.sha256

    def counted(source: Source) -> str:
        names.append(source.name)
        return sha256(source)

    monkeypatch.setattr(Source, "sha256", counted)
    return names


@pytest.fixture
def write_folder(tmp_path: Path) -> Writer:
    def write(files: Mapping[str, bytes]) -> Path:
        folder = tmp_path / "ml-small"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder

    return write


@pytest.fixture
def write_zip(tmp_path: Path) -> Writer:
    def write(files: Mapping[str, bytes]) -> Path:
        path = tmp_path / "ml-small.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(f"ml-small/{name}", content)
        return path

    return write
