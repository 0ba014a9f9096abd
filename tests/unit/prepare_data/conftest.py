import zipfile
from pathlib import Path
from typing import Any

import pytest

from data_prep.formats.tables import GENRES
from prepare_data import handler as handler_module

ENVIRONMENT = {
    "RAW_BUCKET": "raw",
    "PREPARED_BUCKET": "prepared",
    "NAME_PREFIX": "movie-recommender-dev",
    "SPLIT": "ua",
    "SHUFFLE": "true",
    "DUPLICATES": "error",
    "UNKNOWN_TEST": "drop",
    "MAX_BAD_ROWS": "0",
    "LIKED_THRESHOLD": "4",
    "SEED": "0",
    "RANKING_USERS": "1000",
    "POWERTOOLS_SERVICE_NAME": "prepare_data",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3(memory_s3: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The buckets, as the function sees them."""
    monkeypatch.setattr(handler_module, "_s3", lambda: memory_s3.client)
    return memory_s3


@pytest.fixture
def archive(tmp_path: Path) -> Any:
    """Makes archives of one user's ratings; `lines` go to the end of u.data."""

    def make(lines: str = "") -> bytes:
        path = tmp_path / "made.zip"
        flags = "|0" * (len(GENRES) - 1)
        with zipfile.ZipFile(path, "w") as target:
            movies = "".join(f"{movie}|Film {movie} (1995)||||1{flags}\n" for movie in range(1, 13))
            target.writestr("ml-100k/u.item", movies)
            ratings = "".join(f"1\t{movie}\t{1 + movie % 5}\t88\n" for movie in range(1, 13))
            target.writestr("ml-100k/u.data", ratings + lines)
        return path.read_bytes()

    return make
