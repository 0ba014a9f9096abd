"""How data and interfaces are protected, resource by resource, and where a change makes that weaker."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops.review.api_methods import Throttle, api_methods
from ops.review.intrinsics import Readable, as_text
from ops.review.jobs import workflow_jobs
from ops.review.model import Assembly, Resource
from ops.review.policies import branches
from ops.review.transport import insecure_transport_denied

ENCRYPTION = "encryption at rest"
TRANSPORT = "TLS only"
PUBLIC_ACCESS = "public access"
AUTHORIZATION = "authorization"
THROTTLING = "throttling"
LOG_RETENTION = "log retention"
VERSIONING = "versioning"
ACCESS_LOG = "access log"
KEY_ROTATION = "key rotation"
ISOLATION = "network isolation"
DELETION = "deletion protection"

_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


@dataclass(frozen=True)
class ProtectionRow:
    """One aspect of the protection of one resource."""

    subject: str
    type: str
    aspect: str
    before: str
    """Empty if the resource was not there, or there is nothing to compare with."""
    after: str
    """Empty if the resource is not there any more."""
    ok: bool
    """Whether it is protected as it should be now."""
    weaker: bool
    """Whether the change protects it less."""


@dataclass(frozen=True)
class ProtectionReview:
    """All rows; what got weaker comes first."""

    rows: tuple[ProtectionRow, ...] = ()

    @property
    def weaker(self) -> tuple[ProtectionRow, ...]:
        """The rows in which protection got weaker."""
        return tuple(row for row in self.rows if row.weaker)


@dataclass(frozen=True)
class _State:
    type: str
    text: str
    strength: tuple[float, ...]
    """More is better, in each place."""
    ok: bool = True
    usual: bool = False
    """Not worth a row unless the change is about it."""


_Found = Iterator[tuple[str, str, _State]]
"""Subject, aspect and state."""


def review_protection(before: Assembly | None, after: Assembly) -> ProtectionReview:
    """Compare the protection of what is in two assemblies."""
    old = {} if before is None else _states(before)
    new = _states(after)
    rows = [
        _row(key, old.get(key), new.get(key))
        for key in dict.fromkeys((*old, *new))
        if not all(state is None or state.usual for state in (old.get(key), new.get(key)))
    ]
    return ProtectionReview(
        tuple(sorted(rows, key=lambda row: (not row.weaker, row.subject, row.type, row.aspect)))
    )


def _row(key: tuple[str, str], old: _State | None, new: _State | None) -> ProtectionRow:
    known = new or old
    assert known is not None  # noqa: S101
    return ProtectionRow(
        subject=key[0],
        type=known.type,
        aspect=key[1],
        before=old.text if old else "",
        after=new.text if new else "",
        ok=new.ok if new else True,
        weaker=bool(
            old and new and any(now < past for now, past in zip(new.strength, old.strength, strict=True))
        ),
    )


def _states(assembly: Assembly) -> dict[tuple[str, str], _State]:
    readable = Readable(assembly)
    found = {}
    for resource in assembly.resources():
        read = _Reader(readable, resource)
        for aspect, state in _resource_states(read):
            found[resource.path, aspect] = state
    for finder in _FINDERS:
        for subject, aspect, state in finder(assembly):
            found[subject, aspect] = state
    return found


@dataclass(frozen=True)
class _Reader:
    """Reads the properties of one resource; a path has dots."""

    readable: Readable
    resource: Resource

    def value(self, path: str) -> Any:
        current = self.readable.value(self.resource.properties, self.resource.stack)
        for key in path.split("."):
            current = current.get(key) if isinstance(current, Mapping) else None
        return current

    def is_true(self, path: str) -> bool:
        return str(self.value(path)).lower() == "true"


def _resource_states(read: _Reader) -> Iterator[tuple[str, _State]]:
    kind = read.resource.type
    if kind == "AWS::S3::Bucket":
        yield from _bucket(read)
    elif kind == "AWS::SQS::Queue":
        yield ENCRYPTION, _queue_encryption(read)
    elif kind == "AWS::Logs::LogGroup":
        yield LOG_RETENTION, _retention(read.value("RetentionInDays"), kind)
    if kind in _KEYS:
        key, default, strength = _KEYS[kind]
        yield ENCRYPTION, _encrypted(kind, read.value(key), default, strength)
    for aspect, path in _SWITCHES.get(kind, ()):
        on = read.is_true(path)
        yield aspect, _State(kind, "on" if on else "off", (on,), on)


def _encrypted(kind: str, key: Any, default: str, strength: int) -> _State:
    if key is None:
        return _State(kind, default, (strength,), strength > 0, usual=kind in _USUALLY_BY_SERVICE)
    managed = str(key).startswith(("alias/aws/", "aws/"))
    return _State(kind, f"KMS key {as_text(key).removesuffix('.Arn')}", (2 if managed else 3,))


_KEYS: Mapping[str, tuple[str, str, int]] = {
    "AWS::CloudTrail::Trail": ("KMSKeyId", "S3's own key", 1),
    "AWS::DynamoDB::Table": ("SSESpecification.KMSMasterKeyId", "DynamoDB's own key", 1),
    "AWS::ECR::Repository": ("EncryptionConfiguration.KmsKey", "S3's own key", 1),
    "AWS::Kinesis::Stream": ("StreamEncryption.KeyId", "none", 0),
    "AWS::Lambda::Function": ("KmsKeyArn", "Lambda's own key", 1),
    "AWS::Logs::LogGroup": ("KmsKeyId", "CloudWatch Logs' own key", 1),
    "AWS::SNS::Topic": ("KmsMasterKeyId", "none", 0),
    "AWS::SageMaker::EndpointConfig": ("KmsKeyId", "a key of the instance only", 0),
    "AWS::SageMaker::NotebookInstance": ("KmsKeyId", "SageMaker's own key", 0),
    "AWS::SecretsManager::Secret": ("KmsKeyId", "KMS key aws/secretsmanager", 1),
    "AWS::StepFunctions::StateMachine": ("EncryptionConfiguration.KmsKeyId", "Step Functions' own key", 1),
}
"""Type to the property with its key, what encrypts without one, and how strong that is (0 is not enough)."""
_USUALLY_BY_SERVICE = frozenset(
    {"AWS::Lambda::Function", "AWS::Logs::LogGroup", "AWS::StepFunctions::StateMachine"}
)

_SWITCHES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "AWS::Cognito::UserPool": ((DELETION, "DeletionProtection"),),
    "AWS::DocDB::DBCluster": ((ENCRYPTION, "StorageEncrypted"), (DELETION, "DeletionProtection")),
    "AWS::DynamoDB::Table": ((DELETION, "DeletionProtectionEnabled"),),
    "AWS::EC2::Volume": ((ENCRYPTION, "Encrypted"),),
    "AWS::EFS::FileSystem": ((ENCRYPTION, "Encrypted"),),
    "AWS::KMS::Key": ((KEY_ROTATION, "EnableKeyRotation"),),
    "AWS::Neptune::DBCluster": ((ENCRYPTION, "StorageEncrypted"), (DELETION, "DeletionProtection")),
    "AWS::OpenSearchService::Domain": (
        (ENCRYPTION, "EncryptionAtRestOptions.Enabled"),
        (TRANSPORT, "DomainEndpointOptions.EnforceHTTPS"),
    ),
    "AWS::RDS::DBCluster": ((ENCRYPTION, "StorageEncrypted"), (DELETION, "DeletionProtection")),
    "AWS::RDS::DBInstance": ((ENCRYPTION, "StorageEncrypted"), (DELETION, "DeletionProtection")),
    "AWS::Redshift::Cluster": ((ENCRYPTION, "Encrypted"),),
    "AWS::SageMaker::Model": ((ISOLATION, "EnableNetworkIsolation"),),
}
"""Type to its aspects that a property turns on."""


def _bucket(read: _Reader) -> Iterator[tuple[str, _State]]:
    kind = read.resource.type
    yield ENCRYPTION, _bucket_encryption(read)
    block = read.value("PublicAccessBlockConfiguration")
    acl = str(read.value("AccessControl") or "")
    on = [name for name in _BLOCKS if isinstance(block, Mapping) and str(block.get(name)).lower() == "true"]
    public = acl in ("PublicRead", "PublicReadWrite", "AuthenticatedRead")
    text = (
        "blocked"
        if len(on) == len(_BLOCKS)
        else "not stated (S3 blocks it for new buckets)"
        if block is None
        else f"not blocked: {', '.join(name for name in _BLOCKS if name not in on)} off"
    )
    yield (
        PUBLIC_ACCESS,
        _State(
            kind,
            f"{text}; access control list {acl}" if public else text,
            (len(on), -public),
            len(on) == len(_BLOCKS) and not public,
        ),
    )
    versioned = read.value("VersioningConfiguration.Status") == "Enabled"
    yield VERSIONING, _State(kind, "on" if versioned else "off", (versioned,))
    target = read.value("LoggingConfiguration.DestinationBucketName")
    logged = read.value("LoggingConfiguration") is not None
    yield ACCESS_LOG, _State(kind, f"to {as_text(target or 'itself')}" if logged else "none", (logged,))


def _bucket_encryption(read: _Reader) -> _State:
    kind = read.resource.type
    for rule in branches(read.value("BucketEncryption.ServerSideEncryptionConfiguration")):
        default = rule.get("ServerSideEncryptionByDefault") if isinstance(rule, Mapping) else None
        if isinstance(default, Mapping) and str(default.get("SSEAlgorithm", "")).startswith("aws:kms"):
            return _encrypted(kind, default.get("KMSMasterKeyID"), "KMS key aws/s3", 2)
    return _State(kind, "S3's own key", (1,))


def _queue_encryption(read: _Reader) -> _State:
    disabled = str(read.value("SqsManagedSseEnabled")).lower() == "false"
    default, strength = ("none", 0) if disabled else ("SQS's own key", 1)
    return _encrypted(read.resource.type, read.value("KmsMasterKeyId"), default, strength)


def _retention(days: Any, kind: str) -> _State:
    if days is None:
        return _State(kind, "kept for ever", (math.inf,), ok=False)
    number = float(days) if str(days).isdigit() else math.inf
    return _State(kind, f"{days} days" if number != 1 else "1 day", (number,))


def _transport(assembly: Assembly) -> _Found:
    denied = insecure_transport_denied(assembly)
    for resource in assembly.resources("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic"):
        version = denied.get(resource.path)
        text = "requests without TLS are accepted"
        if version is not None:
            text = "required" if version == 0 else f"required, {version:g} or newer"
        yield (
            resource.path,
            TRANSPORT,
            _State(
                resource.type,
                text,
                (version is not None, version or 0),
                # Queues and topics of this account take requests over TLS alone from AWS's services.
                version is not None or resource.type != "AWS::S3::Bucket",
            ),
        )
    readable = Readable(assembly)
    for listener in assembly.resources("AWS::ElasticLoadBalancingV2::Listener"):
        read = _Reader(readable, listener)
        protocol = str(read.value("Protocol"))
        redirects = '"redirect"' in as_text(read.value("DefaultActions"))
        secure = protocol in ("HTTPS", "TLS") or redirects
        yield listener.path, TRANSPORT, _State(listener.type, protocol, (secure,), secure)
    for domain in assembly.resources("AWS::ApiGateway::DomainName"):
        policy = str(_Reader(readable, domain).value("SecurityPolicy") or "TLS_1_0")
        yield domain.path, TRANSPORT, _State(domain.type, policy, (policy != "TLS_1_0",), policy != "TLS_1_0")


def _methods(assembly: Assembly) -> _Found:
    for method in api_methods(assembly):
        yield (
            method.name,
            AUTHORIZATION,
            _State(method.type, method.authorization, (method.strength,), not method.open),
        )
        limited = method.throttle.rate is not None
        yield (
            method.name,
            THROTTLING,
            _State(method.type, str(method.throttle), _tightness(method.throttle), limited),
        )


def _tightness(throttle: Throttle) -> tuple[float, ...]:
    limits = (throttle.rate, throttle.burst, throttle.quota)
    return tuple(-math.inf if limit is None else -limit for limit in limits)


def _unclaimed_logs(assembly: Assembly) -> _Found:
    """Functions whose log group Lambda makes when they first run, with no retention."""
    readable = Readable(assembly)
    named = {
        str(_Reader(readable, group).value("LogGroupName"))
        for group in assembly.resources("AWS::Logs::LogGroup")
    }
    keepers = assembly.resources("Custom::LogRetention")
    kept = [as_text(readable.value(keeper.properties, keeper.stack)) for keeper in keepers]
    for function in assembly.resources("AWS::Lambda::Function"):
        name = as_text(_Reader(readable, function).value("FunctionName") or function.path)
        if (
            _Reader(readable, function).value("LoggingConfig.LogGroup") is None
            and not named & {f"/aws/lambda/{name}", f"/aws/lambda/${{{function.path}}}"}
            and not any(function.path in text for text in kept)
        ):
            state = _State(function.type, "Lambda's own log group: kept for ever", (math.inf,), ok=False)
            yield function.path, LOG_RETENTION, state


def _jobs(assembly: Assembly) -> _Found:
    for job in workflow_jobs(assembly):
        if job.keys is not None:
            shown = "; ".join(f"{use}: {f'KMS key {key}' if key else 'none'}" for use, key in job.keys)
            strengths = tuple(3.0 if key else 0.0 for _, key in job.keys)
            yield job.name, ENCRYPTION, _State(job.type, shown, strengths, all(strengths))
        if job.isolated is not None:
            yield (
                job.name,
                ISOLATION,
                _State(job.type, "on" if job.isolated else "off", (job.isolated,), job.isolated),
            )


def _stacks(assembly: Assembly) -> _Found:
    for stack in assembly.stacks.values():
        if stack.nested_in is None:
            on = stack.termination_protection
            yield stack.id, DELETION, _State("stack", "on" if on else "off", (on,))


_FINDERS: tuple[Callable[[Assembly], _Found], ...] = (_transport, _methods, _unclaimed_logs, _jobs, _stacks)
