from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ops.errors import OperationError
from ops.review.composition import compose, review_environment
from ops.review.cost import Traffic
from ops.review.fail_on import Condition, parse_fail_on
from ops.review.model import EnvironmentReview, Review
from tests.unit.ops.review.templates import a_policy, a_resource, a_role, allow, an_assembly

ENDPOINT = {
    "Config": a_resource(
        "AWS::SageMaker::EndpointConfig",
        {
            "ProductionVariants": [
                {
                    "VariantName": "All",
                    "ModelName": "m",
                    "InstanceType": "ml.m5.large",
                    "InitialInstanceCount": 1,
                }
            ]
        },
    ),
    "Endpoint": a_resource("AWS::SageMaker::Endpoint", {"EndpointConfigName": {"Ref": "Config"}}),
}


def environment(before: dict[str, Any] | None, after: dict[str, Any], name: str = "dev") -> EnvironmentReview:
    return review_environment(
        name, None if before is None else an_assembly(before), an_assembly(after), traffic=Traffic()
    )


def reviewed(before: dict[str, Any] | None, after: dict[str, Any]) -> Review:
    return compose("a", "b", [environment(before, after)])


QUEUE = {"Q": a_resource("AWS::SQS::Queue", {"DelaySeconds": 1, "SqsManagedSseEnabled": True})}
SLOWER = {"Q": a_resource("AWS::SQS::Queue", {"DelaySeconds": 2, "SqsManagedSseEnabled": True})}
ROLE = {"Role": a_role()}
LARGER = {
    **ENDPOINT,
    "Config": a_resource(
        "AWS::SageMaker::EndpointConfig",
        {
            "ProductionVariants": [
                {
                    "VariantName": "All",
                    "ModelName": "m",
                    "InstanceType": "ml.m5.xlarge",
                    "InitialInstanceCount": 1,
                }
            ]
        },
    ),
}


@pytest.mark.parametrize(
    ("before", "after", "level", "sentences"),
    [
        (QUEUE, QUEUE, "nothing", ["dev: nothing that runs changes."]),
        (QUEUE, SLOWER, "routine", ["dev: 1 resource changed in place."]),
        (QUEUE, {}, "danger", ["dev: data can be lost with app/Q.", "dev: 1 resource removed."]),
        (
            {"T": a_resource("Custom::X", {"ServiceToken": "a"})},
            {"T": a_resource("Custom::X", {"ServiceToken": "b"})},
            "danger",
            ["dev: CloudFormation will refuse the update of app/T.", "dev: 1 resource replaced."],
        ),
        (
            {**ROLE, "P": a_policy(allow("s3:GetObject", "arn:aws:s3:::a/*"))},
            {**ROLE, "P": a_policy(allow(["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::a/*"))},
            "attention",
            ["dev: more is permitted to app/Role.", "dev: 1 resource changed in place."],
        ),
    ],
)
def test_the_verdict(before: dict[str, Any], after: dict[str, Any], level: str, sentences: list[str]) -> None:
    verdict = reviewed(before, after).verdict
    assert verdict.level == level
    assert [sentence for sentence in verdict.sentences if "finding" not in sentence] == sentences


def test_the_table_counts_and_names() -> None:
    verdict = reviewed(ENDPOINT, LARGER).verdict
    rows = {row.what: row for row in verdict.counts}
    assert rows["Live endpoint touched"].subjects == ("app/Config", "app/Endpoint")
    assert rows["Replaced"].subjects == ("app/Config",)
    assert rows["Changed in place"].number == 1
    assert "a month" in rows["Costs more"].subjects[0]
    assert "Data loss" not in rows


def test_what_costs_more_is_said() -> None:
    sentences = reviewed(ENDPOINT, LARGER).verdict.sentences
    assert any("a month more" in sentence for sentence in sentences)
    assert any("a month less" in sentence for sentence in reviewed(LARGER, ENDPOINT).verdict.sentences)


def test_environments_that_say_the_same_say_it_together() -> None:
    both = [environment(QUEUE, SLOWER, "staging"), environment(QUEUE, SLOWER, "prod")]
    assert compose("a", "b", both).verdict.sentences == ("staging and prod: 1 resource changed in place.",)


def test_an_environment_without_a_base_is_no_change() -> None:
    verdict = reviewed(None, QUEUE).verdict
    assert verdict.level == "attention"
    assert verdict.sentences == ("dev is reviewed alone: there is nothing to compare with.",)
    assert verdict.counts == ()


def test_many_resources_are_counted_not_listed() -> None:
    queues = {f"Q{number}": a_resource("AWS::SQS::Queue", {"DelaySeconds": number}) for number in range(9)}
    sentence = reviewed(queues, {}).verdict.sentences[0]
    assert sentence == "dev: data can be lost with app/Q0, app/Q1, app/Q2 and 6 more."


def test_conditions_are_read() -> None:
    assert parse_fail_on(["replacement, data-loss", "cost-increase:2.5%", "replacement"]) == [
        Condition("replacement"),
        Condition("data-loss"),
        Condition("cost-increase", Decimal("2.5")),
    ]
    assert parse_fail_on([]) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("replacements", "there is no such condition; there are replacement, data-loss"),
        ("cost-increase", "say how much is too much, such as cost-increase:20%"),
        ("cost-increase:20", "such as cost-increase:20%"),
        ("cost-increase:-1%", "such as cost-increase:20%"),
        ("public:yes", "public takes no value"),
    ],
)
def test_wrong_conditions_are_told(text: str, message: str) -> None:
    with pytest.raises(OperationError) as error:
        parse_fail_on([text])
    assert str(error.value).startswith(f"--fail-on {text}: ")
    assert message in str(error.value)


