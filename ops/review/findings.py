"""What the checks say (CDK's validation, cdk-nag, cfn-lint), and what of it is accepted, and why."""

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from ops.review.assembly import readable_path
from ops.review.model import Assembly, Stack

Severity = Literal["error", "warning", "info"]
_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
_TOOLS = {"CloudFormation Validate": "CDK validation", "Construct Annotations": "CDK"}
_NAG_PACKS = re.compile(r"AwsSolutions|HIPAA\.|NIST\.|PCI\.|Serverless")
_ACKNOWLEDGEMENT = re.compile(r" ?\[ack: ([^\]]+)\]$")
_NOT_LINTED = ["W3005"]
"""cfn-lint's rules that say nothing about a CDK app. W3005: CDK writes a dependency in `DependsOn` even where
a reference implies it."""
_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True)
class Finding:
    """One thing that a check complains of."""

    tool: str
    rule: str
    severity: Severity
    resource: str
    """The path of the construct."""
    message: str
    new: bool = False
    """True if it was not there before the change."""


@dataclass(frozen=True)
class Suppression:
    """A finding that the app accepts."""

    rule: str
    resource: str
    reason: str
    """Empty if none is given."""
    new: bool = False


@dataclass(frozen=True)
class FindingsReview:
    """Findings and accepted findings, new ones first."""

    findings: tuple[Finding, ...] = ()
    suppressions: tuple[Suppression, ...] = ()

    @property
    def new_findings(self) -> tuple[Finding, ...]:
        """What the change brought."""
        return tuple(finding for finding in self.findings if finding.new)

    @property
    def new_suppressions(self) -> tuple[Suppression, ...]:
        """What the change accepts that was not accepted before."""
        return tuple(suppression for suppression in self.suppressions if suppression.new)


def review_findings(before: Assembly | None, after: Assembly) -> FindingsReview:
    """Compare the findings of two assemblies; without `before`, none is new."""
    known = set() if before is None else set(_findings(before))
    accepted = set() if before is None else {(item.rule, item.resource) for item in _suppressions(before)}
    findings = {
        replace(finding, new=before is not None and finding not in known) for finding in _findings(after)
    }
    suppressions = {
        replace(item, new=before is not None and (item.rule, item.resource) not in accepted)
        for item in _suppressions(after)
    }
    return FindingsReview(
        findings=tuple(
            sorted(
                findings,
                key=lambda finding: (
                    not finding.new,
                    _SEVERITIES.index(finding.severity),
                    finding.tool,
                    finding.rule,
                    finding.resource,
                    finding.message,
                ),
            )
        ),
        suppressions=tuple(
            sorted(suppressions, key=lambda item: (not item.new, item.resource, item.rule, item.reason))
        ),
    )


def _findings(assembly: Assembly) -> Iterator[Finding]:
    yield from _validation(assembly)
    reported = {(finding.resource, finding.message) for finding in _validation(assembly)}
    for stack in assembly.stacks.values():
        for message in stack.messages:
            text, rule = _ACKNOWLEDGEMENT.sub("", message.text), _ACKNOWLEDGEMENT.search(message.text)
            if message.level != "info" and (message.path, text) not in reported:
                name = rule.group(1) if rule else message.level
                yield Finding("CDK", name, message.level, message.path, text)
        yield from _linted(stack)


def _validation(assembly: Assembly) -> Iterator[Finding]:
    """The findings in `validation-report.json`, which CDK's plugins fill."""
    for plugin in _tables(assembly.validation_report or {}, "pluginReports"):
        name = str(plugin.get("pluginName") or _table(plugin.get("summary")).get("pluginName") or "CDK")
        tool = "cdk-nag" if _NAG_PACKS.match(name) else _TOOLS.get(name, name)
        for violation in _tables(plugin, "violations"):
            for construct in _tables(violation, "violatingConstructs"):
                yield Finding(
                    tool=tool,
                    rule=str(violation.get("ruleName", "")).removeprefix("Annotation::"),
                    severity=_severity(violation.get("severity")),
                    resource=readable_path(str(construct.get("constructPath") or "unknown construct")),
                    message=str(violation.get("description", "")),
                )


