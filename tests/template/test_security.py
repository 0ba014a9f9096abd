"""Buckets, logs, keys and the API, over all resources of every environment."""

import json
from typing import Any

from aws_cdk import App, Stack
from aws_cdk.assertions import Template

from infra.environment import LogSettings
from infra.explanation import Choices
from infra.log_group import log_group
from tests.template.assembly import Assembly


def _bucket_policies(assembly: Assembly) -> dict[str, list[dict[str, Any]]]:
    return {
        policy["Properties"]["Bucket"]["Ref"]: policy["Properties"]["PolicyDocument"]["Statement"]
        for _, policy in assembly.resources("AWS::S3::BucketPolicy")
    }


def test_buckets_are_private_encrypted_and_logged(any_assembly: Assembly) -> None:
    buckets = dict(any_assembly.resources("AWS::S3::Bucket"))
    assert len(buckets) == 4
    for name, bucket in buckets.items():
        properties = bucket["Properties"]
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}, name
        assert len(properties["PublicAccessBlockConfiguration"]) == 4, name
        (ownership,) = properties["OwnershipControls"]["Rules"]
        assert ownership == {"ObjectOwnership": "BucketOwnerEnforced"}, name
        assert "AccessControl" not in properties, name
        (encryption,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        algorithm = encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"]
        if "AccessLogs" in name:
            assert algorithm == "AES256"
        else:
            assert algorithm == "aws:kms", name
            assert properties["LoggingConfiguration"]["DestinationBucketName"], name


def test_buckets_refuse_requests_without_tls(any_assembly: Assembly) -> None:
    policies = _bucket_policies(any_assembly)
    for name, _ in any_assembly.resources("AWS::S3::Bucket"):
        statements = policies[name.partition("/")[2]]
        denied = [s for s in statements if s["Effect"] == "Deny" and s["Principal"] == {"AWS": "*"}]
        conditions = [json.dumps(s["Condition"]) for s in denied if s["Action"] == "s3:*"]
        assert any("aws:SecureTransport" in condition for condition in conditions), name
        assert any("s3:TlsVersion" in condition for condition in conditions), name


def test_nobody_outside_is_allowed_into_a_bucket(any_assembly: Assembly) -> None:
    for bucket, statements in _bucket_policies(any_assembly).items():
        for statement in statements:
            if statement["Effect"] == "Allow":
                assert statement["Principal"] != {"AWS": "*"}, bucket
                assert statement["Principal"] != "*", bucket


def test_buckets_clean_up_after_themselves(any_assembly: Assembly) -> None:
    for name, bucket in any_assembly.resources("AWS::S3::Bucket"):
        (rule,) = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
        assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}, name
        assert rule["Status"] == "Enabled", name
        versioned = "VersioningConfiguration" in bucket["Properties"]
        assert versioned == any(part in name for part in ("Raw", "Models"))
        assert ("NoncurrentVersionExpiration" in rule) == versioned, name
        assert ("ExpirationInDays" in rule) == (not versioned), name


