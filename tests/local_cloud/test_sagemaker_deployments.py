"""How endpoints change under a client that asks all the time, with containers that do as they are told."""

import io
import json
import threading
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_cloud.conftest import RunningCloud, wait_for
from tests.local_cloud.test_sagemaker_control_plane import IMAGE, World, world  # noqa: F401

pytestmark = pytest.mark.local_cloud

VARIANT = "AllTraffic"


def config(
    world: World,  # noqa: F811
    model_data: str | None = None,
    instances: int = 2,
    **environment: str,
) -> str:
    """Make an endpoint configuration; return its name."""
    name = f"config-{uuid.uuid4().hex[:8]}"
    data = model_data or world.model_data()
    container = {"Image": IMAGE, "ModelDataUrl": data, "Environment": environment}
    world.sagemaker.create_model(ModelName=name, ExecutionRoleArn=world.role, PrimaryContainer=container)
    variant: dict[str, Any] = {"VariantName": VARIANT, "InstanceType": "ml.m5.large", "ModelName": name}
    variant["InitialInstanceCount"] = instances
    world.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    return name


def canary(*alarms: str, wait: int = 3, termination: int = 0) -> dict[str, Any]:
    routing = {
        "Type": "CANARY",
        "WaitIntervalInSeconds": wait,
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
    }
    deployment: dict[str, Any] = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": termination,
            "MaximumExecutionTimeoutInSeconds": 600,
        }
    }
    if alarms:
        deployment["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return deployment


@dataclass
class Client:
    """Somebody who asks an endpoint all the time.

    Attributes:
        failures: what was not answered with 200.
        models: which model answered when (monotonic seconds, in order of the answers).
    """

    failures: list[str] = field(default_factory=list)
    models: list[tuple[float, str]] = field(default_factory=list)

    def since(self, moment: float) -> "Counter[str]":
        """Count who has answered since."""
        return Counter(tag for answered, tag in self.models if answered >= moment)


@contextmanager
def asking(cloud: RunningCloud, endpoint: str, threads: int = 3) -> Iterator[Client]:
    client, ended = Client(), threading.Event()

    def ask() -> None:
        runtime = cloud.client("sagemaker-runtime")
        while not ended.is_set():
            try:
                body = runtime.invoke_endpoint(EndpointName=endpoint, Body=b"x")["Body"].read()
            except ClientError as error:
                client.failures.append(str(error))
            else:
                client.models.append((time.monotonic(), json.loads(body)["tag"]))
            time.sleep(0.01)

    workers = [threading.Thread(target=ask) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield client
    finally:
        ended.set()
        for worker in workers:
            worker.join()


@dataclass
class Served:
    """An endpoint in service and the configuration that it serves."""

    world: World
    name: str
    config: str

    def update(self, config: str, deployment: dict[str, Any] | None = None, **more: Any) -> None:
        if deployment is not None:
            more["DeploymentConfig"] = deployment
        self.world.sagemaker.update_endpoint(EndpointName=self.name, EndpointConfigName=config, **more)

    def describe(self) -> dict[str, Any]:
        return dict(self.world.sagemaker.describe_endpoint(EndpointName=self.name))

    def stage(self) -> tuple[str, str]:
        """Return the status and message of the deployment under way."""
        pending = self.describe().get("PendingDeploymentSummary")
        if pending is None:
            return "", ""
        (status,) = pending["ProductionVariants"][0]["VariantStatus"]
        return status["Status"], status["StatusMessage"]

    def settled(self) -> dict[str, Any]:
        return self.world.settled(self.name)

    def alarm(self, metric: str, threshold: float, period: int = 60, **more: Any) -> str:
        """Make an alarm on one of the endpoint's metrics; return its name."""
        name = f"{self.name}-{metric}"
        statistic = {} if "ExtendedStatistic" in more else {"Statistic": "Sum"}
        self.world.cloud.client("cloudwatch", account=self.world.account).put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[
                {"Name": "EndpointName", "Value": self.name},
                {"Name": "VariantName", "Value": VARIANT},
            ],
            Period=period,
            EvaluationPeriods=1,
            Threshold=threshold,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            **statistic,
            **more,
        )
        return name


@pytest.fixture
def served(world: World) -> Iterator[Served]:  # noqa: F811
    """An endpoint of two instances whose model calls itself `old`."""
    name, first = f"endpoint-{uuid.uuid4().hex[:8]}", config(world, STAND_IN_TAG="old")
    world.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=first)
    assert world.settled(name)["EndpointStatus"] == "InService"
    yield Served(world, name, first)
    world.settled(name)
    world.sagemaker.delete_endpoint(EndpointName=name)


