"""Changes seeded into the real app's assembly: each is found, named and graded; harmless ones alarm nobody.

A seed changes the synthesized templates as a change of the app's code would.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.review.assembly import read_assembly
from ops.review.changes import compare
from ops.review.exports import refused_exports
from ops.review.model import Grade, ResourceChange
from ops.review.permissions import PermissionsReview, StatementChange, review_permissions
from ops.review.protection import ProtectionReview, review_protection
from tests.template.assembly import Assembly

KEEPING = "dev that keeps its data, trains by schedule and waits for approval"
PREFIX = "movie-recommender-dev"
HARMLESS = (Grade.NO_EFFECT, Grade.CODE)
CODE, ADDED, REMOVED = Grade.CODE, Grade.ADDED, Grade.REMOVED
IN_PLACE, REPLACED, LIVE, LOSS = Grade.IN_PLACE, Grade.REPLACED, Grade.LIVE, Grade.DATA_LOSS

Definition = dict[str, Any]


@dataclass
class Templates:
    """The templates of one assembly, to be changed."""

    parts: dict[str, Definition]
    logical_ids: dict[str, str]
    """By `<part>/<construct path>`."""

    def resources(self, part: str) -> Definition:
        found: Definition = self.parts[part]["Resources"]
        return found

    def the(self, where: str) -> Definition:
        definition: Definition = self.resources(where.partition("/")[0])[self.logical_ids[where]]
        return definition

    def properties(self, where: str) -> Definition:
        found: Definition = self.the(where)["Properties"]
        return found

    def statements(self, where: str) -> list[Definition]:
        """The statements of the policy at `where`, whatever kind of policy it is."""
        properties = self.properties(where)
        name = next(name for name in properties if name.endswith("PolicyDocument") or name == "KeyPolicy")
        found: list[Definition] = properties[name]["Statement"]
        return found

    def remove(self, where: str) -> None:
        del self.resources(where.partition("/")[0])[self.logical_ids[where]]

    def rename(self, where: str, name: str) -> None:
        """Give the resource another logical id, with everything that refers to it."""
        part, old = where.partition("/")[0], self.logical_ids[where]
        self.the(where).setdefault("Metadata", {})["aws:cdk:path"] = f"{PREFIX}-{where}/Resource"
        text = json.dumps(self.parts[part]).replace(f'"{old}"', f'"{name}"')
        self.parts[part] = json.loads(text)


@dataclass(frozen=True)
class Found:
    """What the review says of a seed."""

    changes: dict[str, ResourceChange]
    permissions: PermissionsReview
    protection: ProtectionReview
    refusals: tuple[str, ...]

    def widened(self, principal: str, action: str) -> StatementChange:
        """The one statement that lets `principal` do `action` from now on."""
        permissions = self.permissions
        found = [
            change
            for change in (*permissions.statements, *permissions.trusts)
            if change.widens and change.principal.endswith(principal) and action in change.actions
        ]
        assert found, (principal, action, permissions)
        return found[0]

    def alarming(self, principal: str, alarm: str) -> None:
        """Something that `principal` may do from now on deserves `alarm`."""
        statements = [each for each in self.permissions.statements if each.principal.endswith(principal)]
        assert any(alarm in text for each in statements if each.widens for text in each.alarms), statements

    def opened(self, subject: str) -> None:
        opened = [door.subject for door in self.permissions.opened]
        assert any(subject in door for door in opened), opened

    def protected(self, subject: str, aspect: str, after: str) -> None:
        """How something is protected from now on."""
        rows = [row for row in self.protection.rows if row.subject.endswith(subject) and row.aspect == aspect]
        assert [row.after for row in rows] == [after]

    def weaker(self, subject: str, aspect: str) -> None:
        rows = [(row.subject, row.aspect) for row in self.protection.weaker]
        assert any(subject in row[0] and row[1] == aspect for row in rows), rows


Reviewed = Callable[..., Found]
Check = Callable[[Found], object]


@dataclass(frozen=True)
class Seed:
    """A change, and what the review must say about it."""

    what: str
    change: Callable[[Templates], object]
    where: str
    """`<part>/<construct path>` of the resource that must be named."""
    grades: set[Grade]
    path: str = ""
    """The property that must be named."""
    checks: tuple[Check, ...] = ()
    variant: str = "dev"

    def __str__(self) -> str:
        return self.what


def put(where: str, value: Any, *keys: str | int) -> Callable[[Templates], None]:
    """Set one property."""

    def change(templates: Templates) -> None:
        target: Any = templates.properties(where)
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = value

    return change


def drop(where: str, *keys: str | int) -> Callable[[Templates], None]:
    """Remove one property."""

    def change(templates: Templates) -> None:
        target: Any = templates.properties(where)
        for key in keys[:-1]:
            target = target[key]
        del target[keys[-1]]

    return change


def attribute(where: str, **values: Any) -> Callable[[Templates], None]:
    """Set attributes of a resource beside its properties."""
    return lambda templates: templates.the(where).update(values)


def all_of(*changes: Callable[[Templates], object]) -> Callable[[Templates], None]:
    def change(templates: Templates) -> None:
        for each in changes:
            each(templates)

    return change


def permit(where: str, **statement: Any) -> Callable[[Templates], None]:
    """Add an Allow statement to a policy."""
    return lambda templates: templates.statements(where).append({"Effect": "Allow", **statement})


def edit_statement(where: str, action: str, **values: Any) -> Callable[[Templates], None]:
    """Change the statement about `action`; None drops a field."""

    def change(templates: Templates) -> None:
        (statement,) = [
            each
            for each in templates.statements(where)
            if action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
            and each["Effect"] == "Allow"
        ]
        for key, value in values.items():
            if value is None:
                del statement[key]
            else:
                statement[key] = value

    return change


def edit_definition(where: str, old: str, new: str) -> Callable[[Templates], None]:
    """Replace text in a state machine's definition."""

    def change(templates: Templates) -> None:
        properties = templates.properties(where)
        text = json.dumps(properties["DefinitionString"])
        escaped = [json.dumps(part)[1:-1] for part in (old, new)]
        assert escaped[0] in text
        properties["DefinitionString"] = json.loads(text.replace(escaped[0], escaped[1], 1))

    return change


