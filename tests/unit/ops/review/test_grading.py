from typing import Any

import pytest

from ops.review.changes import compare
from ops.review.model import Grade, ResourceChange
from ops.review.retention import STATEFUL_TYPES
from ops.review.schemas import schema_of
from tests.unit.ops.review.templates import a_resource, an_assembly, arn

LOSS, REMOVED, REPLACED, LIVE, IN_PLACE = (
    Grade.DATA_LOSS,
    Grade.REMOVED,
    Grade.REPLACED,
    Grade.LIVE,
    Grade.IN_PLACE,
)


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, ResourceChange]:
    return {each.logical_id: each for each in compare(an_assembly(before), an_assembly(after))}


def bucket(name: str = "a", **policies: str) -> dict[str, Any]:
    return a_resource("AWS::S3::Bucket", {"BucketName": name}, **policies)


KEPT = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}


@pytest.mark.parametrize(
    ("resource", "grades"),
    [
        (bucket(), (LOSS, REMOVED)),
        (bucket(DeletionPolicy="Retain"), (REMOVED,)),
        (bucket(DeletionPolicy="RetainExceptOnCreate"), (REMOVED,)),
        (bucket(UpdateReplacePolicy="Retain"), (LOSS, REMOVED)),
        (a_resource("AWS::DynamoDB::Table", DeletionPolicy="Snapshot"), (REMOVED,)),
        (a_resource("AWS::RDS::DBInstance"), (REMOVED,)),
        (a_resource("AWS::RDS::DBInstance", {"DBClusterIdentifier": "x"}), (LOSS, REMOVED)),
        (a_resource("AWS::RDS::DBInstance", DeletionPolicy="Delete"), (LOSS, REMOVED)),
        (a_resource("AWS::SNS::Topic"), (REMOVED,)),
        (a_resource("AWS::SageMaker::Endpoint"), (LIVE, REMOVED)),
    ],
)
def test_removal(resource: dict[str, Any], grades: tuple[Grade, ...]) -> None:
    assert changed({"X": resource}, {})["X"].grades == grades


@pytest.mark.parametrize(
    ("before", "after", "grades"),
    [
        (bucket("a"), bucket("b"), (LOSS, REPLACED)),
        (bucket("a", **KEPT), bucket("b", **KEPT), (REPLACED,)),
        (bucket("a", **KEPT), bucket("b", DeletionPolicy="Retain"), (LOSS, REPLACED)),
        (bucket("a", DeletionPolicy="Retain"), bucket("b", DeletionPolicy="Retain"), (LOSS, REPLACED)),
        (bucket(**KEPT), bucket(), (LOSS, IN_PLACE)),
        (bucket(**KEPT), bucket(DeletionPolicy="Retain"), (LOSS, IN_PLACE)),
        (bucket(), bucket(**KEPT), (IN_PLACE,)),
        (bucket(), bucket(DeletionPolicy="Delete"), (Grade.NO_EFFECT,)),
        (
            a_resource("AWS::SNS::Topic", DeletionPolicy="Retain"),
            a_resource("AWS::SNS::Topic"),
            (IN_PLACE,),
        ),
    ],
)
def test_replacement_and_policies(
    before: dict[str, Any], after: dict[str, Any], grades: tuple[Grade, ...]
) -> None:
    assert changed({"X": before}, {"X": after})["X"].grades == grades


def test_the_reasons_are_sentences() -> None:
    assert changed({"X": bucket("a")}, {"X": bucket("b")})["X"].because == (
        "is replaced because of BucketName: it can only be set when the resource is created",
        "it holds objects, and nothing keeps them when it is replaced",
    )
    assert changed({"X": bucket("a", **KEPT)}, {"X": bucket("b", **KEPT)})["X"].because[1:] == (
        "the old one stays with objects, and the new one starts empty",
    )
    assert changed({"X": bucket(**KEPT)}, {})["X"].because == (
        "it stays in the account, but the stack no longer manages it",
    )


def function(**properties: Any) -> dict[str, Any]:
    return a_resource("AWS::Lambda::Function", properties)


def method(function_name: str) -> dict[str, Any]:
    uri = {"Fn::Join": ["", ["arn:aws:apigateway:lambda:path/", arn(function_name), "/invocations"]]}
    return a_resource("AWS::ApiGateway::Method", {"Integration": {"Uri": uri}})


def test_the_function_behind_an_api_is_live_and_others_are_not() -> None:
    before = {"Method": method("Behind"), "Behind": function(), "Other": function()}
    after = {"Method": method("Behind"), "Behind": function(Timeout=9), "Other": function(Timeout=9)}
    found = changed(before, after)
    assert found["Behind"].grades == (LIVE, IN_PLACE)
    assert found["Other"].grades == (IN_PLACE,)


def test_code_behind_an_api_is_code_and_says_so() -> None:
    before = {"Method": method("Behind"), "Behind": function(Code={"S3Key": "a"})}
    after = {"Method": method("Behind"), "Behind": function(Code={"S3Key": "b"})}
    change = changed(before, after)["Behind"]
    assert change.grades == (Grade.CODE,)
    assert change.because == ("it answers the live API",)


def test_a_new_endpoint_touches_nothing_live() -> None:
    assert changed({}, {"E": a_resource("AWS::SageMaker::Endpoint")})["E"].grades == (Grade.ADDED,)


def test_a_bucket_that_will_be_emptied_is_told() -> None:
    emptier = a_resource("Custom::S3AutoDeleteObjects", {"ServiceToken": "x"})
    assert changed({}, {"E": emptier})["E"].because == (
        "from now on the bucket is emptied when it is removed",
    )


def test_grades_are_ordered_by_severity() -> None:
    assert [grade.severity for grade in Grade] == list(range(len(Grade)))
    assert Grade.DATA_LOSS.severity > Grade.LIVE.severity > Grade.REPLACED.severity > Grade.CODE.severity


@pytest.mark.parametrize("kind", STATEFUL_TYPES)
def test_stateful_types_exist(kind: str) -> None:
    assert schema_of(kind, an_assembly({}).stacks["app"]) is not None
