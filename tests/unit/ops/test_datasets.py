import hashlib
import http.server
import io
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops import datasets
from ops.datasets import DatasetUnavailableError, fetch_movielens_100k
from ops.errors import OperationError

# GroupLens' address without a route to it: nothing listens on the discard port.
NOWHERE = "http://127.0.0.1:9/ml-100k.zip"


@pytest.fixture(autouse=True)
def no_grouplens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "GROUPLENS_URL", NOWHERE)


@pytest.fixture
def no_recbole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "RECBOLE_WHEEL_SHA256", "0" * 64)
    monkeypatch.setenv("UV_OFFLINE", "1")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Stands in for GroupLens: answers with the given bytes, and may promise more than it sends."""
    servers = []

    def serve(content: bytes, *, status: int = 200, promised: int | None = None) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content) if promised is None else promised))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        monkeypatch.setattr(datasets, "GROUPLENS_URL", f"http://127.0.0.1:{server.server_port}/ml-100k.zip")
        monkeypatch.setattr(datasets, "GROUPLENS_SHA256", hashlib.sha256(content).hexdigest())

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_sound_archive_is_kept(movielens_zip: Path, tmp_path: Path, no_recbole: None) -> None:
    destination = tmp_path / "ml-100k.zip"
    destination.write_bytes(movielens_zip.read_bytes())
    before = destination.stat()
    assert fetch_movielens_100k(destination) == destination
    assert destination.stat() == before


def test_grouplens_archive_is_taken_as_it_is(
    movielens_zip: Path, tmp_path: Path, serve: Callable[..., None], no_recbole: None
) -> None:
    serve(movielens_zip.read_bytes())
    shares: list[float] = []
    destination = tmp_path / "new" / "ml-100k.zip"
    fetch_movielens_100k(destination, progress=lambda _, share: shares.append(share))
    assert destination.read_bytes() == movielens_zip.read_bytes()
    assert _left(destination.parent) == ["ml-100k.zip"]
    assert shares == sorted(shares)
    assert len(shares) > 20
    assert shares[-1] == 1.0


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_archive_is_fetched_again_with_a_message(
    movielens_zip: Path, tmp_path: Path, serve: Callable[..., None], no_recbole: None, damage: str
) -> None:
    sound = movielens_zip.read_bytes()
    serve(sound)
    destination = tmp_path / "ml-100k.zip"
    place = sound.index(b"196\t242\t3")
    destination.write_bytes(
        {"cut": sound[:-100], "changed": sound[:place] + b"9" + sound[place + 1 :], "empty": b""}[damage]
    )
    said: list[str] = []
    fetch_movielens_100k(destination, progress=lambda doing, _: said.append(doing))
    assert destination.read_bytes() == sound
    assert said[0].startswith(f"{destination} is not MovieLens 100k (")
    assert said[0].endswith("): fetching it again")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"content": b"PK", "promised": 1000}, r"GroupLens: .*sha256|GroupLens: .*IncompleteRead"),
        ({"content": b"no", "status": 404}, "GroupLens: Not Found"),
        ({"content": b"<html>"}, "GroupLens: it cannot be read: File is not a zip file"),
    ],
)
def test_what_grouplens_sends_is_checked(
    tmp_path: Path, serve: Callable[..., None], no_recbole: None, answer: dict[str, Any], reason: str
) -> None:
    serve(**answer)
    with pytest.raises(DatasetUnavailableError, match=reason):
        fetch_movielens_100k(tmp_path / "ml-100k.zip")
    assert _left(tmp_path) == []


def test_bytes_with_another_checksum_are_refused(
    tmp_path: Path, serve: Callable[..., None], no_recbole: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(b"other")
    monkeypatch.setattr(datasets, "GROUPLENS_SHA256", "f" * 64)
    with pytest.raises(DatasetUnavailableError, match="GroupLens: the 5 bytes received have sha256 d9298a10"):
        fetch_movielens_100k(tmp_path / "ml-100k.zip")


def test_another_data_set_is_refused(tmp_path: Path, serve: Callable[..., None], no_recbole: None) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("u.data", "u.item", "u.user", "ua.base", "ua.test"):
            archive.writestr(f"ml-100k/{name}", "1\t1\t5\t1\n")
    serve(buffer.getvalue())
    with pytest.raises(
        DatasetUnavailableError, match=r"GroupLens: u\.data has md5 \w{32}, not 6e47046882bad158"
    ):
        fetch_movielens_100k(tmp_path / "ml-100k.zip")
    assert _left(tmp_path) == []


def test_where_nothing_can_be_reached_one_message_says_all(tmp_path: Path, no_recbole: None) -> None:
    destination = tmp_path / "ml-100k.zip"
    with pytest.raises(OperationError) as caught:
        fetch_movielens_100k(destination)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith("MovieLens 100k cannot be fetched. GroupLens: ")
    assert "Connection refused. PyPI's recbole wheel: " in said
    assert said.endswith(f"or download {NOWHERE} elsewhere and put it at {destination}")
    assert _left(tmp_path) == []


def test_recboles_tables_become_grouplens_files(tmp_path: Path) -> None:
    ratings = [(user, movie, 88) for movie in range(12, 0, -1) for user in (10, 9)]
    (tmp_path / "ml-100k.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        + "".join(f"{user}\t{movie}\t3\t{time}\n" for user, movie, time in ratings)
    )
    (tmp_path / "ml-100k.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tMisérables, Les\t1995\tDrama Musical\n"
        "2\tunkonwn\tunkonwn\tunknown\n"
        "3\tLand Before Time III (1995)\tV\tAnimation Children's\n"
    )
    (tmp_path / "ml-100k.user").write_text("user_id:token\tage:token\n9\t53\tF\tother\t94043\n")
    files = datasets._grouplens_files(tmp_path)
    assert files["u.item"].decode("latin-1") == (
        "1|Misérables, Les (1995)||||0|0|0|0|0|0|0|0|1|0|0|0|1|0|0|0|0|0|0\n"
        "2|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
        "3|Land Before Time III (1995) (V)||||0|0|0|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    )
    assert files["u.user"] == b"9|53|F|other|94043\n"
    assert files["ua.base"] == b"9\t1\t3\t88\n9\t2\t3\t88\n10\t1\t3\t88\n10\t2\t3\t88\n"
    assert files["ua.test"].startswith(b"9\t3\t3\t88\n9\t4\t3\t88\n")
    assert files["u.data"].count(b"\n") == 24


def test_the_rebuilt_archive_is_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"u.data": b"1\t1\t5\t1\n", "u.item": b"x" * 1000}
    made = []
    for platform, name in (("linux", "a"), ("win32", "b")):
        monkeypatch.setattr(sys, "platform", platform)
        datasets._write_archive(tmp_path / name, files)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    with zipfile.ZipFile(tmp_path / "a") as archive:
        assert archive.namelist() == ["ml-100k/u.data", "ml-100k/u.item"]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_a_killed_download_leaves_no_archive(tmp_path: Path, serve: Callable[..., None]) -> None:
    serve(b"PK" * 1000, promised=1 << 20)
    code = (
        "import sys; from pathlib import Path; from ops import datasets\n"
        "datasets.GROUPLENS_URL = sys.argv[1]\n"
        "def told(doing, share):\n"
        "    if 'downloading' in doing: import os; os._exit(9)\n"
        "datasets.fetch_movielens_100k(Path(sys.argv[2]), progress=told)\n"
    )
    destination = tmp_path / "ml-100k.zip"
    run = subprocess.run([sys.executable, "-c", code, datasets.GROUPLENS_URL, destination], check=False)
    assert run.returncode == 9
    assert not destination.exists()
