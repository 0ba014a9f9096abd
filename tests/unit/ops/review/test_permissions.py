from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.review.model import Assembly
from ops.review.permissions import StatementChange, review_permissions
from tests.unit.ops.review.templates import (
    ACCOUNT,
    a_policy,
    a_resource,
    a_role,
    allow,
    an_assembly,
    arn,
    bucket_with,
    deny,
    document,
    role_with,
    within,
)

READ = allow("s3:GetObject", within("Data", "/models/*"))
SOURCE = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def changes(before: Assembly, after: Assembly) -> list[StatementChange]:
    review = review_permissions(before, after)
    assert review.compared
    return [*review.statements, *review.trusts]


def only(before: Assembly, after: Assembly) -> StatementChange:
    (change,) = changes(before, after)
    return change


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([READ], [READ], id="same"),
        pytest.param(
            [allow(["s3:GetObject", "s3:PutObject"], arn("Data"))],
            [allow(["s3:PutObject", "s3:GetObject"], [arn("Data")])],
            id="order and lists",
        ),
        pytest.param(
            [allow(["s3:GetObject", "s3:PutObject"], arn("Data"))],
            [allow("s3:PutObject", arn("Data")), allow("s3:GetObject", arn("Data"))],
            id="split",
        ),
        pytest.param(
            [allow("s3:GetObject", arn("Data")), allow("s3:GetObject", arn("Other"))],
            [allow("s3:GetObject", [arn("Other"), arn("Data")])],
            id="merged",
        ),
        pytest.param([allow("s3:getobject", "*")], [allow("S3:GetObject", "*")], id="case of an action"),
        pytest.param([READ], [READ | {"Sid": "Named"}], id="statement id"),
        pytest.param(
            [allow("s3:*", "*")], [allow("s3:*", "*"), READ], id="what a wider statement allows already"
        ),
        pytest.param(
            [allow("s3:GetObject", "arn:aws:s3:::b/**")],
            [allow("s3:GetObject", "arn:aws:s3:::b/*")],
            id="the same pattern in other words",
        ),
        pytest.param(
            [allow("s3:GetObject", {"Fn::Sub": "arn:aws:s3:::${Data}/x"})],
            [allow("s3:GetObject", within("Data", "/x"))],
            id="the same bucket by name and by ARN",
        ),
        pytest.param(
            [allow("s3:Get*", "*", Condition={"ArnEquals": {"aws:SourceArn": "a"}})],
            [allow("s3:Get*", "*", Condition={"ArnLike": {"aws:sourcearn": ["a"]}})],
            id="the same condition in other words",
        ),
        pytest.param(
            [allow("s3:GetObject", f"arn:aws:s3:::assets/{'a' * 64}.zip")],
            [allow("s3:GetObject", f"arn:aws:s3:::assets/{'b' * 64}.zip")],
            id="another version of an asset",
        ),
    ],
)
def test_no_change(before: list[Any], after: list[Any]) -> None:
    assert changes(role_with(*before), role_with(*after)) == []


