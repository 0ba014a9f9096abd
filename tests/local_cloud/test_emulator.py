"""Behaviours of the cloud around SageMaker that the product depends on."""

import io
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.local_cloud.conftest import ROOT, RunningCloud, free_port, start_cloud, wait_for

pytestmark = pytest.mark.local_cloud

FUNCTION = """
import json
class RatingsError(ValueError):
    pass
def handler(event, context):
    if event.get("raise"):
        raise RatingsError("u.data, line 3: rating 9 is out of range")
    return {"event": event, "function": context.function_name}
"""


def bundle(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/") + ".py", content)
    return buffer.getvalue()


def create_function(
    cloud: RunningCloud, role: str, code: bytes, *, handler: str = "app.handler", **more: Any
) -> str:
    name = f"function-{uuid.uuid4().hex[:8]}"
    answer = cloud.client("lambda").create_function(
        FunctionName=name, Runtime="python3.13", Role=role, Handler=handler, Code={"ZipFile": code}, **more
    )
    return str(answer["FunctionArn"])


def run(cloud: RunningCloud, role: str, definition: dict[str, Any], payload: Any = None) -> dict[str, Any]:
    sfn = cloud.client("stepfunctions")
    machine = sfn.create_state_machine(
        name=f"machine-{uuid.uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=role
    )
    arn = sfn.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(payload or {}))[
        "executionArn"
    ]

    def ended() -> Any:
        execution = sfn.describe_execution(executionArn=arn)
        return execution if execution["status"] != "RUNNING" else None

    return dict(wait_for(ended))


@pytest.fixture(scope="module")
def role(cloud: RunningCloud, service_role: Callable[[RunningCloud], str]) -> str:
    return service_role(cloud)


# -- Lambda ---------------------------------------------------------------------------------------------------------


def test_function_failure_is_named_by_its_exception(cloud: RunningCloud, role: str) -> None:
    arn = create_function(cloud, role, bundle(app=FUNCTION))
    lambda_ = cloud.client("lambda")
    answer = lambda_.invoke(FunctionName=arn, Payload=b'{"raise": true}')
    assert answer["FunctionError"] == "Unhandled"
    error = json.loads(answer["Payload"].read())
    assert (error["errorType"], error["errorMessage"]) == (
        "RatingsError",
        "u.data, line 3: rating 9 is out of range",
    )
    assert "in handler" in error["stackTrace"][0]
    ok = json.loads(lambda_.invoke(FunctionName=arn, Payload=b'{"a": 1}')["Payload"].read())
    assert ok["event"] == {"a": 1}

    states = {
        "Prepare": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": arn, "Payload.$": "$"},
            "Catch": [{"ErrorEquals": ["RatingsError"], "ResultPath": "$.error", "Next": "Bad"}],
            "End": True,
        },
        "Bad": {
            "Type": "Fail",
            "ErrorPath": "$.error.Error",
            "CausePath": "States.Format('bad ratings: {}', States.StringToJson($.error.Cause).errorMessage)",
        },
    }
    del states["Bad"]["CausePath"]
    states["Bad"]["CausePath"] = "$.error.Cause"
    execution = run(cloud, role, {"StartAt": "Prepare", "States": states}, {"raise": True})
    assert (execution["status"], execution["error"]) == ("FAILED", "RatingsError")
    assert json.loads(execution["cause"])["errorMessage"] == "u.data, line 3: rating 9 is out of range"


def test_function_that_cannot_be_imported_says_why(cloud: RunningCloud, role: str) -> None:
    arn = create_function(cloud, role, bundle(app="import rich\n"))
    error = json.loads(cloud.client("lambda").invoke(FunctionName=arn)["Payload"].read())
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert error["errorMessage"].startswith("Unable to import module 'app': No module named 'rich'")


def test_bundles_of_the_product_run(cloud: RunningCloud, role: str) -> None:
    """Their wheels are Lambda's; numpy and pydantic_core are stood in for by the local ones."""
    folder = ROOT / "build" / "functions" / "prepare_data"
    subprocess.run([sys.executable, "-m", "ops.bundle"], cwd=ROOT, check=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in folder.rglob("*"):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
        archive.writestr(
            "probe.py",
            "import os, numpy, pydantic, data_prep.recordio\n"
            "def handler(event, context):\n"
            "    root = os.environ['LAMBDA_TASK_ROOT']\n"
            "    return {m.__name__: m.__file__.startswith(root) for m in (numpy, pydantic, data_prep.recordio)}\n",
        )
    arn = create_function(cloud, role, buffer.getvalue(), handler="probe.handler", Timeout=60)
    answer = json.loads(cloud.client("lambda").invoke(FunctionName=arn)["Payload"].read())
    assert answer == {"numpy": False, "pydantic": True, "data_prep.recordio": True}