def test_canary_takes_its_share_and_then_everything(served: Served) -> None:
    second = config(served.world, STAND_IN_TAG="new")
    with asking(served.world.cloud, served.name, threads=6) as client:
        served.update(second, canary(wait=10, termination=2))
        wait_for(lambda: served.stage()[0] == "Baking")
        began = time.monotonic()
        assert served.stage()[1] == (
            "Baking for 10 seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity of 1 "
            "instance(s)."
        )
        during = served.describe()
        assert (during["EndpointStatus"], during["EndpointConfigName"]) == ("Updating", served.config)
        (old,) = during["ProductionVariants"]
        (new,) = during["PendingDeploymentSummary"]["ProductionVariants"]
        assert during["PendingDeploymentSummary"]["EndpointConfigName"] == second
        assert (old["CurrentInstanceCount"], new["CurrentInstanceCount"], new["DesiredInstanceCount"]) == (
            2,
            1,
            2,
        )
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            served.update(second)
        wait_for(lambda: client.since(began).total() >= 100, 9)
        share = client.since(began)["new"] / client.since(began).total()
        wait_for(lambda: "full capacity of 2 instance(s)" in served.stage()[1])
        assert time.monotonic() - began > 8
        time.sleep(0.5)
        full = time.monotonic()
        after = served.settled()
        wait_for(lambda: client.since(full).total() >= 5)
        assert set(client.since(full)) == {"new"}
    assert client.failures == []
    assert 0.3 < share < 0.7
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", second)
    assert after["LastDeploymentConfig"] == canary(wait=10, termination=2)
    assert "PendingDeploymentSummary" not in after
    assert "FailureReason" not in after


SIZE = {"Type": "CAPACITY_PERCENT", "Value": 50}
LINEAR = {"Type": "LINEAR", "WaitIntervalInSeconds": 5, "LinearStepSize": SIZE}


@pytest.mark.parametrize(
    "deployment",
    [
        {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": LINEAR}},
        {"RollingUpdatePolicy": {"MaximumBatchSize": SIZE, "WaitIntervalInSeconds": 5}},
    ],
    ids=["linear", "rolling"],
)
def test_traffic_moves_in_steps(served: Served, deployment: dict[str, Any]) -> None:
    second = config(served.world, STAND_IN_TAG="new")
    with asking(served.world.cloud, served.name) as client:
        served.update(second, deployment)
        wait_for(lambda: "enabled on partial capacity of 1 instance(s)" in served.stage()[1])
        began = time.monotonic()
        wait_for(lambda: set(client.since(began)) == {"old", "new"}, 4)
        after = served.settled()
    assert client.failures == []
    assert (after["EndpointConfigName"], after["LastDeploymentConfig"]) == (second, deployment)


def test_alarm_set_by_hand_rolls_the_canary_back(served: Served) -> None:
    alarm = served.alarm("Invocation5XXErrors", 5)
    cloudwatch = served.world.cloud.client("cloudwatch")
    with asking(served.world.cloud, served.name) as client:
        served.update(config(served.world, STAND_IN_TAG="new"), canary(alarm, wait=60))
        wait_for(lambda: served.stage()[0] == "Baking")
        wait_for(lambda: "new" in client.since(0))
        cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="by hand")
        rolled = time.monotonic()
        after = served.settled()
        assert time.monotonic() - rolled < 20
        back = time.monotonic()
        wait_for(lambda: client.since(back).total() >= 5)
        assert set(client.since(back)) == {"old"}
    assert client.failures == []
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", served.config)
    assert after["FailureReason"].endswith(f"because of CloudWatch alarms in state ALARM: {alarm}")
    assert "PendingDeploymentSummary" not in after


