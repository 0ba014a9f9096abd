import json
from typing import Any

import pytest

from ops.review.model import Assembly
from ops.review.protection import ProtectionRow, review_protection
from tests.unit.ops.review.templates import a_resource, an_assembly, arn, bucket_with, deny, within

KEY = {"Key": a_resource("AWS::KMS::Key", {"EnableKeyRotation": True})}


def one(kind: str, properties: dict[str, Any] | None = None) -> Assembly:
    return an_assembly(KEY | {"X": a_resource(f"AWS::{kind}", properties)})


def row(before: Assembly | None, after: Assembly, aspect: str, subject: str = "app/X") -> ProtectionRow:
    rows = review_protection(before, after).rows
    (found,) = [found for found in rows if (found.subject, found.aspect) == (subject, aspect)]
    return found


def encryption(algorithm: str | None, key: Any = None) -> dict[str, Any]:
    if algorithm is None:
        return {}
    default = {"SSEAlgorithm": algorithm} | ({"KMSMasterKeyID": key} if key else {})
    rules = [{"ServerSideEncryptionByDefault": default}]
    return {"BucketEncryption": {"ServerSideEncryptionConfiguration": rules}}


BLOCK = dict.fromkeys(
    ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
)


@pytest.mark.parametrize(
    ("kind", "strong", "weak", "aspect", "texts"),
    [
        (
            "S3::Bucket",
            encryption("aws:kms", arn("Key")),
            encryption("aws:kms"),
            "encryption at rest",
            ("KMS key app/Key", "KMS key aws/s3"),
        ),
        (
            "S3::Bucket",
            encryption("aws:kms"),
            encryption("AES256"),
            "encryption at rest",
            ("KMS key aws/s3", "S3's own key"),
        ),
        (
            "S3::Bucket",
            {"PublicAccessBlockConfiguration": BLOCK},
            {"PublicAccessBlockConfiguration": BLOCK | {"BlockPublicAcls": False}},
            "public access",
            ("blocked", "not blocked: BlockPublicAcls off"),
        ),
        (
            "S3::Bucket",
            {"PublicAccessBlockConfiguration": BLOCK},
            {},
            "public access",
            ("blocked", "not stated (S3 blocks it for new buckets)"),
        ),
        (
            "S3::Bucket",
            {},
            {"AccessControl": "PublicRead"},
            "public access",
            (
                "not stated (S3 blocks it for new buckets)",
                "not stated (S3 blocks it for new buckets); access control list PublicRead",
            ),
        ),
        ("S3::Bucket", {"VersioningConfiguration": {"Status": "Enabled"}}, {}, "versioning", ("on", "off")),
        (
            "S3::Bucket",
            {"LoggingConfiguration": {"DestinationBucketName": "logs"}},
            {},
            "access log",
            ("to logs", "none"),
        ),
        ("SQS::Queue", {}, {"SqsManagedSseEnabled": False}, "encryption at rest", ("SQS's own key", "none")),
        ("SNS::Topic", {"KmsMasterKeyId": arn("Key")}, {}, "encryption at rest", ("KMS key app/Key", "none")),
        (
            "Logs::LogGroup",
            {"KmsKeyId": arn("Key")},
            {},
            "encryption at rest",
            ("KMS key app/Key", "CloudWatch Logs' own key"),
        ),
        (
            "Logs::LogGroup",
            {"RetentionInDays": 30},
            {"RetentionInDays": 1},
            "log retention",
            ("30 days", "1 day"),
        ),
        ("KMS::Key", {"EnableKeyRotation": True}, {}, "key rotation", ("on", "off")),
        ("RDS::DBInstance", {"StorageEncrypted": True}, {}, "encryption at rest", ("on", "off")),
        ("RDS::DBInstance", {"DeletionProtection": True}, {}, "deletion protection", ("on", "off")),
        (
            "SageMaker::EndpointConfig",
            {"KmsKeyId": arn("Key")},
            {},
            "encryption at rest",
            ("KMS key app/Key", "a key of the instance only"),
        ),
        ("SageMaker::Model", {"EnableNetworkIsolation": True}, {}, "network isolation", ("on", "off")),
        (
            "ElasticLoadBalancingV2::Listener",
            {"Protocol": "HTTPS"},
            {"Protocol": "HTTP"},
            "TLS only",
            ("HTTPS", "HTTP"),
        ),
        ("ApiGateway::DomainName", {"SecurityPolicy": "TLS_1_2"}, {}, "TLS only", ("TLS_1_2", "TLS_1_0")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_weaker(kind: str, strong: Any, weak: Any, aspect: str, texts: tuple[str, str]) -> None:
    found = row(one(kind, strong), one(kind, weak), aspect)
    assert (found.before, found.after, found.weaker) == (*texts, True)
    assert not row(one(kind, weak), one(kind, strong), aspect).weaker
    assert not row(one(kind, strong), one(kind, strong), aspect).weaker


@pytest.mark.parametrize(
    ("kind", "properties", "aspect", "ok"),
    [
        ("SNS::Topic", {}, "encryption at rest", False),
        ("SQS::Queue", {}, "encryption at rest", True),
        ("Logs::LogGroup", {}, "log retention", False),
        ("S3::Bucket", {}, "TLS only", False),
        ("S3::Bucket", {}, "versioning", True),
        ("S3::Bucket", {}, "public access", False),
        ("SageMaker::EndpointConfig", {}, "encryption at rest", False),
        ("Lambda::Function", {}, "log retention", False),
    ],
)
def test_as_it_should_be(kind: str, properties: dict[str, Any], aspect: str, ok: bool) -> None:
    found = row(None, one(kind, properties), aspect)
    assert (found.before, found.ok, found.weaker) == ("", ok, False)


def denial(test: str, key: str, value: str, action: str = "s3:*", resource: str = "/*") -> dict[str, Any]:
    on = [arn("Data"), within("Data", resource)]
    return deny(action, on, Principal={"AWS": "*"}, Condition={test: {key: value}})


INSECURE = denial("Bool", "aws:SecureTransport", "false")


@pytest.mark.parametrize(
    ("statements", "text"),
    [
        ([INSECURE], "required"),
        ([INSECURE, denial("NumericLessThan", "s3:TlsVersion", "1.2")], "required, 1.2 or newer"),
        ([denial("Bool", "aws:SecureTransport", "true")], "requests without TLS are accepted"),
        (
            [denial("Bool", "aws:SecureTransport", "false", action="s3:PutObject")],
            "requests without TLS are accepted",
        ),
        (
            [denial("Bool", "aws:SecureTransport", "false", resource="/private/*")],
            "requests without TLS are accepted",
        ),
    ],
)
def test_transport(statements: list[Any], text: str) -> None:
    found = row(bucket_with(INSECURE), bucket_with(*statements), "TLS only", "app/Data")
    assert (found.after, found.weaker) == (text, text == "requests without TLS are accepted")


def test_older_tls_is_weaker() -> None:
    new, old = (denial("NumericLessThan", "s3:TlsVersion", version) for version in ("1.3", "1.2"))
    assert row(bucket_with(INSECURE, new), bucket_with(INSECURE, old), "TLS only", "app/Data").weaker


def api(
    method: dict[str, Any], settings: list[dict[str, Any]], plan: dict[str, Any] | None = None
) -> Assembly:
    resources = {
        "Api": a_resource("AWS::ApiGateway::RestApi"),
        "Users": a_resource(
            "AWS::ApiGateway::Resource",
            {
                "PathPart": "users",
                "RestApiId": {"Ref": "Api"},
                "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]},
            },
        ),
        "User": a_resource(
            "AWS::ApiGateway::Resource",
            {"PathPart": "{user}", "RestApiId": {"Ref": "Api"}, "ParentId": {"Ref": "Users"}},
        ),
        "Get": a_resource(
            "AWS::ApiGateway::Method",
            {"HttpMethod": "GET", "ResourceId": {"Ref": "User"}, "RestApiId": {"Ref": "Api"}} | method,
        ),
        "Stage": a_resource(
            "AWS::ApiGateway::Stage", {"RestApiId": {"Ref": "Api"}, "MethodSettings": settings}
        ),
    }
    if plan is not None:
        stages = [{"ApiId": {"Ref": "Api"}, "Stage": {"Ref": "Stage"}}]
        resources["Plan"] = a_resource("AWS::ApiGateway::UsagePlan", {"ApiStages": stages} | plan)
    return an_assembly(resources)


def limit(rate: int, burst: int, path: str = "/*", verb: str = "*") -> dict[str, Any]:
    return {
        "ResourcePath": path,
        "HttpMethod": verb,
        "ThrottlingRateLimit": rate,
        "ThrottlingBurstLimit": burst,
    }


METHOD = "app/Api: GET /users/{user}"
IAM = {"AuthorizationType": "AWS_IAM"}
KEYED = {"AuthorizationType": "NONE", "ApiKeyRequired": True}


@pytest.mark.parametrize(
    ("method", "text", "ok"),
    [
        (IAM, "IAM", True),
        ({"AuthorizationType": "COGNITO_USER_POOLS"}, "Cognito user pool", True),
        ({"AuthorizationType": "CUSTOM"}, "a Lambda authorizer", True),
        (IAM | {"ApiKeyRequired": True}, "IAM and an API key", True),
        (KEYED, "an API key", True),
        ({"AuthorizationType": "NONE"}, "none", False),
        ({}, "none", False),
    ],
)
def test_authorization(method: dict[str, Any], text: str, ok: bool) -> None:
    found = row(api(IAM, []), api(method, []), "authorization", METHOD)
    assert (found.after, found.ok) == (text, ok)
    assert found.weaker == ("IAM" not in text and text not in ("Cognito user pool", "a Lambda authorizer"))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ([], "the account's limit only"),
        ([limit(20, 40)], "20 a second, burst 40"),
        ([limit(20, 40), limit(5, 6, "/~1users~1{user}", "GET")], "5 a second, burst 6"),
        ([limit(5, 6, "/users/{user}", "*"), limit(20, 40)], "5 a second, burst 6"),
        ([limit(20, 40), limit(5, 6, "/~1users", "GET")], "20 a second, burst 40"),
        ([limit(20, 40), limit(5, 6, "/~1users~1{user}", "POST")], "20 a second, burst 40"),
    ],
)
def test_throttling(settings: list[dict[str, Any]], text: str) -> None:
    found = row(None, api(IAM, settings), "throttling", METHOD)
    assert (found.after, found.ok) == (text, bool(settings))


def test_a_usage_plan_limits_who_has_a_key() -> None:
    plan = {"Throttle": {"RateLimit": 10, "BurstLimit": 90}, "Quota": {"Limit": 1000, "Period": "DAY"}}
    assert row(None, api(KEYED, [limit(20, 40)], plan), "throttling", METHOD).after == (
        "10 a second, burst 40, 1000 a day for each key"
    )
    assert row(None, api(IAM, [limit(20, 40)], plan), "throttling", METHOD).after == "20 a second, burst 40"


@pytest.mark.parametrize(
    ("before", "after", "weaker"),
    [
        ([limit(20, 40)], [limit(30, 40)], True),
        ([limit(20, 40)], [limit(20, 50)], True),
        ([limit(20, 40)], [], True),
        ([limit(20, 40)], [limit(10, 40)], False),
        ([], [limit(20, 40)], False),
    ],
)
def test_weaker_throttling(before: list[Any], after: list[Any], weaker: bool) -> None:
    assert row(api(IAM, before), api(IAM, after), "throttling", METHOD).weaker is weaker


def test_routes() -> None:
    def of(settings: dict[str, Any]) -> Assembly:
        return an_assembly(
            {
                "Api": a_resource("AWS::ApiGatewayV2::Api"),
                "Route": a_resource(
                    "AWS::ApiGatewayV2::Route", {"ApiId": {"Ref": "Api"}, "RouteKey": "GET /x"}
                ),
                "Stage": a_resource("AWS::ApiGatewayV2::Stage", {"ApiId": {"Ref": "Api"}} | settings),
            }
        )

    default = {"DefaultRouteSettings": {"ThrottlingRateLimit": 9}}
    own = {"RouteSettings": {"GET /x": {"ThrottlingRateLimit": 3}}}
    assert row(None, of(default), "throttling", "app/Api: GET /x").after == "9 a second"
    assert row(None, of(default | own), "throttling", "app/Api: GET /x").after == "3 a second"


def workflow(**arguments: Any) -> Assembly:
    train = {"Type": "Task", "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync"}
    states = {
        "Both": {"Type": "Parallel", "Branches": [{"States": {"Train": train | {"Parameters": arguments}}}]}
    }
    text = json.dumps({"States": states}).replace('"KEY"', '"\x00"').split("\x00")
    joined: list[Any] = [part for text_part in text for part in (text_part, arn("Key"))][:-1]
    definition = {"DefinitionString": {"Fn::Join": ["", joined]}}
    return an_assembly(KEY | {"X": a_resource("AWS::StepFunctions::StateMachine", definition)})


def test_jobs_of_a_workflow() -> None:
    strong = workflow(
        EnableNetworkIsolation=True,
        ResourceConfig={"VolumeKmsKeyId": "KEY"},
        OutputDataConfig={"KmsKeyId": "KEY"},
    )
    weak = workflow(ResourceConfig={"VolumeKmsKeyId": "KEY"}, OutputDataConfig={})
    found = row(strong, weak, "encryption at rest", "app/X: Train")
    assert found.before == "volume: KMS key app/Key; output: KMS key app/Key"
    assert (found.after, found.ok, found.weaker) == ("volume: KMS key app/Key; output: none", False, True)
    assert row(strong, weak, "network isolation", "app/X: Train").weaker


def test_termination_protection() -> None:
    on, off = (an_assembly(KEY, termination_protection=value) for value in (True, False))
    assert row(on, off, "deletion protection", "app").weaker
    assert not row(off, on, "deletion protection", "app").weaker


def test_what_is_gone_is_not_weaker_and_weaker_comes_first() -> None:
    before = an_assembly(
        {
            "A": a_resource("AWS::SNS::Topic", {"KmsMasterKeyId": "alias/own"}),
            "Z": a_resource("AWS::SNS::Topic", {"KmsMasterKeyId": "alias/own"}),
        }
    )
    rows = review_protection(before, an_assembly({"Z": a_resource("AWS::SNS::Topic")})).rows
    assert (rows[0].subject, rows[0].weaker) == ("app/Z", True)
    gone = next(found for found in rows if found.subject == "app/A" and found.aspect == "encryption at rest")
    assert (gone.before, gone.after, gone.weaker) == ("KMS key alias/own", "", False)


def test_usual_encryption_by_the_service_has_no_row() -> None:
    rows = review_protection(None, one("Logs::LogGroup", {"RetentionInDays": 1})).rows
    assert ("app/X", "encryption at rest") not in {(found.subject, found.aspect) for found in rows}


@pytest.mark.parametrize(
    "group", [{"LogGroupName": "/aws/lambda/f"}, {"LogGroupName": {"Fn::Sub": "/aws/lambda/${X}"}}]
)
def test_a_function_with_a_log_group_of_its_own(group: dict[str, Any]) -> None:
    name = {"FunctionName": "f"} if group["LogGroupName"] == "/aws/lambda/f" else {}
    found = review_protection(
        None,
        an_assembly(
            {
                "X": a_resource("AWS::Lambda::Function", name),
                "Log": a_resource("AWS::Logs::LogGroup", group | {"RetentionInDays": 7}),
            }
        ),
    ).rows
    assert [item.after for item in found if item.aspect == "log retention"] == ["7 days"]