@pytest.mark.parametrize(
    ("before", "after", "change", "actions", "resources", "alarms"),
    [
        pytest.param(
            [READ],
            [READ, allow("s3:*", "*")],
            "added",
            ("s3:*",),
            ("*",),
            ("wildcard action: every s3 action", "every resource"),
            id="another statement",
        ),
        pytest.param(
            [READ],
            [allow("s3:*", within("Data", "/models/*"))],
            "widened",
            ("s3:*",),
            ("${app/Data.Arn}/models/*",),
            ("wider action: s3:GetObject → s3:*", "wildcard action: every s3 action"),
            id="wider action",
        ),
        pytest.param(
            [READ],
            [allow(["s3:GetObject", "s3:PutObject"], within("Data", "/models/*"))],
            "widened",
            ("s3:PutObject",),
            ("${app/Data.Arn}/models/*",),
            ("new action: s3:PutObject",),
            id="new action",
        ),
        pytest.param(
            [READ],
            [allow("s3:GetObject", within("Data", "/*"))],
            "widened",
            ("s3:GetObject",),
            ("${app/Data.Arn}/*",),
            ("wider resource: ${app/Data.Arn}/models/* → ${app/Data.Arn}/*",),
            id="wider resource",
        ),
        pytest.param(
            [READ],
            [allow("s3:GetObject", [within("Data", "/models/*"), within("Other", "/*")])],
            "widened",
            ("s3:GetObject",),
            ("${app/Other.Arn}/*",),
            ("new resource: ${app/Other.Arn}/*",),
            id="new resource",
        ),
        pytest.param(
            [READ | {"Condition": SOURCE}],
            [READ],
            "widened",
            ("s3:GetObject",),
            ("${app/Data.Arn}/models/*",),
            (f"condition dropped: StringEquals aws:SourceAccount: {ACCOUNT}",),
            id="condition dropped",
        ),
        pytest.param(
            [allow("iam:PassRole", arn("Role"), Condition={"StringEquals": {"iam:PassedToService": "a"}})],
            [allow("iam:PassRole", arn("Role"), Condition={"StringLike": {"iam:PassedToService": "*"}})],
            "widened",
            ("iam:PassRole",),
            ("app/Role",),
            ("condition loosened: StringEquals iam:PassedToService: a → StringLike iam:PassedToService: *",),
            id="condition loosened",
        ),
        pytest.param(
            [READ],
            [READ, {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}],
            "added",
            ("everything but iam:*",),
            ("*",),
            ("NotAction: every action but iam:*", "every resource"),
            id="NotAction",
        ),
        pytest.param(
            [READ],
            [READ, {"Effect": "Allow", "Action": "sqs:SendMessage", "NotResource": "arn:aws:sqs:*:*:x"}],
            "added",
            ("sqs:SendMessage",),
            ("everything but arn:aws:sqs:*:*:x",),
            ("NotResource: every resource but arn:aws:sqs:*:*:x",),
            id="NotResource",
        ),
        pytest.param(
            [READ],
            [READ, allow("iam:PassRole", "*")],
            "added",
            ("iam:PassRole",),
            ("*",),
            ("every resource", "may hand any matching role to a service (iam:PassRole on *)"),
            id="PassRole",
        ),
        pytest.param(
            [READ],
            [READ, allow("iam:PutRolePolicy", arn("Role"))],
            "added",
            ("iam:PutRolePolicy",),
            ("app/Role",),
            ("can change permissions: iam:PutRolePolicy",),
            id="changing permissions",
        ),
        pytest.param(
            [READ],
            [READ, allow("ec2:RunInstances", {"Fn::Transform": {"Name": "x"}})],
            "added",
            ("ec2:RunInstances",),
            ('{Fn::Transform: {"Name": "x"}}',),
            ('not resolved: {Fn::Transform: {"Name": "x"}}',),
            id="an unresolvable function",
        ),
    ],
)
def test_widening(
    before: list[Any],
    after: list[Any],
    change: str,
    actions: tuple[str, ...],
    resources: tuple[str, ...],
    alarms: tuple[str, ...],
) -> None:
    found = only(role_with(*before), role_with(*after))
    assert found.widens
    assert (found.change, found.actions, found.resources) == (change, actions, resources)
    assert found.alarms == alarms
    assert (found.principal, found.source) == ("app/Role", "app/Policy")


@pytest.mark.parametrize(
    ("wide", "narrow", "change"),
    [
        ([READ, allow("sqs:SendMessage", "*")], [READ], "removed"),
        (
            [allow(["s3:GetObject", "s3:PutObject"], arn("Data"))],
            [allow("s3:GetObject", arn("Data"))],
            "narrowed",
        ),
        ([allow("s3:*", "*")], [READ], "narrowed"),
        ([READ], [READ | {"Condition": SOURCE}], "narrowed"),
    ],
)
def test_narrowing_is_no_alarm(wide: list[Any], narrow: list[Any], change: str) -> None:
    found = only(role_with(*wide), role_with(*narrow))
    assert not found.widens
    assert (found.change, found.alarms) == (change, ())


def test_another_value_of_a_condition_gives_and_takes() -> None:
    other = {"StringEquals": {"aws:SourceAccount": "222222222222"}}
    gained, lost = changes(role_with(READ | {"Condition": SOURCE}), role_with(READ | {"Condition": other}))
    assert (gained.change, lost.change) == ("widened", "narrowed")
    assert gained.alarms == (
        f"condition loosened: StringEquals aws:SourceAccount: {ACCOUNT} → "
        "StringEquals aws:SourceAccount: 222222222222",
    )