def test_slow_model_rings_the_latency_alarm_and_is_rolled_back(served: Served) -> None:
    alarm = served.alarm("ModelLatency", 200_000.0, ExtendedStatistic="p99")
    with asking(served.world.cloud, served.name) as client:
        served.update(config(served.world, STAND_IN_TAG="slow", STAND_IN_SLEEP="0.4"), canary(alarm, wait=60))
        after = served.settled()
    assert client.failures == []
    assert client.since(0)["slow"] > 0
    assert after["EndpointConfigName"] == served.config
    assert alarm in after["FailureReason"]


def test_failing_model_rings_the_error_alarm_and_only_the_canary_fails(served: Served) -> None:
    alarm = served.alarm("Invocation5XXErrors", 3)
    with asking(served.world.cloud, served.name) as client:
        served.update(config(served.world, STAND_IN_STATUS="500"), canary(alarm, wait=60))
        after = served.settled()
        failed = len(client.failures)
        time.sleep(1)
        assert len(client.failures) == failed
    assert failed > 3
    assert after["EndpointConfigName"] == served.config
    assert alarm in after["FailureReason"]


def test_fleet_that_does_not_come_up_is_rolled_back(served: Served) -> None:
    uri = served.world.put(f"broken/{uuid.uuid4().hex}", b"no archive")
    with asking(served.world.cloud, served.name) as client:
        served.update(config(served.world, STAND_IN_EXIT="1"), canary())
        exited = served.settled()
        served.update(config(served.world, model_data=uri), canary())
        unpacked = served.settled()
    assert client.failures == []
    assert set(client.since(0)) == {"old"}
    for after, reason in (
        (exited, "did not pass the ping health check"),
        (unpacked, "is a valid tar.gz archive"),
    ):
        assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", served.config)
        assert reason in after["FailureReason"]


def test_request_on_its_way_is_answered_by_the_old_fleet(world: World) -> None:  # noqa: F811
    name = f"endpoint-{uuid.uuid4().hex[:8]}"
    slow = config(world, STAND_IN_TAG="old", STAND_IN_SLEEP="3")
    world.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=slow)
    world.settled(name)
    served = Served(world, name, slow)
    with asking(world.cloud, name, threads=1) as client:
        time.sleep(0.5)
        served.update(config(world, STAND_IN_TAG="new"))
        assert served.settled()["EndpointConfigName"] != slow
        wait_for(lambda: len(client.models) > 2)
    assert client.failures == []
    assert client.models[0][1] == "old"
    assert client.models[-1][1] == "new"
    world.sagemaker.delete_endpoint(EndpointName=name)


def test_new_fleet_keeps_what_is_retained(served: Served) -> None:
    third = config(served.world, instances=3, STAND_IN_TAG="third")

    def counts() -> tuple[int, int]:
        (variant,) = served.settled()["ProductionVariants"]
        return variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]

    assert counts() == (2, 2)
    served.update(third, RetainAllVariantProperties=True)
    assert counts() == (2, 2)
    excluded = [{"VariantPropertyType": "DesiredInstanceCount"}]
    served.update(third, RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=excluded)
    assert counts() == (3, 3)
    served.update(served.config)
    assert counts() == (2, 2)


def test_deployment_configuration_of_the_creation_is_retained(world: World) -> None:  # noqa: F811
    name = f"endpoint-{uuid.uuid4().hex[:8]}"
    kept = canary(wait=3)
    world.sagemaker.create_endpoint(
        EndpointName=name, EndpointConfigName=config(world, STAND_IN_TAG="old"), DeploymentConfig=kept
    )
    assert world.settled(name)["LastDeploymentConfig"] == kept
    served = Served(world, name, "")
    served.update(config(world, STAND_IN_TAG="new"), RetainDeploymentConfig=True)
    wait_for(lambda: "canary capacity of 1 instance(s)" in served.stage()[1])
    assert served.settled()["LastDeploymentConfig"] == kept
    world.sagemaker.delete_endpoint(EndpointName=name)


