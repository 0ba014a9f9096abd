import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops.review.findings import Finding, Suppression, review_findings
from ops.review.model import Assembly, StackMessage
from tests.unit.ops.review.templates import a_resource, an_assembly

NAG = {"cdk_nag": {"rules_to_suppress": [{"id": "AwsSolutions-S1", "reason": "It is the log"}]}}


def with_report(plugin: str, *violations: dict[str, Any], assembly: Assembly | None = None) -> Assembly:
    report = {"version": "55.0.0", "pluginReports": [{"pluginName": plugin, "violations": list(violations)}]}
    return replace(assembly or an_assembly({}), validation_report=report)


def violation(rule: str, *paths: str, severity: str | None = "error") -> dict[str, Any]:
    return {
        "ruleName": rule,
        "description": "Wrong",
        "violatingConstructs": [{"constructPath": path} for path in paths],
    } | ({"severity": severity} if severity else {})


@pytest.mark.parametrize(
    ("plugin", "rule", "severity", "found"),
    [
        (
            "AwsSolutions",
            "AwsSolutions-S1",
            "error",
            Finding("cdk-nag", "AwsSolutions-S1", "error", "app/Data", "Wrong"),
        ),
        (
            "NIST.800-53.R5",
            "NIST-1",
            "warning",
            Finding("cdk-nag", "NIST-1", "warning", "app/Data", "Wrong"),
        ),
        (
            "CloudFormation Validate",
            "F3002",
            None,
            Finding("CDK validation", "F3002", "error", "app/Data", "Wrong"),
        ),
        (
            "Construct Annotations",
            "Annotation::mine",
            "warning",
            Finding("CDK", "mine", "warning", "app/Data", "Wrong"),
        ),
        ("cfn-guard", "G1", "fatal", Finding("cfn-guard", "G1", "error", "app/Data", "Wrong")),
    ],
)
def test_validation_report(plugin: str, rule: str, severity: str | None, found: Finding) -> None:
    after = with_report(plugin, violation(rule, "app/Data/Resource", severity=severity))
    assert review_findings(None, after).findings == (found,)
    assert review_findings(after, after).findings == (found,)
    assert review_findings(an_assembly({}), after).new_findings == (replace(found, new=True),)


def test_new_and_severe_findings_come_first() -> None:
    before = with_report("AwsSolutions", violation("A1", "app/X"))
    after = with_report(
        "AwsSolutions",
        violation("A1", "app/X", "app/Y"),
        violation("A2", "app/X", severity="warning"),
    )
    found = review_findings(before, after).findings
    assert [(finding.rule, finding.resource, finding.new) for finding in found] == [
        ("A1", "app/Y", True),
        ("A2", "app/X", True),
        ("A1", "app/X", False),
    ]


def test_messages_of_the_synthesis_are_told_once() -> None:
    messages = (
        StackMessage("warning", "app/Data", "Take care [ack: mine]"),
        StackMessage("warning", "app/Data", "Wrong"),
        StackMessage("info", "app/Data", "By the way"),
        StackMessage("error", "app", "Broken"),
    )
    assembly = an_assembly({})
    stack = replace(assembly.stacks["app"], messages=messages)
    after = with_report(
        "Construct Annotations",
        violation("Annotation::w", "app/Data", severity="warning"),
        assembly=replace(assembly, stacks={"app": stack}),
    )
    assert [(finding.rule, finding.message) for finding in review_findings(None, after).findings] == [
        ("error", "Broken"),
        ("mine", "Take care"),
        ("w", "Wrong"),
    ]


def test_cfn_lint() -> None:
    before = an_assembly({"Data": a_resource("AWS::S3::Bucket")})
    after = an_assembly({"Data": a_resource("AWS::S3::Bucket", {"BucketNme": "x"})})
    (found,) = review_findings(before, after).findings
    assert (found.tool, found.rule, found.severity) == ("cfn-lint", "E3002", "error")
    assert (found.resource, found.new) == ("app/Data", True)
    assert "BucketNme" in found.message


def test_a_dependency_that_cdk_repeats_is_no_finding() -> None:
    alias = a_resource(
        "AWS::KMS::Alias",
        {"AliasName": "alias/x", "TargetKeyId": {"Ref": "Key"}},
        DependsOn=["Key"],
    )
    assert (
        review_findings(None, an_assembly({"Key": a_resource("AWS::KMS::Key"), "Alias": alias})).findings
        == ()
    )


@pytest.mark.parametrize("region", ["unknown-region", "eu-central-1"])
def test_cfn_lint_in_any_region(region: str) -> None:
    assembly = an_assembly({"Data": a_resource("AWS::S3::Bucket")})
    stack = replace(assembly.stacks["app"], region=region)
    assert review_findings(None, replace(assembly, stacks={"app": stack})).findings == ()


@pytest.mark.parametrize(
    ("metadata", "rule", "reason"),
    [
        (NAG, "AwsSolutions-S1", "It is the log"),
        (
            {
                "cdk_nag": {
                    "rules_to_suppress": [{"id": "IAM5", "reason": "Why", "applies_to": ["Action::s3:*"]}]
                }
            },
            "IAM5[Action::s3:*]",
            "Why",
        ),
        (
            {
                "cdk_nag": {
                    "rules_to_suppress": [
                        {
                            "id": "S1",
                            "reason": base64.b64encode("für später".encode()).decode(),
                            "is_reason_encoded": True,
                        }
                    ]
                }
            },
            "S1",
            "für später",
        ),
        ({"cfn_nag": {"rules_to_suppress": [{"id": "W1", "reason": "Why"}]}}, "W1", "Why"),
        ({"cfn-lint": {"config": {"ignore_checks": ["E3002"]}}}, "E3002", ""),
        ({"checkov": {"skip": [{"id": "CKV_1", "comment": "Why"}]}}, "CKV_1", "Why"),
    ],
)
def test_suppressions(metadata: dict[str, Any], rule: str, reason: str) -> None:
    before = an_assembly({"Data": a_resource("AWS::S3::Bucket")})
    after = an_assembly({"Data": a_resource("AWS::S3::Bucket", Metadata=metadata)})
    assert review_findings(None, after).suppressions == (Suppression(rule, "app/Data", reason),)
    assert review_findings(after, after).new_suppressions == ()
    assert review_findings(before, after).new_suppressions == (
        Suppression(rule, "app/Data", reason, new=True),
    )


def test_another_reason_is_no_new_suppression() -> None:
    def of(reason: str) -> Assembly:
        metadata = {"cdk_nag": {"rules_to_suppress": [{"id": "S1", "reason": reason}]}}
        return an_assembly({"Data": a_resource("AWS::S3::Bucket", Metadata=metadata)})

    (found,) = review_findings(of("Because"), of("For a reason")).suppressions
    assert (found.reason, found.new) == ("For a reason", False)


def test_acknowledgements_in_the_assemblys_own_metadata(tmp_path: Path) -> None:
    entry = {"type": "aws:cdk:acknowledged-rules", "data": {"Annotation::AwsSolutions-S1": "It is the log"}}
    (tmp_path / "app.metadata.json").write_text(json.dumps({"/app/Data/Resource": [entry, {"type": "x"}]}))
    alone = replace(an_assembly({}), directory=tmp_path)
    expected = (Suppression("AwsSolutions-S1", "app/Data", "It is the log"),)
    assert review_findings(None, alone).suppressions == expected
    both = replace(an_assembly({"Data": a_resource("AWS::S3::Bucket", Metadata=NAG)}), directory=tmp_path)
    assert review_findings(None, both).suppressions == expected
