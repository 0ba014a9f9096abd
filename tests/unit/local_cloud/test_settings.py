import os
import socket
from pathlib import Path

import pytest

from local_cloud.settings import REPOSITORY, LocalCloudError, Settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"PATH": "/usr/bin", "AWS_PROFILE": "mine", "NO_PROXY": "corp"})


def test_defaults() -> None:
    settings = Settings.from_environment()
    assert (settings.host, settings.port) == ("127.0.0.1", 4566)
    assert settings.state == REPOSITORY / ".local" / "state"


@pytest.mark.parametrize("port", ["abc", "0", "70000", "-1"])
def test_bad_port(port: str) -> None:
    os.environ["GATEWAY_PORT"] = port
    with pytest.raises(LocalCloudError, match=f"GATEWAY_PORT is '{port}': it must be a port number"):
        Settings.from_environment()


def test_preparation_empties_folders_and_sets_the_environment(tmp_path: Path) -> None:
    for stale in ("tmp/x", "jobs/y"):
        (tmp_path / stale).mkdir(parents=True)
    (tmp_path / "numba").mkdir()
    Settings("127.0.0.1", 4599, tmp_path).prepare()
    assert {each.name for each in tmp_path.iterdir()} == {"tmp", "jobs", "images", "numba"}
    assert not list((tmp_path / "tmp").iterdir())
    assert not list((tmp_path / "jobs").iterdir())
    assert "AWS_PROFILE" not in os.environ
    assert os.environ["GATEWAY_PORT"] == "4599"
    assert os.environ["TMPDIR"] == str(tmp_path / "tmp")
    assert os.environ["NO_PROXY"] == "corp,127.0.0.1,localhost,.localhost"
    node = Path(os.environ["PATH"].split(os.pathsep)[0]) / "node"
    assert node.read_bytes()[:2] != b"#!"


def test_unusable_state_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalCloudError, match="cannot be used: Not a directory"):
        Settings("127.0.0.1", 4599, tmp_path / "file").prepare()


def test_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalCloudError, match=f"127.0.0.1:{port} cannot be used"):
            Settings("127.0.0.1", port, Path()).require_free_port()
    Settings("127.0.0.1", port, Path()).require_free_port()