def test_update_that_cannot_be_carried_out_is_refused(served: Served) -> None:
    single = config(served.world, instances=1)

    def refusal(deployment: dict[str, Any], to: str) -> str:
        with pytest.raises(ClientError) as caught:
            served.update(to, deployment)
        assert caught.value.response["Error"]["Code"] == "ValidationException"
        return str(caught.value.response["Error"]["Message"])

    assert "1 of 1 instance(s) of production variant AllTraffic" in refusal(canary(), single)
    too_long = canary()
    too_long["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] = 28_801
    assert "Member must have value less than or equal to 28800" in refusal(too_long, served.config)
    absent = f"absent-{uuid.uuid4().hex[:8]}"
    assert refusal(canary(absent), served.config) == (
        f"Could not find CloudWatch alarm(s) {absent} of AutoRollbackConfiguration in account 111111111111, "
        "region us-east-1"
    )
    assert served.describe()["EndpointStatus"] == "InService"
    assert "LastDeploymentConfig" not in served.describe()


def test_alarm_that_rings_before_the_update_stops_the_canary(served: Served) -> None:
    alarm = served.alarm("Invocations", 2)
    with asking(served.world.cloud, served.name) as client:
        wait_for(lambda: alarm_state(served.world, alarm) == "ALARM", 20)
        served.update(config(served.world, STAND_IN_TAG="new"), canary(alarm, wait=60))
        assert alarm in served.settled()["FailureReason"]
    assert client.failures == []
    assert client.models[-1][1] == "old"


def alarm_state(world: World, alarm: str) -> str:  # noqa: F811
    cloudwatch = world.cloud.client("cloudwatch", account=world.account)
    return str(cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]["StateValue"])


def test_alarm_ends_when_nobody_asks_any_more(served: Served) -> None:
    alarm = served.alarm("Invocations", 2, period=10)
    assert alarm_state(served.world, alarm) == "OK"
    with asking(served.world.cloud, served.name):
        wait_for(lambda: alarm_state(served.world, alarm) == "ALARM", 20)
    wait_for(lambda: alarm_state(served.world, alarm) == "OK", 40)


def test_metrics_tell_the_fleets_apart(served: Served) -> None:
    second = config(served.world, STAND_IN_TAG="new")
    with asking(served.world.cloud, served.name) as client:
        wait_for(lambda: client.since(0)["old"] >= 20)
        served.update(second, canary())
        wait_for(lambda: client.since(0)["new"] >= 20)
        served.settled()
    cloudwatch = served.world.cloud.client("cloudwatch")

    def total(metric: str, **more: str) -> float:
        dimensions = {"EndpointName": served.name, "VariantName": VARIANT, **more}
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=time.time() - 600,
            EndTime=time.time() + 60,
            Period=60,
            Statistics=["Sum"],
        )
        return float(sum(point["Sum"] for point in found["Datapoints"]))

    wait_for(lambda: total("Invocations") == len(client.models), 20)
    by_fleet = [total("Invocations", EndpointConfigName=name) for name in (served.config, second)]
    assert by_fleet == [client.since(0)["old"], client.since(0)["new"]]
    assert total("Invocation5XXErrors") == total("Invocation4XXErrors") == 0
    # Microseconds: a local request takes between a tenth and a few hundred milliseconds.
    assert 100 < total("ModelLatency") / total("Invocations") < 500_000
    assert 0 < total("OverheadLatency") < total("ModelLatency")