def add(part: str, name: str, **definition: Any) -> Callable[[Templates], None]:
    """Add a resource."""
    metadata = {"aws:cdk:path": f"{PREFIX}-{part}/{name}/Resource"}
    return lambda templates: templates.resources(part).update({name: {**definition, "Metadata": metadata}})


RAW, KEY, REGISTRY = "storage/Raw", "storage/Key", "storage/ModelRegistry"
JOB_POLICY, JOB_ROLE = "training/Workflow/JobRole/DefaultPolicy", "training/Workflow/JobRole"
WORKFLOW, RULE, PREPARE = (
    "training/Workflow/StateMachine",
    "training/Triggers/NewRatings",
    "training/PrepareData",
)
ENDPOINT, CONFIG, MODEL = (
    "serving/Endpoint/Endpoint",
    "serving/Endpoint/Configuration",
    "serving/Endpoint/Model",
)
RECOMMEND, STAGE = "serving/Api/Recommend", "serving/Api/RestApi/DeploymentStage.v1"
POST = "serving/Api/RestApi/Default/predictions/POST"
PLAN, ACCESS_LOGS, API = "serving/Api/RestApi/UsagePlan", "serving/Api/AccessLogs", "serving/Api/RestApi"
STAR = {"Action": "s3:*", "Resource": "*"}

