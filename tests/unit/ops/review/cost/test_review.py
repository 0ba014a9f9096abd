"""The whole review: before and after, what is left out, and how cost follows use."""

from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.review.cost import CostLine, CostReview, Traffic, review_cost
from ops.review.model import Assembly

MakeAssembly = Callable[..., Assembly]
Cost = Callable[..., CostReview]

KEY = {"Type": "AWS::KMS::Key"}
BUCKET = {"Type": "AWS::S3::Bucket"}
MACHINE = {
    "Type": "AWS::StepFunctions::StateMachine",
    "Properties": {"DefinitionString": '{"StartAt":"Done","States":{"Done":{"Type":"Succeed"}}}'},
}
"""One transition, 0.000025."""


def endpoint(instance_type: str, count: int) -> dict[str, Any]:
    variant = {"VariantName": "All", "InstanceType": instance_type, "InitialInstanceCount": count}
    return {
        "Config": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {"ProductionVariants": [variant]},
        },
        "Endpoint": {
            "Type": "AWS::SageMaker::Endpoint",
            "Properties": {"EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]}},
        },
    }


def some_of_everything(count: int = 1) -> dict[str, Any]:
    """Resources whose cost depends on every amount of the traffic but a serverless endpoint's seconds."""
    train = (
        '{"StartAt":"Train","States":{"Train":{"Type":"Task","Next":"Score","Resource":'
        '"arn:aws:states:::sagemaker:createTrainingJob.sync","Parameters":{"ResourceConfig":'
        '{"InstanceType":"ml.m5.large","InstanceCount":1}}},"Score":{"Type":"Task","Next":"Judge","Resource":'
        '"arn:aws:states:::sagemaker:createTransformJob.sync","Parameters":{"TransformResources":'
        '{"InstanceType":"ml.m5.large","InstanceCount":1}}},"Judge":{"Type":"Task","End":true,"Resource":"'
    )
    definition = {"Fn::Join": ["", [train, {"Fn::GetAtt": ["Judge", "Arn"]}, '"}}}']]}
    uri = {"Fn::Sub": "arn:aws:apigateway:x/${Answer.Arn}/invocations"}
    function = {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 10240}}
    return {
        **endpoint("ml.m5.large", count),
        "Serverless": {
            "Type": "AWS::SageMaker::Endpoint",
            "Properties": {"EndpointConfigName": {"Ref": "ServerlessConfig"}},
        },
        "ServerlessConfig": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {
                "ProductionVariants": [
                    {"VariantName": "All", "ServerlessConfig": {"MemorySizeInMB": 6144, "MaxConcurrency": 5}}
                ]
            },
        },
        "Manual": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"DefinitionString": definition},
        },
        "Triggered": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"DefinitionString": definition},
        },
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {"EventPattern": {}, "Targets": [{"Arn": {"Ref": "Triggered"}}]},
        },
        "Judge": function,
        "Answer": function,
        "Alone": function,
        "Deployed": function,
        "Custom": {
            "Type": "Custom::Thing",
            "Properties": {"ServiceToken": {"Fn::GetAtt": ["Deployed", "Arn"]}},
        },
        "Api": {"Type": "AWS::ApiGateway::RestApi"},
        "Get": {
            "Type": "AWS::ApiGateway::Method",
            "Properties": {"RestApiId": {"Ref": "Api"}, "HttpMethod": "GET", "Integration": {"Uri": uri}},
        },
        "Stage": {
            "Type": "AWS::ApiGateway::Stage",
            "Properties": {"AccessLogSetting": {"DestinationArn": {"Fn::GetAtt": ["Logs", "Arn"]}}},
        },
        "Logs": {"Type": "AWS::Logs::LogGroup"},
        "OtherLogs": {"Type": "AWS::Logs::LogGroup"},
        "Bucket": BUCKET,
        "Key": KEY,
    }


