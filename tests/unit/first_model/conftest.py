from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from first_model import handler
from first_model.lifecycle import FirstModel


@dataclass(frozen=True)
class Aws:
    """Stubbed clients: each call must be expected, and is checked against botocore's service model."""

    s3: Stubber
    stepfunctions: Stubber
    sagemaker: Stubber
    ssm: Stubber


@pytest.fixture(scope="session")
def clients() -> dict[str, Any]:
    session = boto3.Session("x", "x", region_name="us-east-1")
    return {name: session.client(name) for name in ("s3", "stepfunctions", "sagemaker", "ssm")}


@pytest.fixture
def aws(clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    monkeypatch.setattr(handler, "_first_model", lambda: FirstModel(**clients))
    stubs = {name: Stubber(client) for name, client in clients.items()}
    for stub in stubs.values():
        stub.activate()
    yield Aws(**stubs)
    for stub in stubs.values():
        stub.deactivate()
        stub.assert_no_pending_responses()