SEEDS = [
    # -- the live endpoint
    Seed(
        "the endpoint is renamed",
        put(ENDPOINT, "movie-recommender-new", "EndpointName"),
        ENDPOINT,
        {LIVE, REPLACED},
        "Properties.EndpointName",
    ),
    Seed(
        "the endpoint's instance type changes",
        put(CONFIG, "ml.m5.large", "ProductionVariants", 0, "InstanceType"),
        CONFIG,
        {LIVE, REPLACED},
        "Properties.ProductionVariants[AllTraffic].InstanceType",
        (lambda found: follows(found, ENDPOINT, "Properties.EndpointConfigName", {LIVE, IN_PLACE}),),
    ),
    Seed(
        "the endpoint gets a second instance",
        put(CONFIG, 2, "ProductionVariants", 0, "InitialInstanceCount"),
        CONFIG,
        {LIVE, REPLACED},
        "Properties.ProductionVariants[AllTraffic].InitialInstanceCount",
    ),
    Seed(
        "the endpoint configuration records requests",
        put(CONFIG, {"EnableCapture": True, "InitialSamplingPercentage": 100}, "DataCaptureConfig"),
        CONFIG,
        {LIVE, REPLACED},
        "Properties.DataCaptureConfig",
    ),
    Seed(
        "the endpoint configuration loses its key",
        drop(CONFIG, "KmsKeyId"),
        CONFIG,
        {LIVE, REPLACED},
        "Properties.KmsKeyId",
        (lambda found: found.weaker("Endpoint/Configuration", "encryption at rest"),),
    ),
    Seed(
        "the production variant is renamed",
        put(CONFIG, "Canary", "ProductionVariants", 0, "VariantName"),
        CONFIG,
        {LIVE, REPLACED},
        "Properties.ProductionVariants[Canary]",
    ),
    Seed(
        "another model package is served",
        put(MODEL, "arn:aws:sagemaker:us-east-1:1:model-package/x/7", "PrimaryContainer", "ModelPackageName"),
        MODEL,
        {LIVE, REPLACED},
        "Properties.PrimaryContainer.ModelPackageName",
        (
            lambda found: follows(
                found, CONFIG, "Properties.ProductionVariants[AllTraffic].ModelName", {LIVE, REPLACED}
            ),
            lambda found: follows(found, ENDPOINT, "Properties.EndpointConfigName", {LIVE, IN_PLACE}),
        ),
    ),
    Seed(
        "the model may reach the network",
        put(MODEL, False, "EnableNetworkIsolation"),
        MODEL,
        {LIVE, REPLACED},
        "Properties.EnableNetworkIsolation",
    ),
    Seed("the endpoint is removed", lambda t: t.remove(ENDPOINT), ENDPOINT, {LIVE, REMOVED}),
    # -- the API
    Seed(
        "a method needs no key any more",
        put(POST, False, "ApiKeyRequired"),
        POST,
        {LIVE, IN_PLACE},
        "Properties.ApiKeyRequired",
        (
            lambda found: found.weaker("predictions", "authorization"),
            lambda found: found.opened("predictions"),
        ),
    ),
    Seed(
        "the stage is not throttled any more",
        all_of(
            drop(STAGE, "MethodSettings", 0, "ThrottlingBurstLimit"),
            drop(STAGE, "MethodSettings", 0, "ThrottlingRateLimit"),
            drop(PLAN, "Throttle"),
        ),
        STAGE,
        {LIVE, IN_PLACE},
        "Properties.MethodSettings[0].ThrottlingRateLimit",
        (lambda found: found.weaker("predictions", "throttling"),),
    ),
    Seed(
        "the usage plan permits more calls",
        put(PLAN, 1_000_000, "Quota", "Limit"),
        PLAN,
        {LIVE, IN_PLACE},
        "Properties.Quota.Limit",
    ),
    Seed(
        "the stage is renamed", put(STAGE, "v2", "StageName"), STAGE, {LIVE, REPLACED}, "Properties.StageName"
    ),
    Seed(
        "the API's access log is switched off",
        drop(STAGE, "AccessLogSetting"),
        STAGE,
        {LIVE, IN_PLACE},
        "Properties.AccessLogSetting",
    ),
    Seed("a method is removed", lambda t: t.remove(POST), POST, {LIVE, REMOVED}),
    Seed(
        "a new deployment of the API",
        lambda t: t.rename("serving/Api/RestApi/Deployment", "ApiRestApiDeployment0000"),
        "serving/Api/RestApi/Deployment",
        {LIVE, REPLACED},
        checks=(lambda found: follows(found, STAGE, "Properties.DeploymentId", {LIVE, IN_PLACE}),),
    ),
    Seed(
        "the function behind the API gets less memory",
        put(RECOMMEND, 128, "MemorySize"),
        RECOMMEND,
        {LIVE, IN_PLACE},
        "Properties.MemorySize",
    ),
    # -- functions
    Seed(
        "only a function's code changes",
        put(PREPARE, f"{'0' * 64}.zip", "Code", "S3Key"),
        PREPARE,
        {CODE},
        "Properties.Code.S3Key",
    ),
    Seed(
        "a function may run more often at once",
        put(PREPARE, 100, "ReservedConcurrentExecutions"),
        PREPARE,
        {IN_PLACE},
        "Properties.ReservedConcurrentExecutions",
    ),
    Seed(
        "a function's code and timeout change",
        all_of(put(PREPARE, f"{'0' * 64}.zip", "Code", "S3Key"), put(PREPARE, 60, "Timeout")),
        PREPARE,
        {IN_PLACE},
        "Properties.Timeout",
    ),
    Seed(
        "a function gets another runtime",
        put(PREPARE, "python3.14", "Runtime"),
        PREPARE,
        {IN_PLACE},
        "Properties.Runtime",
    ),
    Seed(
        "an environment variable changes",
        put(PREPARE, "5", "Environment", "Variables", "LIKED_THRESHOLD"),
        PREPARE,
        {IN_PLACE},
        "Properties.Environment.Variables.LIKED_THRESHOLD",
    ),
    Seed(
        "a function gets a fixed name",
        put(PREPARE, "prepare", "FunctionName"),
        PREPARE,
        {REPLACED},
        "Properties.FunctionName",
        (lambda found: follows(found, WORKFLOW, "Properties.DefinitionString", {IN_PLACE}),),
    ),
    # -- the workflow and its triggers
    Seed(
        "the state machine is renamed",
        put(WORKFLOW, "training", "StateMachineName"),
        WORKFLOW,
        {REPLACED},
        "Properties.StateMachineName",
        (lambda found: follows(found, RULE, "Properties.Targets[Target0].Arn", {IN_PLACE}),),
    ),
    Seed(
        "the training instance changes",
        edit_definition(WORKFLOW, '"InstanceType":"ml.m5.large"', '"InstanceType":"ml.p3.2xlarge"'),
        WORKFLOW,
        {IN_PLACE},
        "Properties.DefinitionString.States.Train.Parameters.ResourceConfig.InstanceType",
    ),
    Seed(
        "a trigger becomes a schedule",
        all_of(drop(RULE, "EventPattern"), put(RULE, "rate(1 hour)", "ScheduleExpression")),
        RULE,
        {IN_PLACE},
        "Properties.ScheduleExpression",
    ),
    Seed("a trigger is disabled", put(RULE, "DISABLED", "State"), RULE, {IN_PLACE}, "Properties.State"),
    Seed("a trigger is removed", lambda t: t.remove(RULE), RULE, {REMOVED}),
    Seed(
        "the custom resource gets another provider",
        put(
            "training/FirstModel",
            {"Fn::GetAtt": ["PrepareData51E59F9E", "Arn"]},
            "ServiceToken",
        ),
        "training/FirstModel",
        {REPLACED},
        "Properties.ServiceToken",
        (lambda found: refused(found, "training/FirstModel", "ServiceToken"),),
    ),
    # -- data
    Seed(
        "a bucket is removed",
        all_of(
            lambda t: t.remove("storage/Prepared/Policy"),
            lambda t: t.remove("storage/Prepared"),
        ),
        "storage/Prepared",
        {LOSS, REMOVED},
    ),
    Seed(
        "a bucket gets a name",
        put(RAW, "ratings-of-mine", "BucketName"),
        RAW,
        {LOSS, REPLACED},
        "Properties.BucketName",
        (
            lambda found: follows(found, PREPARE, "Properties.Environment.Variables.RAW_BUCKET", {IN_PLACE}),
            lambda found: follows(found, "storage/Raw/Policy", "Properties.Bucket", {REPLACED}),
            lambda found: import_refused(found, "ExportsOutputRefRaw"),
        ),
    ),
    Seed(
        "a bucket that the account keeps is removed",
        lambda t: t.remove("storage/Models"),
        "storage/Models",
        {REMOVED},
        checks=(lambda found: explained(found, "storage/Models", "stays in the account"),),
        variant=KEEPING,
    ),
    Seed(
        "a bucket that the account keeps gets a name",
        put(RAW, "ratings-of-mine", "BucketName"),
        RAW,
        {REPLACED},
        "Properties.BucketName",
        (lambda found: explained(found, RAW, "the new one starts empty"),),
        variant=KEEPING,
    ),
    Seed(
        "a bucket is not kept any more",
        attribute(RAW, DeletionPolicy="Delete", UpdateReplacePolicy="Delete"),
        RAW,
        {LOSS, IN_PLACE},
        "DeletionPolicy",
        variant=KEEPING,
    ),
    Seed(
        "the key's policy of being kept is left out",
        lambda t: t.the(KEY).pop("DeletionPolicy"),
        KEY,
        {LOSS, IN_PLACE},
        "DeletionPolicy",
        variant=KEEPING,
    ),
    Seed(
        "the schedule changes",
        put("training/Triggers/Schedule", "cron(0 * * * ? *)", "ScheduleExpression"),
        "training/Triggers/Schedule",
        {IN_PLACE},
        "Properties.ScheduleExpression",
        variant=KEEPING,
    ),
    Seed("the key is removed", lambda t: t.remove(KEY), KEY, {LOSS, REMOVED}),
    Seed(
        "the key is not rotated any more",
        put(KEY, False, "EnableKeyRotation"),
        KEY,
        {IN_PLACE},
        "Properties.EnableKeyRotation",
    ),
    Seed(
        "a bucket's construct gets another id",
        lambda t: t.rename("storage/AccessLogs", "OtherLogs"),
        "storage/AccessLogs",
        {LOSS, REPLACED},
    ),
    Seed(
        "the registry is described otherwise, which only its creation can set",
        put(REGISTRY, "other", "ModelPackageGroupDescription"),
        REGISTRY,
        {LOSS, REPLACED},
        "Properties.ModelPackageGroupDescription",
        (lambda found: refused(found, REGISTRY, "its name stays movie-recommender-dev"),),
    ),
    Seed(
        "a log group is renamed",
        put(ACCESS_LOGS, "/other", "LogGroupName"),
        ACCESS_LOGS,
        {LOSS, REPLACED},
        "Properties.LogGroupName",
    ),
    Seed(
        "old versions of objects are not kept any more",
        put(RAW, "Suspended", "VersioningConfiguration", "Status"),
        RAW,
        {IN_PLACE},
        "Properties.VersioningConfiguration.Status",
    ),
    # -- protection
    Seed(
        "a bucket is not encrypted with the key any more",
        drop(RAW, "BucketEncryption"),
        RAW,
        {IN_PLACE},
        "Properties.BucketEncryption",
        (lambda found: found.weaker("storage/Raw", "encryption at rest"),),
    ),
    Seed(
        "a bucket may become public",
        put(RAW, False, "PublicAccessBlockConfiguration", "BlockPublicPolicy"),
        RAW,
        {IN_PLACE},
        "Properties.PublicAccessBlockConfiguration.BlockPublicPolicy",
        (lambda found: found.weaker("storage/Raw", "public access"),),
    ),
    Seed(
        "a bucket is public",
        all_of(
            drop(RAW, "PublicAccessBlockConfiguration"),
            permit(
                "storage/Raw/Policy",
                Principal="*",
                Action="s3:GetObject",
                Resource={"Fn::Join": ["", [{"Fn::GetAtt": ["Raw72517081", "Arn"]}, "/*"]]},
            ),
        ),
        RAW,
        {IN_PLACE},
        "Properties.PublicAccessBlockConfiguration",
        (
            lambda found: found.opened("storage/Raw"),
            lambda found: found.widened("anyone", "s3:GetObject"),
        ),
    ),
    Seed(
        "a bucket accepts plain HTTP",
        lambda t: t.statements("storage/Raw/Policy").pop(0),
        "storage/Raw/Policy",
        {IN_PLACE},
        "Properties.PolicyDocument.Statement[0]",
        (lambda found: found.weaker("storage/Raw", "TLS only"),),
    ),
    Seed(
        "logs are kept forever",
        drop(ACCESS_LOGS, "RetentionInDays"),
        ACCESS_LOGS,
        {IN_PLACE},
        "Properties.RetentionInDays",
        (lambda found: found.protected("Api/AccessLogs", "log retention", "kept for ever"),),
    ),
    # -- permissions
    Seed(
        "a role may do everything with S3",
        permit(JOB_POLICY, **STAR),
        JOB_POLICY,
        {IN_PLACE},
        checks=(lambda found: alarmed(found.widened("Workflow/JobRole", "s3:*"), "wildcard"),),
    ),
    Seed(
        "a role may do anything",
        permit(JOB_POLICY, Action="*", Resource="*"),
        JOB_POLICY,
        {IN_PLACE},
        checks=(lambda found: alarmed(found.widened("Workflow/JobRole", "*"), "wildcard"),),
    ),
    Seed(
        "a statement loses its condition",
        edit_statement(JOB_POLICY, "kms:CreateGrant", Condition=None),
        JOB_POLICY,
        {IN_PLACE},
        "Properties.PolicyDocument.Statement[5].Condition",
        (lambda found: alarmed(found.widened("Workflow/JobRole", "kms:CreateGrant"), "condition"),),
    ),
    Seed(
        "a statement covers every object of every bucket",
        edit_statement(JOB_POLICY, "s3:ListBucket", Resource="arn:aws:s3:::*"),
        JOB_POLICY,
        {IN_PLACE},
        "Properties.PolicyDocument.Statement[6].Resource",
        (lambda found: found.widened("Workflow/JobRole", "s3:ListBucket"),),
    ),
    Seed(
        "a role is trusted to another account",
        lambda t: t.statements(JOB_ROLE).append(
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"AWS": "arn:aws:iam::999999999999:root"},
            }
        ),
        JOB_ROLE,
        {IN_PLACE},
        "Properties.AssumeRolePolicyDocument.Statement[1]",
        (
            lambda found: found.widened("account 999999999999", "sts:AssumeRole"),
            lambda found: found.opened("Workflow/JobRole"),
        ),
    ),
    Seed(
        "anyone is trusted",
        lambda t: t.statements(JOB_ROLE)[0].update(Principal="*"),
        JOB_ROLE,
        {IN_PLACE},
        "Properties.AssumeRolePolicyDocument.Statement[0].Principal",
        (lambda found: found.widened("anyone", "sts:AssumeRole"),),
    ),
    Seed(
        "the key may be used by anyone",
        lambda t: t.statements(KEY).append(
            {"Effect": "Allow", "Action": "kms:Decrypt", "Principal": {"AWS": "*"}, "Resource": "*"}
        ),
        KEY,
        {IN_PLACE},
        "Properties.KeyPolicy.Statement[1]",
        (lambda found: found.widened("anyone", "kms:Decrypt"), lambda found: found.opened("storage/Key")),
    ),
    Seed(
        "a role gets a managed policy",
        put(JOB_ROLE, ["arn:aws:iam::aws:policy/AdministratorAccess"], "ManagedPolicyArns"),
        JOB_ROLE,
        {IN_PLACE},
        "Properties.ManagedPolicyArns",
        (lambda found: found.alarming("Workflow/JobRole", "AdministratorAccess"),),
    ),
    # -- resources come
    Seed(
        "a queue is added",
        add("storage", "Queue", Type="AWS::SQS::Queue", Properties={}),
        "storage/Queue",
        {ADDED},
    ),
    Seed(
        "a resource of an unknown type is added",
        add("storage", "Odd", Type="AWS::Nowhere::Thing", Properties={"A": {"Fn::Odd": ["x"]}}),
        "storage/Odd",
        {ADDED},
        checks=(lambda found: explained(found, "storage/Odd", "unknown resource type"),),
    ),
    Seed(
        "a function gets a public address",
        add(
            "training",
            "Address",
            Type="AWS::Lambda::Url",
            Properties={"AuthType": "NONE", "TargetFunctionArn": {"Ref": "PrepareData51E59F9E"}},
        ),
        "training/Address",
        {ADDED},
        checks=(lambda found: found.opened("training/"),),
    ),
]