def test_accounts_share_names_and_nothing_else(
    stand_in_cloud: RunningCloud,
    service_role: Callable[..., str],
) -> None:
    """Endpoints, packages, alarms, metrics and events of the same name in three accounts."""
    name = f"shared-{uuid.uuid4().hex[:8]}"
    worlds, queues = {}, {}
    for account in ("111111111111", "222222222222", "333333333333"):
        bucket = f"{name}-{account}"
        stand_in_cloud.client("s3", account=account).create_bucket(Bucket=bucket)
        each = World(stand_in_cloud, service_role(stand_in_cloud, account), bucket, account)
        queues[account] = package_events(each, name)
        each.sagemaker.create_model_package_group(ModelPackageGroupName=name)
        each.sagemaker.create_endpoint(
            EndpointName=name, EndpointConfigName=config(each, STAND_IN_TAG=account)
        )
        worlds[account] = each
    endpoints = {account: Served(each, name, "") for account, each in worlds.items()}
    for account, endpoint in endpoints.items():
        assert endpoint.settled()["EndpointArn"].split(":")[4] == account
        answer = (
            worlds[account]
            .cloud.client("sagemaker-runtime", account=account)
            .invoke_endpoint(EndpointName=name, Body=b"x")
        )
        assert json.loads(answer["Body"].read())["tag"] == account

    first, second, third = worlds.values()
    alarms = [endpoint.alarm("Invocation5XXErrors", 5) for endpoint in endpoints.values()]
    assert len(set(alarms)) == 1
    for account, endpoint in endpoints.items():
        endpoint.update(config(worlds[account], STAND_IN_TAG="new"), canary(alarms[0], wait=8))
    wait_for(lambda: {endpoint.stage()[0] for endpoint in endpoints.values()} == {"Baking"})
    second.cloud.client("cloudwatch", account=second.account).set_alarm_state(
        AlarmName=alarms[0], StateValue="ALARM", StateReason="by hand"
    )
    failed = [account for account, endpoint in endpoints.items() if "FailureReason" in endpoint.settled()]
    assert failed == [second.account]

    arns = [
        each.sagemaker.create_model_package(ModelPackageGroupName=name)["ModelPackageArn"]
        for each in (first, third)
    ]
    assert [arn.rpartition("/")[2] for arn in arns] == ["1", "1"]
    assert second.sagemaker.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"] == []
    seen = {account: received(worlds[account], queue) for account, queue in queues.items()}
    assert seen == {first.account: [arns[0]], second.account: [], third.account: [arns[1]]}

    for account, each in worlds.items():
        metrics = each.cloud.client("cloudwatch", account=account).list_metrics(
            Namespace="AWS/SageMaker",
            MetricName="Invocations",
            Dimensions=[{"Name": "EndpointName", "Value": name}],
        )["Metrics"]
        # One request: for the variant, and for the variant of its configuration.
        assert len(metrics) == 2
        each.sagemaker.delete_endpoint(EndpointName=name)


def package_events(world: World, name: str) -> str:  # noqa: F811
    """Send the events of a model package group to a new queue; return the queue's URL."""
    sqs = world.cloud.client("sqs", account=world.account)
    events = world.cloud.client("events", account=world.account)
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelPackageGroupName": [name]},
    }
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    return str(queue)


def received(world: World, queue: str) -> list[str]:  # noqa: F811
    messages = world.cloud.client("sqs", account=world.account).receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1
    )
    return [json.loads(each["Body"])["detail"]["ModelPackageArn"] for each in messages.get("Messages", [])]


# -- CloudFormation ----------------------------------------------------------------------------------------

PROVIDER = """
import json, time, urllib.request, boto3
def handler(event, context):
    stacks = boto3.client("cloudformation").describe_stacks(StackName=event["StackId"])["Stacks"]
    request, status = event["RequestType"], stacks[0]["StackStatus"]
    properties, old = event["ResourceProperties"], event.get("OldResourceProperties", {})
    print(json.dumps([request, status, old.get("Config"), properties["Config"]]))
    failed = properties["Fail"] != "no" and (request, status) == ("Update", "UPDATE_IN_PROGRESS")
    time.sleep(10 if failed and properties["Fail"] == "slowly" else 0)
    answer = {key: event[key] for key in ("RequestId", "StackId", "LogicalResourceId")}
    answer |= {"PhysicalResourceId": event.get("PhysicalResourceId", "test-1"), "Reason": "scores differ"}
    answer["Status"] = "FAILED" if failed else "SUCCESS"
    body = json.dumps(answer).encode()
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], data=body, method="PUT"))
"""