def test_before_and_after_by_resource(assembly: MakeAssembly) -> None:
    review = review_cost(
        assembly({"Old": KEY, "Bucket": BUCKET, **endpoint("ml.m5.large", 1)}),
        assembly({"New": KEY, "Bucket": BUCKET, **endpoint("ml.m5.large", 2)}),
        traffic=replace(Traffic(), volume_gb=Decimal(0), endpoint_kb=Decimal(0)),
    )

    assert {line.subject: (line.before, line.after) for line in review.lines} == {
        "app/Endpoint (All)": (Decimal("83.95"), Decimal("167.90")),
        "app/Endpoint (data)": (Decimal("0.00"), Decimal("0.00")),
        "app/Old": (Decimal("1.03"), None),
        "app/New": (None, Decimal("1.03")),
        "app/Bucket": (Decimal("0.03"), Decimal("0.03")),
    }
    assert (review.monthly_before, review.monthly_after) == (Decimal("85.01"), Decimal("168.96"))
    assert review.currency == "USD"


def test_lines_are_dearest_first(assembly: MakeAssembly) -> None:
    review = review_cost(
        assembly({"Gone": {"Type": "AWS::CloudWatch::Dashboard"}}),
        assembly({"Bucket": BUCKET, "Key": KEY, **endpoint("ml.t2.medium", 1)}),
    )

    assert [line.subject for line in review.lines] == [
        "app/Endpoint (All)",
        "app/Gone",
        "app/Key",
        "app/Bucket",
        "app/Endpoint (data)",
    ]


def test_without_a_base_there_is_no_before(cost: Cost) -> None:
    review = cost({"Key": KEY})

    assert review.monthly_before is None
    assert review.lines == (
        CostLine("app/Key", "AWS::KMS::Key", "1 key, 10,000 requests", None, Decimal("1.03")),
    )


def test_a_total_adds_up_what_was_not_rounded(cost: Cost) -> None:
    # 4 × 0.004
    review = cost({f"Machine{number}": MACHINE for number in range(4)}, manual_runs_per_month=160)

    assert [line.after for line in review.lines] == [Decimal("0.00")] * 4
    assert review.monthly_after == Decimal("0.02")


def test_rounding_is_half_up(cost: Cost) -> None:
    # 0.005
    assert cost({"Machine": MACHINE}, manual_runs_per_month=200).lines[0].after == Decimal("0.01")


def test_everything_of_the_sample_is_priced(cost: Cost) -> None:
    assert cost(some_of_everything()).unpriced == ()


def test_nothing_costs_nothing(cost: Cost) -> None:
    review = cost({})

    assert (review.monthly_after, review.lines, review.unpriced) == (Decimal("0.00"), (), ())
    assert str(review.monthly_after) == "0.00"


def test_unknown_types_are_listed_never_zero(cost: Cost) -> None:
    review = cost({"Db": {"Type": "AWS::RDS::DBInstance"}, "Own": {"Type": "Acme::Cloud::Thing"}})

    assert review.unpriced == (
        "app/Db (AWS::RDS::DBInstance): no estimator for this type",
        "app/Own (Acme::Cloud::Thing): no estimator for this type",
    )
    assert review.lines == ()


@pytest.mark.parametrize(
    ("region", "reason"),
    [
        ("eu-south-2", "no prices for region eu-south-2"),
        ("unknown-region", "its stack is bound to no region"),
    ],
)
def test_in_a_region_without_prices_everything_that_costs_is_listed(
    cost: Cost, region: str, reason: str
) -> None:
    role = {"Type": "AWS::IAM::Role"}
    review = cost({"Key": KEY, "Role": role, "Alarm": {"Type": "AWS::CloudWatch::Alarm"}}, region=region)

    assert review.unpriced == (
        f"app/Alarm (AWS::CloudWatch::Alarm): {reason}",
        f"app/Key (AWS::KMS::Key): {reason}",
    )
    assert review.monthly_after == 0
    assert review.prices_as_of == reason