def follows(found: Found, where: str, path: str, grades: set[Grade]) -> None:
    """A change that follows from a replacement through a reference."""
    change = found.changes[where]
    assert set(change.grades) == grades, change
    (named,) = [each for each in change.properties if each.path == path]
    assert not named.noise
    assert "replaced" in named.reason or named.before != named.after


def refused(found: Found, where: str, reason: str) -> None:
    assert reason in found.changes[where].fails


def import_refused(found: Found, export: str) -> None:
    assert any("refuses to change" in refusal and export in refusal for refusal in found.refusals)


def explained(found: Found, where: str, reason: str) -> None:
    assert any(reason in because for because in found.changes[where].because)


def alarmed(statement: StatementChange, alarm: str) -> None:
    assert any(alarm in each for each in statement.alarms), statement


def reordered_statements(where: str) -> Callable[[Templates], None]:
    return lambda templates: templates.statements(where).reverse()


def everywhere(key: str, edit: Callable[[Definition], object]) -> Callable[[Templates], None]:
    """Edit every resource that has an attribute or property `key`."""

    def change(templates: Templates) -> None:
        for part in templates.parts:
            for resource in templates.resources(part).values():
                if key in resource or key in resource.get("Properties", {}):
                    edit(resource)

    return change


def _sorted_backwards(value: Any) -> Any:
    """The same JSON with its keys in another order."""
    if isinstance(value, dict):
        return {key: _sorted_backwards(value[key]) for key in sorted(value, reverse=True)}
    return [_sorted_backwards(item) for item in value] if isinstance(value, list) else value


