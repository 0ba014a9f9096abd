from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.review.exposure import Door, find_doors, review_exposure
from ops.review.model import Assembly
from ops.review.permissions import review_permissions
from ops.review.protection import review_protection
from tests.unit.ops.review.templates import (
    ACCOUNT,
    a_resource,
    a_role,
    allow,
    an_assembly,
    arn,
    bucket_with,
    deny,
    within,
)

pytestmark = pytest.mark.slow

BLOCKED = dict.fromkeys(
    ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
)
GITHUB = "token.actions.githubusercontent.com"


def doors(assembly: Assembly) -> list[Door]:
    return list(review_exposure(None, assembly))


def one(kind: str, properties: dict[str, Any] | None = None) -> Assembly:
    return an_assembly({"X": a_resource(f"AWS::{kind}", properties)})


def read_by(principal: Any, **condition: Any) -> Assembly:
    more = {"Condition": condition} if condition else {}
    return bucket_with(allow("s3:GetObject", within("Data", "/*"), Principal=principal, **more))


def trust(principal: Any, **condition: Any) -> Assembly:
    more = {"Condition": condition} if condition else {}
    return an_assembly({"Role": a_role(allow("sts:AssumeRole", Principal=principal, **more))})


@pytest.mark.parametrize(
    ("assembly", "what"),
    [
        pytest.param(read_by("*"), "anyone may s3:GetObject", id="bucket policy"),
        pytest.param(read_by({"AWS": "*"}), "anyone may s3:GetObject", id="bucket policy, AWS: *"),
        pytest.param(
            read_by("*", StringLike={"aws:Referer": "https://x/*"}),
            "anyone may s3:GetObject",
            id="a condition that anyone can meet",
        ),
        pytest.param(
            read_by("*", StringLike={"aws:SourceArn": "*"}),
            "anyone may s3:GetObject",
            id="a condition on all",
        ),
        pytest.param(
            read_by("*", IpAddress={"aws:SourceIp": "0.0.0.0/0"}),
            "anyone may s3:GetObject",
            id="every address",
        ),
        pytest.param(
            read_by("*", StringNotEquals={"aws:SourceAccount": "222222222222"}),
            "anyone may s3:GetObject",
            id="all accounts but one",
        ),
        pytest.param(
            read_by("*", StringEqualsIfExists={"aws:SourceAccount": ACCOUNT}),
            "anyone may s3:GetObject",
            id="a condition that may be missing",
        ),
        pytest.param(
            bucket_with(AccessControl="PublicRead"),
            "anyone may read it by its access control list (PublicRead)",
            id="access control list",
        ),
        pytest.param(
            bucket_with(PublicAccessBlockConfiguration=BLOCKED | {"BlockPublicPolicy": False}),
            "a policy or an access control list may make it public: BlockPublicPolicy off",
            id="public access block",
        ),
        pytest.param(trust("*"), "anyone may assume it", id="trust in anyone"),
        pytest.param(
            trust(
                {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{GITHUB}"},
                StringEquals={f"{GITHUB}:aud": "sts.amazonaws.com"},
            ),
            f"every identity of arn:aws:iam::{ACCOUNT}:oidc-provider/{GITHUB} may assume it: "
            "no condition on the subject",
            id="trust in every repository",
        ),
        pytest.param(
            one(
                "Lambda::Permission",
                {"FunctionName": "f", "Action": "lambda:InvokeFunction", "Principal": "*"},
            ),
            "anyone may lambda:InvokeFunction",
            id="function",
        ),
        pytest.param(
            one("Lambda::Url", {"AuthType": "NONE"}),
            "anyone may call the function's URL (AuthType NONE)",
            id="URL",
        ),
        pytest.param(
            one("ApiGatewayV2::Route", {"ApiId": "api", "RouteKey": "GET /"}),
            "anyone may call it: neither authorization nor key",
            id="route",
        ),
        pytest.param(
            one(
                "EC2::SecurityGroup",
                {
                    "SecurityGroupIngress": [
                        {"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
                    ]
                },
            ),
            "every address (0.0.0.0/0) reaches port 22 (tcp)",
            id="security group",
        ),
        pytest.param(
            one("EC2::SecurityGroupIngress", {"CidrIpv6": "::/0", "IpProtocol": "-1"}),
            "every address (::/0) reaches every port",
            id="security group rule",
        ),
        pytest.param(
            one("RDS::DBInstance", {"PubliclyAccessible": True}), "it has a public address", id="database"
        ),
        pytest.param(
            one("SageMaker::NotebookInstance"), "it has direct internet access", id="notebook, by default"
        ),
        pytest.param(
            one("ElasticLoadBalancingV2::LoadBalancer"),
            "it faces the internet",
            id="load balancer, by default",
        ),
        pytest.param(
            one("Cognito::IdentityPool", {"AllowUnauthenticatedIdentities": True}),
            "anyone gets its unauthenticated role",
            id="identity pool",
        ),
        pytest.param(
            one("KMS::Key", {"KeyPolicy": {"Statement": [allow("kms:Decrypt", "*", Principal="*")]}}),
            "anyone may kms:Decrypt",
            id="key",
        ),
    ],
)
def test_public(assembly: Assembly, what: str) -> None:
    (door,) = doors(assembly)
    assert (door.what, door.public, door.state) == (what, True, "open")


@pytest.mark.parametrize(
    "assembly",
    [
        pytest.param(bucket_with(), id="bucket without a policy: S3 blocks public access"),
        pytest.param(bucket_with(PublicAccessBlockConfiguration=BLOCKED), id="blocked bucket"),
        pytest.param(read_by({"AWS": arn("Role")}), id="a role of the app"),
        pytest.param(read_by({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}), id="this account"),
        pytest.param(read_by({"Service": "cloudfront.amazonaws.com"}), id="a service"),
        pytest.param(read_by("*", StringEquals={"aws:PrincipalOrgID": "o-1"}), id="an organization"),
        pytest.param(read_by("*", IpAddress={"aws:SourceIp": "192.0.2.0/24"}), id="a network"),
        pytest.param(bucket_with(deny("s3:*", within("Data", "/*"), Principal="*")), id="denied to everyone"),
        pytest.param(
            trust({"Federated": GITHUB}, StringLike={f"{GITHUB}:sub": "repo:owner/name:*"}),
            id="one repository",
        ),
        pytest.param(one("Lambda::Url", {"AuthType": "AWS_IAM"}), id="URL with IAM"),
        pytest.param(
            one("ApiGatewayV2::Route", {"RouteKey": "GET /", "AuthorizationType": "JWT"}), id="route with JWT"
        ),
        pytest.param(
            one("ApiGateway::Method", {"HttpMethod": "OPTIONS", "AuthorizationType": "NONE"}), id="CORS"
        ),
        pytest.param(
            one(
                "EC2::SecurityGroup",
                {"SecurityGroupIngress": [{"CidrIp": "10.0.0.0/8", "IpProtocol": "tcp"}]},
            ),
            id="an internal network",
        ),
        pytest.param(
            one("EC2::VPCEndpoint", {"PolicyDocument": {"Statement": [allow("*", "*", Principal="*")]}}),
            id="VPC endpoint",
        ),
    ],
)
def test_not_public(assembly: Assembly) -> None:
    assert doors(assembly) == []


def test_private_api() -> None:
    api = a_resource("AWS::ApiGateway::RestApi", {"EndpointConfiguration": {"Types": ["PRIVATE"]}})
    method = a_resource(
        "AWS::ApiGateway::Method",
        {"HttpMethod": "GET", "AuthorizationType": "NONE", "RestApiId": {"Ref": "Api"}},
    )
    assert doors(an_assembly({"Api": api, "Method": method})) == []


@pytest.mark.parametrize(
    ("assembly", "subject", "what"),
    [
        (
            trust({"AWS": "arn:aws:iam::222222222222:root"}),
            "app/Role",
            "another account may assume it: account 222222222222",
        ),
        (
            read_by({"AWS": "222222222222"}),
            "app/Data",
            "another account may s3:GetObject: account 222222222222",
        ),
    ],
)
def test_other_accounts(assembly: Assembly, subject: str, what: str) -> None:
    (door,) = doors(assembly)
    assert (door.subject, door.what, door.public) == (subject, what, False)


def test_what_the_change_opens_comes_first_then_what_it_closes() -> None:
    url = {"Url": a_resource("AWS::Lambda::Url", {"AuthType": "NONE"})}
    pool = {"Pool": a_resource("AWS::Cognito::IdentityPool", {"AllowUnauthenticatedIdentities": True})}
    database = {"Base": a_resource("AWS::RDS::DBInstance", {"PubliclyAccessible": True})}
    found = review_exposure(an_assembly(url | pool), an_assembly(database | pool))
    assert [(door.subject, door.state) for door in found] == [
        ("app/Base", "opened"),
        ("app/Url", "closed"),
        ("app/Pool", "open"),
    ]


def test_dropping_the_public_access_block_opens() -> None:
    before, after = bucket_with(PublicAccessBlockConfiguration=BLOCKED), bucket_with()
    (door,) = review_exposure(before, after)
    assert (door.state, door.public) == ("opened", True)
    assert door.what.endswith("the public access block is dropped")
    (door,) = review_exposure(after, before)
    assert door.state == "closed"


def test_dropping_the_denial_of_insecure_transport_opens() -> None:
    secure = bucket_with(
        deny(
            "s3:*",
            [arn("Data"), within("Data", "/*")],
            Principal="*",
            Condition={"Bool": {"aws:SecureTransport": "false"}},
        )
    )
    (door,) = review_exposure(secure, bucket_with())
    assert (door.subject, door.state, door.public) == ("app/Data", "opened", False)
    assert door.what == "requests without TLS are not denied any more"
    assert list(find_doors(bucket_with())) == []


SHAPES = st.recursive(
    st.sampled_from([None, True, 1, "x", "*", {"Ref": "X"}, {"Ref": "AWS::NoValue"}, {"Fn::If": 3}]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.builds(
            lambda name, value: {name: value}, st.sampled_from(["Fn::If", "Fn::Foo", "AWS", "a"]), inner
        ),
    ),
    max_leaves=6,
)
STATEMENTS = st.fixed_dictionaries(
    {"Effect": SHAPES, "Action": SHAPES},
    optional={"Principal": SHAPES, "NotPrincipal": SHAPES, "Resource": SHAPES, "Condition": SHAPES},
)
BROKEN = {
    "S3::Bucket": ("PublicAccessBlockConfiguration", "BucketEncryption", "AccessControl"),
    "IAM::Role": ("AssumeRolePolicyDocument", "ManagedPolicyArns", "Policies"),
    "Lambda::Permission": ("FunctionName", "Action", "Principal", "SourceArn"),
    "ApiGateway::Method": ("RestApiId", "ResourceId", "HttpMethod", "AuthorizationType"),
    "ApiGateway::Stage": ("RestApiId", "MethodSettings"),
    "EC2::SecurityGroup": ("SecurityGroupIngress",),
    "Logs::LogGroup": ("RetentionInDays", "LogGroupName"),
    "StepFunctions::StateMachine": ("DefinitionString",),
}


@settings(max_examples=60)
@given(st.data())
def test_no_shape_of_a_template_is_a_crash(data: st.DataObject) -> None:
    resources = {
        f"X{index}": a_resource(f"AWS::{kind}", {name: data.draw(SHAPES) for name in names})
        for index, (kind, names) in enumerate(BROKEN.items())
    }
    document = {"Statement": data.draw(st.lists(STATEMENTS, min_size=1, max_size=2))}
    resources["X"] = a_resource(
        "AWS::S3::BucketPolicy", {"Bucket": {"Ref": "X0"}, "PolicyDocument": document}
    )
    broken = an_assembly(resources)
    for before in (None, bucket_with(), broken):
        review_permissions(before, broken)
        assert not review_protection(before, broken).weaker or before != broken
