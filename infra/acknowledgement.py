"""Findings of the checks at synthesis that this app accepts: one finding, on one resource, with a reason."""

from aws_cdk import Acknowledgment, CfnResource, Validations
from constructs import IConstruct


def acknowledge(construct: IConstruct, finding: str, reason: str) -> None:
    """Accept `finding` on the one CloudFormation resource that `construct` is or stands for.

    Acknowledging on the resource itself, never on a construct above it, keeps the same finding on any other
    resource an error.
    """
    resource = construct if isinstance(construct, CfnResource) else construct.node.default_child
    if not isinstance(resource, CfnResource):
        raise TypeError(f"{construct.node.path} does not stand for one resource")
    Validations.of(resource).acknowledge(Acknowledgment(id=finding, reason=reason))
