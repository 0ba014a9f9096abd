"""What opens a door: to the public, or to another account."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ops.review.alarms import narrows_to_known, other_account
from ops.review.api_methods import api_methods
from ops.review.intrinsics import Readable
from ops.review.model import Assembly, Resource
from ops.review.policies import Statement, branches, statements
from ops.review.transport import insecure_transport_denied

DoorState = Literal["opened", "open", "closed"]
_STATES: tuple[DoorState, ...] = ("opened", "closed", "open")
_EVERY_ADDRESS = frozenset({"0.0.0.0/0", "::/0"})
_EVERY_SUBJECT = re.compile(r"\**$|repo:\*")
_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


@dataclass(frozen=True)
class Door:
    """A way in."""

    subject: str
    """The path of what can be reached."""
    type: str
    what: str
    """Who gets in, and how."""
    public: bool
    """True if anyone does; False for a known other account."""
    state: DoorState = "open"
    """`opened` and `closed` by the change; `open` before and after it, or with nothing to compare with."""


def review_exposure(before: Assembly | None, after: Assembly) -> tuple[Door, ...]:
    """Return the doors of `after`, and those of `before` that it closes; what it opens comes first."""
    now = dict.fromkeys(find_doors(after))
    if before is None:
        return _ordered(list(now))
    past = dict.fromkeys((*find_doors(before), *_dropped_protections(after, before)))
    now |= dict.fromkeys(_dropped_protections(before, after))
    return _ordered(
        [
            *(door if door in past else replace(door, state="opened") for door in now),
            *(replace(door, state="closed") for door in past if door not in now),
        ]
    )


def _ordered(doors: list[Door]) -> tuple[Door, ...]:
    return tuple(
        sorted(
            doors,
            key=lambda door: (_STATES.index(door.state), not door.public, door.subject, door.what),
        )
    )


def find_doors(assembly: Assembly) -> Iterator[Door]:
    """Return every door of `assembly`."""
    for statement in statements(assembly):
        yield from _statement_doors(statement)
    readable = Readable(assembly)
    for resource in assembly.resources():
        finder = _FINDERS.get(resource.type)
        if finder is not None:
            for what in finder(_Reader(readable, resource)):
                yield Door(resource.path, resource.type, what, public=True)
    for method in api_methods(assembly):
        if method.open:
            yield Door(
                method.name, method.type, "anyone may call it: neither authorization nor key", public=True
            )


def _statement_doors(statement: Statement) -> Iterator[Door]:
    if statement.effect != "Allow" or statement.kind not in ("resource", "trust"):
        return
    if statement.owner_type == "AWS::EC2::VPCEndpoint":
        # Only what is in the VPC reaches the endpoint, whoever its policy names.
        return
    may = "may assume it" if statement.kind == "trust" else f"may {', '.join(statement.shown_actions)}"
    principal = statement.principal
    if principal.anyone and not narrows_to_known(statement.conditions):
        yield Door(statement.owner, statement.owner_type, f"{principal.label} {may}", public=True)
    elif principal.federated and statement.kind == "trust" and not _names_subjects(statement):
        yield Door(
            statement.owner,
            statement.owner_type,
            f"every identity of {principal.label.removeprefix('identity provider ')} {may}: "
            "no condition on the subject",
            public=True,
        )
    account = other_account(principal, statement.account)
    if account is not None:
        yield Door(
            statement.owner, statement.owner_type, f"another account {may}: {principal.label}", public=False
        )


def _names_subjects(statement: Statement) -> bool:
    """Return whether a trust in an identity provider is limited to some of its identities."""
    return any(
        condition.key.lower().endswith((":sub", ":aud", ":amr"))
        and not condition.optional
        and not any(_EVERY_SUBJECT.match(value) for value in condition.values)
        for condition in statement.conditions
        # GitHub's audience is the same for every repository there is.
        if condition.key.lower() != "token.actions.githubusercontent.com:aud"
    )


@dataclass(frozen=True)
class _Reader:
    """Reads the properties of one resource."""

    readable: Readable
    resource: Resource

    def value(self, name: str) -> Any:
        return self.readable.value(self.resource.properties.get(name), self.resource.stack)

    def is_true(self, name: str) -> bool:
        return str(self.value(name)).lower() == "true"


def _bucket(read: _Reader) -> Iterator[str]:
    acl = read.value("AccessControl")
    if acl in ("PublicRead", "PublicReadWrite", "AuthenticatedRead"):
        yield f"anyone may read it by its access control list ({acl})"
    block = read.value("PublicAccessBlockConfiguration")
    if isinstance(block, Mapping):
        # A new bucket without the property has all four: S3's default since April 2023.
        off = [name for name in _BLOCKS if str(block.get(name)).lower() != "true"]
        if off:
            yield f"a policy or an access control list may make it public: {', '.join(off)} off"


def _function_url(read: _Reader) -> Iterator[str]:
    if read.value("AuthType") == "NONE":
        yield "anyone may call the function's URL (AuthType NONE)"


def _security_group(read: _Reader) -> Iterator[str]:
    for rule in branches(read.value("SecurityGroupIngress")):
        yield from _ingress(rule)


def _ingress_rule(read: _Reader) -> Iterator[str]:
    yield from _ingress(read.readable.value(read.resource.properties, read.resource.stack))


def _ingress(rule: Any) -> Iterator[str]:
    if not isinstance(rule, Mapping):
        return
    for key in ("CidrIp", "CidrIpv6"):
        if str(rule.get(key)) in _EVERY_ADDRESS:
            yield f"every address ({rule[key]}) reaches {_ports(rule)}"


def _ports(rule: Mapping[str, Any]) -> str:
    protocol = str(rule.get("IpProtocol", "-1"))
    if protocol == "-1":
        return "every port"
    first, last = rule.get("FromPort"), rule.get("ToPort")
    ports = f"{first}" if first == last else f"{first} to {last}"
    return f"port {ports} ({protocol})"


def _flag(name: str, what: str) -> Callable[[_Reader], Iterator[str]]:
    def found(read: _Reader) -> Iterator[str]:
        if read.is_true(name):
            yield what

    return found


def _choice(name: str, value: str, what: str) -> Callable[[_Reader], Iterator[str]]:
    def found(read: _Reader) -> Iterator[str]:
        if read.value(name) == value:
            yield what

    return found


def _unless(name: str, value: str, what: str) -> Callable[[_Reader], Iterator[str]]:
    """For a property whose default is open."""

    def found(read: _Reader) -> Iterator[str]:
        if read.value(name) != value:
            yield what

    return found


_FINDERS: Mapping[str, Callable[[_Reader], Iterator[str]]] = {
    "AWS::S3::Bucket": _bucket,
    "AWS::Lambda::Url": _function_url,
    "AWS::EC2::SecurityGroup": _security_group,
    "AWS::EC2::SecurityGroupIngress": _ingress_rule,
    "AWS::RDS::DBInstance": _flag("PubliclyAccessible", "it has a public address"),
    "AWS::Redshift::Cluster": _flag("PubliclyAccessible", "it has a public address"),
    "AWS::DMS::ReplicationInstance": _flag("PubliclyAccessible", "it has a public address"),
    "AWS::SageMaker::NotebookInstance": _unless(
        "DirectInternetAccess", "Disabled", "it has direct internet access"
    ),
    "AWS::SageMaker::Domain": _choice(
        "AppNetworkAccessType", "PublicInternetOnly", "its apps have direct internet access"
    ),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _unless("Scheme", "internal", "it faces the internet"),
    "AWS::Cognito::IdentityPool": _flag(
        "AllowUnauthenticatedIdentities", "anyone gets its unauthenticated role"
    ),
    "AWS::AppSync::GraphQLApi": _choice(
        "AuthenticationType", "API_KEY", "whoever has its key may call it (API_KEY)"
    ),
}


def _dropped_protections(before: Assembly, after: Assembly) -> Iterator[Door]:
    """Doors of `after` that are open only because `before` shut them in so many words."""
    old = {bucket.path: bucket for bucket in before.resources("AWS::S3::Bucket")}
    secure_before, secure_after = insecure_transport_denied(before), insecure_transport_denied(after)
    for bucket in after.resources("AWS::S3::Bucket"):
        if bucket.path not in old:
            continue
        block = "PublicAccessBlockConfiguration"
        if block in old[bucket.path].properties and block not in bucket.properties:
            yield Door(
                bucket.path,
                bucket.type,
                "a policy or an access control list may make it public: the public access block is dropped",
                public=True,
            )
        if bucket.path in secure_before and bucket.path not in secure_after:
            yield Door(bucket.path, bucket.type, "requests without TLS are not denied any more", public=False)
