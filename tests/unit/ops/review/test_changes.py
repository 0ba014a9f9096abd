from typing import Any

import pytest

from ops.review.changes import compare, matched_stacks
from ops.review.exports import refused_exports
from ops.review.model import Assembly, Grade, ResourceChange
from ops.review.stacks import stack_notes
from tests.unit.ops.review.templates import a_resource, an_assembly, arn

HASH_A, HASH_B = "a" * 64, "b" * 64


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, ResourceChange]:
    return {each.logical_id: each for each in compare(an_assembly(before), an_assembly(after))}


def queue(**properties: Any) -> dict[str, Any]:
    return a_resource("AWS::SQS::Queue", properties)


def function(**properties: Any) -> dict[str, Any]:
    return a_resource("AWS::Lambda::Function", {"Handler": "a.b", **properties})


def test_nothing_changes() -> None:
    assert changed({"Q": queue()}, {"Q": queue()}) == {}


def test_resources_come_and_go_in_order() -> None:
    found = compare(
        an_assembly({"B": queue(DelaySeconds=1), "A": queue(DelaySeconds=2)}),
        an_assembly({"D": a_resource("AWS::SNS::Topic"), "C": a_resource("AWS::SNS::Topic")}),
    )
    assert [(each.action, each.path) for each in found] == [
        ("remove", "app/A"),
        ("remove", "app/B"),
        ("add", "app/C"),
        ("add", "app/D"),
    ]


def test_what_has_an_effect_comes_before_noise() -> None:
    change = changed(
        {"F": function(Description="a", Timeout=1)},
        {"F": function(Description="b", Timeout=2, MemorySize=512)},
    )["F"]
    assert [(each.path, each.noise) for each in change.properties] == [
        ("Properties.MemorySize", False),
        ("Properties.Timeout", False),
        ("Properties.Description", True),
    ]
    assert change.properties[2].reason == "a description"


def test_an_environment_variable_may_be_called_description() -> None:
    change = changed(
        {"F": function(Environment={"Variables": {"Description": "a"}})},
        {"F": function(Environment={"Variables": {"Description": "b"}})},
    )["F"]
    assert change.grade is Grade.IN_PLACE


def test_only_the_code_of_a_function() -> None:
    change = changed(
        {"F": function(Code={"S3Bucket": "x", "S3Key": f"{HASH_A}.zip"})},
        {"F": function(Code={"S3Bucket": "x", "S3Key": f"{HASH_B}.zip"})},
    )["F"]
    assert change.grades == (Grade.CODE,)
    assert change.properties[0].reason == "only the content of an asset"


def test_a_comment_in_a_workflows_payload_is_data() -> None:
    definitions = [
        f'{{"Comment": "{number}", "States": {{"A": {{"Parameters": {{"Comment": "{number}"}}}}}}}}'
        for number in (1, 2)
    ]
    machines = [
        {"M": a_resource("AWS::StepFunctions::StateMachine", {"DefinitionString": definition})}
        for definition in definitions
    ]
    change = changed(*machines)["M"]
    assert [(each.path, each.noise) for each in change.properties] == [
        ("Properties.DefinitionString.States.A.Parameters.Comment", False),
        ("Properties.DefinitionString.Comment", True),
    ]


def test_the_location_of_a_nested_template_is_noise() -> None:
    stacks = [
        {"N": a_resource("AWS::CloudFormation::Stack", {"TemplateURL": f"https://s3/{name}.json"})}
        for name in (HASH_A, HASH_B)
    ]
    assert changed(*stacks)["N"].grade is Grade.NO_EFFECT


def test_another_logical_id_with_equal_properties_is_a_replacement() -> None:
    bucket = a_resource("AWS::S3::Bucket", {"VersioningConfiguration": {"Status": "Enabled"}})
    found = changed({"Old": bucket}, {"New": bucket})
    assert list(found) == ["New"]
    assert found["New"].grades == (Grade.DATA_LOSS, Grade.REPLACED)
    assert "its logical id changes from Old to New" in found["New"].because[0]


def test_several_equal_resources_are_not_taken_for_one_another() -> None:
    found = changed({"A": queue(), "B": queue()}, {"C": queue(), "D": queue()})
    assert {name: each.action for name, each in found.items()} == {
        "A": "remove",
        "B": "remove",
        "C": "add",
        "D": "add",
    }


def test_attributes_beside_the_properties() -> None:
    before = {"Q": {**queue(), "Condition": "Large", "DependsOn": ["P"], "Metadata": {"x": 1}}}
    after = {"Q": {**queue(), "DependsOn": ["R"], "Metadata": {"x": 2}}}
    change = changed(before, after)["Q"]
    assert [(each.path, each.noise) for each in change.properties] == [
        ("Condition", False),
        ("Metadata.x", True),
    ]
    assert change.grades == (Grade.IN_PLACE,)


def test_stacks_are_matched_by_id_then_by_name() -> None:
    one, other = an_assembly({}, stack="one"), an_assembly({}, stack="other")
    assert [(a and a.id, b and b.id) for a, b in matched_stacks(one, other)] == [
        (None, "other"),
        ("one", None),
    ]
    assert matched_stacks(one, one)[0][0] is one.stacks["one"]


def test_notes_on_whole_stacks() -> None:
    gone = stack_notes(an_assembly({}, stack="one"), an_assembly({}, stack="other"))
    assert gone[0] == "The stack other is new."
    assert gone[1].startswith("The stack one is no longer in the app: `cdk deploy` leaves it")
    assert stack_notes(an_assembly({}, termination_protection=True), an_assembly({})) == (
        "The stack app loses its protection from being deleted.",
    )
    (moved,) = stack_notes(an_assembly({}), an_assembly({}, region="eu-west-1"))
    assert "moves from region us-east-1 to eu-west-1" in moved


def exporting(bucket: dict[str, Any], *, export: bool = True) -> Assembly:
    outputs = {"Out": {"Value": arn("Bucket"), "Export": {"Name": "bucket"}}} if export else {}
    producer = an_assembly({"Bucket": bucket}, stack="producer", outputs=outputs)
    resources = {"Queue": queue(QueueName={"Fn::ImportValue": "bucket"})}
    consumer = an_assembly(resources, stack="consumer")
    return Assembly(directory=producer.directory, stacks={**producer.stacks, **consumer.stacks})


BUCKET = a_resource("AWS::S3::Bucket")


@pytest.mark.parametrize(
    ("after", "refusal"),
    [
        (exporting(BUCKET), None),
        (exporting(BUCKET, export=False), "refuses to remove the export bucket of producer"),
        (
            exporting(a_resource("AWS::S3::Bucket", {"BucketName": "new"})),
            "refuses to change the export bucket of producer",
        ),
        (an_assembly({}, stack="producer"), None),
    ],
    ids=["as before", "removed", "of a replaced resource", "with the stack that imports it"],
)
def test_exports_in_use(after: Assembly, refusal: str | None) -> None:
    before = exporting(BUCKET)
    replaced = {
        (each.stack, each.logical_id) for each in compare(before, after) if Grade.REPLACED in each.grades
    }
    refusals = refused_exports(before, after, replaced)
    assert [refusal in each for each in refusals if refusal] == ([True] if refusal else [])
    assert bool(refusals) == bool(refusal)