def test_what_is_gained_is_told_exactly() -> None:
    before = allow("s3:GetObject", arn("Data"))
    after = allow(["s3:GetObject", "s3:PutObject"], [arn("Data"), arn("Other")])
    assert {
        (change.actions, change.resources) for change in changes(role_with(before), role_with(after))
    } == {
        (("s3:GetObject",), ("app/Other",)),
        (("s3:PutObject",), ("app/Data", "app/Other")),
    }


class TestDeny:
    TLS = deny("s3:*", "*", Condition={"Bool": {"aws:SecureTransport": "false"}})

    def test_removed(self) -> None:
        found = only(role_with(READ, self.TLS), role_with(READ))
        assert found.widens
        assert (found.change, found.effect, found.alarms) == ("removed", "Deny", ("Deny removed: s3:*",))

    def test_covers_less(self) -> None:
        old = deny("s3:*", "*", Condition={"NumericLessThan": {"s3:TlsVersion": "1.2"}})
        new = deny("s3:*", "*", Condition={"NumericLessThan": {"s3:TlsVersion": "1.0"}})
        found = only(role_with(old), role_with(new))
        assert found.widens
        assert (found.change, found.alarms) == ("widened", ("Deny covers less: s3:*",))

    def test_added_or_wider_takes(self) -> None:
        assert not only(role_with(READ), role_with(READ, self.TLS)).widens
        found = only(role_with(self.TLS), role_with(deny("s3:*", "*")))
        assert (found.change, found.widens) == ("narrowed", False)


class TestTrust:
    LAMBDA = allow("sts:AssumeRole", Principal={"Service": "lambda.amazonaws.com"})

    def of(self, *trusts: Any) -> Assembly:
        return an_assembly({"Role": a_role(*trusts)})

    @pytest.mark.parametrize(
        ("principal", "label", "more"),
        [
            ("*", "anyone", ("open to anyone",)),
            ({"AWS": "*"}, "anyone", ("open to anyone",)),
            ({"Service": "ec2.amazonaws.com"}, "service ec2.amazonaws.com", ()),
            ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, f"account {ACCOUNT}", ()),
            (
                {"AWS": "arn:aws:iam::222222222222:root"},
                "account 222222222222",
                ("another account: 222222222222",),
            ),
            (
                {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::222222222222:root"}},
                "account 222222222222",
                ("another account: 222222222222",),
            ),
            (
                {"AWS": "arn:aws:iam::222222222222:role/ci"},
                "arn:aws:iam::222222222222:role/ci",
                ("another account: 222222222222",),
            ),
        ],
    )
    def test_new(self, principal: Any, label: str, more: tuple[str, ...]) -> None:
        found = only(self.of(self.LAMBDA), self.of(self.LAMBDA, allow("sts:AssumeRole", Principal=principal)))
        assert (found.principal, found.change) == (label, "widened")
        assert found.resources == ("app/Role",)
        assert found.alarms == (f"new trust: {label} may assume app/Role", *more)

    def test_dropped_condition(self) -> None:
        found = only(self.of(self.LAMBDA | {"Condition": SOURCE}), self.of(self.LAMBDA))
        assert (found.change, found.widens) == ("widened", True)
        assert found.alarms == (f"condition dropped: StringEquals aws:SourceAccount: {ACCOUNT}",)

    def test_everyone_but_some(self) -> None:
        wide = {"Effect": "Allow", "Action": "sts:AssumeRole", "NotPrincipal": {"AWS": "222222222222"}}
        found = only(self.of(self.LAMBDA), self.of(self.LAMBDA, wide))
        assert found.principal == "anyone but account 222222222222"
        assert "open to anyone" in found.alarms

    def test_of_a_new_role_is_listed_apart(self) -> None:
        review = review_permissions(an_assembly({}), self.of(self.LAMBDA))
        assert review.statements == ()
        (trust,) = review.trusts
        assert (trust.change, trust.alarms) == ("added", ())
        assert not review.widens


