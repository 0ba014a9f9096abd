from typing import Any

import pytest

from ops.review.changes import compare
from ops.review.model import Assembly, Grade, ResourceChange
from ops.review.schemas import ResourceSchema, schema_of
from tests.unit.ops.review.templates import a_resource, an_assembly, arn

STACK = an_assembly({}).stacks["app"]


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, ResourceChange]:
    return {each.logical_id: each for each in compare(an_assembly(before), an_assembly(after))}


@pytest.mark.parametrize(
    ("kind", "keys", "answer"),
    [
        ("AWS::S3::Bucket", ("BucketName",), "yes"),
        ("AWS::S3::Bucket", ("Tags",), "no"),
        ("AWS::SageMaker::EndpointConfig", ("ProductionVariants", "*", "InstanceType"), "yes"),
        ("AWS::SageMaker::Endpoint", ("EndpointConfigName",), "no"),
        ("AWS::Events::Rule", ("EventBusName",), "conditionally"),
        ("AWS::DynamoDB::Table", ("KeySchema",), "conditionally"),
        ("Custom::Anything", ("ServiceToken",), "yes"),
        ("Custom::Anything", ("Other",), "no"),
    ],
)
def test_the_schemas_know_what_replaces(kind: str, keys: tuple[str, ...], answer: str) -> None:
    schema = schema_of(kind, STACK)
    assert schema is not None
    assert schema.replaces(keys, "a", "b") == answer


def test_a_table_that_holds_a_create_only_property_replaces() -> None:
    schema = ResourceSchema(create_only=(("A", "B"),), conditional_create_only=(), identifier=(), document={})
    assert schema.replaces(("A",), None, {"B": 1}) == "yes"
    assert schema.replaces(("A",), None, {"C": 1}) == "no"
    assert schema.replaces(("A",), [{"B": 1}], None) == "yes"
    assert schema.replaces(("A", "B", "C"), 1, 2) == "yes"


def test_a_type_that_nobody_knows_has_no_schema() -> None:
    assert schema_of("AWS::Nowhere::Thing", STACK) is None


def test_a_region_without_the_type_asks_the_default_region() -> None:
    elsewhere = an_assembly({}, region="unknown-region").stacks["app"]
    assert schema_of("AWS::SageMaker::Endpoint", elsewhere) is not None
    nowhere = an_assembly({}, region="xx-nowhere-1").stacks["app"]
    assert schema_of("AWS::SageMaker::Endpoint", nowhere) is not None


def model(image: str) -> dict[str, Any]:
    return a_resource("AWS::SageMaker::Model", {"PrimaryContainer": {"Image": image}})


