"""Small assemblies made of hand-written resources."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.review.model import Assembly, Resource, Stack

ACCOUNT = "111111111111"
Properties = Mapping[str, Any]


def a_resource(kind: str, properties: Properties | None = None, **definition: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": dict(properties or {}), **definition}


def an_assembly(
    resources: Mapping[str, Mapping[str, Any]],
    *,
    account: str = ACCOUNT,
    region: str = "us-east-1",
    termination_protection: bool = False,
    outputs: Mapping[str, Any] | None = None,
    stack: str = "app",
) -> Assembly:
    """One stack with `resources`, which are called by their logical ids: `app/Bucket`."""
    return Assembly(
        directory=Path("nowhere"),
        stacks={
            stack: Stack(
                id=stack,
                name=stack,
                account=account,
                region=region,
                template={"Resources": resources, "Outputs": outputs or {}},
                resources={
                    logical_id: Resource(
                        stack=stack,
                        logical_id=logical_id,
                        path=f"{stack}/{logical_id}",
                        type=definition["Type"],
                        properties=definition.get("Properties", {}),
                        deletion_policy=definition.get("DeletionPolicy"),
                        update_replace_policy=definition.get("UpdateReplacePolicy"),
                        metadata=definition.get("Metadata", {}),
                        definition=definition,
                    )
                    for logical_id, definition in resources.items()
                },
                termination_protection=termination_protection,
            )
        },
    )


def arn(logical_id: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


def within(logical_id: str, rest: str) -> dict[str, Any]:
    return {"Fn::Join": ["", [arn(logical_id), rest]]}


def allow(action: Any, resource: Any = None, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, **more}
    return statement if resource is None else statement | {"Resource": resource}


def deny(action: Any, resource: Any = None, **more: Any) -> dict[str, Any]:
    return allow(action, resource, **more) | {"Effect": "Deny"}


def document(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def a_role(*trusts: Any, **properties: Any) -> dict[str, Any]:
    """A role that Lambda may assume, or `trusts`."""
    trusted = trusts or (allow("sts:AssumeRole", Principal={"Service": "lambda.amazonaws.com"}),)
    return a_resource("AWS::IAM::Role", {"AssumeRolePolicyDocument": document(*trusted), **properties})


def a_policy(*statements: Any, roles: Any = None) -> dict[str, Any]:
    return a_resource(
        "AWS::IAM::Policy",
        {"PolicyDocument": document(*statements), "PolicyName": "P", "Roles": roles or [{"Ref": "Role"}]},
    )


def role_with(*statements: Any) -> Assembly:
    """A role with one policy of `statements`, and two buckets to speak of."""
    return an_assembly(
        {
            "Role": a_role(),
            "Policy": a_policy(*statements),
            "Data": a_resource("AWS::S3::Bucket"),
            "Other": a_resource("AWS::S3::Bucket"),
        }
    )


def bucket_with(*statements: Any, **properties: Any) -> Assembly:
    """A bucket with a policy of `statements`, if any."""
    resources = {"Data": a_resource("AWS::S3::Bucket", properties), "Role": a_role()}
    if statements:
        resources["Policy"] = a_resource(
            "AWS::S3::BucketPolicy", {"Bucket": {"Ref": "Data"}, "PolicyDocument": document(*statements)}
        )
    return an_assembly(resources)