@pytest.mark.parametrize(
    "resource",
    [
        a_resource("AWS::IAM::Role", {"Policies": [{"PolicyName": "P", "PolicyDocument": document(READ)}]}),
        a_resource("AWS::IAM::ManagedPolicy", {"PolicyDocument": document(READ), "Roles": ["a"]}),
        a_resource("AWS::IAM::RolePolicy", {"PolicyDocument": document(READ), "RoleName": "a"}),
        a_resource("AWS::SSO::PermissionSet", {"InlinePolicy": document(READ)}),
    ],
    ids=lambda resource: resource["Type"],
)
def test_policies_of_identities(resource: dict[str, Any]) -> None:
    found = only(
        an_assembly({"Data": a_resource("AWS::S3::Bucket")}),
        an_assembly({"Data": a_resource("AWS::S3::Bucket"), "X": resource}),
    )
    assert (found.actions, found.resources) == (("s3:GetObject",), ("${app/Data.Arn}/models/*",))


ANYONE = allow("x:Do", Principal="*")
TEXT = '{"Statement": [{"Effect": "Allow", "Action": "x:Do", "Principal": "*", "Resource": "%s"}]}'
JOINED = {"Fn::Join": ["", [TEXT.partition("%s")[0], arn("Thing"), TEXT.partition("%s")[2]]]}


@pytest.mark.parametrize(
    ("kind", "properties", "protected"),
    [
        ("S3::BucketPolicy", {"Bucket": {"Ref": "Thing"}, "PolicyDocument": document(ANYONE)}, "app/Thing"),
        ("SQS::QueuePolicy", {"Queues": [{"Ref": "Thing"}], "PolicyDocument": document(ANYONE)}, "app/Thing"),
        ("SNS::TopicPolicy", {"Topics": [{"Ref": "Thing"}], "PolicyDocument": document(ANYONE)}, "app/Thing"),
        (
            "SecretsManager::ResourcePolicy",
            {"SecretId": {"Ref": "Thing"}, "ResourcePolicy": document(ANYONE)},
            "app/Thing",
        ),
        ("KMS::Key", {"KeyPolicy": document(ANYONE | {"Resource": "*"})}, "app/X"),
        ("ECR::Repository", {"RepositoryPolicyText": document(ANYONE)}, "app/X"),
        ("ApiGateway::RestApi", {"Policy": document(ANYONE)}, "app/X"),
        ("SageMaker::ModelPackageGroup", {"ModelPackageGroupPolicy": document(ANYONE)}, "app/X"),
        ("Logs::ResourcePolicy", {"PolicyDocument": TEXT % "*"}, "*"),
        ("Logs::ResourcePolicy", {"PolicyDocument": JOINED}, "app/Thing"),
        (
            "Lambda::Permission",
            {"FunctionName": arn("Thing"), "Action": "x:Do", "Principal": "*"},
            "app/Thing",
        ),
        (
            "Lambda::LayerVersionPermission",
            {"LayerVersionArn": {"Ref": "Thing"}, "Action": "x:Do", "Principal": "*"},
            "app/Thing",
        ),
    ],
)
def test_policies_of_resources(kind: str, properties: dict[str, Any], protected: str) -> None:
    thing = {"Thing": a_resource("Custom::Thing")}
    after = an_assembly(thing | {"X": a_resource(f"AWS::{kind}", properties)})
    found = only(an_assembly(thing), after)
    assert (found.principal, found.actions, found.resources) == ("anyone", ("x:Do",), (protected,))
    assert "open to anyone" in found.alarms


def test_stacks_that_know_neither_account_nor_partition() -> None:
    def of(account: str) -> Assembly:
        root = {"Fn::Sub": f"arn:${{AWS::Partition}}:iam::{account}:root"}
        trust = allow("sts:AssumeRole", Principal={"AWS": root})
        return an_assembly({"Role": a_role(trust)}, account="unknown-account", region="unknown-region")

    (own,) = review_permissions(None, of("${AWS::AccountId}")).trusts
    assert (own.principal, own.alarms) == ("this account", ())
    (other,) = review_permissions(None, of("222222222222")).trusts
    assert (other.principal, other.alarms) == ("account 222222222222", ("another account: 222222222222",))


def test_managed_policies_of_aws() -> None:
    administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
    found = only(
        an_assembly({"Role": a_role()}), an_assembly({"Role": a_role(ManagedPolicyArns=[administrator])})
    )
    assert (found.principal, found.widens) == ("app/Role", True)
    assert found.actions == (f"policy {administrator}",)
    assert found.alarms[0].startswith("managed policy: ")