def test_regions_have_their_own_prices(cost: Cost) -> None:
    group = {"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 365}}}

    assert cost(group, log_mb=1_000, region="us-east-1").monthly_after == Decimal("0.86")
    assert cost(group, log_mb=1_000, region="eu-west-1").monthly_after == Decimal("0.93")
    assert cost(group, region="us-east-1").prices_as_of.startswith("us-east-1: read 20")


@pytest.mark.parametrize(
    "definition",
    [
        {"Type": "AWS::IAM::Role"},
        {"Type": "Custom::Anything"},
        {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String"}},
        {"Type": "AWS::SageMaker::ModelPackageGroup"},
    ],
)
def test_what_is_free_is_neither_priced_nor_listed(cost: Cost, definition: dict[str, Any]) -> None:
    review = cost({"Free": definition})

    assert (review.lines, review.unpriced) == ((), ())


def test_an_advanced_parameter_is_listed(cost: Cost) -> None:
    assert len(cost({"P": {"Type": "AWS::SSM::Parameter", "Properties": {"Tier": "Advanced"}}}).unpriced) == 1


@pytest.mark.parametrize("value", [None, 5, "text", [], {}, [5], {"Ref": "P"}, {"Fn::If": ["C", [{}], []]}])
@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("AWS::ApiGateway::Stage", "MethodSettings"),
        ("AWS::CloudWatch::Alarm", "Metrics"),
        ("AWS::CloudWatch::Alarm", "Period"),
        ("AWS::Lambda::Function", "MemorySize"),
        ("AWS::Lambda::Function", "Architectures"),
        ("AWS::Lambda::Function", "EphemeralStorage"),
        ("AWS::Logs::LogGroup", "RetentionInDays"),
        ("AWS::S3::Bucket", "NotificationConfiguration"),
        ("AWS::SageMaker::Endpoint", "EndpointConfigName"),
        ("AWS::SageMaker::EndpointConfig", "ProductionVariants"),
        ("AWS::StepFunctions::StateMachine", "Definition"),
        ("AWS::StepFunctions::StateMachine", "DefinitionString"),
        ("AWS::Events::Rule", "Targets"),
        ("AWS::Scheduler::Schedule", "Target"),
    ],
)
def test_no_property_breaks_the_review(cost: Cost, kind: str, key: str, value: Any) -> None:
    resources = {
        **endpoint("ml.m5.large", 1),
        "Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"DefinitionString": "{}"}},
        "Function": {"Type": "AWS::Lambda::Function"},
        "Odd": {"Type": kind, "Properties": {key: value}},
        "User": {"Type": "AWS::SageMaker::Endpoint", "Properties": {"EndpointConfigName": {"Ref": "Odd"}}},
    }

    assert cost(resources).monthly_after > 80


@settings(deadline=None)
@given(key=st.sampled_from([entry.name for entry in fields(Traffic)]), times=st.integers(2, 1_000))
def test_more_use_never_costs_less(assembly: MakeAssembly, key: str, times: int) -> None:
    usual = Traffic()
    more = replace(usual, **{key: getattr(usual, key) * times})
    resources = assembly(some_of_everything())

    assert (
        review_cost(None, resources, traffic=more).monthly_after
        >= review_cost(None, resources, traffic=usual).monthly_after
    )


@pytest.mark.parametrize("key", [entry.name for entry in fields(Traffic)])
def test_every_amount_matters(assembly: MakeAssembly, key: str) -> None:
    resources = assembly(some_of_everything())
    much = replace(Traffic(), **{key: Decimal(10) ** 9})

    assert (
        review_cost(None, resources, traffic=much).monthly_after > review_cost(None, resources).monthly_after
    )


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, 100))
def test_each_further_instance_costs_the_same(assembly: MakeAssembly, count: int) -> None:
    fewer, more = (
        next(
            line.after or Decimal(0)
            for line in review_cost(None, assembly(some_of_everything(instances))).lines
            if line.subject == "app/Endpoint (All)"
        )
        for instances in (count, count + 1)
    )

    # 730 h × 0.115 + 5 GB × 0.14
    assert more - fewer == Decimal("84.65")


def test_the_same_assembly_gives_the_same_review(assembly: MakeAssembly) -> None:
    resources = some_of_everything()
    backwards = dict(reversed(resources.items()))

    assert review_cost(None, assembly(resources)) == review_cost(None, assembly(backwards))


def test_assumptions_state_rounding_and_every_amount(cost: Cost) -> None:
    assumptions = cost({}, requests_per_month=123_456).assumptions

    assert any("rounded half up to the cent" in line for line in assumptions)
    assert any(line.startswith("requests_per_month = 123,456: ") for line in assumptions)
    assert all(any(line.startswith(f"{entry.name} = ") for line in assumptions) for entry in fields(Traffic))
