"""How data moves between the resources of an assembly, as its templates tell.

Three things tell it: references in properties (an event rule names its target), the statements of IAM roles
(who may read or write which bucket), and the service integrations of a state machine's definition.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from ops.review.intrinsics import Readable
from ops.review.model import Assembly, Resource
from ops.review.presentation.kinds import is_part, kind

Direction = Literal["forward", "back", "both"]

JOBS_SUFFIX: Final = "#jobs"
"""Ends the key of the box that stands for the jobs of a state machine."""

_ROLE: Final = "AWS::IAM::Role"
_POLICIES: Final = frozenset({"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"})
_STATE_MACHINE: Final = "AWS::StepFunctions::StateMachine"
_DEFINITION: Final = ("DefinitionString", "Definition", "DefinitionSubstitutions")

_INTEGRATION: Final = re.compile(r":states:::([a-z0-9-]+):([A-Za-z]+)")
_JOBS: Final = {
    "sagemaker:createTrainingJob": "training",
    "sagemaker:createTransformJob": "batch transform",
    "sagemaker:createProcessingJob": "processing",
    "sagemaker:createHyperParameterTuningJob": "tuning",
    "batch:submitJob": "AWS Batch",
    "glue:startJobRun": "Glue",
    "ecs:runTask": "ECS task",
    "elasticmapreduce:createCluster": "EMR",
}

_LINKS: Final = {
    "AWS::ApiGateway::Method": ("RestApiId", "Integration", "calls", "both"),
    "AWS::ApiGatewayV2::Integration": ("ApiId", "IntegrationUri", "calls", "both"),
    "AWS::ElasticLoadBalancingV2::Listener": ("LoadBalancerArn", "DefaultActions", "forwards to", "both"),
    "AWS::Lambda::EventSourceMapping": ("EventSourceArn", "FunctionName", "feeds", "forward"),
    "AWS::Lambda::Permission": ("SourceArn", "FunctionName", "calls", "forward"),
    "AWS::SNS::Subscription": ("TopicArn", "Endpoint", "notifies", "forward"),
    "Custom::S3BucketNotifications": ("BucketName", "NotificationConfiguration", "notifies", "forward"),
}
"""Parts that connect two resources: the properties that name them, and what the first does to the second."""

_BACKWARD: Final = {
    ("AWS::SageMaker::Endpoint", "EndpointConfigName"): "configures",
    ("AWS::SageMaker::EndpointConfig", "ProductionVariants"): "is served by",
    ("AWS::Events::Rule", "EventPattern"): "announces changes to",
    ("AWS::CloudWatch::Alarm", "Dimensions"): "is watched by",
    ("AWS::CloudWatch::Alarm", "Metrics"): "is watched by",
    ("AWS::CloudWatch::Dashboard", "DashboardBody"): "is shown on",
}
"""References that point against the flow: the endpoint names its configuration, which is there before it."""

_FORWARD: Final = {
    ("AWS::Events::Rule", "Targets"): "starts",
    ("AWS::Scheduler::Schedule", "Target"): "starts",
    ("AWS::CloudWatch::Alarm", "AlarmActions"): "notifies",
    (_STATE_MACHINE, "DefinitionString"): "runs",
    (_STATE_MACHINE, "Definition"): "runs",
    (_STATE_MACHINE, "DefinitionSubstitutions"): "runs",
}

_READ: Final = ("Get", "BatchGet", "Query", "Scan", "Receive", "Select")
_WRITE: Final = ("Put", "BatchWrite", "Update", "Send", "Publish")
_CALL: Final = ("Invoke", "Start", "Execute", "SubmitJob")
_DATA_SERVICES: Final = frozenset(
    {"s3", "dynamodb", "sqs", "sns", "kinesis", "firehose", "events", "ssm", "secretsmanager"}
)
_CALLED_SERVICES: Final = frozenset({"lambda", "sagemaker", "states", "execute-api", "batch"})


@dataclass(frozen=True, order=True)
class Flow:
    """Data or control from `source` to `target`; both are keys of boxes."""

    source: str
    target: str
    label: str
    direction: Direction = "forward"


@dataclass(frozen=True)
class Box:
    """Something that the picture shows."""

    key: str
    stack: str
    path: str
    kind: str
    resource: Resource | None
    """None for the jobs of a state machine."""


@dataclass(frozen=True)
class Flows:
    """The boxes of an assembly and what moves between them."""

    boxes: Mapping[str, Box]
    """By key, in the templates' order."""
    flows: tuple[Flow, ...]
    owners: Mapping[str, tuple[str, ...]]
    """Resource key to the boxes that it is a part of; empty if no box shows it."""