@dataclass
class Stack:
    """A stack of a model package, an endpoint with a canary, its alarm, and a test after the endpoint.

    The parameter `fail` says whether the test fails an update: `no`, `yes` or, after ten seconds, `slowly`.
    """

    world: World
    group: str
    function: str

    @property
    def endpoint(self) -> Served:
        return Served(self.world, self.group, "")

    @property
    def alarm(self) -> str:
        return f"{self.group}-errors"

    def template(self) -> str:
        alarm = {
            "AlarmName": self.alarm,
            "Namespace": "AWS/SageMaker",
            "MetricName": "Invocation5XXErrors",
            "Dimensions": [
                {"Name": "EndpointName", "Value": self.group},
                {"Name": "VariantName", "Value": VARIANT},
                {"Name": "EndpointConfigName", "Value": {"Fn::GetAtt": ["Config", "EndpointConfigName"]}},
            ],
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 5,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
        }
        variant = {
            "VariantName": VARIANT,
            "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
            "InitialInstanceCount": 2,
            "InstanceType": "ml.m5.large",
        }
        config = {"Fn::GetAtt": ["Config", "EndpointConfigName"]}
        resources = {
            "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm},
            "Model": {
                "Type": "AWS::SageMaker::Model",
                "Properties": {
                    "ExecutionRoleArn": self.world.role,
                    "PrimaryContainer": {"ModelPackageName": {"Ref": "Package"}},
                },
            },
            "Config": {
                "Type": "AWS::SageMaker::EndpointConfig",
                "Properties": {"ProductionVariants": [variant]},
            },
            "Endpoint": {
                "Type": "AWS::SageMaker::Endpoint",
                "DependsOn": "Alarm",
                "Properties": {
                    "EndpointName": self.group,
                    "EndpointConfigName": config,
                    "DeploymentConfig": canary(self.alarm, wait=5),
                    "RetainAllVariantProperties": True,
                },
            },
            "Test": {
                "Type": "Custom::Test",
                "DependsOn": "Endpoint",
                "Properties": {"ServiceToken": self.function, "Config": config, "Fail": {"Ref": "Fail"}},
            },
        }
        parameters = {
            "Package": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": f"/{self.group}/package"},
            "Fail": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": f"/{self.group}/fail"},
        }
        return json.dumps({"Parameters": parameters, "Resources": resources})

    def put(self, name: str, value: str) -> None:
        ssm = self.world.cloud.client("ssm")
        ssm.put_parameter(Name=f"/{self.group}/{name}", Type="String", Value=value, Overwrite=True)

    def publish(self, approval: str = "Approved", **environment: str) -> str:
        """Register a package and put it in the stack's parameter."""
        data = self.world.model_data()
        container = {"Image": IMAGE, "ModelDataUrl": data, "Environment": environment}
        arn = self.world.sagemaker.create_model_package(
            ModelPackageGroupName=self.group,
            ModelApprovalStatus=approval,
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )["ModelPackageArn"]
        self.put("package", arn)
        return str(arn)

    def deploy(self) -> None:
        """Create the stack through a change set and with an execution role, as the CDK's CLI does."""
        cloudformation = self.world.cloud.client("cloudformation")
        cloudformation.create_change_set(
            StackName=self.group,
            ChangeSetName="first",
            ChangeSetType="CREATE",
            TemplateBody=self.template(),
            RoleARN=self.world.role,
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Tags=[{"Key": "environment", "Value": "test"}],
        )
        cloudformation.get_waiter("change_set_create_complete").wait(
            StackName=self.group, ChangeSetName="first", WaiterConfig={"Delay": 1}
        )
        cloudformation.execute_change_set(StackName=self.group, ChangeSetName="first")
        assert self.settled() == "CREATE_COMPLETE"

    def release(self, token: str = "release") -> None:
        """Update the stack with its previous template: its parameters are read again."""
        self.world.cloud.client("cloudformation").update_stack(
            ClientRequestToken=token,
            StackName=self.group,
            UsePreviousTemplate=True,
            Parameters=[{"ParameterKey": name, "UsePreviousValue": True} for name in ("Package", "Fail")],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )

    def settled(self) -> str:
        cloudformation = self.world.cloud.client("cloudformation")

        def status() -> str | None:
            (stack,) = cloudformation.describe_stacks(StackName=self.group)["Stacks"]
            return None if stack["StackStatus"].endswith("IN_PROGRESS") else str(stack["StackStatus"])

        return str(wait_for(status))

    def events(self, token: str = "release") -> list[dict[str, Any]]:
        """Return the events of an operation, newest first."""
        cloudformation = self.world.cloud.client("cloudformation")
        found = cloudformation.describe_stack_events(StackName=self.group)["StackEvents"]
        return [event for event in found if event.get("ClientRequestToken") == token]

    def failures(self, token: str = "release") -> dict[str, str]:
        """Return the reasons of the resources that failed in an operation, by logical id."""
        return {
            event["LogicalResourceId"]: event.get("ResourceStatusReason", "")
            for event in self.events(token)
            if event["ResourceStatus"] == "UPDATE_FAILED"
        }

    def statuses(self) -> list[str]:
        """Return the statuses that the stack itself went through in the release."""
        return [
            event["ResourceStatus"]
            for event in reversed(self.events())
            if event["PhysicalResourceId"] == event["StackId"]
        ]

    def resources(self) -> dict[str, str]:
        cloudformation = self.world.cloud.client("cloudformation")
        found = cloudformation.describe_stack_resources(StackName=self.group)["StackResources"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}

    def requests(self) -> list[list[str]]:
        """Return what the custom resource was asked: request, stack's status, old and new configuration."""
        logs = self.world.cloud.client("logs")
        group = f"/aws/lambda/{self.function.rpartition(':')[2]}"
        lines = [each["message"] for each in logs.filter_log_events(logGroupName=group)["events"]]
        return [json.loads(line) for line in lines if line.startswith("[")]


