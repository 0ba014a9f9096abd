"""Who may do what: every statement of every role, in every environment."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import cfnlint
import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_iam as iam

from infra.permission import allow
from tests.template.assembly import Assembly

# These act on no resource that a policy can name, or AWS documents them with "*".
WITHOUT_RESOURCE = {
    "batch:DescribeJobs": "a description of the account's jobs",
    "cloudwatch:PutMetricData": "narrowed by its namespace condition",
    "ecr:GetAuthorizationToken": "a token of the account",
    "logs:CreateLogDelivery": "Step Functions' logging",
    "logs:DeleteLogDelivery": "Step Functions' logging",
    "logs:DescribeLogGroups": "Step Functions' logging",
    "logs:DescribeResourcePolicies": "Step Functions' logging",
    "logs:GetLogDelivery": "Step Functions' logging",
    "logs:ListLogDeliveries": "Step Functions' logging",
    "logs:PutResourcePolicy": "Step Functions' logging",
    "logs:UpdateLogDelivery": "Step Functions' logging",
    "sagemaker:ListModels": "a list of the account's",
    "xray:GetSamplingRules": "tracing",
    "xray:GetSamplingTargets": "tracing",
    "xray:PutTelemetryRecords": "tracing",
    "xray:PutTraceSegments": "tracing",
}
ACTIONS: dict[str, Any] = json.loads(
    (Path(cfnlint.__file__).parent / "data" / "AdditionalSpecs" / "Policies.json").read_text()
)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _flat(value: Any) -> str:
    """An ARN with its references in angle brackets."""
    if isinstance(value, str):
        return value
    ((function, argument),) = value.items()
    if function == "Fn::Join":
        return str(argument[0]).join(_flat(part) for part in argument[1])
    if function == "Fn::ImportValue":
        return f"<{argument.split('FnGetAtt')[-1].removeprefix('ExportsOutput')}>"
    return f"<{'.'.join(_listed(argument))}>"


def _allowed(assembly: Assembly) -> Iterator[tuple[str, list[str], list[str], dict[str, Any]]]:
    """Where, actions, resources and conditions of every statement that allows a role something."""
    for name, resource in assembly.resources("AWS::IAM::"):
        properties = resource["Properties"]
        policies = [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        policies += [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        for policy in policies:
            for statement in policy["Statement"]:
                assert statement["Effect"] == "Allow"
                assert "NotAction" not in statement
                assert "NotResource" not in statement
                yield (
                    name,
                    _listed(statement["Action"]),
                    [_flat(resource) for resource in _listed(statement["Resource"])],
                    statement.get("Condition", {}),
                )


def test_no_action_is_a_pattern(any_assembly: Assembly) -> None:
    for name, actions, _, _ in _allowed(any_assembly):
        assert not [action for action in actions if "*" in action], name


def test_every_action_exists(any_assembly: Assembly) -> None:
    for name, actions, _, _ in _allowed(any_assembly):
        for action in actions:
            service, _, operation = action.partition(":")
            assert operation.lower() in ACTIONS[service]["Actions"], (name, action)


def test_all_resources_only_where_none_can_be_named(any_assembly: Assembly) -> None:
    for name, actions, resources, conditions in _allowed(any_assembly):
        if "*" not in resources:
            continue
        assert set(actions) <= WITHOUT_RESOURCE.keys(), name
        if "cloudwatch:PutMetricData" in actions:
            assert conditions["StringLike"]["cloudwatch:namespace"], name


def test_actions_act_on_what_their_statements_name(any_assembly: Assembly) -> None:
    """Each ARN is of a kind that one of its statement's actions acts on, and each action finds one.

    References have no kind here: what they refer to is a resource of the app's.
    """
    for name, actions, resources, _ in _allowed(any_assembly):
        literal = [
            resource
            for resource in resources
            # AWS's table has packages alone for what is called on a group, which is granted beside them.
            if resource.startswith("arn:") and ":model-package-group/" not in resource
        ]
        if not literal:
            continue
        formats = {action: _formats(action) for action in actions}
        for resource in literal:
            assert any(fnmatch(resource, f) for found in formats.values() for f in found), (name, resource)
        if len(literal) == len(resources):
            for action, found in formats.items():
                assert any(fnmatch(resource, f) for resource in literal for f in found), (name, action)


def _formats(action: str) -> list[str]:
    """The ARNs of what an action acts on, as patterns."""
    service, _, operation = action.partition(":")
    specification = ACTIONS[service]
    kinds = specification["Actions"][operation.lower()].get("Resources", [])
    return [
        re.sub(r"\$\{\w+\}|\.\*", "*", arn)
        for kind in _listed(kinds)
        for arn in specification["Resources"].get(kind, {}).get("ARNFormats", [])
    ]


def test_a_pattern_stays_within_the_environment(any_assembly: Assembly) -> None:
    prefix = any_assembly.settings.prefix
    own = (
        "<*.Arn>:*",  # the versions of a function
        "<*>/*",  # objects of a bucket
        f"arn:*:sagemaker:*/{prefix}-*",
        f"arn:*:sagemaker:*:model-package/{prefix}/*",
        f"arn:*:logs:*:log-group:/aws/batch/{prefix}-*:log-stream:[*]",
        "arn:*:batch:*:job/[*]",
        f"arn:*:batch:*:job-definition/{prefix}-prepare-data:[*]",  # its revisions
        "arn:*:logs:*:log-group:/aws/sagemaker/*Jobs*",
        "arn:*:logs:*:log-group:/aws/sagemaker/Endpoints*",
        "arn:*:states:*:execution:<WorkflowStateMachine*.Name>:*",
        "arn:*:states:*:execution:<ReleaseStateMachine*.Name>:*",
        f"arn:*:cloudformation:*:stack/{prefix}-*/[*]",
    )
    tagged = {"aws:ResourceTag/project": "movie-recommender"} | {
        "aws:ResourceTag/environment": any_assembly.settings.name
    }
    by_tags = ("arn:*:sagemaker:*:endpoint-config/[*]", "arn:*:sagemaker:*:model/[*]")
    for name, _, resources, conditions in _allowed(any_assembly):
        allowed = own + (by_tags if conditions.get("StringEquals") == tagged else ())
        for resource in resources:
            if "*" in resource and resource != "*":
                assert any(fnmatch(resource, pattern) for pattern in allowed), (name, resource)


def test_roles_are_passed_to_sagemaker_alone(dev: Assembly) -> None:
    passing = [entry for entry in _allowed(dev) if "iam:PassRole" in entry[1]]

    ((_, actions, resources, conditions),) = passing
    assert actions == ["iam:PassRole"]
    assert resources == ["<WorkflowJobRole1B7C45C9.Arn>"]
    assert conditions == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def test_sagemaker_assumes_roles_for_this_account_alone(dev: Assembly) -> None:
    trusts = [
        statement
        for _, role in dev.resources("AWS::IAM::Role")
        for statement in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        if statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    ]

    assert len(trusts) == 2
    assert all(t["Condition"] == {"StringEquals": {"aws:SourceAccount": "111111111111"}} for t in trusts)


def test_every_principal_is_an_aws_service_or_github(any_assembly: Assembly) -> None:
    for name, role in any_assembly.resources("AWS::IAM::Role"):
        kind = "Federated" if name.startswith("delivery/") else "Service"
        for statement in role["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
            assert list(statement["Principal"]) == [kind], name


def test_the_only_managed_policy_is_the_one_for_api_gateways_logs(any_assembly: Assembly) -> None:
    for name, role in any_assembly.resources("AWS::IAM::Role"):
        managed = [_flat(policy) for policy in role["Properties"].get("ManagedPolicyArns", [])]
        if "CloudWatchRole" in name:
            assert [m.rpartition("/")[2] for m in managed] == ["AmazonAPIGatewayPushToCloudWatchLogs"]
        else:
            assert managed == [], name


@pytest.mark.parametrize(
    ("role", "actions", "resources"),
    [
        (
            "ApiRecommendRole",
            {"s3:GetObject"},
            ["<Models*>/models/*/catalog.json", "*/histories.bin", "*/reference.json"],
        ),
        ("ApiRecommendRole", {"sagemaker:DescribeEndpointConfig"}, ["arn:*:endpoint-config/[*]"]),
        ("ApiRecommendRole", {"sagemaker:DescribeModel"}, ["arn:*:model/[*]"]),
        ("EndpointRole", {"s3:GetObject"}, ["<Models*>/models/*"]),
        ("WorkflowJobRole", {"s3:GetObject"}, ["<Prepared*>/*"]),
        ("WorkflowJobRole", {"s3:PutObject"}, ["<Prepared*>/scores/*"]),
        ("FirstModelOnEventRole", {"s3:PutObject"}, ["<Raw*>/ratings/ml-100k.zip"]),
        (
            "ApiRecommendRole",
            {"sagemaker:DescribeEndpoint", "sagemaker:InvokeEndpoint"},
            ["arn:*:endpoint/movie-recommender-dev"],
        ),
        (
            "ApiRecommendRole",
            {"sagemaker:DescribeModelPackage"},
            ["arn:*:model-package/movie-recommender-dev/[*]"],
        ),
        (
            "EndpointRole",
            {"cloudwatch:DescribeAlarms"},
            [
                "arn:*:alarm:movie-recommender-dev-endpoint-errors",
                "arn:*:movie-recommender-dev-endpoint-latency",
            ],
        ),
        ("CheckModelFunctionRole", {"s3:GetObject"}, ["<Models*>/models/[*]"]),
        ("SmokeTestFunctionRole", {"s3:GetObject"}, ["<Models*>/models/[*]/reference.json"]),
        ("SmokeTestFunctionRole", {"sagemaker:InvokeEndpoint"}, ["arn:*:endpoint/movie-recommender-dev"]),
        ("SmokeTestFunctionRole", {"lambda:InvokeFunction"}, ["<ApiRecommend*.Arn>"]),
    ],
)
def test_data_is_open_to_who_needs_it(
    dev: Assembly, role: str, actions: set[str], resources: list[str]
) -> None:
    found = [entry[2] for entry in _allowed(dev) if role in entry[0] and set(entry[1]) == actions]

    assert any(
        len(granted) == len(resources)
        and all(fnmatch(arn, pattern) for arn, pattern in zip(granted, resources, strict=True))
        for granted in found
    ), found


def _resources_of(assembly: Assembly, role: str, action: str) -> list[str]:
    return [
        resource
        for name, actions, resources, _ in _allowed(assembly)
        if role in name and action in actions
        for resource in resources
    ]


def test_jobs_alone_make_log_groups_and_encrypt(dev: Assembly) -> None:
    groups = _resources_of(dev, "WorkflowJobRole", "logs:CreateLogGroup")
    assert [group.partition(":log-group:")[2] for group in groups] == [
        "/aws/sagemaker/TrainingJobs*",
        "/aws/sagemaker/TransformJobs*",
    ]
    assert len(_resources_of(dev, "WorkflowJobRole", "kms:Encrypt")) == 1
    assert _resources_of(dev, "EndpointRole", "logs:PutLogEvents")
    assert _resources_of(dev, "EndpointRole", "logs:CreateLogGroup") == []
    assert _resources_of(dev, "EndpointRole", "kms:Encrypt") == []


@pytest.mark.parametrize(
    ("role", "own"),
    [
        ("CheckModelFunctionRole", set()),
        ("SmokeTestFunctionRole", {"lambda:InvokeFunction", "sagemaker:InvokeEndpoint"}),
    ],
)
def test_whoever_verifies_a_model_reads_and_asks_and_no_more(
    prod: Assembly, role: str, own: set[str]
) -> None:
    granted = {action for name, actions, _, _ in _allowed(prod) if role in name for action in actions}

    assert granted == own | {
        "cloudformation:DescribeStacks",
        "kms:Decrypt",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "s3:GetObject",
        "sagemaker:DescribeModelPackage",
    }
    assert _resources_of(prod, role, "cloudformation:DescribeStacks") == ["<AWS::StackId>"]
    assert _resources_of(prod, role, "sagemaker:DescribeModelPackage") == [
        "arn:aws:sagemaker:us-east-1:333333333333:model-package/movie-recommender-prod/*"
    ]


class TestAllow:
    """`allow`, through which permissions are given."""

    @pytest.fixture
    def role(self) -> iam.Role:
        service = iam.ServicePrincipal("lambda.amazonaws.com")
        return iam.Role(Stack(App(), "Stack"), "Role", assumed_by=service)

    def test_refuses_a_pattern_of_actions(self, role: iam.Role) -> None:
        with pytest.raises(ValueError, match=r"s3:Get\*"):
            allow(role, "s3:Get*", on="arn:aws:s3:::bucket/key")

    def test_refuses_a_pattern_of_resources_without_a_reason(self, role: iam.Role) -> None:
        with pytest.raises(ValueError, match="needs a reason"):
            allow(role, "s3:GetObject", on="arn:aws:s3:::bucket/*")
