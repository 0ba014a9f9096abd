"""What in a permission deserves a second look, in plain words."""

import re
from collections.abc import Iterator

from ops.review.conditions import Condition, allows_all_of
from ops.review.policies import Principal, Statement, shown_reach
from ops.review.wildcards import Reach, overlap

_UNRESOLVED = re.compile(r"\{(Fn::\w+|Ref): ")
_ESCALATIONS = (
    "iam:AttachGroupPolicy",
    "iam:AttachRolePolicy",
    "iam:AttachUserPolicy",
    "iam:CreateAccessKey",
    "iam:CreateLoginProfile",
    "iam:CreatePolicyVersion",
    "iam:PutGroupPolicy",
    "iam:PutRolePolicy",
    "iam:PutUserPolicy",
    "iam:SetDefaultPolicyVersion",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateLoginProfile",
)
"""Actions with which a principal can give itself what it has not:
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html lists policy edits."""
_OWN_OR_KNOWN_CALLER = frozenset(
    {
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceowner",
        "aws:sourceorgid",
        "aws:sourceorgpaths",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:sourceip",
        "aws:vpcsourceip",
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:userid",
        "aws:username",
        "kms:calleraccount",
        "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn",
        "lambda:eventsourcetoken",
        "sns:endpoint",
    }
)
"""Condition keys that tell who calls or from where; the others do not keep strangers out. After S3's meaning
of "public": https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html"""
_EVERY_NETWORK = frozenset({"0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1"})


def alarms_of(
    statement: Statement, actions: tuple[Reach, ...], resources: tuple[Reach, ...]
) -> tuple[str, ...]:
    """Return the alarms of the part of an Allow `statement` that is `actions` on `resources`."""
    return tuple(
        dict.fromkeys(
            (
                *_principal_alarms(statement),
                *(alarm for action in actions for alarm in _action_alarms(action)),
                *_resource_alarms(statement, resources),
                *_escalation_alarms(statement, actions, resources),
                *_unresolved_alarms(statement, actions, resources),
            )
        )
    )


def condition_alarms(before: frozenset[Condition], after: frozenset[Condition]) -> tuple[str, ...]:
    """Return in words which conditions of `before` those of `after` do not ask for any more."""
    gone = [old for old in sorted(before) if not allows_all_of(frozenset({old}), after)]
    successors = {new.key.lower(): new for new in sorted(after)}
    return tuple(
        f"condition loosened: {old} → {successors[old.key.lower()]}"
        if old.key.lower() in successors
        else f"condition dropped: {old}"
        for old in gone
    )


def trust_alarm(statement: Statement) -> tuple[str, ...]:
    """Return in words that a role can be assumed by somebody new."""
    return (f"new trust: {statement.principal.label} may assume {statement.owner}",)


def narrows_to_known(conditions: tuple[Condition, ...]) -> bool:
    """Return whether `conditions` keep out callers that the policy's author does not know."""
    return any(
        condition.key.lower() in _OWN_OR_KNOWN_CALLER
        and not condition.optional
        and "null" not in condition.operator.lower()
        and condition.values != ()
        and not any(_anything(value) for value in condition.values)
        for condition in conditions
    )


def _anything(value: str) -> bool:
    return (
        value in _EVERY_NETWORK
        or set(value) <= {"*", "?", ":"}
        or re.fullmatch(r"arn:[*:]+", value) is not None
    )


def other_account(principal: Principal, own: str) -> str | None:
    """Return the account of `principal` if the template says it and it is not `own`."""
    if principal.account is None or not principal.account.isdigit() or principal.account == own:
        return None
    return principal.account


def _principal_alarms(statement: Statement) -> Iterator[str]:
    principal = statement.principal
    if statement.kind in ("trust", "resource"):
        if principal.anyone and narrows_to_known(statement.conditions):
            yield "anyone who meets the condition"
        elif principal.anyone:
            yield "open to anyone"
        account = other_account(principal, statement.account)
        if account is not None:
            yield f"another account: {account}"
    if statement.kind == "managed":
        yield f"managed policy: its statements are not in the template ({statement.shown_actions[0]})"


def _action_alarms(action: Reach) -> Iterator[str]:
    if action.inverted:
        yield f"NotAction: every action but {', '.join(action.patterns)}"
        return
    for pattern in action.patterns:
        service, _, name = pattern.partition(":")
        if set(pattern) == {"*"} or service == "*":
            yield "wildcard action: every action of every service"
        elif name == "*":
            yield f"wildcard action: every {service} action"
        elif "*" in name or "?" in name:
            yield f"wildcard action: {pattern}"


def _resource_alarms(statement: Statement, resources: tuple[Reach, ...]) -> Iterator[str]:
    for resource in resources:
        if resource.inverted:
            yield f"NotResource: every resource but {', '.join(shown_reach(Reach(resource.patterns)))}"
        elif any(set(pattern) == {"*"} for pattern in resource.patterns):
            yield "every resource" + (", under a condition" if statement.conditions else "")


def _escalation_alarms(
    statement: Statement, actions: tuple[Reach, ...], resources: tuple[Reach, ...]
) -> Iterator[str]:
    if statement.kind != "identity":
        return
    named = [action for action in actions if not action.inverted]
    if any(overlap(pattern.lower(), "iam:passrole") for action in named for pattern in action.patterns):
        open_ended = [pattern for resource in resources for pattern in resource.patterns if "*" in pattern]
        if open_ended:
            yield f"may hand any matching role to a service (iam:PassRole on {', '.join(open_ended)})"
    found = [
        known
        for known in _ESCALATIONS
        if any(overlap(pattern.lower(), known.lower()) for action in named for pattern in action.patterns)
    ]
    if found:
        yield f"can change permissions: {found[0]}" + (f" and {len(found) - 1} more" if found[1:] else "")


def _unresolved_alarms(
    statement: Statement, actions: tuple[Reach, ...], resources: tuple[Reach, ...]
) -> Iterator[str]:
    texts = [
        statement.principal.label,
        *(pattern for reach in (*actions, *resources) for pattern in reach.patterns),
        *(str(condition) for condition in statement.conditions),
    ]
    for text in texts:
        if _UNRESOLVED.search(text):
            yield f"not resolved: {text}"