def _reorder_resources(templates: Templates) -> None:
    for part in templates.parts:
        templates.parts[part] = _sorted_backwards(templates.parts[part])


def _commented(text: str) -> Callable[[Templates], None]:
    return edit_definition(WORKFLOW, '{"StartAt":', f'{{"Comment":"{text}","StartAt":')


def _spaced_definition(templates: Templates) -> None:
    edit_definition(WORKFLOW, '{"StartAt":', '{  "StartAt"  :  ')(templates)


def _new_asset_everywhere(templates: Templates) -> None:
    for part, template in templates.parts.items():
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::Lambda::Function":
                resource["Properties"]["Code"]["S3Key"] = f"{'e' * 64}.zip"
                resource.setdefault("Metadata", {})["aws:asset:path"] = f"asset.{'e' * 64}"
        assert part


HARMLESS_CHANGES: list[tuple[str, Callable[[Templates], object]]] = [
    ("a function's description", put(PREPARE, "other words", "Description")),
    ("a function has no description any more", drop(PREPARE, "Description")),
    ("a role's description", put(JOB_ROLE, "other words", "Description")),
    ("the key's description", put(KEY, "other words", "Description")),
    ("the API's description", put(API, "other words", "Description")),
    ("a rule's description", put(RULE, "other words", "Description")),
    ("a deployment's description", put("serving/Api/RestApi/Deployment", "other words", "Description")),
    ("a stack's description", lambda t: t.parts["storage"].update(Description="other words")),
    ("a workflow's comment", _commented("trains")),
    (
        "a comment of one of the workflow's states",
        edit_definition(WORKFLOW, '"Train":{', '"Train":{"Comment":"x",'),
    ),
    ("white space in a workflow", _spaced_definition),
    ("the code of every function", _new_asset_everywhere),
    (
        "metadata of every resource",
        everywhere("Type", lambda r: r.setdefault("Metadata", {}).update(note="x")),
    ),
    ("suppressed findings", everywhere("Metadata", lambda r: r["Metadata"].pop("cdk_nag", None))),
    ("the order of tags", everywhere("Tags", lambda r: r["Properties"]["Tags"].reverse())),
    ("the order of a role's statements", reordered_statements(JOB_POLICY)),
    ("the order of a bucket policy's statements", reordered_statements("storage/Raw/Policy")),
    ("the order of actions", lambda t: t.statements(JOB_POLICY)[0]["Action"].reverse()),
    (
        "the order of resources in a statement",
        lambda t: t.statements("storage/Raw/Policy")[0]["Resource"].reverse(),
    ),
    ("an action as a list of one", edit_statement(JOB_POLICY, "kms:CreateGrant", Action=["kms:CreateGrant"])),
    ("the order of what a resource depends on", everywhere("DependsOn", lambda r: r["DependsOn"].reverse())),
    ("what a resource depends on", everywhere("DependsOn", lambda r: r.pop("DependsOn"))),
    ("the order of resources and properties", _reorder_resources),
    ("a number as text", put(PREPARE, "3008", "MemorySize")),
    ("a truth as text", put(KEY, "true", "EnableKeyRotation")),
    (
        "the default deletion policy, spelled out",
        attribute(WORKFLOW, DeletionPolicy="Delete", UpdateReplacePolicy="Delete"),
    ),
    ("an output", lambda t: t.parts["serving"]["Outputs"].update(Other={"Value": "x"})),
    (
        "a parameter's description",
        lambda t: t.parts["serving"]["Parameters"]["BootstrapVersion"].update(Description="x"),
    ),
    (
        "the CDK's own metadata",
        add("storage", "CDKMetadata", Type="AWS::CDK::Metadata", Properties={"Analytics": "v2"}),
    ),
]


