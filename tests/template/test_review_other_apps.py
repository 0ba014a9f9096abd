"""The review of apps in other styles: stages, nested stacks, references across stacks, L1 only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import (
    App,
    CfnCondition,
    CfnOutput,
    CfnParameter,
    CfnResource,
    Duration,
    Environment,
    Fn,
    NestedStack,
    RemovalPolicy,
    Stack,
    Stage,
)
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from ops.review.assembly import read_assembly
from ops.review.composition import compose, review_environment
from ops.review.cost import Traffic
from ops.review.html import to_html
from ops.review.intrinsics import Readable
from ops.review.json_report import to_json
from ops.review.markdown import to_markdown
from ops.review.model import Assembly, Grade, Review

FLAGS = {"aws:cdk:enable-path-metadata": True, "aws:cdk:enable-asset-metadata": True}
"""What the CDK's command line sets."""


def staged_app(folder: Path, *, changed: bool, context: dict[str, Any]) -> None:
    """Two stages, each with stacks that refer to one another and a nested stack."""
    app = App(outdir=str(folder), context=context, analytics_reporting=False)
    for name, region in (("Test", "eu-west-1"), ("Live", "eu-central-1")):
        stage = Stage(app, name, env=Environment(account="123456789012", region=region))
        data = Stack(stage, "Data")
        table = dynamodb.Table(
            data,
            "Orders",
            partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="at", type=dynamodb.AttributeType.STRING) if changed else None,
            removal_policy=RemovalPolicy.DESTROY,
        )
        service = Stack(stage, "Service")
        topic = sns.Topic(service, "Topic")
        nested = NestedStack(service, "Workers")
        queue = sqs.Queue(nested, "Queue", visibility_timeout=Duration.seconds(60 if changed else 30))
        worker = lambda_.Function(
            nested,
            "Worker",
            runtime=lambda_.Runtime.PYTHON_3_13,
            handler="index.handler",
            code=lambda_.Code.from_inline("def handler(event, context):\n    return 1\n"),
            environment={"TABLE": table.table_name, "TOPIC": topic.topic_arn, "QUEUE": queue.queue_url},
        )
        table.grant_read_write_data(worker)
    app.synth()


def clustered_app(folder: Path, *, changed: bool, context: dict[str, Any]) -> None:
    """One stack for any account and region, with L2 constructs that make many resources."""
    app = App(outdir=str(folder), context=context, analytics_reporting=False)
    stack = Stack(app, "Cluster")
    vpc = ec2.Vpc(stack, "Network", max_azs=2, nat_gateways=0 if changed else 1)
    cluster = ecs.Cluster(stack, "Cluster", vpc=vpc)
    task = ecs.FargateTaskDefinition(stack, "Task", cpu=512 if changed else 256)
    task.add_container("web", image=ecs.ContainerImage.from_registry("nginx:1.27"))
    group = ec2.SecurityGroup(stack, "Group", vpc=vpc)
    if changed:
        group.add_ingress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(22))
    ecs.FargateService(
        stack,
        "Web",
        cluster=cluster,
        task_definition=task,
        security_groups=[group],
        assign_public_ip=True,
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
    )
    app.synth()


def plain_app(folder: Path, *, changed: bool, context: dict[str, Any]) -> None:
    """L1 constructs only, with every function of CloudFormation, and a type that does not exist."""
    app = App(outdir=str(folder), context=context, analytics_reporting=False)
    producer = Stack(app, "Producer")
    size = CfnParameter(producer, "Size", default="5", type="Number")
    large = CfnCondition(producer, "Large", expression=Fn.condition_equals(size.value_as_string, "9"))
    bucket = s3.CfnBucket(producer, "Bucket", bucket_name="things" if changed else None)
    role = iam.CfnRole(
        producer,
        "Role",
        assume_role_policy_document={
            "Statement": {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"AWS": "*"} if changed else {"Service": "ec2.amazonaws.com"},
            }
        },
    )
    role.cfn_options.condition = large
    CfnResource(
        producer,
        "Odd",
        type="Example::Odd::Thing",
        properties={
            "Zones": Fn.get_azs(),
            "Zone": Fn.select(0, Fn.get_azs()),
            "Ranges": Fn.cidr("10.0.0.0/16", 2, "8"),
            "Choice": Fn.condition_if("Large", "large", bucket.ref),
            "Text": Fn.sub("arn:${AWS::Partition}:s3:::${Bucket}/${!kept}/${Own}", {"Own": role.attr_arn}),
            "Data": Fn.base64("hello"),
            "Length": {"Fn::Length": [1, 2, 3 if changed else 4]},
            "Missing": {"Ref": "Nowhere"},
            "Strange": {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "s3://x/y"}}},
        },
    )
    CfnOutput(producer, "Name", value=bucket.ref, export_name="things-name")
    consumer = Stack(app, "Consumer")
    sqs.CfnQueue(consumer, "Queue", queue_name=Fn.join("-", ["of", Fn.import_value("things-name")]))
    sqs.CfnQueue(consumer, "Other", queue_name=Fn.import_value("from-another-app"))
    app.synth()


