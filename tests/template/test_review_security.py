"""The app's own templates: changes that matter to security are found, and others are not taken for such."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.review.assembly import read_assembly
from ops.review.findings import review_findings
from ops.review.model import Assembly
from ops.review.parity import review_parity
from ops.review.permissions import PermissionsReview, review_permissions
from ops.review.protection import review_protection
from tests.template.assembly import Assembly as Synthesized

Template = dict[str, Any]
Edit = Callable[[Template], None]


@pytest.fixture
def edited(dev: Synthesized, tmp_path: Path) -> Callable[[str, Edit], tuple[Assembly, Assembly]]:
    """Dev as it is, and with one template edited."""

    def edit_part(part: str, edit: Edit) -> tuple[Assembly, Assembly]:
        copy = tmp_path / "edited"
        copy.mkdir()
        for file in dev.folder.glob("*.json"):
            shutil.copy(file, copy)
        path = copy / f"movie-recommender-dev-{part}.template.json"
        template = json.loads(path.read_text())
        edit(template)
        path.write_text(json.dumps(template))
        return read_assembly(dev.folder), read_assembly(copy)

    return edit_part


def resource_of(template: Template, kind: str, start: str) -> Any:
    (found,) = [
        resource
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == kind and logical_id.startswith(start)
    ]
    return found


def properties(template: Template, kind: str, start: str = "") -> Any:
    return resource_of(template, kind, start)["Properties"]


def first_statement(template: Template, kind: str, start: str, action: str) -> Any:
    document = properties(template, kind, start)["PolicyDocument"]
    return next(item for item in document["Statement"] if action in item["Action"])


def add_s3_star(template: Template) -> None:
    document = properties(template, "AWS::IAM::Policy", "ApiRecommendRole")["PolicyDocument"]
    document["Statement"].append({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})


def widen_prefix(template: Template) -> None:
    statement = first_statement(template, "AWS::IAM::Policy", "EndpointRole", "s3:GetObject")
    statement["Resource"]["Fn::Join"][1][-1] = "/*"


def drop_grant_condition(template: Template) -> None:
    del first_statement(template, "AWS::IAM::Policy", "EndpointRole", "kms:CreateGrant")["Condition"]


def trust_account(template: Template) -> None:
    trust = properties(template, "AWS::IAM::Role", "ApiRecommendRole")["AssumeRolePolicyDocument"]
    trust["Statement"][0]["Principal"]["AWS"] = "arn:aws:iam::999999999999:root"


def drop_source_account(template: Template) -> None:
    trust = properties(template, "AWS::IAM::Role", "EndpointRole")["AssumeRolePolicyDocument"]
    del trust["Statement"][0]["Condition"]


def make_bucket_public(template: Template) -> None:
    document = properties(template, "AWS::S3::BucketPolicy", "Models")["PolicyDocument"]
    document["Statement"].append(
        {"Effect": "Allow", "Action": "s3:GetObject", "Principal": "*", "Resource": "*"}
    )


def drop_tls_denial(template: Template) -> None:
    document = properties(template, "AWS::S3::BucketPolicy", "Raw")["PolicyDocument"]
    document["Statement"] = [item for item in document["Statement"] if item["Effect"] != "Deny"]


def open_key(template: Template) -> None:
    policy = properties(template, "AWS::KMS::Key")["KeyPolicy"]
    policy["Statement"][0]["Principal"]["AWS"] = "*"


def drop_api_key(template: Template) -> None:
    properties(template, "AWS::ApiGateway::Method", "ApiRestApihealthGET")["ApiKeyRequired"] = False


def pass_any_role(template: Template) -> None:
    statement = first_statement(template, "AWS::IAM::Policy", "WorkflowRole", "iam:PassRole")
    statement["Resource"] = "*"


def drop_source_arn(template: Template) -> None:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Permission":
            resource["Properties"].pop("SourceArn")


def allow_any_caller(template: Template) -> None:
    drop_source_arn(template)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Permission":
            resource["Properties"]["Principal"] = "*"


@pytest.mark.parametrize(
    ("part", "edit", "alarm"),
    [
        ("serving", add_s3_star, "wildcard action: every s3 action"),
        (
            "serving",
            widen_prefix,
            "wider resource: ${movie-recommender-dev-storage/Models.Arn}/models/* → "
            "${movie-recommender-dev-storage/Models.Arn}/*",
        ),
        ("serving", drop_grant_condition, "condition dropped: Bool kms:GrantIsForAWSResource: true"),
        ("serving", trust_account, "another account: 999999999999"),
        ("serving", drop_source_account, "condition dropped: StringEquals aws:SourceAccount: 111111111111"),
        ("storage", make_bucket_public, "open to anyone"),
        ("storage", drop_tls_denial, "Deny removed: s3:*"),
        ("storage", open_key, "open to anyone"),
        ("training", pass_any_role, "may hand any matching role to a service (iam:PassRole on *)"),
        ("serving", allow_any_caller, "open to anyone"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_widening_is_found(
    edited: Callable[[str, Edit], tuple[Assembly, Assembly]], part: str, edit: Edit, alarm: str
) -> None:
    review = review_permissions(*edited(part, edit))
    assert review.widens
    assert alarm in alarms(review)


def alarms(review: PermissionsReview) -> set[str]:
    return {alarm for change in (*review.statements, *review.trusts) for alarm in change.alarms}


@pytest.mark.parametrize(
    ("part", "edit", "subject"),
    [
        ("storage", make_bucket_public, "movie-recommender-dev-storage/Models"),
        ("storage", drop_tls_denial, "movie-recommender-dev-storage/Raw"),
        ("storage", open_key, "movie-recommender-dev-storage/Key"),
        ("serving", drop_api_key, "movie-recommender-dev-serving/Api/RestApi: GET /health"),
        ("serving", trust_account, "movie-recommender-dev-serving/Api/RecommendRole"),
        ("serving", allow_any_caller, "movie-recommender-dev-serving/Api/Recommend"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_opened_doors_are_found(
    edited: Callable[[str, Edit], tuple[Assembly, Assembly]], part: str, edit: Edit, subject: str
) -> None:
    before, after = edited(part, edit)
    assert review_permissions(None, before).doors == ()
    assert subject in {door.subject for door in review_permissions(before, after).opened}


def keep_forever(template: Template) -> None:
    properties(template, "AWS::Logs::LogGroup", "EndpointLogs")["RetentionInDays"] = 1


def unencrypt(template: Template) -> None:
    del properties(template, "AWS::S3::Bucket", "Models")["BucketEncryption"]


def unblock(template: Template) -> None:
    block = properties(template, "AWS::S3::Bucket", "Raw")["PublicAccessBlockConfiguration"]
    block["BlockPublicPolicy"] = False


def stop_rotation(template: Template) -> None:
    properties(template, "AWS::KMS::Key")["EnableKeyRotation"] = False


def raise_throttle(template: Template) -> None:
    stage = properties(template, "AWS::ApiGateway::Stage")
    stage["MethodSettings"][0]["ThrottlingBurstLimit"] = 5000
    properties(template, "AWS::ApiGateway::UsagePlan")["Throttle"]["BurstLimit"] = 5000


def drop_endpoint_key(template: Template) -> None:
    del properties(template, "AWS::SageMaker::EndpointConfig")["KmsKeyId"]


def connect_training(template: Template) -> None:
    text = json.dumps(template).replace(r"\"EnableNetworkIsolation\":true,", "")
    template["Resources"] = json.loads(text)["Resources"]


STORAGE, SERVING = "movie-recommender-dev-storage", "movie-recommender-dev-serving"


@pytest.mark.parametrize(
    ("part", "edit", "subject", "aspect"),
    [
        ("serving", keep_forever, f"{SERVING}/Endpoint/Logs", "log retention"),
        ("storage", unencrypt, f"{STORAGE}/Models", "encryption at rest"),
        ("storage", unblock, f"{STORAGE}/Raw", "public access"),
        ("storage", stop_rotation, f"{STORAGE}/Key", "key rotation"),
        ("storage", drop_tls_denial, f"{STORAGE}/Raw", "TLS only"),
        ("serving", raise_throttle, f"{SERVING}/Api/RestApi: POST /predictions", "throttling"),
        ("serving", drop_api_key, f"{SERVING}/Api/RestApi: GET /health", "authorization"),
        ("serving", drop_endpoint_key, f"{SERVING}/Endpoint/Configuration", "encryption at rest"),
        (
            "training",
            connect_training,
            "movie-recommender-dev-training/Workflow/StateMachine: Train",
            "network isolation",
        ),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_weaker_protection_is_found(
    edited: Callable[[str, Edit], tuple[Assembly, Assembly]], part: str, edit: Edit, subject: str, aspect: str
) -> None:
    weaker = review_protection(*edited(part, edit)).weaker
    assert (subject, aspect) in {(row.subject, row.aspect) for row in weaker}


def describe(template: Template) -> None:
    template["Description"] = "Other words"
    for resource in template["Resources"].values():
        if "Description" in resource.get("Properties", {}):
            resource["Properties"]["Description"] = "Other words"


def other_assets(template: Template) -> None:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Code"]["S3Key"] = f"{'ab' * 32}.zip"


def reorder(template: Template) -> None:
    template["Resources"] = dict(reversed(template["Resources"].items()))
    for resource in template["Resources"].values():
        for key in ("PolicyDocument", "KeyPolicy", "AssumeRolePolicyDocument"):
            document = resource.get("Properties", {}).get(key)
            if document:
                document["Statement"].reverse()
                for statement in document["Statement"]:
                    if isinstance(statement["Action"], list):
                        statement["Action"].reverse()


def split(template: Template) -> None:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::IAM::Policy":
            document = resource["Properties"]["PolicyDocument"]
            document["Statement"] = [
                statement | {"Action": action}
                for statement in document["Statement"]
                for action in (
                    statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                )
            ]


@pytest.mark.parametrize("edit", [describe, other_assets, reorder, split], ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("part", ["storage", "training", "serving"])
def test_harmless_changes(
    edited: Callable[[str, Edit], tuple[Assembly, Assembly]], part: str, edit: Edit
) -> None:
    before, after = edited(part, edit)
    review = review_permissions(before, after)
    assert (review.statements, review.trusts, review.doors) == ((), (), ())
    assert review_protection(before, after).weaker == ()


def test_the_app_is_protected_as_it_should_be(any_assembly: Synthesized) -> None:
    rows = review_protection(None, read_assembly(any_assembly.folder)).rows
    assert [row for row in rows if not row.ok] == []


def test_findings_of_the_app(edited: Callable[[str, Edit], tuple[Assembly, Assembly]]) -> None:
    def accept(template: Template) -> None:
        bucket = resource_of(template, "AWS::S3::Bucket", "Models")
        accepted = [{"id": "AwsSolutions-S1", "reason": "Nobody reads it"}]
        bucket["Metadata"] = {"cdk_nag": {"rules_to_suppress": accepted}}
        bucket["Properties"]["VersioningConfiguration"]["Status"] = "Sometimes"

    before, after = edited("storage", accept)
    assert review_findings(None, before).findings == ()
    review = review_findings(before, after)
    assert {(found.tool, found.resource) for found in review.new_findings} == {
        ("cfn-lint", "movie-recommender-dev-storage/Models")
    }
    (accepted,) = review.new_suppressions
    assert (accepted.rule, accepted.reason) == ("AwsSolutions-S1", "Nobody reads it")
    assert all(item.reason for item in review.suppressions)


def test_every_difference_between_environments_is_explained(
    dev: Synthesized, staging: Synthesized, prod: Synthesized
) -> None:
    synthesized = {"dev": dev, "staging": staging, "prod": prod}
    review = review_parity(
        {name: read_assembly(each.folder) for name, each in synthesized.items()},
        {name: each.settings.model_dump(exclude_none=True) for name, each in synthesized.items()},
    )
    assert [(row.key, row.explanation) for row in review.unexplained] == []
    explained = {row.key: row.explanation for row in review.rows if row.differs}
    variant = "movie-recommender-{env}-serving/Endpoint/Configuration: ProductionVariants[AllTraffic]"
    assert explained[f"{variant}.InstanceType"] == "serving.instance_type"
    assert explained[f"{variant}.InitialInstanceCount"] == "serving.instance_count"
    assert explained["stack movie-recommender-{env}-training"] == "training"
    assert explained["stack movie-recommender-{env}-serving"] == "model.source and model.package_arn"
