"""The checks at synthesis run, find nothing, and what they are told to overlook is narrow and explained."""

import json
import tarfile
from pathlib import Path
from typing import Any

import aws_cdk
import pytest
from aws_cdk import App, CfnResource, Stack, Validations
from aws_cdk import aws_s3 as s3

from infra.acknowledgement import acknowledge
from infra.environment import load_environment
from tests.template.assembly import Assembly, define, feature_flags

ACKNOWLEDGED = Validations.ACKNOWLEDGED_RULES_METADATA_KEY


@pytest.fixture
def app(project: Path, tmp_path: Path) -> App:
    return define(load_environment("staging"), project=project, folder=tmp_path)


def _stack(app: App) -> Stack:
    stack = app.node.find_child("movie-recommender-staging-storage")
    assert isinstance(stack, Stack)
    return stack


def test_nag_stops_a_synthesis(app: App) -> None:
    s3.Bucket(_stack(app), "Careless")

    with pytest.raises(RuntimeError, match="AwsSolutions-S1"):
        app.synth()


def test_cloudformation_validation_stops_a_synthesis(app: App) -> None:
    CfnResource(_stack(app), "Broken", type="AWS::SSM::Parameter", properties={"Type": "String"})

    with pytest.raises(RuntimeError, match="CloudFormation Validate"):
        app.synth()


def test_acknowledgement_does_not_reach_another_resource(app: App) -> None:
    accepted = s3.Bucket(_stack(app), "Accepted", enforce_ssl=True)
    acknowledge(accepted, "AwsSolutions-S1", "It only stands there")
    s3.Bucket(_stack(app), "Careless", enforce_ssl=True)

    with pytest.raises(RuntimeError, match="AwsSolutions-S1") as error:
        app.synth()
    assert "Careless" in str(error.value)
    assert "Accepted" not in str(error.value)


def test_there_is_not_even_a_warning(any_assembly: Assembly) -> None:
    report = json.loads((any_assembly.folder / "validation-report.json").read_text())

    assert report["pluginReports"] == []


def test_every_acknowledgement_is_on_one_resource_with_a_reason(any_assembly: Assembly) -> None:
    found = 0
    for construct in any_assembly.constructs():
        for entry in construct.node.metadata:
            if entry.type != ACKNOWLEDGED:
                continue
            found += 1
            assert isinstance(construct, CfnResource), construct.node.path
            for finding, reason in entry.data.items():
                assert len(reason) > 25, (construct.node.path, finding)
                assert not finding.endswith("IAM5"), "an exact finding, not all of the rule"
    assert (found > 0) == bool({"serving", "delivery"} & any_assembly.templates.keys())


def test_acknowledgements_are_in_the_templates(dev: Assembly) -> None:
    stage = dev.the("AWS::ApiGateway::Stage")

    (rule,) = stage["Metadata"]["cdk_nag"]["rules_to_suppress"]
    assert rule["id"] == "AwsSolutions-APIG3"
    assert "web ACL" in rule["reason"]


def test_feature_flags_are_the_recommended_ones() -> None:
    package = _unpacked_recommendation(Path(aws_cdk.__file__).parent)
    ours = feature_flags()
    differing = {key for key, value in package.items() if ours.get(key) != value}
    assert differing == {
        # Strong: CloudFormation refuses to delete a bucket or the key while another stack uses it.
        "@aws-cdk/core:defaultCrossStackReferences"
    }
    assert ours["@aws-cdk/core:validateAgainstDefaultRules"] is True


def _unpacked_recommendation(package: Path) -> dict[str, Any]:
    (archive,) = (package / "_jsii").glob("*.tgz")
    with tarfile.open(archive) as content:
        member = content.extractfile("package/recommended-feature-flags.json")
        assert member is not None
        flags: dict[str, Any] = json.load(member)
    return flags