OPEN = a_policy(allow("s3:*", "*"))


@pytest.mark.parametrize(
    ("condition", "before", "after", "met"),
    [
        ("replacement", ENDPOINT, LARGER, ["app/Config"]),
        ("replacement", QUEUE, SLOWER, []),
        ("data-loss", QUEUE, {}, ["app/Q"]),
        ("data-loss", QUEUE, SLOWER, []),
        ("iam-widening", ROLE, {**ROLE, "P": OPEN}, ["app/Role: s3:*"]),
        ("iam-widening", {**ROLE, "P": OPEN}, ROLE, []),
        (
            "public",
            {"F": a_resource("AWS::Lambda::Function")},
            {
                "F": a_resource("AWS::Lambda::Function"),
                "U": a_resource("AWS::Lambda::Url", {"AuthType": "NONE", "TargetFunctionArn": {"Ref": "F"}}),
            },
            ["app/U"],
        ),
        ("public", QUEUE, SLOWER, []),
    ],
)
def test_conditions_are_met(
    condition: str, before: dict[str, Any], after: dict[str, Any], met: list[str]
) -> None:
    found = Condition(condition).met_by(reviewed(before, after))
    assert len(found) == len(met)
    assert all(each.startswith(start) for each, start in zip(found, met, strict=True))


@pytest.mark.parametrize(
    ("before", "after", "met"),
    [("100", "119", False), ("100", "120.01", True), ("0", "1", True), (None, "9", False)],
)
def test_a_cost_increase_is_relative(before: str | None, after: str, met: bool) -> None:
    one = environment(QUEUE, QUEUE)
    cost = replace(
        one.cost, monthly_before=None if before is None else Decimal(before), monthly_after=Decimal(after)
    )
    review = compose("a", "b", [replace(one, cost=cost)])
    assert bool(Condition("cost-increase", Decimal(20)).met_by(review)) is met


def test_several_environments_are_named() -> None:
    both = [environment(QUEUE, {}, "staging"), environment(QUEUE, {}, "prod")]
    assert Condition("data-loss").met_by(compose("a", "b", both)) == ["staging: app/Q", "prod: app/Q"]