def test_raw_bucket_tells_eventbridge(any_assembly: Assembly) -> None:
    raw = any_assembly.the("AWS::S3::Bucket", "Raw")

    assert raw["Properties"]["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }


def test_key_rotates(any_assembly: Assembly) -> None:
    assert any_assembly.the("AWS::KMS::Key")["Properties"]["EnableKeyRotation"] is True


def test_every_function_writes_to_a_log_group_of_its_stack(any_assembly: Assembly) -> None:
    functions = list(any_assembly.resources("AWS::Lambda::Function"))
    for name, function in functions:
        part, _, _ = name.partition("/")
        logical_id = function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
        group = any_assembly.templates[part]["Resources"][logical_id]
        assert group["Type"] == "AWS::Logs::LogGroup", name
    assert bool(functions) == (
        "training" in any_assembly.templates
        or "serving" in any_assembly.templates
        or not any_assembly.settings.storage.retain_data
    )


def test_log_groups_end(any_assembly: Assembly) -> None:
    for name, group in any_assembly.resources("AWS::Logs::LogGroup"):
        assert group["Properties"]["RetentionInDays"] == any_assembly.settings.logs.retention_days, name
        assert group["DeletionPolicy"] == "Delete", name


def test_log_groups_take_every_retention_that_the_settings_take() -> None:
    (choices,) = [
        found for found in LogSettings.model_fields["retention_days"].metadata if isinstance(found, Choices)
    ]
    stack = Stack(App(), "Stack")
    for days in choices.values:
        assert isinstance(days, int)
        log_group(stack, f"Kept{days}", name=f"kept-{days}", retention_days=days)

    groups = Template.from_stack(stack).find_resources("AWS::Logs::LogGroup").values()
    kept = {group["Properties"]["LogGroupName"]: group["Properties"]["RetentionInDays"] for group in groups}
    assert kept == {f"kept-{days}": days for days in choices.values}


def test_only_jobs_may_create_a_log_group(any_assembly: Assembly) -> None:
    """Or one without a retention would come back after the stack is gone."""
    for name, resource in any_assembly.resources("AWS::IAM::"):
        if "WorkflowJobRole" in name:
            continue
        assert "logs:CreateLogGroup" not in json.dumps(resource), name


def _kept(assembly: Assembly) -> dict[str, str]:
    """Name and type of what stays when the stacks are gone."""
    return {
        f"{part}/{logical_id}": resource["Type"]
        for part, template in assembly.templates.items()
        for logical_id, resource in template["Resources"].items()
        if resource.get("DeletionPolicy", "Delete") != "Delete"
    }


def _logging_of_the_account(assembly: Assembly) -> dict[str, str]:
    """API Gateway's setting for the whole account and region, and its role: other APIs write logs with it."""
    kept = {name: kind for name, kind in _kept(assembly).items() if name.startswith("serving/")}
    assert sorted(kept.values()) == ["AWS::ApiGateway::Account", "AWS::IAM::Role"]
    role_name, role = next(item for item in assembly.resources("AWS::IAM::Role") if item[0] in kept)
    account = assembly.the("AWS::ApiGateway::Account")
    assert account["Properties"]["CloudWatchRoleArn"] == {
        "Fn::GetAtt": [role_name.removeprefix("serving/"), "Arn"]
    }
    # A replaced one would stop the logs of whoever still uses it.
    assert (account["UpdateReplacePolicy"], role["UpdateReplacePolicy"]) == ("Retain", "Retain")
    return kept


def test_destroying_dev_keeps_the_logging_of_the_account_alone(dev: Assembly) -> None:
    assert _kept(dev) == _logging_of_the_account(dev)
    assert len(list(dev.resources("Custom::S3AutoDeleteObjects"))) == 4


def test_destroying_prod_keeps_its_data(prod: Assembly) -> None:
    account = _logging_of_the_account(prod)
    kept = {name: kind for name, kind in _kept(prod).items() if name not in account}

    assert {name.partition("/")[0] for name in kept} == {"storage"}
    assert set(kept.values()) == {"AWS::KMS::Key", "AWS::S3::Bucket", "AWS::SageMaker::ModelPackageGroup"}
    assert not list(prod.resources("Custom::S3AutoDeleteObjects"))


def test_stacks_of_prod_alone_are_protected(dev: Assembly, prod: Assembly) -> None:
    def protection(assembly: Assembly) -> set[bool]:
        manifest = json.loads((assembly.folder / "manifest.json").read_text())
        return {
            artifact["properties"].get("terminationProtection", False)
            for artifact in manifest["artifacts"].values()
            if artifact["type"] == "aws:cloudformation:stack"
        }

    assert protection(dev) == {False}
    assert protection(prod) == {True}


def test_resources_tell_their_project_and_environment(any_assembly: Assembly) -> None:
    for kind in ("AWS::S3::Bucket", "AWS::SageMaker::Endpoint", "AWS::StepFunctions::StateMachine"):
        for name, resource in any_assembly.resources(kind):
            if "waiter" in name:
                continue
            tags = {tag["Key"]: tag["Value"] for tag in resource["Properties"]["Tags"]}
            assert (
                tags.items()
                >= {
                    "project": "movie-recommender",
                    "environment": any_assembly.settings.name,
                }.items()
            ), name
