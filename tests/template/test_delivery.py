"""What GitHub Actions may do in an environment's account, and which of its jobs."""

import re
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml

from infra import delivery
from infra.environment import load_environment
from tests.template.assembly import ROOT, Assembly

Assemblies = Callable[[str], Assembly]
SUBJECT = "repo:owner@12/name@34:environment:"


@pytest.fixture
def training(assemblies: Assemblies) -> Assembly:
    return assemblies("dev that GitHub Actions delivers")


@pytest.fixture
def promoted(assemblies: Assemblies) -> Assembly:
    return assemblies("prod that GitHub Actions delivers")


def _trust(assembly: Assembly, role: str) -> dict[str, Any]:
    resource = assembly.the("AWS::IAM::Role", f"delivery/{role}")
    (statement,) = resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    found: dict[str, Any] = statement
    return found


def _subjects(assembly: Assembly, role: str) -> list[str]:
    condition = _trust(assembly, role)["Condition"]
    assert condition.keys() == {"StringEquals"}, "no pattern may stand for another repository"
    compared = condition["StringEquals"]
    assert compared.keys() == {
        "token.actions.githubusercontent.com:aud",
        "token.actions.githubusercontent.com:sub",
    }
    assert compared["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    subjects: list[str] = compared["token.actions.githubusercontent.com:sub"]
    return subjects


def _actions(assembly: Assembly, role: str) -> set[str]:
    policy = assembly.the("AWS::IAM::Policy", f"delivery/{role}")
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    return {
        action
        for statement in statements
        for action in (
            statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
    }


def test_nobody_is_trusted_before_the_settings_say_so(assemblies: Assemblies) -> None:
    for variant in ("dev", "staging", "prod", "prod with a promoted model"):
        assert "delivery" not in assemblies(variant).templates


def test_each_purpose_has_a_role_of_its_own(training: Assembly, promoted: Assembly) -> None:
    def roles(assembly: Assembly) -> set[str]:
        found = (name for name, _ in assembly.resources("AWS::IAM::Role") if name.startswith("delivery/"))
        return {re.sub("[0-9A-F]{8}$", "", name) for name in found}

    assert roles(training) == {"delivery/Deploy", "delivery/Read"}
    assert roles(promoted) == {"delivery/Deploy", "delivery/Read", "delivery/Promote"}
    assert promoted.templates["delivery"]["Outputs"].keys() == {
        "DeployRoleArn",
        "ReadRoleArn",
        "PromoteRoleArn",
    }


@pytest.mark.parametrize(
    ("role", "environments"),
    [("Deploy", ["prod"]), ("Read", ["prod", "model-promotion"]), ("Promote", ["model-promotion"])],
)
def test_only_jobs_of_its_github_environment_get_a_role(
    promoted: Assembly, role: str, environments: list[str]
) -> None:
    assert _subjects(promoted, role) == [f"{SUBJECT}{name}" for name in environments]


def test_promotions_environment_is_no_environment_of_ours(promoted: Assembly) -> None:
    """Or its deployments could promote, and promotions deploy."""
    with pytest.raises(Exception, match=r"unknown|lower-case"):
        load_environment(delivery.PROMOTION_ENVIRONMENT)
    assert "-" in delivery.PROMOTION_ENVIRONMENT


def test_provider_is_made(training: Assembly) -> None:
    provider = training.the("AWS::IAM::OIDCProvider")["Properties"]

    assert provider["Url"] == "https://token.actions.githubusercontent.com"
    assert provider["ClientIdList"] == ["sts.amazonaws.com"]
    federated = _trust(training, "Deploy")["Principal"]["Federated"]
    logical_id = federated.get("Ref") or federated["Fn::GetAtt"][0]
    assert training.templates["delivery"]["Resources"][logical_id]["Type"] == "AWS::IAM::OIDCProvider"


def test_provider_of_the_account_is_taken(promoted: Assembly) -> None:
    assert not list(promoted.resources("AWS::IAM::OIDCProvider"))
    assert _trust(promoted, "Deploy")["Principal"] == {
        "Federated": "arn:aws:iam::333333333333:oidc-provider/token.actions.githubusercontent.com"
    }


def test_deployments_may_take_on_the_roles_of_the_bootstrap_alone(promoted: Assembly) -> None:
    policy = promoted.the("AWS::IAM::Policy", "delivery/Deploy")["Properties"]["PolicyDocument"]

    (statement,) = policy["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Resource": [
            f"arn:aws:iam::333333333333:role/cdk-hnb659fds-{purpose}-role-333333333333-us-east-1"
            for purpose in ("deploy", "file-publishing", "image-publishing", "lookup")
        ],
    }


def test_the_bootstrap_roles_are_those_that_the_stacks_are_deployed_with(promoted: Assembly) -> None:
    """By the assembly's own manifest, in which the CDK command line reads whom to act as."""
    statement = promoted.the("AWS::IAM::Policy", "delivery/Deploy")["Properties"]["PolicyDocument"][
        "Statement"
    ][0]
    manifest = (promoted.folder / "manifest.json").read_text()
    assets = "".join(path.read_text() for path in promoted.folder.glob("*.assets.json"))
    used = set(re.findall(r"arn:\$\{AWS::Partition\}:iam::\d+:role/([\w-]+)", manifest + assets))

    allowed = {arn.rpartition("/")[2] for arn in statement["Resource"]}
    executed_by_cloudformation = {name for name in used if "-cfn-exec-role-" in name}
    assert used - executed_by_cloudformation <= allowed
    assert {name.split("-")[2] for name in used} >= {"deploy", "lookup", "file"}


def test_reading_changes_nothing(promoted: Assembly, training: Assembly) -> None:
    for assembly in (promoted, training):
        for action in _actions(assembly, "Read"):
            assert re.match(r"\w+:(Describe|Get|List|Decrypt)", action), action
    assert "ssm:GetParameter" in _actions(training, "Read")
    assert "ssm:GetParameter" not in _actions(promoted, "Read")


def test_a_description_is_of_this_environments_resources(promoted: Assembly) -> None:
    policy = promoted.the("AWS::IAM::Policy", "delivery/Read")["Properties"]["PolicyDocument"]
    conditions = {
        statement["Action"]: statement.get("Condition")
        for statement in policy["Statement"]
        if isinstance(statement["Action"], str)
    }
    own = {
        "StringEquals": {
            "aws:ResourceTag/project": "movie-recommender",
            "aws:ResourceTag/environment": "prod",
        }
    }
    assert conditions["sagemaker:DescribeModel"] == own
    assert conditions["sagemaker:DescribeEndpointConfig"] == own


def test_what_is_described_by_its_tags_has_them(prod: Assembly) -> None:
    for kind in ("AWS::SageMaker::Model", "AWS::SageMaker::EndpointConfig"):
        tags = {tag["Key"]: tag["Value"] for tag in prod.the(kind)["Properties"]["Tags"]}
        assert tags.items() >= {"project": "movie-recommender", "environment": "prod"}.items()


def test_promotions_can_neither_deploy_nor_take_anything_away(promoted: Assembly) -> None:
    policy = promoted.the("AWS::IAM::Policy", "delivery/Promote")["Properties"]["PolicyDocument"]
    changes = {
        action: str(statement["Resource"])
        for statement in policy["Statement"]
        for action in (
            statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
        if not re.match(r"\w+:(Describe|Get|List|BatchGet|Decrypt|GenerateDataKey)", action)
    }

    assert changes.keys() == {"sagemaker:CreateModelPackage", "s3:PutObject", "s3:DeleteObject"}
    assert "/promotions/lock.json" in changes["s3:DeleteObject"]
    assert "model-package/movie-recommender-prod/" in changes["sagemaker:CreateModelPackage"]


def test_sessions_end(promoted: Assembly) -> None:
    longest = {
        name.partition("/")[2][:-8]: role["Properties"]["MaxSessionDuration"]
        for name, role in promoted.resources("AWS::IAM::Role")
        if name.startswith("delivery/")
    }

    assert longest == {"Deploy": 7200, "Read": 3600, "Promote": 3600}


def test_no_permission_of_prod_names_dev(promoted: Assembly) -> None:
    text = str(promoted.templates["delivery"])
    assert not fnmatch(text, "*movie-recommender-dev*")
    assert "111111111111" not in text


class TestWorkflows:
    """What the workflows ask for is what the roles give."""

    @staticmethod
    def _job(workflow: str, job: str) -> dict[str, Any]:
        path = ROOT / ".github" / "workflows" / f"{workflow}.yml"
        found: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"][job]
        return found

    def test_promotions_run_in_the_environment_that_is_trusted(self) -> None:
        assert self._job("promote", "promote")["environment"] == delivery.PROMOTION_ENVIRONMENT

    def test_sessions_are_not_longer_than_allowed(self, promoted: Assembly) -> None:
        asked = {
            step["with"]["role-to-assume"]: step["with"].get("role-duration-seconds", 3600)
            for step in self._job("deploy-environment", "deploy")["steps"]
            if "role-to-assume" in step.get("with", {})
        }

        assert asked == {"${{ vars.DEPLOY_ROLE_ARN }}": 7200, "${{ vars.READ_ROLE_ARN }}": 3600}
        for role, seconds in (("Deploy", 7200), ("Read", 3600)):
            allowed = promoted.the("AWS::IAM::Role", f"delivery/{role}")["Properties"]["MaxSessionDuration"]
            assert seconds <= allowed