def key(stack: str, logical_id: str) -> str:
    """Return the key of one resource of an assembly."""
    return f"{stack}\n{logical_id}"


def flows_of(assembly: Assembly) -> Flows:
    """Return the boxes and flows of `assembly`."""
    return _Finder(assembly).find()


class _Finder:
    def __init__(self, assembly: Assembly) -> None:
        self._readable = Readable(assembly)
        self._resources = {_key(resource): resource for resource in assembly.resources()}
        self._boxes = dict(self._find_boxes())
        self._references = {
            resource_key: {
                name: self._targets(value, resource) for name, value in resource.properties.items()
            }
            for resource_key, resource in self._resources.items()
        }
        self._referrers = self._find_referrers()
        self._by_path = {
            (box.stack, box.path): box.key for box in self._boxes.values() if box.resource is not None
        }
        self._owners = {resource_key: self._owners_of(resource_key) for resource_key in self._resources}
        self._names = self._physical_names()

    def find(self) -> Flows:
        found: dict[tuple[str, str], list[Flow]] = defaultdict(list)
        for flow in (*self._permitted(), *self._linked(), *self._referring()):
            known = flow.source in self._boxes and flow.target in self._boxes
            if known and flow.source != flow.target:
                first, second = sorted((flow.source, flow.target))
                found[first, second].append(flow)
        merged = tuple(sorted(_merge(flows) for flows in found.values()))
        return Flows(boxes=self._boxes, flows=merged, owners=self._owners)

    def _find_boxes(self) -> Iterator[tuple[str, Box]]:
        shown = {k: r for k, r in self._resources.items() if not is_part(r)}
        paths = {(r.stack, r.path) for r in shown.values() if r.type.startswith("Custom::")}
        for resource_key, resource in shown.items():
            # What a custom resource is made of is not told apart from it.
            if any((resource.stack, parent) in paths for parent in _parents(resource.path)):
                continue
            name = kind(resource.type)
            yield resource_key, Box(resource_key, resource.stack, resource.path, name, resource)
            jobs = _jobs(resource, self._readable)
            if jobs:
                yield (
                    resource_key + JOBS_SUFFIX,
                    Box(resource_key + JOBS_SUFFIX, resource.stack, f"{resource.path} jobs", jobs, None),
                )

    def _targets(self, value: Any, resource: Resource) -> tuple[str, ...]:
        references = self._readable.references(value, resource.stack)
        return tuple(dict.fromkeys(key(found.stack, found.logical_id) for found in references))

    def _find_referrers(self) -> dict[str, list[tuple[str, str]]]:
        referrers: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for source, properties in self._references.items():
            for name, targets in properties.items():
                for target in targets:
                    referrers[target].append((source, name))
        return referrers

    def _owners_of(self, resource_key: str) -> tuple[str, ...]:
        if resource_key in self._boxes:
            return (resource_key,)
        resource = self._resources[resource_key]
        if resource.type in _POLICIES:
            roles = self._references[resource_key].get("Roles", ())
            users = (user for role in roles if role in self._resources for user in self._role_users(role))
            return tuple(dict.fromkeys(users))
        if resource.type == _ROLE:
            users_of_role = self._role_users(resource_key)
            if users_of_role:
                return users_of_role
        return self._above(resource) or self._beside(resource_key)

    def _above(self, resource: Resource) -> tuple[str, ...]:
        """The box of the nearest construct that `resource` is within."""
        paths = ((resource.stack, parent) for parent in _parents(resource.path))
        return tuple(self._by_path[path] for path in paths if path in self._by_path)[:1]

    def _beside(self, resource_key: str) -> tuple[str, ...]:
        """The box that refers to a resource, or whose part does, or that the resource refers to."""
        sources = [source for source, _ in self._referrers[resource_key]]
        boxes = [source for source in sources if source in self._boxes]
        parts = [owner for source in sources for owner in self._above(self._resources[source])]
        targets = [target for found in self._references[resource_key].values() for target in found]
        return tuple([*boxes, *parts, *(target for target in targets if target in self._boxes)][:1])

    def _role_users(self, role: str) -> tuple[str, ...]:
        users: dict[str, None] = {}
        for source, name in self._referrers[role]:
            if source + JOBS_SUFFIX in self._boxes and name in _DEFINITION:
                users[source + JOBS_SUFFIX] = None
            elif source in self._boxes:
                users[source] = None
            elif self._resources[source].type not in _POLICIES:
                users.update(dict.fromkeys(self._above(self._resources[source])))
        return tuple(users)

    def _physical_names(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = defaultdict(list)
        for box in self._boxes.values():
            for name, value in box.resource.properties.items() if box.resource else ():
                if name.endswith("Name") and isinstance(value, str):
                    names[value].append(box.key)
        return names

    def _referring(self) -> Iterator[Flow]:
        for source in self._boxes:
            resource = self._boxes[source].resource
            if resource is None:
                continue
            if source + JOBS_SUFFIX in self._boxes:
                yield Flow(source, source + JOBS_SUFFIX, "runs")
            for name, targets in self._references[source].items():
                for target in targets:
                    if self._is_flow(source, name, target):
                        yield self._reference(source, name, target, resource.type)

    def _is_flow(self, source: str, name: str, target: str) -> bool:
        if target not in self._boxes or self._resources[target].type == "AWS::KMS::Key":
            return False
        # All buckets log to one: true, and of no help in seeing how data flows.
        if name == "LoggingConfiguration":
            return False
        # Jobs read and write what the definition names, and their role says which.
        in_jobs = source + JOBS_SUFFIX in self._boxes and name in _DEFINITION
        return not in_jobs or self._resources[target].type != "AWS::S3::Bucket"

    @staticmethod
    def _reference(source: str, name: str, target: str, resource_type: str) -> Flow:
        backward = _BACKWARD.get((resource_type, name))
        if backward is not None:
            return Flow(target, source, backward)
        return Flow(source, target, _FORWARD.get((resource_type, name), "uses"))

    def _linked(self) -> Iterator[Flow]:
        for part, resource in self._resources.items():
            if resource.type not in _LINKS:
                continue
            first, second, label, direction = _LINKS[resource.type]
            for source in self._boxes_of(self._references[part].get(first, ())):
                for target in self._boxes_of(self._references[part].get(second, ())):
                    if direction == "both":
                        yield Flow(target, source, "answers", "both")
                    else:
                        yield Flow(source, target, label)

    def _boxes_of(self, resources: Iterable[str]) -> list[str]:
        owners = (owner for resource in resources for owner in self._owners.get(resource, ()))
        return list(dict.fromkeys(owners))

    def _permitted(self) -> Iterator[Flow]:
        for resource_key, resource in self._resources.items():
            if resource.type in _POLICIES:
                documents = [resource.properties.get("PolicyDocument")]
            elif resource.type == _ROLE:
                policies = resource.properties.get("Policies")
                documents = [p.get("PolicyDocument") for p in _list(policies) if isinstance(p, Mapping)]
            else:
                continue
            for document in documents:
                statements = document.get("Statement") if isinstance(document, Mapping) else None
                for statement in _list(statements):
                    yield from self._statement(statement, resource, self._owners[resource_key])

    def _statement(self, statement: Any, policy: Resource, users: tuple[str, ...]) -> Iterator[Flow]:
        if not isinstance(statement, Mapping) or statement.get("Effect") != "Allow":
            return
        verbs = {verb for action in _list(statement.get("Action")) for verb in _verbs(action)}
        if not verbs:
            return
        resources = _list(statement.get("Resource"))
        named = [t for item in resources for t in (*self._targets(item, policy), *self._named(item, policy))]
        for target in dict.fromkeys(named):
            for user in users:
                if "calls" in verbs:
                    called = self._resources.get(target)
                    asks = called is not None and called.type == "AWS::SageMaker::Endpoint"
                    yield Flow(target, user, "answers", "both") if asks else Flow(user, target, "calls")
                if "reads" in verbs:
                    yield Flow(target, user, "is read by")
                if "writes" in verbs:
                    yield Flow(user, target, "writes")

    def _named(self, value: Any, policy: Resource) -> Iterator[str]:
        """The boxes whose name ends an ARN that is written out."""
        text = self._readable.text(value, policy.stack)
        if not text.startswith("arn:") or text.count(":") < 5:
            return
        service = text.split(":")[2]
        word, _, name = text.split(":", 5)[5].replace(":", "/", 1).partition("/")
        for box in self._names.get(name or word, ()):
            resource = self._resources[box]
            wanted = resource.type.rsplit("::", 1)[-1].lower()
            same_service = resource.type.lower().startswith(
                f"aws::{service.replace('states', 'stepfunctions')}"
            )
            if same_service and (not name or word.replace("-", "").lower() == wanted):
                yield box


def _key(resource: Resource) -> str:
    return key(resource.stack, resource.logical_id)


def _parents(path: str) -> Iterator[str]:
    """The path of each construct above `path`, nearest first."""
    while "/" in path:
        path = path.rsplit("/", 1)[0]
        yield path


def _jobs(resource: Resource, readable: Readable) -> str:
    if resource.type != _STATE_MACHINE:
        return ""
    text = readable.text([resource.properties.get(name) for name in _DEFINITION], resource.stack)
    found = {_JOBS.get(f"{service}:{action}"): None for service, action in _INTEGRATION.findall(text)}
    names = [name for name in found if name]
    text = ", ".join(names)
    return text[:1].upper() + text[1:]


def _verbs(action: Any) -> Iterator[str]:
    service, _, name = str(action).partition(":")
    if action == "*" or (service in _DATA_SERVICES and name.startswith("*")):
        yield from ("reads", "writes")
    elif service in _DATA_SERVICES:
        if name.startswith(_READ) and not name.startswith(("GetBucket", "GetQueue", "GetTopic")):
            yield "reads"
        if name.startswith(_WRITE):
            yield "writes"
    elif service in _CALLED_SERVICES and name.startswith(_CALL):
        yield "calls"


def _merge(flows: list[Flow]) -> Flow:
    """One flow for all that is known about a pair; a plain use says nothing beside a read or a write."""
    telling = [flow for flow in flows if flow.label != "uses"] or flows
    first = telling[0]
    if any(flow.direction == "both" for flow in telling):
        return next(flow for flow in telling if flow.direction == "both")
    same = [flow for flow in telling if flow.source == first.source]
    if len(same) < len(telling):
        # Read and written: drawn from the bucket's reader's side, so that results stand behind their maker.
        writes = next((flow for flow in telling if flow.label == "writes"), first)
        label = "writes and reads" if writes.label == "writes" else "exchanges data with"
        return Flow(writes.source, writes.target, label, "both")
    # A permission to call adds nothing to the reference that does.
    telling_more = [flow.label for flow in same if flow.label != "calls"] or ["calls"]
    labels = list(dict.fromkeys(telling_more))
    return Flow(first.source, first.target, " and ".join(labels))


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