@pytest.fixture
def review(assemblies: Callable[[str], Assembly], tmp_path: Path) -> Reviewed:
    """Seed a change into the assembly of a variant and review it."""

    def reviewed(change: Callable[[Templates], object], variant: str = "dev") -> Found:
        base = assemblies(variant).folder
        folder = tmp_path / "after"
        folder.mkdir()
        for file in base.glob("*.json"):
            shutil.copy(file, folder)
        before = read_assembly(base)
        files = {
            part: folder / f"{PREFIX}-{part}.template.json" for part in ("storage", "training", "serving")
        }
        templates = Templates(
            parts={part: json.loads(file.read_text()) for part, file in files.items()},
            logical_ids={
                each.path.removeprefix(f"{PREFIX}-"): each.logical_id for each in before.resources()
            },
        )
        change(templates)
        for part, file in files.items():
            file.write_text(json.dumps(templates.parts[part]))
        after = read_assembly(folder)
        changes = compare(before, after)
        replaced = {(each.stack, each.logical_id) for each in changes if REPLACED in each.grades}
        return Found(
            changes={each.path.removeprefix(f"{PREFIX}-"): each for each in changes},
            permissions=review_permissions(before, after),
            protection=review_protection(before, after),
            refusals=refused_exports(before, after, replaced),
        )

    return reviewed


