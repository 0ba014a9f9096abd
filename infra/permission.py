"""Permissions: the exact actions on the exact resources, and a reason wherever a resource stays a pattern."""

from collections.abc import Iterable, Mapping
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam

from infra.acknowledgement import acknowledge


def allow(
    role: iam.Role,
    *actions: str,
    on: str | Iterable[str],
    because: str | None = None,
    conditions: Mapping[str, Any] | None = None,
) -> None:
    """Let `role` do `actions` on `on`.

    Args:
        role: who may.
        actions: IAM actions, none of them a pattern.
        on: ARNs; one with a `*` in it is a pattern and needs a reason.
        because: why the patterns cannot be narrower.
        conditions: IAM conditions.

    Raises:
        ValueError: an action is a pattern, or a resource is one without a reason.
    """
    resources = [on] if isinstance(on, str) else list(on)
    role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=resources, conditions=conditions))
    if any("*" in action for action in actions):
        raise ValueError(f"{actions}: an action that is a pattern grants what nobody has read")
    for resource in resources:
        if "*" not in resource:
            continue
        if because is None:
            raise ValueError(f"{resource}: a pattern needs a reason")
        policy = role.node.find_child("DefaultPolicy")
        acknowledge(policy, f"AwsSolutions-IAM5[Resource::{_as_reported(role, resource)}]", because)


def acknowledge_versions(role: iam.Role, functions: Iterable[str], because: str) -> None:
    """Accept that `role` may invoke every version of `functions` (ARNs), as CDK's own grants have it."""
    for arn in functions:
        finding = f"AwsSolutions-IAM5[Resource::{_as_reported(role, arn)}:*]"
        acknowledge(role.node.find_child("DefaultPolicy"), finding, because)


def _as_reported(role: iam.Role, arn: str) -> str:
    """The ARN as cdk-nag writes it in a finding: references in angle brackets, imports by their name."""
    return _flattened(Stack.of(role).resolve(arn))


def _flattened(value: Any) -> str:
    if isinstance(value, str):
        return value
    ((function, argument),) = value.items()
    match function:
        case "Fn::Join":
            separator, parts = argument
            return str(separator).join(map(_flattened, parts))
        case "Fn::GetAtt":
            return f"<{'.'.join(argument)}>"
        case "Ref":
            return f"<{argument}>"
        case "Fn::ImportValue":
            return _flattened(argument)
    raise ValueError(f"{function} in an ARN is not foreseen here")
