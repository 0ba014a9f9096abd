"""What a review knows: the two assemblies, what changed between them, and what that means.

Everything is frozen and ordered, so that the same two assemblies always give the same report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ops.review.cost import CostReview
    from ops.review.findings import FindingsReview
    from ops.review.parity import ParityReview
    from ops.review.permissions import PermissionsReview
    from ops.review.protection import ProtectionReview

Action = Literal["add", "change", "remove"]
Replaces = Literal["no", "conditionally", "yes"]
Level = Literal["nothing", "routine", "attention", "danger"]


class Grade(StrEnum):
    """How much attention a change deserves, in ascending order."""

    NO_EFFECT = "no effect"
    """Nothing that runs differs: descriptions, metadata, order."""
    IN_PLACE = "in place"
    """Updated without interruption."""
    CODE = "code"
    """Only a function's code differs."""
    ADDED = "added"
    REMOVED = "removed"
    REPLACED = "replaced"
    """Created anew, then the old one is deleted."""
    LIVE = "live endpoint"
    """Touches what serves traffic now."""
    DATA_LOSS = "data loss"
    """A resource that holds data is removed or replaced, and nothing keeps it."""

    @property
    def severity(self) -> int:
        """The position in the order above; higher deserves more attention."""
        return list(Grade).index(self)


@dataclass(frozen=True)
class Resource:
    """One resource of a template."""

    stack: str
    """The id of its stack."""
    logical_id: str
    path: str
    """Its construct's path without the trailing `Resource` or `Default`, such as `Storage/Raw`."""
    type: str
    properties: Mapping[str, Any]
    """As in the template: intrinsic functions are not resolved."""
    deletion_policy: str | None = None
    update_replace_policy: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    condition: str | None = None
    depends_on: tuple[str, ...] = ()
    definition: Mapping[str, Any] = field(default_factory=dict)
    """Everything that the template says about it, `Properties` included."""


@dataclass(frozen=True)
class StackMessage:
    """What the synthesis said about a construct: a note, a warning or an error."""

    level: Literal["info", "warning", "error"]
    path: str
    text: str


@dataclass(frozen=True)
class Stack:
    """One stack of an assembly; nested stacks are stacks of their own."""

    id: str
    """Unique in the assembly and the same from one synthesis to the next; `Stage/Stack` within a stage."""
    name: str
    account: str
    """`unknown-account` if the stack is not bound to one."""
    region: str
    """`unknown-region` if the stack is not bound to one."""
    template: Mapping[str, Any]
    resources: Mapping[str, Resource]
    """By logical id, in the template's order."""
    nested_in: str | None = None
    """The id of the stack that creates this one."""
    nested_as: str | None = None
    """The logical id of the `AWS::CloudFormation::Stack` that stands for it in `nested_in`."""
    messages: tuple[StackMessage, ...] = ()
    termination_protection: bool = False


@dataclass(frozen=True)
class Assembly:
    """What one synthesis made: `cdk.out`."""

    directory: Path
    stacks: Mapping[str, Stack]
    """By stack id, in alphabetical order."""
    validation_report: Mapping[str, Any] | None = None
    """`validation-report.json`: what CDK's validation plugins (cdk-nag among them) found."""

    def resources(self, *types: str) -> list[Resource]:
        """Return the resources of all stacks that are of one of `types`, or all of them."""
        return [
            resource
            for stack in self.stacks.values()
            for resource in stack.resources.values()
            if not types or resource.type in types
        ]


@dataclass(frozen=True)
class PropertyChange:
    """One difference within a resource."""

    path: str
    """Such as `Properties.ProductionVariants[AllTraffic].InstanceType`, `DeletionPolicy` or `DependsOn`."""
    before: Any
    """Plain JSON with intrinsic functions resolved to readable text; None if it was absent."""
    after: Any
    replaces: Replaces = "no"
    noise: bool = False
    """True if it changes nothing that runs."""
    reason: str = ""
    """Why it is noise, or why it replaces."""


@dataclass(frozen=True)
class ResourceChange:
    """What happens to one resource."""

    stack: str
    logical_id: str
    path: str
    type: str
    action: Action
    grades: tuple[Grade, ...]
    """Most severe first; never empty."""
    properties: tuple[PropertyChange, ...] = ()
    because: tuple[str, ...] = ()
    """Sentences that explain the grades."""
    fails: str = ""
    """Why CloudFormation will refuse the update; empty if nothing says that it will."""

    @property
    def grade(self) -> Grade:
        """The most severe grade."""
        return self.grades[0]


@dataclass(frozen=True)
class Count:
    """One row of the verdict's table."""

    what: str
    number: int
    subjects: tuple[str, ...] = ()
    """Paths of the resources that are counted."""


@dataclass(frozen=True)
class Verdict:
    """What a busy reviewer reads first."""

    level: Level
    sentences: tuple[str, ...]
    counts: tuple[Count, ...]


@dataclass(frozen=True)
class EnvironmentReview:
    """The review of one environment (of one pair of assemblies)."""

    name: str
    before: Assembly | None
    """None if there is nothing to compare with: everything is then shown as it is, not as added."""
    after: Assembly
    changes: tuple[ResourceChange, ...]
    permissions: PermissionsReview
    protection: ProtectionReview
    cost: CostReview
    findings: FindingsReview
    refusals: tuple[str, ...] = ()
    """What CloudFormation will refuse although no single resource's change shows it."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Review:
    """A whole report."""

    base: str
    """What is compared with, such as `HEAD~1 (1a2b3c4)`."""
    head: str
    environments: tuple[EnvironmentReview, ...]
    parity: ParityReview
    verdict: Verdict
    notes: tuple[str, ...] = ()
