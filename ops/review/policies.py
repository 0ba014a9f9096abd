"""Every policy statement of an assembly, wherever it is written, in one readable form.

Policies of roles, users and groups, the policies that say who may assume a role, the policies of resources
(found by their shape, so that those of any resource type are), and permissions that are resources of their
own, such as `AWS::Lambda::Permission`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ops.review.conditions import Condition
from ops.review.intrinsics import Readable
from ops.review.model import Assembly, Resource, Stack
from ops.review.wildcards import Reach

Kind = Literal["identity", "resource", "trust", "managed"]

_IDENTITY_TYPES = frozenset(
    {
        "AWS::IAM::Policy",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Role",
        "AWS::IAM::User",
        "AWS::IAM::Group",
        "AWS::IAM::RolePolicy",
        "AWS::IAM::UserPolicy",
        "AWS::IAM::GroupPolicy",
        "AWS::SSO::PermissionSet",
    }
)
_HOLDERS = ("Roles", "Users", "Groups", "RoleName", "UserName", "GroupName")
"""Properties of a policy that name who has it."""
_PROTECTED = ("Bucket", "Queues", "Topics", "SecretId", "FunctionName", "LayerVersionArn", "ResourceArn")
"""Properties of a resource policy that name what it protects; without them it protects its own resource."""
_NOT_ONE_RESOURCE = frozenset(
    {"AWS::Logs::ResourcePolicy", "AWS::EC2::VPCEndpoint", "AWS::ECR::RegistryPolicy"}
)
"""Types whose resource policies are not about one resource: their `*` is everything."""
_PARTITION = r"(?:\$\{AWS::Partition\}|[^:]*)"
_ACCOUNT = re.compile(rf"(?:arn:{_PARTITION}:iam::)?(\d{{12}})(?::root)?")
_OWN_ACCOUNT = re.compile(rf"AWS::AccountId|arn:{_PARTITION}:iam::\$\{{AWS::AccountId\}}:root")
_ACCOUNT_IN_ARN = re.compile(rf"arn:{_PARTITION}:(?:iam|sts)::(\d{{12}}):")
_BUCKET_BY_NAME = re.compile(rf"^arn:{_PARTITION}:s3:::\$\{{([^}}]+?)(?:\.Arn)?\}}")
_ASSET_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_WHOLE_REFERENCE = re.compile(r"\$\{((?:[^{}]|\{[^{}]*\})*)\}")


@dataclass(frozen=True, order=True)
class Principal:
    """Who a statement is about."""

    label: str
    account: str | None = None
    """Its account, if the template says it."""
    anyone: bool = False
    service: bool = False
    federated: bool = False


@dataclass(frozen=True)
class Statement:
    """One statement for one principal."""

    kind: Kind
    """`managed` stands for a managed policy whose statements are not in the assembly."""
    principal: Principal
    effect: str
    actions: Reach
    """As written; case does not matter for IAM."""
    resources: Reach
    """`${path.Arn}` for a resource of the assembly."""
    conditions: tuple[Condition, ...]
    source: str
    """The path of the resource that holds the policy."""
    owner: str
    """The path of what the policy belongs to: a role, or the resource that it protects."""
    owner_type: str
    account: str
    """The account that the policy is in."""

    @property
    def shown_actions(self) -> tuple[str, ...]:
        """The actions for a reader."""
        return shown_reach(self.actions)

    @property
    def shown_resources(self) -> tuple[str, ...]:
        """The resources for a reader."""
        return shown_reach(self.resources)


def shown_text(text: str) -> str:
    """Return `text` for a reader: without braces and attribute if it is a reference and nothing else."""
    whole = _WHOLE_REFERENCE.fullmatch(text)
    return whole.group(1).removesuffix(".Arn") if whole else text


def shown_reach(reach: Reach) -> tuple[str, ...]:
    """Return `reach` for a reader."""
    shown = tuple(shown_text(pattern) for pattern in reach.patterns)
    return (f"everything but {', '.join(shown)}",) if reach.inverted else shown


def statements(assembly: Assembly) -> tuple[Statement, ...]:
    """Return every statement of every policy in `assembly`, once for each principal."""
    return tuple(_Reader(assembly).read())


class _Reader:
    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._readable = Readable(assembly)
        self._attached = self._attachments()

    def read(self) -> Iterator[Statement]:
        for resource in self._assembly.resources():
            stack = self._assembly.stacks[resource.stack]
            if resource.type == "AWS::Lambda::Permission":
                yield from self._invocation(resource, stack)
            elif resource.type == "AWS::Lambda::LayerVersionPermission":
                yield from self._layer(resource, stack)
            else:
                for name, document in self._documents(resource.properties, "", stack):
                    yield from self._statements(document, name, resource, stack)
            yield from self._managed(resource, stack)

    def _attachments(self) -> dict[str, list[Principal]]:
        """Managed policies of the assembly, by path, to the roles that list them."""
        found: dict[str, list[Principal]] = {}
        for resource in self._assembly.resources("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group"):
            for policy in branches(resource.properties.get("ManagedPolicyArns")):
                reference = self._readable.reference(policy, resource.stack)
                if reference is not None:
                    found.setdefault(reference.path, []).append(Principal(resource.path))
        return found

    def _documents(self, value: Any, name: str, stack: Stack) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The policy documents anywhere within `value`, each with the name of its property."""
        if isinstance(value, list):
            for item in value:
                yield from self._documents(item, name, stack)
        elif _is_policy(value):
            yield name, value
        elif isinstance(value, Mapping):
            if name.endswith("Policy") or name.endswith("PolicyDocument"):
                parsed = self._parsed(value, stack)
                if parsed is not None:
                    yield name, parsed
                    return
            for key, item in value.items():
                # A branch of a function belongs to the same property.
                yield from self._documents(item, name if key.startswith("Fn::") else key, stack)
        elif isinstance(value, str) and '"Statement"' in value:
            parsed = self._parsed(value, stack)
            if parsed is not None:
                yield name, parsed

    def _parsed(self, value: Any, stack: Stack) -> Mapping[str, Any] | None:
        """The policy document that `value` is as text."""
        text = self._readable.text(value, stack)
        try:
            document = json.loads(text)
        except ValueError:
            return None
        return document if _is_policy(document) else None

    def _statements(
        self, document: Mapping[str, Any], name: str, resource: Resource, stack: Stack
    ) -> Iterator[Statement]:
        trust = name == "AssumeRolePolicyDocument"
        kind: Kind = "trust" if trust else "identity" if resource.type in _IDENTITY_TYPES else "resource"
        owners = self._protected(resource, stack) if kind == "resource" else ()
        for statement in branches(document.get("Statement")):
            if not isinstance(statement, Mapping):
                continue
            if kind == "identity":
                holders = self._holders(resource, stack)
            else:
                holders = list(self._principals(statement, stack))
            resources = self._reach(statement, "Resource", stack)
            if kind != "identity":
                resources = _of_owner(resources, owners or (f"${{{resource.path}}}",), resource.type)
            for holder in holders:
                yield Statement(
                    kind=kind,
                    principal=holder,
                    effect=str(statement.get("Effect", "Allow")),
                    actions=self._reach(statement, "Action", stack),
                    resources=resources,
                    conditions=self._conditions(statement.get("Condition"), stack),
                    source=resource.path,
                    owner=_owner(kind, holder, owners, resource),
                    owner_type=resource.type,
                    account=stack.account,
                )

    def _holders(self, resource: Resource, stack: Stack) -> list[Principal]:
        if resource.type in ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group"):
            return [Principal(resource.path)]
        named = (item for key in _HOLDERS for item in branches(resource.properties.get(key)))
        holders = [Principal(self._name(item, stack)) for item in named]
        holders += self._attached.get(resource.path, [])
        return holders or [Principal(f"whoever is given {resource.path}")]

    def _protected(self, resource: Resource, stack: Stack) -> tuple[str, ...]:
        named = (item for key in _PROTECTED for item in branches(resource.properties.get(key)))
        return tuple(f"${{{self._name(item, stack)}}}" for item in named)

    def _name(self, value: Any, stack: Stack) -> str:
        reference = self._readable.reference(value, stack)
        return reference.path if reference is not None else self._readable.text(value, stack)

    def _pattern(self, value: Any, stack: Stack) -> str:
        reference = self._readable.reference(value, stack)
        text = f"${{{reference.name}}}" if reference is not None else self._readable.text(value, stack)
        # An asset that changes is still the same asset.
        return _ASSET_HASH.sub("{asset}", _BUCKET_BY_NAME.sub(r"${\1.Arn}", text))

    def _reach(self, statement: Mapping[str, Any], element: str, stack: Stack) -> Reach:
        inverted = element not in statement and f"Not{element}" in statement
        values = branches(statement.get(f"Not{element}" if inverted else element))
        return Reach(tuple(sorted({self._pattern(value, stack) for value in values})), inverted)

    def _conditions(self, block: Any, stack: Stack) -> tuple[Condition, ...]:
        if block is None:
            return ()
        resolved = self._readable.value(block, stack)
        if not isinstance(resolved, Mapping) or not all(
            isinstance(item, Mapping) for item in resolved.values()
        ):
            return (Condition("unresolved", self._readable.text(block, stack), ()),)
        return tuple(
            sorted(
                Condition(operator, key, tuple(sorted({_text(value) for value in branches(values)})))
                for operator, keys in resolved.items()
                for key, values in keys.items()
            )
        )

    def _principals(self, statement: Mapping[str, Any], stack: Stack) -> Iterator[Principal]:
        if "NotPrincipal" in statement:
            excluded = ", ".join(
                principal.label for principal in self._named_principals(statement["NotPrincipal"], stack)
            )
            yield Principal(f"anyone but {excluded}", anyone=True)
        else:
            yield from self._named_principals(statement.get("Principal", "*"), stack)

    def _named_principals(self, value: Any, stack: Stack) -> Iterator[Principal]:
        for branch in branches(value):
            if not isinstance(branch, Mapping) or any(key.startswith(("Fn::", "Ref")) for key in branch):
                yield self._aws_principal(branch, stack)
                continue
            for category, names in branch.items():
                for name in branches(names):
                    if category == "AWS":
                        yield self._aws_principal(name, stack)
                    elif category == "Service":
                        yield Principal(f"service {self._readable.text(name, stack)}", service=True)
                    elif category == "Federated":
                        yield Principal(f"identity provider {self._name(name, stack)}", federated=True)
                    else:
                        yield Principal(f"{category} {self._readable.text(name, stack)}")

    def _aws_principal(self, value: Any, stack: Stack) -> Principal:
        reference = self._readable.reference(value, stack)
        if reference is not None:
            return Principal(reference.path, account=self._assembly.stacks[reference.stack].account)
        text = self._readable.text(value, stack)
        if text == "*":
            return Principal("anyone", anyone=True)
        if _OWN_ACCOUNT.fullmatch(text):
            return Principal("this account")
        whole = _ACCOUNT.fullmatch(text)
        if whole:
            return Principal(f"account {whole.group(1)}", account=whole.group(1))
        within = _ACCOUNT_IN_ARN.match(text)
        return Principal(text, account=within.group(1) if within else None)

    def _invocation(self, resource: Resource, stack: Stack) -> Iterator[Statement]:
        properties = resource.properties
        tests = (
            ("ArnLike", "aws:SourceArn", "SourceArn"),
            ("StringEquals", "aws:SourceAccount", "SourceAccount"),
            ("StringEquals", "aws:PrincipalOrgID", "PrincipalOrgID"),
            ("StringEquals", "lambda:FunctionUrlAuthType", "FunctionUrlAuthType"),
            ("Bool", "lambda:InvokedViaFunctionUrl", "InvokedViaFunctionUrl"),
            ("StringEquals", "lambda:EventSourceToken", "EventSourceToken"),
        )
        conditions = [
            Condition(
                operator,
                key,
                tuple(sorted(self._pattern(item, stack) for item in branches(properties[name]))),
            )
            for operator, key, name in tests
            if name in properties
        ]
        for principal in branches(properties.get("Principal")):
            text = self._readable.text(principal, stack)
            service = re.fullmatch(r"[a-z0-9.-]+\.(amazonaws\.com(\.cn)?|amazon\.com)", text)
            yield self._grant(
                Principal(f"service {text}", service=True)
                if service
                else self._aws_principal(principal, stack),
                resource,
                stack,
                conditions,
            )

    def _layer(self, resource: Resource, stack: Stack) -> Iterator[Statement]:
        organization = resource.properties.get("OrganizationId")
        conditions = (
            [Condition("StringEquals", "aws:PrincipalOrgID", (self._readable.text(organization, stack),))]
            if organization is not None
            else []
        )
        for principal in branches(resource.properties.get("Principal")):
            yield self._grant(self._aws_principal(principal, stack), resource, stack, conditions)

    def _grant(
        self, principal: Principal, resource: Resource, stack: Stack, conditions: Iterable[Condition]
    ) -> Statement:
        protected = self._protected(resource, stack) or (f"${{{resource.path}}}",)
        return Statement(
            kind="resource",
            principal=principal,
            effect="Allow",
            actions=self._reach(resource.properties, "Action", stack),
            resources=Reach(protected),
            conditions=tuple(sorted(conditions)),
            source=resource.path,
            owner=shown_reach(Reach(protected[:1]))[0],
            owner_type=resource.type,
            account=stack.account,
        )

    def _managed(self, resource: Resource, stack: Stack) -> Iterator[Statement]:
        for policy in branches(resource.properties.get("ManagedPolicyArns")):
            if self._readable.reference(policy, stack) is None:
                yield Statement(
                    kind="managed",
                    principal=Principal(resource.path),
                    effect="Allow",
                    actions=Reach((f"policy {self._readable.text(policy, stack)}",)),
                    resources=Reach(("as the policy says",)),
                    conditions=(),
                    source=resource.path,
                    owner=resource.path,
                    owner_type=resource.type,
                    account=stack.account,
                )