def _linted(stack: Stack) -> Iterator[Finding]:
    text = json.dumps(stack.template, sort_keys=True)
    for rule, severity, logical_id, message in _lint(text, stack.region):
        resource = stack.resources.get(logical_id)
        yield Finding(
            tool="cfn-lint",
            rule=rule,
            severity=severity,
            resource=resource.path if resource else f"{stack.id}/{logical_id}".rstrip("/"),
            message=message,
        )


@lru_cache(maxsize=256)
def _lint(template: str, region: str) -> tuple[tuple[str, Severity, str, str], ...]:
    """Rule, severity, logical id and message of each of cfn-lint's findings."""
    # Slow to import, and needed by nothing else here.
    from cfnlint.decode import decode_str  # type: ignore[import-untyped]  # noqa: PLC0415

    decoded, unreadable = decode_str(template)
    matches = unreadable or _linter(region).validate_template(decoded)
    found = {
        (str(match.rule.id), _severity(match.rule.severity), _logical_id(match.path), str(match.message))
        for match in matches
    }
    return tuple(sorted(found))


@lru_cache(maxsize=64)
def _linter(region: str) -> Any:
    """cfn-lint with its rules for `region`; loading them takes as long as to lint a template."""
    from cfnlint.config import ConfigMixIn  # type: ignore[import-untyped]  # noqa: PLC0415
    from cfnlint.helpers import REGIONS  # type: ignore[import-untyped]  # noqa: PLC0415
    from cfnlint.runner import Runner  # type: ignore[import-untyped]  # noqa: PLC0415

    known = region if region in REGIONS else _DEFAULT_REGION
    # A configuration file of whoever runs the review must not change its result.
    return Runner(ConfigMixIn(["--config-file", os.devnull], regions=[known], ignore_checks=_NOT_LINTED))


def _logical_id(path: Any) -> str:
    """The resource that cfn-lint's path leads into; the first parts of a path to anything else."""
    parts = [str(part) for part in path or ()]
    return parts[1] if parts[:1] == ["Resources"] and len(parts) > 1 else "/".join(parts[:2])


def _severity(name: Any) -> Severity:
    told = str(name).lower()
    return next((known for known in _SEVERITIES if told.startswith(known)), "error")


def _suppressions(assembly: Assembly) -> Iterator[Suppression]:
    for stack in assembly.stacks.values():
        yield from _in_metadata(_table(stack.template.get("Metadata")), stack.id)
        for resource in stack.resources.values():
            yield from _in_metadata(resource.metadata, resource.path)
    yield from _acknowledged(assembly)


def _in_metadata(metadata: Mapping[str, Any], path: str) -> Iterator[Suppression]:
    for tool in ("cdk_nag", "cfn_nag"):
        for rule in _tables(_table(metadata.get(tool)), "rules_to_suppress"):
            reason = _decoded(rule)
            applies_to = rule.get("applies_to") or rule.get("appliesTo")
            for detail in [f"[{_applied(item)}]" for item in applies_to] if applies_to else [""]:
                yield Suppression(f"{rule.get('id', '')}{detail}", path, reason)
    ignored = _table(_table(metadata.get("cfn-lint")).get("config")).get("ignore_checks")
    for rule in ignored if isinstance(ignored, list) else ():
        yield Suppression(str(rule), path, "")
    for skip in _tables(_table(metadata.get("checkov")), "skip"):
        yield Suppression(str(skip.get("id", "")), path, str(skip.get("comment", "")))


def _applied(item: Any) -> str:
    return item if isinstance(item, str) else json.dumps(item, sort_keys=True)


def _decoded(rule: Mapping[str, Any]) -> str:
    reason = str(rule.get("reason", ""))
    if rule.get("is_reason_encoded"):
        # cdk-nag encodes what is not ASCII, which CloudFormation does not keep.
        return base64.b64decode(reason).decode(errors="replace")
    return reason


def _acknowledged(assembly: Assembly) -> Iterator[Suppression]:
    """Acknowledgements in the assembly's own metadata, where those are that CloudFormation does not get."""
    for file in sorted(assembly.directory.rglob("*.metadata.json")):
        for path, entries in _table(json.loads(file.read_text(encoding="utf-8"))).items():
            for entry in entries:
                if entry.get("type") == "aws:cdk:acknowledged-rules":
                    for rule, reason in _table(entry.get("data")).items():
                        yield Suppression(rule.removeprefix("Annotation::"), readable_path(path), str(reason))


def _tables(value: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = value.get(key)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
