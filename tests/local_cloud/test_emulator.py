"""Behaviours of the cloud around SageMaker that the product depends on."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import time
import uuid
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from tests.local_cloud.conftest import (
    ROOT,
    WITH_STAND_IN,
    RunningCloud,
    alive,
    start_cloud,
    wait_for,
)

pytestmark = pytest.mark.local_cloud

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/factorization-machines:1"
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


# -- Lambda -----------------------------------------------------------------------------------------------


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
        "Bad": {"Type": "Fail", "ErrorPath": "$.error.Error", "CausePath": "$.error.Cause"},
    }
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
            "    modules = (numpy, pydantic, data_prep.recordio)\n"
            "    return {m.__name__: m.__file__.startswith(root) for m in modules}\n",
        )
    arn = create_function(cloud, role, buffer.getvalue(), handler="probe.handler", Timeout=60)
    answer = json.loads(cloud.client("lambda").invoke(FunctionName=arn)["Payload"].read())
    assert answer == {"numpy": False, "pydantic": True, "data_prep.recordio": True}


def test_burst_of_requests_shares_a_few_workers(cloud: RunningCloud, role: str) -> None:
    code = "import os, time\ndef handler(event, context):\n    time.sleep(0.1)\n    return os.getpid()\n"
    arn = create_function(cloud, role, bundle(app=code), Timeout=60)
    lambda_ = cloud.client("lambda")
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: lambda_.invoke(FunctionName=arn)["Payload"].read(), range(60)))
    processes = {int(answer) for answer in answers}
    assert 1 < len(processes) <= max(4, 2 * (os.cpu_count() or 1))


def test_update_of_a_function_lets_it_answer_what_it_has_begun(cloud: RunningCloud, role: str) -> None:
    code = bundle(
        app="import os, time\n"
        "def handler(event, context):\n    time.sleep(event)\n    return os.environ['RELEASE']\n"
    )
    arn = create_function(cloud, role, code, Environment={"Variables": {"RELEASE": "old"}})
    lambda_ = cloud.client("lambda")

    def ask(seconds: float) -> Any:
        answer = lambda_.invoke(FunctionName=arn, Payload=json.dumps(seconds))
        return json.loads(answer["Payload"].read())

    assert ask(0) == "old"
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(ask, 1.5)
        time.sleep(0.5)
        lambda_.update_function_configuration(FunctionName=arn, Environment={"Variables": {"RELEASE": "new"}})
        assert ask(0) == "new"
        assert begun.result() == "old"


# -- CloudFormation ---------------------------------------------------------------------------------------


def deploy(cloud: RunningCloud, resources: dict[str, Any], **more: Any) -> tuple[str, str]:
    """Create a stack; return its name and the status in which it settles."""
    cloudformation = cloud.client("cloudformation")
    name = f"stack-{uuid.uuid4().hex[:8]}"
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources} | more))
    return name, settled(cloud, name)


def settled(cloud: RunningCloud, name: str) -> str:
    def status() -> Any:
        (stack,) = cloud.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack["StackStatus"]

    return str(wait_for(status))


def events(cloud: RunningCloud, name: str) -> list[dict[str, Any]]:
    return list(cloud.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"])


def test_custom_resource_whose_function_cannot_start_fails_at_once(cloud: RunningCloud, role: str) -> None:
    arn = create_function(cloud, role, bundle(app="import absent_module\n"))
    started = time.monotonic()
    name, status = deploy(cloud, {"Thing": {"Type": "Custom::Thing", "Properties": {"ServiceToken": arn}}})
    assert status == "ROLLBACK_COMPLETE"
    assert time.monotonic() - started < 20
    (reason,) = [
        event["ResourceStatusReason"]
        for event in events(cloud, name)
        if event["LogicalResourceId"] == "Thing" and event["ResourceStatus"] == "CREATE_FAILED"
    ]
    assert "Runtime.ImportModuleError" in reason
    assert "absent_module" in reason


PROVIDER = """
import json, urllib.request
def handler(event, context):
    print(event["RequestType"], event.get("PhysicalResourceId"))
    answer = {key: event[key] for key in ("RequestId", "StackId", "LogicalResourceId")}
    status = "FAILED" if event["RequestType"] == "Create" else "SUCCESS"
    answer |= {"Status": status, "Reason": "no luck", "PhysicalResourceId": "thing-1"}
    body = json.dumps(answer).encode()
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], data=body, method="PUT"))
"""


def test_custom_resource_whose_creation_failed_is_deleted(cloud: RunningCloud, role: str) -> None:
    arn = create_function(cloud, role, bundle(app=PROVIDER))
    name, status = deploy(cloud, {"Thing": {"Type": "Custom::Thing", "Properties": {"ServiceToken": arn}}})
    assert status == "ROLLBACK_COMPLETE"
    assert any(event.get("ResourceStatusReason") == "no luck" for event in events(cloud, name))
    logs = cloud.client("logs")
    group = f"/aws/lambda/{arn.rpartition(':')[2]}"

    def requests() -> list[str]:
        lines = [each["message"] for each in logs.filter_log_events(logGroupName=group)["events"]]
        return [line for line in lines if line.startswith(("Create", "Delete"))]

    wait_for(lambda: len(requests()) == 2, 10)
    assert requests() == ["Create None", "Delete thing-1"]


def test_buckets_have_tags_and_are_deleted_only_when_empty(cloud: RunningCloud) -> None:
    cloudformation, s3 = cloud.client("cloudformation"), cloud.client("s3")
    tags = [{"Key": "aws-cdk:auto-delete-objects", "Value": "true"}]
    versioning = {"Status": "Enabled"}
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"Tags": tags, "VersioningConfiguration": versioning}}
    kept = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"}
    name, status = deploy(cloud, {"Data": bucket, "Kept": kept})
    assert status == "CREATE_COMPLETE"
    resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    ids = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}
    set_ = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=ids["Data"])["TagSet"]}
    assert set_["aws-cdk:auto-delete-objects"] == "true"

    s3.put_object(Bucket=ids["Data"], Key="key", Body=b"1")
    s3.delete_object(Bucket=ids["Data"], Key="key")
    cloudformation.delete_stack(StackName=name)
    assert settled(cloud, name) == "DELETE_FAILED"
    assert any(
        "bucket you tried to delete is not empty" in event.get("ResourceStatusReason", "")
        for event in events(cloud, name)
    )
    assert any(event["ResourceStatus"] == "DELETE_SKIPPED" for event in events(cloud, name))

    versions = s3.list_object_versions(Bucket=ids["Data"])
    for version in versions["Versions"] + versions["DeleteMarkers"]:
        s3.delete_object(Bucket=ids["Data"], Key="key", VersionId=version["VersionId"])
    cloudformation.delete_stack(StackName=name)
    wait_for(lambda: ids["Data"] not in {each["Name"] for each in s3.list_buckets()["Buckets"]})
    assert ids["Kept"] in {each["Name"] for each in s3.list_buckets()["Buckets"]}


# -- triggers ---------------------------------------------------------------------------------------------


def test_uploaded_object_starts_a_state_machine(cloud: RunningCloud, role: str) -> None:
    s3, events_, sfn = (cloud.client(service) for service in ("s3", "events", "stepfunctions"))
    name = f"uploads-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    definition = {"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}}
    machine = sfn.create_state_machine(name=name, definition=json.dumps(definition), roleArn=role)
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [name]}, "object": {"key": [{"prefix": "ratings/"}]}},
    }
    events_.put_rule(Name=name, EventPattern=json.dumps(pattern))
    transformer = {
        "InputPathsMap": {"bucket": "$.detail.bucket.name", "key": "$.detail.object.key"},
        "InputTemplate": '{"ratings":{"bucket":<bucket>,"key":<key>}}',
    }
    target = {"Id": "1", "Arn": machine["stateMachineArn"], "RoleArn": role, "InputTransformer": transformer}
    events_.put_targets(Rule=name, Targets=[target])

    s3.put_object(Bucket=name, Key="other/x", Body=b"1")
    s3.put_object(Bucket=name, Key="ratings/a.zip", Body=b"1")
    s3.copy_object(Bucket=name, Key="ratings/b.zip", CopySource={"Bucket": name, "Key": "other/x"})

    def inputs() -> list[Any]:
        arns = [
            each["executionArn"]
            for each in sfn.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
        ]
        return [json.loads(sfn.describe_execution(executionArn=arn)["input"]) for arn in arns]

    wait_for(lambda: len(inputs()) == 2, 10)
    assert sorted(each["ratings"]["key"] for each in inputs()) == ["ratings/a.zip", "ratings/b.zip"]


# -- the process ------------------------------------------------------------------------------------------


def serving_process(cloud: RunningCloud, role: str) -> int:
    """Start an endpoint and a training job that ignores SIGTERM; return the endpoint's process id."""
    s3, sagemaker = cloud.client("s3"), cloud.client("sagemaker")
    buffer = io.BytesIO()
    tarfile.open(fileobj=buffer, mode="w:gz").close()
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="model.tar.gz", Body=buffer.getvalue())
    sagemaker.create_training_job(
        TrainingJobName="job",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=role,
        HyperParameters={"sleep": "600", "ignore_sigterm": "1"},
        OutputDataConfig={"S3OutputPath": "s3://bucket/"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    container = {"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    wait_for(lambda: sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService")
    wait_for(lambda: descendants(cloud.process.pid, "train"))
    body = cloud.client("sagemaker-runtime").invoke_endpoint(EndpointName="e", Body=b"x")["Body"]
    return int(json.loads(body.read())["pid"])


def descendants(pid: int, word: str = "") -> list[int]:
    listing = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listing.stdout.splitlines()]
    return [int(child) for child, parent, command in rows if int(parent) == pid and word in command]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_cloud(
    tmp_path: Path, service_role: Callable[[RunningCloud], str], number: signal.Signals
) -> None:
    cloud = start_cloud(tmp_path, program=["-c", WITH_STAND_IN])
    try:
        role = service_role(cloud)
        serving = serving_process(cloud, role)
        arn = create_function(cloud, role, bundle(app=FUNCTION))
        cloud.client("lambda").invoke(FunctionName=arn, Payload=b"{}")
        processes = descendants(cloud.process.pid)
        assert serving in processes
        assert len(processes) == 3
    finally:
        cloud.process.send_signal(number)
    assert cloud.process.wait(20) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    wait_for(lambda: not any(map(alive, processes)), 10)


def test_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = os.environ | {"GATEWAY_PORT": str(port), "LOCAL_CLOUD_STATE": str(tmp_path)}
        finished = subprocess.run(
            [sys.executable, "-m", "local_cloud"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert finished.returncode == 1
    assert finished.stderr == (
        f"local cloud: 127.0.0.1:{port} cannot be used (Address already in use): end the program that "
        "listens there, or set GATEWAY_PORT to another port\n"
    )


def test_a_stack_comes_to_export_what_it_did_not_before(cloud: RunningCloud) -> None:
    cloudformation, name = cloud.client("cloudformation"), f"exports-{uuid.uuid4().hex[:8]}"
    template: dict[str, Any] = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})

    def change_set(label: str) -> Any:
        cloudformation.create_change_set(
            StackName=name, ChangeSetName=label, ChangeSetType="UPDATE", TemplateBody=json.dumps(template)
        )
        return cloudformation.describe_change_set(StackName=name, ChangeSetName=label)

    assert change_set("same")["Status"] == "FAILED"
    template["Outputs"] = {"Topic": {"Value": {"Ref": "Topic"}, "Export": {"Name": name}}}
    assert change_set("exporting")["Status"] == "CREATE_COMPLETE"
    cloudformation.execute_change_set(StackName=name, ChangeSetName="exporting")
    cloudformation.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    assert name in [each["Name"] for each in cloudformation.list_exports()["Exports"]]
    assert change_set("again")["Status"] == "FAILED"


def test_a_stack_makes_an_identity_provider(cloud: RunningCloud) -> None:
    """What DeliveryStack has for GitHub: one for each account."""
    cloudformation, iam = cloud.client("cloudformation"), cloud.client("iam")
    provider = {
        "Type": "AWS::IAM::OIDCProvider",
        "Properties": {"Url": "https://token.actions.githubusercontent.com", "ClientIdList": ["one", "two"]},
    }
    output = {"Arn": {"Value": {"Fn::GetAtt": ["GitHub", "Arn"]}}}
    template = json.dumps({"Resources": {"GitHub": provider}, "Outputs": output})
    first, second = (f"identity-{uuid.uuid4().hex[:8]}" for _ in range(2))
    cloudformation.create_stack(StackName=first, TemplateBody=template)
    cloudformation.get_waiter("stack_create_complete").wait(StackName=first, WaiterConfig={"Delay": 1})
    (told,) = cloudformation.describe_stacks(StackName=first)["Stacks"][0]["Outputs"]

    assert re.fullmatch(
        r"arn:aws:iam::\d{12}:oidc-provider/token\.actions\.githubusercontent\.com", told["OutputValue"]
    )
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=told["OutputValue"])
    assert found["ClientIDList"] == ["one", "two"]

    cloudformation.create_stack(StackName=second, TemplateBody=template)
    with pytest.raises(WaiterError, match="terminal failure"):
        cloudformation.get_waiter("stack_create_complete").wait(StackName=second, WaiterConfig={"Delay": 1})
    reasons = [
        event.get("ResourceStatusReason", "")
        for event in cloudformation.describe_stack_events(StackName=second)["StackEvents"]
    ]
    assert any("already exists" in reason for reason in reasons)

    cloudformation.delete_stack(StackName=first)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=first, WaiterConfig={"Delay": 1})
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=told["OutputValue"])