@pytest.fixture
def undeployed(world: World) -> Iterator[Stack]:  # noqa: F811
    """A stack that has no package yet."""
    group = f"group-{uuid.uuid4().hex[:8]}"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", PROVIDER)
    function = world.cloud.client("lambda").create_function(
        FunctionName=group,
        Runtime="python3.13",
        Role=world.role,
        Handler="app.handler",
        Code={"ZipFile": buffer.getvalue()},
        Timeout=30,
    )["FunctionArn"]
    world.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    stack = Stack(world, group, function)
    stack.put("fail", "no")
    yield stack
    world.cloud.client("cloudformation").delete_stack(StackName=group)
    wait_for(lambda: not world.sagemaker.list_endpoints(NameContains=group)["Endpoints"])


@pytest.fixture
def stack(undeployed: Stack) -> Stack:
    """A stack whose model calls itself `old`."""
    undeployed.publish(STAND_IN_TAG="old")
    undeployed.deploy()
    return undeployed


def test_release_reaches_the_endpoint_through_a_canary(stack: Stack) -> None:
    before = stack.resources()
    with asking(stack.world.cloud, stack.group) as client:
        stack.publish(STAND_IN_TAG="new")
        stack.release()
        assert stack.settled() == "UPDATE_COMPLETE"
        updated = time.monotonic()
        wait_for(lambda: len(client.models) and client.models[-1][0] > updated + 0.5)
        assert set(client.since(updated)) == {"new"}
    assert client.failures == []
    after = stack.resources()
    assert after["Endpoint"] == before["Endpoint"]
    assert after["Config"] != before["Config"]
    models = {each["ModelArn"] for each in stack.world.sagemaker.list_models(MaxResults=100)["Models"]}
    assert after["Model"] in models
    assert before["Model"] not in models


def test_alarm_in_the_canary_rolls_the_stack_back(stack: Stack) -> None:
    before = stack.resources()
    cloudwatch = stack.world.cloud.client("cloudwatch")
    with asking(stack.world.cloud, stack.group) as client:
        stack.publish(STAND_IN_TAG="new")
        stack.release()
        wait_for(lambda: stack.endpoint.stage()[0] == "Baking")
        cloudwatch.set_alarm_state(AlarmName=stack.alarm, StateValue="ALARM", StateReason="by hand")
        assert stack.settled() == "UPDATE_ROLLBACK_COMPLETE"
        back = time.monotonic()
        wait_for(lambda: client.since(back).total() >= 5)
        assert set(client.since(back)) == {"old"}
    assert client.failures == []
    (failed,) = stack.failures().items()
    assert failed[0] == "Endpoint"
    assert f"alarms in state ALARM: {stack.alarm}" in failed[1]
    assert stack.statuses() == [
        "UPDATE_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
    ]
    assert stack.resources() == before
    models = {each["ModelName"] for each in stack.world.sagemaker.list_models(MaxResults=100)["Models"]}
    assert before["Model"].rpartition("/")[2] in models
    assert [request for request, *_ in stack.requests()] == ["Create"]


