"""A local cloud for tests: on a free port, with its own state folder, ended with the test run."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.local_cloud import sagemaker_responses

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"

WITH_STAND_IN = f"""
import sys
from local_cloud.sagemaker import containers
containers.ALGORITHM = "stand_in_container"
containers.PYTHON_PATH = "{ROOT}:{ROOT / "tests" / "local_cloud"}"
from local_cloud.__main__ import main
sys.exit(main())
"""


@dataclass
class RunningCloud:
    """A local cloud and the way to reach it."""

    process: "subprocess.Popen[bytes]"
    port: int
    state: Path
    log: Path

    def client(self, service: str, *, account: str = "111111111111", region: str = REGION) -> Any:
        session = boto3.Session(aws_access_key_id=account, aws_secret_access_key="local", region_name=region)
        sagemaker_responses.watch(session.events)
        return session.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_cloud(folder: Path, *, program: list[str]) -> RunningCloud:
    """Start `program` (arguments of the interpreter) as a local cloud that keeps its files in `folder`."""
    port, log = free_port(), folder / "cloud.log"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *program],
            cwd=ROOT,
            env=environment | {"GATEWAY_PORT": str(port), "LOCAL_CLOUD_STATE": str(folder / "state")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    cloud = RunningCloud(process, port, folder / "state", log)
    deadline = time.monotonic() + 60
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"The local cloud did not start: {log.read_text()}")
        time.sleep(0.1)
    return cloud


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _running(tmp_path_factory: pytest.TempPathFactory, program: list[str]) -> Iterator[RunningCloud]:
    folder = tmp_path_factory.mktemp("cloud")
    cloud = start_cloud(folder, program=program)
    yield cloud
    cloud.stop()
    shutil.rmtree(folder / "state", ignore_errors=True)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A local cloud as users run it."""
    yield from _running(tmp_path_factory, ["-m", "local_cloud"])


@pytest.fixture(scope="session")
def stand_in_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A local cloud whose containers do what the test tells them."""
    yield from _running(tmp_path_factory, ["-c", WITH_STAND_IN])


@pytest.fixture(scope="session")
def service_role() -> Callable[[RunningCloud], str]:
    """Make (once per cloud) a role that SageMaker, Step Functions and Lambda may assume; return its ARN."""

    def make(cloud: RunningCloud, account: str = "111111111111") -> str:
        iam = cloud.client("iam", account=account)
        services = ["sagemaker.amazonaws.com", "states.amazonaws.com", "lambda.amazonaws.com"]
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
            ],
        }
        try:
            answer = iam.create_role(RoleName="service", AssumeRolePolicyDocument=json.dumps(trust))
        except iam.exceptions.EntityAlreadyExistsException:
            answer = iam.get_role(RoleName="service")
        return str(answer["Role"]["Arn"])

    return make


def wait_for(predicate: Callable[[], Any], timeout: float = 60.0) -> Any:
    """Return the first true value of `predicate`."""
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            pytest.fail(f"{predicate} stayed false for {timeout} seconds")
        time.sleep(0.1)
    return value


def alive(pid: int) -> bool:
    """Tell whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