@pytest.mark.parametrize("seed", SEEDS, ids=str)
def test_a_seeded_change_is_found_named_and_graded(seed: Seed, review: Reviewed) -> None:
    found = review(seed.change, seed.variant)
    change = found.changes[seed.where]
    assert set(change.grades) == seed.grades, change
    if seed.path:
        assert seed.path in [each.path for each in change.properties if not each.noise]
    for check in seed.checks:
        check(found)


@pytest.mark.parametrize(
    "change", [change for _, change in HARMLESS_CHANGES], ids=[name for name, _ in HARMLESS_CHANGES]
)
def test_a_harmless_change_alarms_nobody(change: Callable[[Templates], object], review: Reviewed) -> None:
    found = review(change)
    assert [
        each
        for each in found.changes.values()
        if each.grade not in HARMLESS and each.type != "AWS::CDK::Metadata"
    ] == []
    assert found.permissions.statements == ()
    assert found.permissions.trusts == ()
    assert found.permissions.opened == ()
    assert found.protection.weaker == ()
    assert found.refusals == ()


def test_nothing_changes_between_an_assembly_and_itself(
    review: Reviewed,
) -> None:
    assert review(lambda _: None).changes == {}


def test_there_are_as_many_seeds_as_promised() -> None:
    assert len(SEEDS) >= 40
    assert len(HARMLESS_CHANGES) >= 20