def test_model_that_fails_in_service_is_replaced(undeployed: Stack) -> None:
    stack = undeployed
    stack.publish(STAND_IN_STATUS="500")
    stack.deploy()
    with asking(stack.world.cloud, stack.group) as client:
        wait_for(lambda: alarm_state(stack.world, stack.alarm) == "ALARM")
        stack.publish(STAND_IN_TAG="new")
        stack.release()
        assert stack.settled() == "UPDATE_COMPLETE"
        updated, failed = time.monotonic(), len(client.failures)
        wait_for(lambda: client.since(updated).total() >= 5)
        assert len(client.failures) == failed
    assert failed > 5
    assert alarm_state(stack.world, stack.alarm) == "OK"


def test_alarm_of_the_new_model_does_not_stop_the_way_back(stack: Stack) -> None:
    before = stack.resources()
    runtime = stack.world.cloud.client("sagemaker-runtime")
    stack.publish(STAND_IN_TAG="new")
    stack.put("fail", "slowly")
    stack.release()
    wait_for(lambda: "Test" in [event["LogicalResourceId"] for event in stack.events()])
    for _ in range(10):
        with pytest.raises(ClientError, match="ModelError"):
            runtime.invoke_endpoint(EndpointName=stack.group, Body=b"fail")
    wait_for(lambda: alarm_state(stack.world, stack.alarm) == "ALARM", 8)
    with asking(stack.world.cloud, stack.group) as client:
        assert stack.settled() == "UPDATE_ROLLBACK_COMPLETE"
        back = time.monotonic()
        wait_for(lambda: client.since(back).total() >= 5)
    assert client.failures == []
    assert set(client.since(back)) == {"old"}
    assert stack.failures() == {"Test": "scores differ"}
    assert stack.resources() == before


def test_failed_test_brings_the_old_endpoint_back(stack: Stack) -> None:
    before = stack.resources()
    old = before["Config"].rpartition("/")[2]
    with asking(stack.world.cloud, stack.group) as client:
        stack.publish(STAND_IN_TAG="new")
        stack.put("fail", "yes")
        stack.release()
        assert stack.settled() == "UPDATE_ROLLBACK_COMPLETE"
        back = time.monotonic()
        assert "new" in client.since(0)
        wait_for(lambda: client.since(back).total() >= 5)
        assert set(client.since(back)) == {"old"}
    assert client.failures == []
    assert stack.failures() == {"Test": "scores differ"}
    assert stack.resources() == before
    assert stack.endpoint.describe()["EndpointConfigName"] == old
    create, failed, restored = stack.requests()
    new = failed[3]
    assert create[:2] == ["Create", "CREATE_IN_PROGRESS"]
    assert failed == ["Update", "UPDATE_IN_PROGRESS", old, new]
    assert restored == ["Update", "UPDATE_ROLLBACK_IN_PROGRESS", new, old]
    configs = stack.world.sagemaker.list_endpoint_configs(NameContains="Config-")["EndpointConfigs"]
    assert new not in {each["EndpointConfigName"] for each in configs}


def test_package_that_may_not_be_deployed_changes_nothing(stack: Stack) -> None:
    before = stack.resources()
    rejected = stack.publish("Rejected", STAND_IN_TAG="new")
    stack.release("rejected")
    assert stack.settled() == "UPDATE_ROLLBACK_COMPLETE"
    absent = f"{rejected.rpartition('/')[0]}/99"
    stack.put("package", absent)
    stack.release("absent")
    assert stack.settled() == "UPDATE_ROLLBACK_COMPLETE"
    for token, reason in (
        ("rejected", f"{rejected}: its ModelApprovalStatus is Rejected"),
        ("absent", f"ModelPackage {absent} does not exist."),
    ):
        (failed,) = stack.failures(token).items()
        assert failed[0] == "Model"
        assert reason in failed[1]
    assert stack.resources() == before
    assert stack.endpoint.describe()["EndpointStatus"] == "InService"
