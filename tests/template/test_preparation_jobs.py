"""Data preparation in AWS Batch: what the first training waits for, and what a deployment leaves to it."""

from collections.abc import Callable

import pytest

from tests.template.assembly import Assembly, before

DEFINITION = "movie-recommender-dev-prepare-data"


@pytest.fixture
def batch(assemblies: Callable[[str], Assembly]) -> Assembly:
    return assemblies("dev that prepares large data in AWS Batch")


def test_the_first_training_finds_network_and_permissions(batch: Assembly) -> None:
    resources = batch.templates["training"]["Resources"]
    (first_model,) = [name for name, each in resources.items() if each["Type"] == "Custom::FirstModel"]

    jobs = {name for name in resources if name.startswith("PreparationJobs")}
    assert {resources[name]["Type"] for name in jobs} >= {
        "AWS::Batch::JobQueue",
        "AWS::EC2::Route",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPCEndpoint",
        "AWS::IAM::Policy",
        "AWS::Logs::LogGroup",
    }
    assert jobs <= before(resources, first_model)


def test_an_execution_under_way_keeps_its_revision(batch: Assembly) -> None:
    definition = batch.the("AWS::Batch::JobDefinition")["Properties"]
    assert definition["JobDefinitionName"] == DEFINITION
    assert definition["ResourceRetentionPolicy"] == {"SkipDeregisterOnUpdate": True}

    submitting = [
        statement["Resource"]
        for _, policy in batch.resources("AWS::IAM::Policy")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Action"] == "batch:SubmitJob"
    ]
    ((revisions, queue),) = submitting
    assert revisions == f"arn:aws:batch:us-east-1:111111111111:job-definition/{DEFINITION}:*"
    assert queue["Fn::GetAtt"][1] == "JobQueueArn"
