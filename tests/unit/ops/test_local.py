"""Starting and stopping the local cloud: what can go wrong is said in one line."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ops import local
from ops.errors import OperationError

ACCOUNT = "111111111111"


@pytest.fixture
def taken_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def record(directory: Path, pid: int) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "process.json").write_text(json.dumps({"pid": pid, "port": 4566, "account": ACCOUNT}))


def test_a_taken_port_is_named_with_a_way_out(tmp_path: Path, taken_port: int) -> None:
    with pytest.raises(
        OperationError, match=rf"Port {taken_port} is in use .*LOCAL_CLOUD_PORT={taken_port + 1}"
    ):
        local.start(account=ACCOUNT, port=taken_port, directory=tmp_path / "cloud")


def test_a_second_start_names_the_first(tmp_path: Path, free_port: int) -> None:
    sleeper = "print(flush=True); import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", sleeper, "local_cloud"], stdout=subprocess.PIPE)
    process.stdout.readline()  # it runs by now
    try:
        record(tmp_path, process.pid)
        with pytest.raises(
            OperationError, match=rf"already up on port 4566 \(process {process.pid}\).*make down"
        ):
            local.start(account=ACCOUNT, port=free_port, directory=tmp_path)
    finally:
        process.kill()
        process.communicate()


def test_a_process_that_got_the_same_id_is_not_ours(tmp_path: Path) -> None:
    record(tmp_path, os.getpid())
    assert local.running(directory=tmp_path) is None
    assert local.stop(directory=tmp_path) is None, "and is not ended"
    assert not tmp_path.exists()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": 1, "port": 2, "account": "3", "more": 4}'])
def test_a_damaged_record_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "process.json").write_text(content)
    assert local.running(directory=tmp_path) is None


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path, free_port: int) -> None:
    treasure = tmp_path / "treasure.txt"
    treasure.write_text("gold")
    with pytest.raises(OperationError, match="holds files of something else"):
        local.start(account=ACCOUNT, port=free_port, directory=tmp_path)
    local.stop(directory=tmp_path)
    assert treasure.read_text() == "gold"


def test_a_cloud_that_does_not_come_up_says_why(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'the sky fell' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(OperationError, match="did not start: the sky fell"):
        local.start(account=ACCOUNT, port=free_port, directory=tmp_path / "cloud")


def test_this_process_keeps_no_other_aws_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("AWS_PROFILE", "production"), ("AWS_ENDPOINT_URL_SSM", "http://elsewhere")):
        monkeypatch.setenv(name, value)
    variables = local.LocalCloud(pid=1, port=4567, account=ACCOUNT).variables(
        account=ACCOUNT, region="eu-west-1"
    )
    for name in variables:
        monkeypatch.setenv(name, "the user's own")
    local.point_this_process(variables)
    assert {name: value for name, value in os.environ.items() if name.startswith("AWS_")} == variables


def test_the_variables_name_the_account_and_the_region() -> None:
    cloud = local.LocalCloud(pid=1, port=4567, account=ACCOUNT)
    variables = cloud.variables(account="222222222222", region="eu-west-1")
    assert variables["AWS_ENDPOINT_URL"] == "http://localhost:4567"
    assert variables["AWS_ACCESS_KEY_ID"] == "222222222222"
    assert variables["AWS_REGION"] == "eu-west-1"


def test_the_users_own_aws_settings_stay_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    environment = local._server_environment(account=ACCOUNT, port=4566, directory=tmp_path)
    assert not [name for name in environment if name.startswith("AWS_")]
    assert environment["BIND_HOST"] == "127.0.0.1"