def branches(value: Any) -> Iterator[Any]:
    """Return what `value` can be, one by one: the items of a list, both sides of an `Fn::If`."""
    if isinstance(value, list):
        for item in value:
            yield from branches(item)
        return
    sides = value["Fn::If"] if isinstance(value, Mapping) and set(value) == {"Fn::If"} else None
    if isinstance(sides, list) and len(sides) == 3:
        yield from branches(sides[1:])
    elif value is not None and value != {"Ref": "AWS::NoValue"}:
        yield value


def _is_policy(value: Any) -> bool:
    if not isinstance(value, Mapping) or "Statement" not in value:
        return False
    found = list(branches(value["Statement"]))
    return bool(found) and all(
        isinstance(item, Mapping) and "Effect" in item and ("Action" in item or "NotAction" in item)
        for item in found
    )


def _of_owner(resources: Reach, owners: tuple[str, ...], policy_type: str) -> Reach:
    """In the policy of one resource, no resource at all and `*` are that resource."""
    if policy_type in _NOT_ONE_RESOURCE:
        return resources if resources.patterns else Reach(("*",))
    if resources.patterns in ((), ("*",)) and not resources.inverted:
        return Reach(owners)
    return resources


def _owner(kind: Kind, holder: Principal, owners: tuple[str, ...], resource: Resource) -> str:
    if kind == "identity":
        return holder.label
    return ", ".join(shown_reach(Reach(owners))) if owners else resource.path


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