APPS: dict[str, Callable[..., None]] = {"stages": staged_app, "cluster": clustered_app, "plain": plain_app}


@pytest.fixture(params=[pytest.param(FLAGS, id="with metadata"), pytest.param({}, id="without metadata")])
def context(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


def synthesized(name: str, folder: Path, context: dict[str, Any]) -> tuple[Assembly, Assembly]:
    APPS[name](folder / "before", changed=False, context=context)
    APPS[name](folder / "after", changed=True, context=context)
    return read_assembly(folder / "before"), read_assembly(folder / "after")


def reviewed(before: Assembly | None, after: Assembly) -> Review:
    return compose("a", "b", [review_environment("app", before, after, traffic=Traffic())])


@pytest.mark.parametrize("name", APPS)
def test_it_is_reviewed_in_every_format(name: str, tmp_path: Path, context: dict[str, Any]) -> None:
    before, after = synthesized(name, tmp_path, context)
    review = reviewed(before, after)
    changed = {change.path for change in review.environments[0].changes}
    for report in (to_html(review), to_markdown(review), to_json(review)):
        assert any(path in report for path in changed)
    assert review == reviewed(before, after)
    assert reviewed(None, after).environments[0].changes == ()


def test_replacements_cross_stages_and_nested_stacks(tmp_path: Path) -> None:
    review = reviewed(*synthesized("stages", tmp_path, FLAGS))
    changes = {change.path: change for change in review.environments[0].changes}
    for stage in ("Test", "Live"):
        table = changes[f"{stage}/Data/Orders"]
        assert set(table.grades) == {Grade.DATA_LOSS, Grade.REPLACED}
        worker = changes[f"{stage}/Service/Workers/Worker"]
        (variable,) = [change for change in worker.properties if change.path.endswith("Variables.TABLE")]
        assert variable.before == f"{stage}/Data/Orders"
        assert variable.reason == f"{stage}/Data/Orders may be replaced"
        assert changes[f"{stage}/Service/Workers/Queue"].grade is Grade.IN_PLACE
    assert len(review.environments[0].refusals) >= 2


def test_nested_stacks_know_what_their_parents_pass_to_them(tmp_path: Path, context: dict[str, Any]) -> None:
    staged_app(tmp_path / "app", changed=False, context=context)
    assembly = read_assembly(tmp_path / "app")
    assert [stack for stack in assembly.stacks if stack.startswith("Live/")] == [
        "Live/Data",
        "Live/Service",
        "Live/Service/Workers",
    ]
    readable = Readable(assembly)
    (worker,) = [
        each for each in assembly.resources("AWS::Lambda::Function") if each.stack == "Live/Service/Workers"
    ]
    variables = worker.properties["Environment"]["Variables"]
    assert readable.value(variables, worker.stack) == {
        "TABLE": "Live/Data/Orders",
        "TOPIC": "Live/Service/Topic",
        "QUEUE": "Live/Service/Workers/Queue",
    }


def test_what_cannot_be_resolved_is_shown_as_it_stands(tmp_path: Path) -> None:
    plain_app(tmp_path / "app", changed=False, context=FLAGS)
    assembly = read_assembly(tmp_path / "app")
    readable = Readable(assembly)
    (odd,) = assembly.resources("Example::Odd::Thing")
    assert readable.value(odd.properties, odd.stack) == {
        "Zones": "{Fn::GetAZs: }",
        "Zone": '{Fn::Select: [0, "{Fn::GetAZs: }"]}',
        "Ranges": '{Fn::Cidr: ["10.0.0.0/16", 2, "8"]}',
        "Choice": "{if Large: large, else: Producer/Bucket}",
        "Text": "arn:${AWS::Partition}:s3:::${Producer/Bucket}/${kept}/${Producer/Role.Arn}",
        "Data": "{Fn::Base64: hello}",
        "Length": "{Fn::Length: [1, 2, 4]}",
        "Missing": "{Ref: Nowhere}",
        "Strange": '{Fn::Transform: {"Name": "AWS::Include", "Parameters": {"Location": "s3://x/y"}}}',
    }
    queues = {each.logical_id: each for each in assembly.resources("AWS::SQS::Queue")}
    assert readable.text(queues["Queue"].properties["QueueName"], "Consumer") == "of-${Producer/Bucket}"
    assert readable.text(queues["Other"].properties["QueueName"], "Consumer") == (
        "{Fn::ImportValue: from-another-app}"
    )


def test_a_type_that_cloudformation_does_not_know_is_shown(tmp_path: Path) -> None:
    review = reviewed(*synthesized("plain", tmp_path, FLAGS))
    changes = {change.path: change for change in review.environments[0].changes}
    odd = changes["Producer/Odd"]
    assert any("unknown resource type" in reason for reason in odd.because)
    assert {"Properties.Length", "Properties.Choice", "Properties.Text"} == {
        change.path for change in odd.properties
    }
    assert set(changes["Consumer/Queue"].grades) == {Grade.DATA_LOSS, Grade.REPLACED}
