"""Hand-made reviews to render: one that shows everything, one in which nothing happens, and any size."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from ops.review.cost import CostLine, CostReview
from ops.review.exposure import Door
from ops.review.findings import Finding, FindingsReview, Suppression
from ops.review.model import (
    Assembly,
    Count,
    EnvironmentReview,
    Grade,
    PropertyChange,
    Resource,
    ResourceChange,
    Review,
    Stack,
    Verdict,
)
from ops.review.parity import ParityReview, ParityRow
from ops.review.permissions import PermissionsReview, StatementChange
from ops.review.protection import ProtectionReview, ProtectionRow

ENVIRONMENTS = ("dev", "staging", "prod")


def a_review() -> Review:
    """A change to dev that does some of everything; staging follows in part, prod stays as it is."""
    return Review(
        base="main (1a2b3c4)",
        head="working tree",
        environments=(_dev(), _staging(), _prod()),
        parity=_parity(),
        verdict=Verdict(
            level="danger",
            sentences=(
                "dev: data can be lost with movie-recommender-dev-storage/Prepared.",
                "dev: the change touches what serves traffic: its instance type and its model.",
                "dev: more is permitted to movie-recommender-dev-training/PrepareDataRole.",
                "dev: it costs $46.13 a month more.",
            ),
            counts=(
                Count("data lost", 1, ("movie-recommender-dev-storage/Prepared",)),
                Count(
                    "touch the live endpoint",
                    2,
                    (
                        "movie-recommender-dev-serving/Endpoint/Configuration",
                        "movie-recommender-dev-serving/Endpoint/Endpoint",
                    ),
                ),
                Count("replaced", 1, ("movie-recommender-dev-serving/Endpoint/Configuration",)),
                Count("removed", 1, ("movie-recommender-dev-training/Triggers/Weekly",)),
                Count(
                    "added",
                    2,
                    ("movie-recommender-dev-serving/Alarm", "movie-recommender-staging-serving/Alarm"),
                ),
                Count("changed in place", 3, ("movie-recommender-dev-training/Workflow/StateMachine",)),
                Count("permissions widened", 2, ("movie-recommender-dev-training/PrepareDataRole",)),
            ),
        ),
        notes=("cdk.json differs: @aws-cdk/core:enablePartitionLiterals is new.",),
    )


def a_quiet_review() -> Review:
    """Two equal trees."""
    return Review(
        base="main (1a2b3c4)",
        head="working tree",
        environments=(_quiet("dev", Decimal("121.40")),),
        parity=ParityReview(rows=()),
        verdict=Verdict(level="nothing", sentences=("Nothing that runs changes.",), counts=()),
    )


def a_first_review() -> Review:
    """A tree with nothing to compare it with."""
    quiet = a_quiet_review()
    environment = quiet.environments[0]
    alone = EnvironmentReview(
        name=environment.name,
        before=None,
        after=environment.after,
        changes=(),
        permissions=environment.permissions,
        protection=environment.protection,
        cost=_cost(None, Decimal("121.40")),
        findings=environment.findings,
        notes=("The base does not synthesize: config/dev.toml:3: unknown key colour.",),
    )
    return Review(
        base="HEAD~1 (9f8e7d6)",
        head="working tree",
        environments=(alone,),
        parity=ParityReview(rows=()),
        verdict=Verdict(level="nothing", sentences=("There is nothing to compare with.",), counts=()),
        notes=(),
    )


def a_large_review(resources: int, *, text: str = "value") -> Review:
    """A review of `resources` changed resources, each with long values."""
    long = text * 400
    changes = tuple(
        ResourceChange(
            stack=f"app-{number % 4}",
            logical_id=f"Thing{number}",
            path=f"app-{number % 4}/Thing{number}",
            type="AWS::Lambda::Function",
            action="change",
            grades=(Grade.REPLACED,) if number % 7 == 0 else (Grade.IN_PLACE,),
            properties=tuple(
                PropertyChange(f"Properties.Environment.Variables.V{index}", long, f"{long}!")
                for index in range(4)
            ),
            because=("replaced because FunctionName is create-only",) if number % 7 == 0 else (),
        )
        for number in range(resources)
    )
    statements = tuple(
        StatementChange(
            principal=f"app-0/Role{number % 50}",
            change="added",
            effect="Allow",
            actions=(f"s3:{text}{number}",),
            resources=(f"arn:aws:s3:::{text}/{number}/*",),
            conditions="",
            source=f"app-0/Policy{number}",
            alarms=("wildcard action",),
        )
        for number in range(resources)
    )
    findings = tuple(
        Finding(
            tool="cdk-nag",
            rule=f"R{number}",
            severity="error",
            resource=f"app-0/{text}",
            message=text,
            new=True,
        )
        for number in range(resources)
    )
    stacks = {
        f"app-{n}": a_stack(
            f"app-{n}",
            {f"Thing{i}": ("AWS::Lambda::Function", f"Thing{i}", {}) for i in range(n, resources, 4)},
        )
        for n in range(4)
    }
    assembly = Assembly(directory=Path("cdk.out"), stacks=stacks)
    environment = EnvironmentReview(
        name="dev",
        before=assembly,
        after=assembly,
        changes=changes,
        permissions=PermissionsReview(statements=statements, trusts=()),
        protection=ProtectionReview(rows=()),
        cost=_cost(Decimal(1), Decimal(2)),
        findings=FindingsReview(findings=findings, suppressions=()),
    )
    return Review(
        base="a",
        head="b",
        environments=(environment,),
        parity=ParityReview(rows=()),
        verdict=Verdict(
            level="danger",
            sentences=(f"Much changes: {text}.",),
            counts=(Count("changed", resources, tuple(change.path for change in changes)),),
        ),
    )


def a_review_with(text: str) -> Review:
    """A review in which every name and value is `text`: for what must never break out of a report."""
    resource = Resource(stack=text, logical_id=text, path=text, type=text, properties={"Name": text})
    bucket = Resource(
        stack=text,
        logical_id=f"{text}2",
        path=f"{text}/{text}",
        type="AWS::S3::Bucket",
        properties={"BucketName": {"Ref": text}},
    )
    stack = Stack(
        id=text,
        name=text,
        account=text,
        region=text,
        template={"Resources": {text: {"Type": text, "Properties": {"Name": text}}}},
        resources={text: resource, f"{text}2": bucket},
    )
    assembly = Assembly(directory=Path("cdk.out"), stacks={text: stack})
    changes = tuple(
        ResourceChange(
            stack=text,
            logical_id=logical_id,
            path=path,
            type=text,
            action="change",
            grades=(grade, Grade.LIVE),
            properties=(
                PropertyChange(text, text, {text: [text]}, replaces="yes", reason=text),
                PropertyChange(text, text * 60, f"{text * 60}\n{text}", reason=text),
                PropertyChange(text, None, text, noise=True, reason=text),
            ),
            because=(text,),
        )
        for logical_id, path, grade in (
            (text, text, Grade.DATA_LOSS),
            (f"{text}2", f"{text}/{text}", Grade.REPLACED),
        )
    )
    statement = StatementChange(
        principal=text,
        change="widened",
        effect="Allow",
        actions=(text, text),
        resources=(text,),
        conditions=text,
        source=text,
        alarms=(text,),
    )
    environment = EnvironmentReview(
        name=text,
        before=assembly,
        after=assembly,
        changes=changes,
        permissions=PermissionsReview(
            statements=(statement,),
            trusts=(statement,),
            doors=tuple(Door(text, text, text, public=True, state=state) for state in ("opened", "open")),
        ),
        protection=ProtectionReview(
            rows=(
                ProtectionRow(
                    subject=text,
                    type=text,
                    aspect="public access",
                    before=text,
                    after=text,
                    ok=False,
                    weaker=True,
                ),
            )
        ),
        cost=CostReview(
            currency="USD",
            monthly_before=Decimal(1),
            monthly_after=Decimal(2),
            lines=(CostLine(subject=text, type=text, driver=text, before=None, after=Decimal(2)),),
            unpriced=(text,),
            assumptions=(text,),
            prices_as_of=text,
        ),
        findings=FindingsReview(
            findings=(
                Finding(tool=text, rule=text, severity="error", resource=text, message=text, new=True),
            ),
            suppressions=(Suppression(rule=text, resource=text, reason=text, new=True),),
        ),
        notes=(text,),
    )
    return Review(
        base=text,
        head=text,
        environments=(environment,),
        parity=ParityReview(
            rows=(ParityRow(key=text, values={text: text}, differs=True, explained=False, explanation=text),)
        ),
        verdict=Verdict(level="danger", sentences=(text,), counts=(Count(text, 1, (text,)),)),
        notes=(text,),
    )


# -- the environments of `a_review` ---


def _dev() -> EnvironmentReview:
    storage, training, serving = (
        f"movie-recommender-dev-{part}" for part in ("storage", "training", "serving")
    )
    definition = {
        "StartAt": "Prepare",
        "States": {"Prepare": {"Type": "Task", "Next": "Train", "TimeoutSeconds": 960}},
    }
    longer = {
        "StartAt": "Prepare",
        "States": {
            "Prepare": {
                "Type": "Task",
                "Next": "Train",
                "TimeoutSeconds": 1800,
                "Retry": [{"MaxAttempts": 6}],
            }
        },
    }
    changes = (
        ResourceChange(
            stack=storage,
            logical_id="Prepared",
            path=f"{storage}/Prepared",
            type="AWS::S3::Bucket",
            action="change",
            grades=(Grade.DATA_LOSS, Grade.REPLACED),
            properties=(
                PropertyChange(
                    "Properties.BucketName", None, "prepared-ratings", "yes", reason="create-only"
                ),
                PropertyChange("DeletionPolicy", "Retain", "Delete"),
            ),
            because=(
                "replaced because BucketName is create-only",
                "DeletionPolicy is not Retain: the old bucket's objects are deleted",
            ),
        ),
        ResourceChange(
            stack=storage,
            logical_id="PreparedPolicy",
            path=f"{storage}/Prepared/Policy",
            type="AWS::S3::BucketPolicy",
            action="change",
            grades=(Grade.REPLACED,),
            properties=(
                PropertyChange(
                    "Properties.Bucket",
                    f"{storage}/Prepared",
                    f"{storage}/Prepared",
                    "yes",
                    reason=f"{storage}/Prepared is replaced",
                ),
            ),
            because=(f"replaced because its Bucket, {storage}/Prepared, is replaced",),
        ),
        ResourceChange(
            stack=serving,
            logical_id="Configuration",
            path=f"{serving}/Endpoint/Configuration",
            type="AWS::SageMaker::EndpointConfig",
            action="change",
            grades=(Grade.LIVE, Grade.REPLACED),
            properties=(
                PropertyChange(
                    "Properties.ProductionVariants[AllTraffic].InstanceType",
                    "ml.t2.medium",
                    "ml.m5.large",
                    "yes",
                    reason="create-only",
                ),
                PropertyChange("Properties.ProductionVariants[AllTraffic].InitialInstanceCount", 1, 2, "yes"),
            ),
            because=("replaced because ProductionVariants is create-only",),
        ),
        ResourceChange(
            stack=serving,
            logical_id="Endpoint",
            path=f"{serving}/Endpoint/Endpoint",
            type="AWS::SageMaker::Endpoint",
            action="change",
            grades=(Grade.LIVE, Grade.IN_PLACE),
            properties=(
                PropertyChange(
                    "Properties.EndpointConfigName",
                    f"{serving}/Endpoint/Configuration",
                    f"{serving}/Endpoint/Configuration",
                    reason="the configuration is replaced",
                ),
            ),
            because=("a new configuration starts a blue/green deployment",),
        ),
        ResourceChange(
            stack=serving,
            logical_id="Alarm",
            path=f"{serving}/Alarm",
            type="AWS::CloudWatch::Alarm",
            action="add",
            grades=(Grade.ADDED,),
            properties=(
                PropertyChange("Properties.MetricName", None, "ModelLatency"),
                PropertyChange("Properties.Threshold", None, 500000),
                PropertyChange("Properties.AlarmActions", None, []),
            ),
        ),
        ResourceChange(
            stack=serving,
            logical_id="Recommend",
            path=f"{serving}/Api/Recommend",
            type="AWS::Lambda::Function",
            action="change",
            grades=(Grade.CODE,),
            properties=(PropertyChange("Properties.Code.S3Key", "345be693.zip", "702fce72.zip"),),
        ),
        ResourceChange(
            stack=training,
            logical_id="StateMachine",
            path=f"{training}/Workflow/StateMachine",
            type="AWS::StepFunctions::StateMachine",
            action="change",
            grades=(Grade.IN_PLACE,),
            properties=(
                PropertyChange("Properties.DefinitionString", definition, longer),
                PropertyChange(
                    "Properties.Description", "Trains", "Trains the model", noise=True, reason="a description"
                ),
            ),
        ),
        ResourceChange(
            stack=training,
            logical_id="PrepareDataPolicy",
            path=f"{training}/PrepareDataRole/DefaultPolicy",
            type="AWS::IAM::Policy",
            action="change",
            grades=(Grade.IN_PLACE,),
            properties=(
                PropertyChange(
                    "Properties.PolicyDocument.Statement[2]",
                    {
                        "Action": "s3:GetObject",
                        "Effect": "Allow",
                        "Resource": f"${{{storage}/Raw.Arn}}/ratings/*",
                        "Condition": {"StringEquals": {"s3:ResourceAccount": "111111111111"}},
                    },
                    {"Action": "s3:*", "Effect": "Allow", "Resource": "*"},
                ),
            ),
        ),
        ResourceChange(
            stack=training,
            logical_id="Weekly",
            path=f"{training}/Triggers/Weekly",
            type="AWS::Events::Rule",
            action="remove",
            grades=(Grade.REMOVED,),
            properties=(PropertyChange("Properties.ScheduleExpression", "cron(0 4 ? * MON *)", None),),
        ),
        ResourceChange(
            stack=training,
            logical_id="PrepareData",
            path=f"{training}/PrepareData",
            type="AWS::Lambda::Function",
            action="change",
            grades=(Grade.NO_EFFECT,),
            properties=(
                PropertyChange(
                    "Properties.Description",
                    "Prepares",
                    "Prepares ratings",
                    noise=True,
                    reason="a description",
                ),
            ),
        ),
    )
    return EnvironmentReview(
        name="dev",
        before=_assembly("dev", "before"),
        after=_assembly("dev", "after"),
        changes=changes,
        permissions=PermissionsReview(
            statements=(
                StatementChange(
                    principal=f"{training}/PrepareDataRole",
                    change="widened",
                    effect="Allow",
                    actions=("s3:*",),
                    resources=("*",),
                    conditions="",
                    source=f"{training}/PrepareDataRole/DefaultPolicy",
                    alarms=(
                        "new actions: all of s3, was s3:GetObject",
                        f"wider resource: *, was ${{{storage}/Raw}}/ratings/*",
                        "condition dropped: s3:ResourceAccount = 111111111111",
                    ),
                ),
                StatementChange(
                    principal=f"{training}/PrepareDataRole",
                    change="added",
                    effect="Allow",
                    actions=("kms:Decrypt", "kms:GenerateDataKey"),
                    resources=(f"{storage}/Key",),
                    conditions="",
                    source=f"{training}/PrepareDataRole/DefaultPolicy",
                    alarms=(),
                ),
                StatementChange(
                    principal=f"{training}/Workflow/Role",
                    change="removed",
                    effect="Allow",
                    actions=("sagemaker:CreateProcessingJob",),
                    resources=(
                        "arn:aws:sagemaker:us-east-1:111111111111:processing-job/movie-recommender-dev-*",
                    ),
                    conditions="",
                    source=f"{training}/Workflow/Role/DefaultPolicy",
                    alarms=(),
                ),
            ),
            trusts=(
                StatementChange(
                    principal="account 999999999999",
                    change="added",
                    effect="Allow",
                    actions=("sts:AssumeRole",),
                    resources=(f"{training}/Workflow/Role",),
                    conditions="sts:ExternalId is promotion",
                    source=f"{training}/Workflow/Role",
                    alarms=("new trust: another account",),
                ),
            ),
            doors=(
                Door(
                    subject=f"{serving}/Api: GET /health",
                    type="AWS::ApiGateway::Method",
                    what="anyone may call it: neither authorization nor key",
                    public=True,
                    state="opened",
                ),
                Door(
                    subject=f"{training}/Workflow/Role",
                    type="AWS::IAM::Role",
                    what="account 999999999999 may assume it",
                    public=False,
                    state="opened",
                ),
            ),
        ),
        protection=ProtectionReview(
            rows=(
                ProtectionRow(
                    subject=f"{serving}/Api/RestApi GET /health",
                    type="AWS::ApiGateway::Method",
                    aspect="authorization",
                    before="API key",
                    after="none: anyone may call it",
                    ok=False,
                    weaker=True,
                ),
                ProtectionRow(
                    subject=f"{serving}/Api/RestApi POST /predictions",
                    type="AWS::ApiGateway::Method",
                    aspect="throttling",
                    before="20/s, burst 40",
                    after="20/s, burst 40",
                    ok=True,
                    weaker=False,
                ),
                ProtectionRow(
                    subject=f"{storage}/Raw",
                    type="AWS::S3::Bucket",
                    aspect="encryption at rest",
                    before=f"KMS, {storage}/Key",
                    after=f"KMS, {storage}/Key",
                    ok=True,
                    weaker=False,
                ),
                ProtectionRow(
                    subject=f"{storage}/Raw",
                    type="AWS::S3::Bucket",
                    aspect="TLS only",
                    before="yes",
                    after="yes",
                    ok=True,
                    weaker=False,
                ),
                ProtectionRow(
                    subject=f"{training}/PrepareDataLogs",
                    type="AWS::Logs::LogGroup",
                    aspect="log retention",
                    before="30 days",
                    after="90 days",
                    ok=True,
                    weaker=False,
                ),
            )
        ),
        cost=_cost(Decimal("121.40"), Decimal("167.53"), serving=serving),
        findings=FindingsReview(
            findings=(
                Finding(
                    tool="cdk-nag",
                    rule="AwsSolutions-APIG4",
                    severity="error",
                    resource=f"{serving}/Api/RestApi GET /health",
                    message="The API does not implement authorization.",
                    new=True,
                ),
                Finding(
                    tool="cfn-lint",
                    rule="W3011",
                    severity="warning",
                    resource=f"{storage}/Prepared",
                    message="Both UpdateReplacePolicy and DeletionPolicy are needed to protect it.",
                    new=False,
                ),
            ),
            suppressions=(
                Suppression(
                    rule="AwsSolutions-IAM5[Action::s3:*]",
                    resource=f"{training}/PrepareDataRole/DefaultPolicy",
                    reason="The preparation lists and reads what people upload",
                    new=True,
                ),
                Suppression(
                    rule="AwsSolutions-APIG3",
                    resource=f"{serving}/Api/RestApi/DeploymentStage.v1",
                    reason="Every caller is known and throttled; a web ACL costs more than the API",
                    new=False,
                ),
            ),
        ),
        notes=(),
    )


def _staging() -> EnvironmentReview:
    serving = "movie-recommender-staging-serving"
    environment = _quiet("staging", Decimal("104.11"))
    return EnvironmentReview(
        name="staging",
        before=environment.before,
        after=_assembly("staging", "after"),
        changes=(
            ResourceChange(
                stack=serving,
                logical_id="Alarm",
                path=f"{serving}/Alarm",
                type="AWS::CloudWatch::Alarm",
                action="add",
                grades=(Grade.ADDED,),
                properties=(PropertyChange("Properties.MetricName", None, "ModelLatency"),),
            ),
        ),
        permissions=environment.permissions,
        protection=environment.protection,
        cost=_cost(Decimal("104.11"), Decimal("104.21"), serving=serving),
        findings=environment.findings,
    )


def _prod() -> EnvironmentReview:
    return _quiet("prod", Decimal("219.36"))


def _quiet(name: str, cost: Decimal) -> EnvironmentReview:
    assembly = _assembly(name, "before")
    return EnvironmentReview(
        name=name,
        before=assembly,
        after=assembly,
        changes=(),
        permissions=PermissionsReview(statements=(), trusts=()),
        protection=ProtectionReview(rows=()),
        cost=_cost(cost, cost),
        findings=FindingsReview(findings=(), suppressions=()),
    )


def _parity() -> ParityReview:
    return ParityReview(
        rows=(
            ParityRow(
                key="Endpoint/Configuration ProductionVariants[AllTraffic].InitialInstanceCount",
                values={"dev": "2", "staging": "1", "prod": "2"},
                differs=True,
                explained=True,
                explanation="serving.instance_count in each environment's configuration",
            ),
            ParityRow(
                key="Api/RestApi GET /health AuthorizationType",
                values={"dev": "NONE", "staging": "AWS_IAM", "prod": "AWS_IAM"},
                differs=True,
                explained=False,
                explanation="no setting says so",
            ),
            ParityRow(
                key="Storage/Raw encryption",
                values={"dev": "KMS", "staging": "KMS", "prod": "KMS"},
                differs=False,
                explained=True,
                explanation="",
            ),
        )
    )


def _cost(
    before: Decimal | None, after: Decimal, *, serving: str = "movie-recommender-serving"
) -> CostReview:
    rest = Decimal("13.87")
    return CostReview(
        currency="USD",
        monthly_before=before,
        monthly_after=after,
        lines=(
            CostLine(
                subject=f"{serving}/Api/RestApi",
                type="AWS::ApiGateway::RestApi",
                driver="3,000,000 requests",
                before=None if before is None else rest,
                after=rest,
            ),
            CostLine(
                subject=f"{serving}/Endpoint/Configuration",
                type="AWS::SageMaker::EndpointConfig",
                driver="instances × 730 hours",
                before=None if before is None else before - rest,
                after=after - rest,
            ),
        ),
        unpriced=("AWS::SageMaker::ModelPackageGroup: free, its artifacts are priced as S3 storage",),
        assumptions=("1 request a second on average", "1 training run of 10 minutes a week"),
        prices_as_of="2026-11-20",
    )


# -- assemblies ---

Definition = tuple[str, str, Mapping[str, Any]]


def _assembly(environment: str, state: str) -> Assembly:
    prefix = f"movie-recommender-{environment}"
    stacks = [_storage(f"{prefix}-storage"), _serving(prefix, state)]
    if environment == "dev":
        stacks.append(_training(prefix, state))
    return Assembly(
        directory=Path("cdk.out"), stacks={stack.id: stack for stack in sorted(stacks, key=lambda s: s.id)}
    )


def _storage(name: str) -> Stack:
    resources: dict[str, Definition] = {
        "Key": ("AWS::KMS::Key", "Key", {}),
        "AccessLogs": ("AWS::S3::Bucket", "AccessLogs", {}),
        **{
            bucket: (
                "AWS::S3::Bucket",
                bucket,
                {"LoggingConfiguration": {"DestinationBucketName": {"Ref": "AccessLogs"}}},
            )
            for bucket in ("Raw", "Prepared", "Models")
        },
        "PreparedPolicy": ("AWS::S3::BucketPolicy", "Prepared/Policy", {"Bucket": {"Ref": "Prepared"}}),
        "Registry": ("AWS::SageMaker::ModelPackageGroup", "ModelRegistry", {}),
    }
    outputs = {
        f"Export{bucket}": {"Value": {"Fn::GetAtt": [bucket, "Arn"]}, "Export": {"Name": f"{name}:{bucket}"}}
        for bucket in ("Raw", "Prepared", "Models")
    }
    return a_stack(name, resources, outputs)


def _training(prefix: str, state: str) -> Stack:
    def bucket(name: str) -> dict[str, str]:
        return {"Fn::ImportValue": f"{prefix}-storage:{name}"}

    def allow(role: str, *statements: tuple[str, str]) -> dict[str, Any]:
        return {
            "Roles": [{"Ref": role}],
            "PolicyDocument": {
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": action,
                        "Resource": {"Fn::Join": ["", [bucket(target), "/*"]]},
                    }
                    for action, target in statements
                ]
            },
        }

    definition = [
        '{"States":{"Prepare":{"Resource":"',
        {"Fn::GetAtt": ["PrepareData", "Arn"]},
        '"},"Train":{"Resource":"arn:aws:states:::sagemaker:createTrainingJob.sync","RoleArn":"',
        {"Fn::GetAtt": ["JobRole", "Arn"]},
        '"},"Score":{"Resource":"arn:aws:states:::sagemaker:createTransformJob.sync"},"Evaluate":{"Resource":"',
        {"Fn::GetAtt": ["EvaluateModel", "Arn"]},
        '"}}}',
    ]
    resources: dict[str, Definition] = {
        "PrepareDataRole": ("AWS::IAM::Role", "PrepareDataRole", {}),
        "PrepareDataPolicy": (
            "AWS::IAM::Policy",
            "PrepareDataRole/DefaultPolicy",
            allow("PrepareDataRole", ("s3:GetObject", "Raw"), ("s3:PutObject", "Prepared")),
        ),
        "PrepareData": (
            "AWS::Lambda::Function",
            "PrepareData",
            {"Role": {"Fn::GetAtt": ["PrepareDataRole", "Arn"]}},
        ),
        "EvaluateRole": ("AWS::IAM::Role", "EvaluateModelRole", {}),
        "EvaluatePolicy": (
            "AWS::IAM::Policy",
            "EvaluateModelRole/DefaultPolicy",
            allow("EvaluateRole", ("s3:GetObject", "Prepared"), ("s3:PutObject", "Models")),
        ),
        "EvaluateModel": (
            "AWS::Lambda::Function",
            "EvaluateModel",
            {"Role": {"Fn::GetAtt": ["EvaluateRole", "Arn"]}},
        ),
        "JobRole": ("AWS::IAM::Role", "Workflow/JobRole", {}),
        "JobPolicy": (
            "AWS::IAM::Policy",
            "Workflow/JobRole/DefaultPolicy",
            allow("JobRole", ("s3:GetObject", "Prepared"), ("s3:PutObject", "Models")),
        ),
        "StateMachine": (
            "AWS::StepFunctions::StateMachine",
            "Workflow/StateMachine",
            {"DefinitionString": {"Fn::Join": ["", definition]}},
        ),
        "NewRatings": (
            "AWS::Events::Rule",
            "Triggers/NewRatings",
            {
                "EventPattern": {"detail": {"bucket": {"name": [bucket("Raw")]}}},
                "Targets": [{"Id": "0", "Arn": {"Ref": "StateMachine"}}],
            },
        ),
    }
    if state == "before":
        resources["Weekly"] = (
            "AWS::Events::Rule",
            "Triggers/Weekly",
            {"ScheduleExpression": "cron(0 4 ? * MON *)", "Targets": [{"Arn": {"Ref": "StateMachine"}}]},
        )
    return a_stack(f"{prefix}-training", resources)


def _serving(prefix: str, state: str) -> Stack:
    models = {"Fn::ImportValue": f"{prefix}-storage:Models"}
    resources: dict[str, Definition] = {
        "EndpointRole": ("AWS::IAM::Role", "Endpoint/Role", {}),
        "EndpointPolicy": (
            "AWS::IAM::Policy",
            "Endpoint/Role/DefaultPolicy",
            {
                "Roles": [{"Ref": "EndpointRole"}],
                "PolicyDocument": {
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": "s3:GetObject",
                            "Resource": {"Fn::Join": ["", [models, "/models/*"]]},
                        }
                    ]
                },
            },
        ),
        "Model": (
            "AWS::SageMaker::Model",
            "Endpoint/Model",
            {"ExecutionRoleArn": {"Fn::GetAtt": ["EndpointRole", "Arn"]}},
        ),
        "Configuration": (
            "AWS::SageMaker::EndpointConfig",
            "Endpoint/Configuration",
            {"ProductionVariants": [{"ModelName": {"Fn::GetAtt": ["Model", "ModelName"]}}]},
        ),
        "Endpoint": (
            "AWS::SageMaker::Endpoint",
            "Endpoint/Endpoint",
            {
                "EndpointName": prefix,
                "EndpointConfigName": {"Fn::GetAtt": ["Configuration", "EndpointConfigName"]},
            },
        ),
        "RecommendRole": ("AWS::IAM::Role", "Api/RecommendRole", {}),
        "RecommendPolicy": (
            "AWS::IAM::Policy",
            "Api/RecommendRole/DefaultPolicy",
            {
                "Roles": [{"Ref": "RecommendRole"}],
                "PolicyDocument": {
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": "sagemaker:InvokeEndpoint",
                            "Resource": f"arn:aws:sagemaker:us-east-1:111111111111:endpoint/{prefix}",
                        }
                    ]
                },
            },
        ),
        "Recommend": (
            "AWS::Lambda::Function",
            "Api/Recommend",
            {"Role": {"Fn::GetAtt": ["RecommendRole", "Arn"]}},
        ),
        "RestApi": ("AWS::ApiGateway::RestApi", "Api/RestApi", {}),
        "Health": (
            "AWS::ApiGateway::Method",
            "Api/RestApi/health/GET",
            {
                "RestApiId": {"Ref": "RestApi"},
                "Integration": {"Uri": {"Fn::Sub": "arn:aws:apigateway:${Recommend.Arn}/invocations"}},
            },
        ),
    }
    if state == "after":
        resources["Alarm"] = (
            "AWS::CloudWatch::Alarm",
            "Alarm",
            {"Dimensions": [{"Name": "EndpointName", "Value": {"Fn::GetAtt": ["Endpoint", "EndpointName"]}}]},
        )
    return a_stack(f"{prefix}-serving", resources)


def a_stack(
    name: str, resources: Mapping[str, Definition], outputs: Mapping[str, Any] | None = None
) -> Stack:
    return Stack(
        id=name,
        name=name,
        account="111111111111",
        region="us-east-1",
        template={
            "Resources": {
                logical_id: {"Type": resource_type, "Properties": dict(properties)}
                for logical_id, (resource_type, _, properties) in resources.items()
            },
            "Outputs": dict(outputs or {}),
        },
        resources={
            logical_id: Resource(
                stack=name,
                logical_id=logical_id,
                path=f"{name}/{path}",
                type=resource_type,
                properties=properties,
            )
            for logical_id, (resource_type, path, properties) in resources.items()
        },
    )