CHAIN = {
    "Config": a_resource(
        "AWS::SageMaker::EndpointConfig",
        {"ProductionVariants": [{"VariantName": "All", "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]}}]},
    ),
    "Endpoint": a_resource("AWS::SageMaker::Endpoint", {"EndpointConfigName": {"Ref": "Config"}}),
    "Bystander": a_resource("AWS::SQS::Queue", {"QueueName": {"Fn::Sub": "of-${Endpoint}"}}),
}


def test_replacements_follow_references_until_an_update_in_place() -> None:
    found = changed({**CHAIN, "Model": model("a")}, {**CHAIN, "Model": model("b")})
    assert {name: each.grades for name, each in found.items()} == {
        "Model": (Grade.LIVE, Grade.REPLACED),
        "Config": (Grade.LIVE, Grade.REPLACED),
        "Endpoint": (Grade.LIVE, Grade.IN_PLACE),
    }
    (variant,) = found["Config"].properties
    assert variant.path == "Properties.ProductionVariants[All].ModelName"
    assert (variant.before, variant.after) == ("app/Model.ModelName", "app/Model.ModelName (new)")
    assert variant.replaces == "yes"
    assert found["Config"].because == (
        "is replaced because of ProductionVariants[All].ModelName: app/Model is replaced",
    )


def test_what_refers_to_itself_or_in_a_circle_ends() -> None:
    before = {
        "A": a_resource("AWS::SQS::Queue", {"QueueName": "x", "RedrivePolicy": {"a": arn("B")}}),
        "B": a_resource(
            "AWS::SQS::Queue", {"QueueName": {"Fn::Sub": "y${A}"}, "RedrivePolicy": {"a": arn("B")}}
        ),
    }
    after = {**before, "A": a_resource("AWS::SQS::Queue", {**before["A"]["Properties"], "QueueName": "z"})}
    found = changed(before, after)
    assert Grade.REPLACED in found["A"].grades
    assert Grade.REPLACED in found["B"].grades


def test_replacements_that_may_happen_pass_their_doubt_on() -> None:
    rule = {"R": a_resource("AWS::Events::Rule", {"EventBusName": "a"})}
    user = {"U": a_resource("AWS::SQS::Queue", {"QueueName": {"Ref": "R"}})}
    after = {"R": a_resource("AWS::Events::Rule", {"EventBusName": "b"})}
    found = changed({**rule, **user}, {**after, **user})
    assert found["R"].properties[0].replaces == "conditionally"
    assert found["U"].properties[0].replaces == "conditionally"
    assert found["U"].properties[0].reason == "app/R may be replaced"
    assert found["U"].because[0].startswith("may be replaced because of QueueName")


def test_replacements_cross_stacks() -> None:
    def app(name: str) -> Assembly:
        outputs = {"Out": {"Value": {"Ref": "Bucket"}, "Export": {"Name": "bucket"}}}
        bucket = {"Bucket": a_resource("AWS::S3::Bucket", {"BucketName": name})}
        producer = an_assembly(bucket, stack="producer", outputs=outputs)
        policy = a_resource("AWS::S3::BucketPolicy", {"Bucket": {"Fn::ImportValue": "bucket"}})
        consumer = an_assembly({"Policy": policy}, stack="consumer")
        return Assembly(directory=producer.directory, stacks={**producer.stacks, **consumer.stacks})

    found = {each.path: each for each in compare(app("a"), app("b"))}
    assert found["consumer/Policy"].grades == (Grade.REPLACED,)
    assert found["consumer/Policy"].properties[0].reason == "producer/Bucket is replaced"


def test_unknown_types_are_shown_as_unknown() -> None:
    found = changed(
        {"X": a_resource("AWS::Nowhere::Thing", {"A": 1})}, {"X": a_resource("AWS::Nowhere::Thing", {"A": 2})}
    )
    assert found["X"].grades == (Grade.IN_PLACE,)
    assert found["X"].properties[0].reason.startswith("the resource type is unknown")
    assert found["X"].because == (
        "AWS::Nowhere::Thing is an unknown resource type: what happens to it cannot be predicted",
    )


@pytest.mark.parametrize(
    ("before", "after", "fails"),
    [
        (
            a_resource("AWS::SageMaker::EndpointConfig", {"EndpointConfigName": "x", "KmsKeyId": "a"}),
            a_resource("AWS::SageMaker::EndpointConfig", {"EndpointConfigName": "x", "KmsKeyId": "b"}),
            "its name stays x",
        ),
        (
            a_resource("AWS::SageMaker::EndpointConfig", {"EndpointConfigName": "x", "KmsKeyId": "a"}),
            a_resource("AWS::SageMaker::EndpointConfig", {"EndpointConfigName": "y", "KmsKeyId": "b"}),
            "",
        ),
        (
            a_resource("AWS::ApiGateway::Stage", {"StageName": "v1", "RestApiId": "a"}),
            a_resource("AWS::ApiGateway::Stage", {"StageName": "v1", "RestApiId": "b"}),
            "",
        ),
        (
            a_resource("Custom::X", {"ServiceToken": "a"}),
            a_resource("Custom::X", {"ServiceToken": "b"}),
            "the ServiceToken of a custom resource cannot change",
        ),
        (
            a_resource("AWS::SQS::Queue"),
            a_resource("AWS::SNS::Topic"),
            "its type changes from AWS::SQS::Queue",
        ),
    ],
)
def test_what_cloudformation_refuses(before: dict[str, Any], after: dict[str, Any], fails: str) -> None:
    change = changed({"X": before}, {"X": after})["X"]
    assert Grade.REPLACED in change.grades
    assert change.fails.startswith(fails)
    assert bool(change.fails) == bool(fails)