def test_managed_policies_of_the_app_belong_to_the_roles_that_list_them() -> None:
    policy = a_resource("AWS::IAM::ManagedPolicy", {"PolicyDocument": document(allow("s3:*", "*"))})
    before = an_assembly({"Role": a_role(), "Policy": policy})
    after = an_assembly({"Role": a_role(ManagedPolicyArns=[{"Ref": "Policy"}]), "Policy": policy})
    gained = [change for change in changes(before, after) if change.widens]
    assert [change.principal for change in gained] == ["app/Role"]


def test_both_branches_of_a_condition_count() -> None:
    both = {"Fn::If": ["Wide", allow("s3:*", "*"), {"Ref": "AWS::NoValue"}]}
    found = only(role_with(READ), role_with(READ, both))
    assert found.actions == ("s3:*",)


def test_a_grant_to_a_role_in_a_bucket_policy_is_the_roles() -> None:
    grant = allow("s3:GetObject", within("Data", "/*"), Principal={"AWS": arn("Role")})
    found = only(bucket_with(), bucket_with(grant))
    assert (found.principal, found.source) == ("app/Role", "app/Policy")


def test_with_nothing_to_compare_everything_is_shown_as_it_is() -> None:
    review = review_permissions(None, role_with(READ, allow("s3:*", "*")))
    assert not review.compared
    assert not review.widens
    assert {change.change for change in (*review.statements, *review.trusts)} == {"present"}
    assert [change.actions for change in review.statements] == [("s3:GetObject",), ("s3:*",)]


ACTIONS = st.sampled_from(["s3:GetObject", "s3:Get*", "s3:PutObject", "s3:*", "sqs:SendMessage", "*"])
RESOURCES = st.sampled_from(["arn:a", "arn:a/*", "arn:a/b", "arn:*", "*"])
STATEMENTS = st.lists(
    st.builds(
        lambda actions, resources, conditioned: allow(
            actions, resources, **({"Condition": SOURCE} if conditioned else {})
        ),
        st.lists(ACTIONS, min_size=1, max_size=3),
        st.lists(RESOURCES, min_size=1, max_size=2),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40)
@given(STATEMENTS, st.randoms())
def test_order_and_splitting_never_matter(found: list[dict[str, Any]], random: Any) -> None:
    split = [
        statement | {"Action": action, "Resource": resource}
        for statement in found
        for action in statement["Action"]
        for resource in statement["Resource"]
    ]
    random.shuffle(split)
    assert changes(role_with(*found), role_with(*split)) == []


@settings(max_examples=40)
@given(STATEMENTS, STATEMENTS)
def test_adding_never_narrows_and_removing_never_widens(
    some: list[dict[str, Any]], more: list[dict[str, Any]]
) -> None:
    assert all(change.widens for change in changes(role_with(*some), role_with(*some, *more)))
    assert not any(change.widens for change in changes(role_with(*some, *more), role_with(*some)))


@settings(max_examples=40)
@given(STATEMENTS, STATEMENTS)
def test_a_wildcard_never_narrows(some: list[dict[str, Any]], more: list[dict[str, Any]]) -> None:
    wide = [statement | {"Action": "*", "Resource": "*", "Condition": {}} for statement in some]
    assert all(change.widens for change in changes(role_with(*some), role_with(*wide)))
    assert not any(change.widens for change in changes(role_with(*wide), role_with(*more)))


@settings(max_examples=40)
@given(STATEMENTS, STATEMENTS)
def test_the_report_is_the_same_every_time(some: list[dict[str, Any]], more: list[dict[str, Any]]) -> None:
    forward = review_permissions(role_with(*some), role_with(*more))
    assert forward == review_permissions(role_with(*reversed(some)), role_with(*more))
    assert not forward.widens or changes(role_with(*some), role_with(*more)) != []


def test_roles_of_one_policy_are_told_apart() -> None:
    roles = {"Role": a_role(), "Second": a_role()}
    before = an_assembly(roles | {"Policy": a_policy(READ)})
    after = an_assembly(roles | {"Policy": a_policy(READ, roles=[{"Ref": "Role"}, {"Ref": "Second"}])})
    found = only(before, after)
    assert (found.principal, found.change) == ("app/Second", "added")
