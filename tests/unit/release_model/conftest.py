from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from release_model import handler
from release_model.parameter import PackageParameter
from release_model.registry import Registry
from release_model.release import Release
from release_model.serving_stack import ServingStack
from tests.unit.release_model.stubs import GROUP, PARAMETER, STACK, Aws


@pytest.fixture(scope="session")
def clients() -> dict[str, Any]:
    session = boto3.Session("x", "x", region_name="us-east-1")
    return {name: session.client(name) for name in ("cloudformation", "sagemaker", "ssm")}


@pytest.fixture
def aws(clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    release = Release(
        registry=Registry(clients["sagemaker"], GROUP),
        parameter=PackageParameter(clients["ssm"], PARAMETER),
        stack=ServingStack(clients["cloudformation"], STACK),
    )
    monkeypatch.setattr(handler, "_release", lambda: release)
    stubs = {name: Stubber(client) for name, client in clients.items()}
    for stub in stubs.values():
        stub.activate()
    yield Aws(**stubs)
    for stub in stubs.values():
        stub.deactivate()
        stub.assert_no_pending_responses()
