"""AWS Batch through boto3, CloudFormation and Step Functions, with an image as the CDK stages it."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_cloud.conftest import RunningCloud, wait_for

pytestmark = pytest.mark.local_cloud

JOB = """\
import os
import sys
import time
import boto3

index = os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX", "alone")
account = boto3.client("sts").get_caller_identity()["Account"]
print(f"{index} of {account}: {' '.join(sys.argv[1:])} {os.environ.get('COLOUR')}", flush=True)
if sys.argv[1] == "wait":
    time.sleep(600)
if sys.argv[1] == "fail":
    sys.exit(f"error: {index} cannot go on")
if sys.argv[1] == "fail-once":
    sys.exit(int(os.environ["AWS_BATCH_JOB_ATTEMPT"] == "1"))
"""


@pytest.fixture(scope="module")
def image(cloud: RunningCloud) -> str:
    """An image whose build context lies in an assembly, known to ECR by its tag."""
    tag = uuid.uuid4().hex * 2
    folder = cloud.state.parent / "cdk.out" / f"asset.{tag}"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(
        'FROM python:3.13-slim\nCOPY . .\nENTRYPOINT ["python", "-m", "job"]\n'
    )
    (folder / "job.py").write_text(JOB)
    repository, ecr = f"cdk-test-container-assets-{tag[:8]}", cloud.client("ecr")
    ecr.create_repository(repositoryName=repository)
    (found,) = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])["imageDetails"]
    assert found["imageTags"] == [tag]
    with pytest.raises(ClientError, match="ImageNotFoundException"):
        ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": "0" * 64}])
    return f"111111111111.dkr.ecr.us-east-1.amazonaws.com/{repository}:{tag}"


@pytest.fixture(scope="module")
def stack(cloud: RunningCloud, image: str) -> dict[str, str]:
    """A stack with a queue and a job definition, spelt as the CDK does: its outputs."""
    name = f"batch-{uuid.uuid4().hex[:8]}"
    template = {
        "Resources": {
            "Environment": {
                "Type": "AWS::Batch::ComputeEnvironment",
                "Properties": {
                    "Type": "managed",
                    "State": "ENABLED",
                    "ReplaceComputeEnvironment": False,
                    "ComputeResources": {
                        "Type": "FARGATE",
                        "MaxvCpus": "4",
                        "Subnets": ["subnet-1"],
                        "SecurityGroupIds": ["sg-1"],
                    },
                    "Tags": {"project": "test"},
                },
            },
            "Queue": {
                "Type": "AWS::Batch::JobQueue",
                "Properties": {
                    "Priority": 1,
                    "State": "ENABLED",
                    "ComputeEnvironmentOrder": [
                        {
                            "ComputeEnvironment": {"Fn::GetAtt": ["Environment", "ComputeEnvironmentArn"]},
                            "Order": 1,
                        }
                    ],
                },
            },
            "Definition": {
                "Type": "AWS::Batch::JobDefinition",
                "Properties": {
                    "Type": "container",
                    "JobDefinitionName": name,
                    "PlatformCapabilities": ["FARGATE"],
                    "RetryStrategy": {"Attempts": 2},
                    "Timeout": {"AttemptDurationSeconds": 60},
                    "ContainerProperties": {
                        "Image": image,
                        "Command": ["greet", "Ref::whom"],
                        "Environment": [{"Name": "COLOUR", "Value": "blue"}],
                        "ResourceRequirements": [
                            {"Type": "VCPU", "Value": "1"},
                            {"Type": "MEMORY", "Value": "2048"},
                        ],
                        "LogConfiguration": {
                            "LogDriver": "awslogs",
                            "Options": {"awslogs-group": name, "awslogs-stream-prefix": "job"},
                        },
                    },
                },
            },
        },
        "Outputs": {
            "Queue": {"Value": {"Fn::GetAtt": ["Queue", "JobQueueArn"]}},
            "Definition": {"Value": {"Ref": "Definition"}},
        },
    }
    cloudformation = cloud.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    wait_for(
        lambda: "PROGRESS" not in cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
    )
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    assert not [event.get("ResourceStatusReason") for event in events if "FAILED" in event["ResourceStatus"]]
    (described,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
    return outputs | {"name": name, "template": json.dumps(template)}


def submitted(cloud: RunningCloud, stack: dict[str, str], **more: Any) -> str:
    job: str = cloud.client("batch").submit_job(
        jobName="test", jobQueue=stack["Queue"], jobDefinition=stack["Definition"], **more
    )["jobId"]
    return job


def ended(cloud: RunningCloud, job: str) -> dict[str, Any]:
    def final() -> Any:
        (described,) = cloud.client("batch").describe_jobs(jobs=[job])["jobs"]
        return described if described["status"] in {"SUCCEEDED", "FAILED"} else None

    found: dict[str, Any] = wait_for(final)
    return found


def said(cloud: RunningCloud, stack: dict[str, str], job: dict[str, Any]) -> list[str]:
    events = cloud.client("logs").get_log_events(
        logGroupName=stack["name"], logStreamName=job["container"]["logStreamName"]
    )
    return [event["message"] for event in events["events"]]


def test_a_job_runs_its_image_as_the_account(cloud: RunningCloud, stack: dict[str, str]) -> None:
    job = ended(cloud, submitted(cloud, stack, parameters={"whom": "you"}))
    assert (job["status"], job["container"]["exitCode"]) == ("SUCCEEDED", 0)
    assert said(cloud, stack, job) == ["alone of 111111111111: greet you blue"]


def test_the_children_of_an_array_job_know_their_index(cloud: RunningCloud, stack: dict[str, str]) -> None:
    overrides = {"command": ["count"], "environment": [{"name": "COLOUR", "value": "red"}]}
    parent = submitted(cloud, stack, arrayProperties={"size": 3}, containerOverrides=overrides)
    assert ended(cloud, parent)["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 3
    children = [ended(cloud, f"{parent}:{index}") for index in range(3)]
    assert [said(cloud, stack, child) for child in children] == [
        [f"{index} of 111111111111: count red"] for index in range(3)
    ]


def test_a_failing_job_has_every_attempt_and_fails_its_array(
    cloud: RunningCloud, stack: dict[str, str]
) -> None:
    job = ended(cloud, submitted(cloud, stack, containerOverrides={"command": ["fail"]}))
    assert (job["status"], job["statusReason"]) == ("FAILED", "Essential container in task exited")
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [1, 1]
    again = ended(cloud, submitted(cloud, stack, containerOverrides={"command": ["fail-once"]}))
    assert (again["status"], len(again["attempts"])) == ("SUCCEEDED", 2)
    parent = submitted(cloud, stack, arrayProperties={"size": 2}, containerOverrides={"command": ["fail"]})
    assert ended(cloud, parent)["status"] == "FAILED"


def test_a_job_can_be_terminated(cloud: RunningCloud, stack: dict[str, str]) -> None:
    batch = cloud.client("batch")
    job = submitted(cloud, stack, containerOverrides={"command": ["wait"]})
    wait_for(lambda: batch.describe_jobs(jobs=[job])["jobs"][0]["status"] == "RUNNING")
    batch.terminate_job(jobId=job, reason="Enough")
    assert (ended(cloud, job)["status"], ended(cloud, job)["statusReason"]) == ("FAILED", "Enough")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jobQueue": "none"}, "none does not exist"),
        ({"jobDefinition": "none"}, "JobDefinition none does not exist"),
        ({"arrayProperties": {"size": 1}}, "array size must be from 2"),
    ],
)
def test_a_job_that_cannot_be_submitted(
    cloud: RunningCloud, stack: dict[str, str], change: dict[str, Any], message: str
) -> None:
    request = {"jobName": "test", "jobQueue": stack["Queue"], "jobDefinition": stack["Definition"]}
    with pytest.raises(ClientError, match=message):
        cloud.client("batch").submit_job(**request | change)


def test_accounts_share_nothing(cloud: RunningCloud, stack: dict[str, str]) -> None:
    assert stack["Queue"]
    other = cloud.client("batch", account="222222222222")
    assert other.describe_job_queues()["jobQueues"] == []


def test_a_state_machine_waits_for_a_job_and_learns_why_it_failed(
    cloud: RunningCloud, stack: dict[str, str], service_role: Callable[[RunningCloud], str]
) -> None:
    states = cloud.client("stepfunctions")
    definition = {
        "StartAt": "Submit",
        "States": {
            "Submit": {
                "Type": "Task",
                "Resource": "arn:aws:states:::batch:submitJob.sync",
                "Parameters": {
                    "JobName": "from-a-state-machine",
                    "JobQueue": stack["Queue"],
                    "JobDefinition": stack["Definition"],
                    "ContainerOverrides": {"Command.$": "$.command"},
                },
                "ResultSelector": {"status.$": "$.Status", "code.$": "$.Container.ExitCode"},
                "End": True,
            }
        },
    }
    machine = states.create_state_machine(
        name=stack["name"], definition=json.dumps(definition), roleArn=service_role(cloud)
    )["stateMachineArn"]

    def run(command: list[str]) -> dict[str, Any]:
        execution = states.start_execution(stateMachineArn=machine, input=json.dumps({"command": command}))[
            "executionArn"
        ]
        wait_for(lambda: states.describe_execution(executionArn=execution)["status"] != "RUNNING")
        described: dict[str, Any] = states.describe_execution(executionArn=execution)
        return described

    assert json.loads(run(["greet"])["output"]) == {"status": "SUCCEEDED", "code": 0}
    failed = run(["fail"])
    assert (failed["status"], failed["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(failed["cause"])
    assert cause["Status"] == "FAILED"
    assert said(cloud, stack, {"container": {"logStreamName": cause["Container"]["LogStreamName"]}})[
        -1
    ].startswith("error: alone cannot go on")


def updated(cloud: RunningCloud, name: str, template: dict[str, Any]) -> dict[str, str]:
    """Update a stack; return its outputs."""
    cloudformation = cloud.client("cloudformation")
    cloudformation.update_stack(StackName=name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    (described,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}


def test_the_stack_changes_and_goes(cloud: RunningCloud, stack: dict[str, str]) -> None:
    cloudformation, batch = cloud.client("cloudformation"), cloud.client("batch")

    def active() -> list[str]:
        found = batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
        return [each["jobDefinitionArn"] for each in found]

    first, second, third = (f"{stack['Definition'].removesuffix('1')}{revision}" for revision in (1, 2, 3))
    assert first.endswith(f"job-definition/{stack['name']}:1")
    template = json.loads(stack["template"])
    definition = template["Resources"]["Definition"]["Properties"]
    definition["ContainerProperties"]["Command"] = ["other"]
    template["Resources"]["Environment"]["Properties"]["ComputeResources"]["MaxvCpus"] = 8
    outputs = updated(cloud, stack["name"], template)
    assert (outputs["Queue"], outputs["Definition"]) == (stack["Queue"], second)
    assert active() == [second]
    definition["ContainerProperties"]["Command"] = ["another"]
    definition["ResourceRetentionPolicy"] = {"SkipDeregisterOnUpdate": True}
    assert updated(cloud, stack["name"], template)["Definition"] == third
    assert active() == [second, third]
    overrides = {"command": ["greet"]}
    job = submitted(cloud, stack | {"Definition": second}, containerOverrides=overrides)
    assert ended(cloud, job)["status"] == "SUCCEEDED"
    (environment,) = batch.describe_compute_environments()["computeEnvironments"]
    assert environment["computeResources"]["maxvCpus"] == 8
    cloudformation.delete_stack(StackName=stack["name"])
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName=stack["name"], WaiterConfig={"Delay": 1}
    )
    assert batch.describe_job_queues()["jobQueues"] == []
    assert active() == [second]
