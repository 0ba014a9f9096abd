from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.review.intrinsics import Readable, as_text, partition
from ops.review.model import Assembly, Stack
from tests.unit.ops.review.templates import a_resource, an_assembly

RESOURCES = {"Raw": a_resource("AWS::S3::Bucket"), "Role": a_resource("AWS::IAM::Role")}


def an_app(**template: Any) -> Assembly:
    """`app` with two resources and more of a template, and `other`, which exports its queue."""
    app = an_assembly(RESOURCES).stacks["app"]
    outputs = {
        "Out": {"Value": {"Ref": "Queue"}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-queue"}}},
    }
    other = an_assembly({"Queue": a_resource("AWS::SQS::Queue")}, stack="other", outputs=outputs)
    return Assembly(
        directory=other.directory,
        stacks={"app": replace(app, template={**app.template, **template}), **other.stacks},
    )


PARAMETERS = {
    "Size": {"Type": "Number", "Default": 5},
    "Name": {"Type": "String"},
    "Secret": {"Type": "String", "Default": "x", "NoEcho": True},
    "Model": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/model"},
}
MAPPINGS = {"Images": {"us-east-1": {"url": "image-1"}}}


@pytest.mark.parametrize(
    ("value", "readable"),
    [
        ("text", "text"),
        ({"Ref": "Raw"}, "app/Raw"),
        ({"Fn::GetAtt": ["Raw", "Arn"]}, "app/Raw.Arn"),
        ({"Fn::GetAtt": "Raw.Arn"}, "app/Raw.Arn"),
        (
            {"Fn::Join": ["", ["arn:aws:s3:::", {"Ref": "Raw"}, "/ratings/*"]]},
            "arn:aws:s3:::${app/Raw}/ratings/*",
        ),
        ({"Fn::Join": [":", ["a", 1, True]]}, "a:1:true"),
        ({"Fn::Join": ["", [{"Ref": "Raw"}]]}, "app/Raw"),
        ({"Fn::Sub": "${Raw}/${Raw.Arn}/${!kept}"}, "${app/Raw}/${app/Raw.Arn}/${kept}"),
        ({"Fn::Sub": ["${A}-${B}", {"A": "x", "B": {"Ref": "Role"}}]}, "x-${app/Role}"),
        ({"Fn::ImportValue": "other-queue"}, "other/Queue"),
        ({"Fn::ImportValue": {"Fn::Sub": "other-queue"}}, "other/Queue"),
        ({"Fn::ImportValue": "unknown"}, "{Fn::ImportValue: unknown}"),
        ({"Fn::GetStackOutput": {"StackName": "other", "OutputName": "Out"}}, "other/Queue"),
        (
            {"Fn::GetStackOutput": {"StackName": "x", "OutputName": "Out"}},
            '{Fn::GetStackOutput: {"OutputName": "Out", "StackName": "x"}}',
        ),
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"Ref": "AWS::AccountId"}, "111111111111"),
        ({"Ref": "AWS::Partition"}, "aws"),
        ({"Ref": "AWS::URLSuffix"}, "amazonaws.com"),
        ({"Ref": "AWS::StackName"}, "app"),
        ({"Ref": "AWS::StackId"}, "AWS::StackId"),
        ({"Ref": "Nothing"}, "{Ref: Nothing}"),
        ({"Fn::GetAtt": ["Nothing", "Arn"]}, "{Fn::GetAtt: Nothing.Arn}"),
        ({"Ref": "Size"}, "Size, by default 5"),
        ({"Ref": "Name"}, "Name"),
        ({"Ref": "Secret"}, "Secret"),
        ({"Ref": "Model"}, "ssm:/model"),
        ({"Fn::Select": [1, ["a", {"Ref": "Raw"}]]}, "app/Raw"),
        ({"Fn::Select": ["1", {"Fn::Split": ["/", "a/b"]}]}, "b"),
        ({"Fn::Select": [9, ["a"]]}, '{Fn::Select: [9, ["a"]]}'),
        ({"Fn::Split": [":", {"Ref": "Raw"}]}, '{Fn::Split: [":", "app/Raw"]}'),
        ({"Fn::FindInMap": ["Images", {"Ref": "AWS::Region"}, "url"]}, "image-1"),
        ({"Fn::FindInMap": ["Images", "x", "url"]}, '{Fn::FindInMap: ["Images", "x", "url"]}'),
        ({"Fn::If": ["Large", "a", {"Ref": "Raw"}]}, "{if Large: a, else: app/Raw}"),
        ({"Fn::If": ["Large", "a", {"Ref": "AWS::NoValue"}]}, "{if Large: a, else: nothing}"),
        ({"Fn::Cidr": ["10.0.0.0/16", 2]}, '{Fn::Cidr: ["10.0.0.0/16", 2]}'),
        ({"Fn::Sub": {"not": "a template"}}, '{Fn::Sub: {"not": "a template"}}'),
        ({"Fn::Join": "nonsense"}, "{Fn::Join: nonsense}"),
        ({"Fn::If": ["too few"]}, '{Fn::If: ["too few"]}'),
        (None, "null"),
    ],
)
def test_values_as_text(value: Any, readable: str) -> None:
    assembly = an_app(Parameters=PARAMETERS, Mappings=MAPPINGS)
    assert Readable(assembly).text(value, "app") == readable


def test_tables_keep_their_shape_and_lose_what_has_no_value() -> None:
    value = {"A": [{"Ref": "Raw"}, {"Ref": "AWS::NoValue"}], "B": {"Ref": "AWS::NoValue"}, "C": 1}
    assert Readable(an_app()).value(value, "app") == {"A": ["app/Raw"], "C": 1}


def test_a_choice_between_tables_shows_both() -> None:
    value = {"Fn::If": ["Large", {"Size": 9}, {"Ref": "AWS::NoValue"}]}
    assert Readable(an_app()).value(value, "app") == {"if Large": {"Size": 9}, "else": None}


def test_references_within_everything() -> None:
    value = {
        "A": [{"Fn::Sub": "${Raw.Arn}/*"}, {"Fn::If": ["X", {"Ref": "Role"}, "x"]}],
        "B": {"Fn::Cidr": [{"Ref": "Raw"}, 1]},
        "C": {"Fn::ImportValue": "other-queue"},
        "D": {"Ref": "AWS::Region"},
    }
    readable = Readable(an_app())
    found = readable.references(value, "app")
    assert [each.name for each in found] == ["app/Raw.Arn", "app/Role", "app/Raw", "other/Queue"]
    assert readable.resource(found[-1]).type == "AWS::SQS::Queue"


def test_only_a_bare_reference_is_one() -> None:
    readable = Readable(an_app())
    found = readable.reference({"Ref": "Raw"}, "app")
    assert found is not None
    assert found.logical_id == "Raw"
    assert readable.reference({"Fn::Sub": "x${Raw}"}, "app") is None


def test_identities_are_what_cloudformation_knows() -> None:
    assert Readable(an_app(), identities=True).text({"Fn::Sub": "${Raw.Arn}/*"}, "app") == "${app:Raw.Arn}/*"


def test_a_stack_bound_to_nothing_keeps_what_only_the_deployment_knows() -> None:
    assembly = an_assembly(RESOURCES, account="unknown-account", region="unknown-region")
    value = {"Fn::Sub": "arn:${AWS::Partition}:s3:${AWS::Region}:${AWS::AccountId}:x"}
    assert Readable(assembly).text(value, "app") == (
        "arn:${AWS::Partition}:s3:${AWS::Region}:${AWS::AccountId}:x"
    )


def test_nested_stacks_are_followed_both_ways() -> None:
    nested_resource = a_resource("AWS::CloudFormation::Stack", {"Parameters": {"Bucket": {"Ref": "Raw"}}})
    parent = an_assembly({**RESOURCES, "Net": nested_resource}).stacks["app"]
    nested = Stack(
        id="app/Net",
        name="app/Net",
        account=parent.account,
        region=parent.region,
        template={
            "Parameters": {"Bucket": {"Type": "String"}, "Unset": {"Type": "String"}},
            "Outputs": {"Again": {"Value": {"Ref": "Bucket"}}},
        },
        resources={},
        nested_in="app",
        nested_as="Net",
    )
    readable = Readable(
        Assembly(directory=an_app().directory, stacks={"app": parent, "app/Net": nested}),
    )
    assert readable.text({"Ref": "Bucket"}, "app/Net") == "app/Raw"
    assert readable.text({"Ref": "Unset"}, "app/Net") == "Unset"
    assert readable.text({"Fn::GetAtt": ["Net", "Outputs.Again"]}, "app") == "app/Raw"
    assert readable.text({"Fn::GetAtt": ["Net", "Outputs.Missing"]}, "app") == "app/Net.Outputs.Missing"


def test_values_that_the_cdk_passes_to_another_region() -> None:
    name = "/cdk/exports/other/Raw"
    writer = a_resource(
        "Custom::CrossRegionExportWriter", {"WriterProps": {"exports": {name: {"Ref": "Raw"}}}}
    )
    reader = a_resource("Custom::CrossRegionExportReader")
    assembly = an_assembly({**RESOURCES, "Writer": writer, "Reader": reader})
    assert Readable(assembly).text({"Fn::GetAtt": ["Reader", name]}, "app") == "app/Raw"


def test_a_circle_ends() -> None:
    outputs = {"A": {"Value": {"Fn::ImportValue": "a"}, "Export": {"Name": "a"}}}
    assembly = an_assembly(RESOURCES, outputs=outputs)
    assert "circular reference" in Readable(assembly).text({"Fn::ImportValue": "a"}, "app")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        | st.builds(
            lambda name, argument: {name: argument},
            st.sampled_from(
                [
                    *("Ref", "Fn::GetAtt", "Fn::Join", "Fn::Sub", "Fn::If", "Fn::Select", "Fn::Split"),
                    *("Fn::FindInMap", "Fn::ImportValue", "Fn::GetStackOutput", "Fn::Base64", "Fn::Unheard"),
                ]
            ),
            inner | st.sampled_from(["Raw", "Raw.Arn", "AWS::NoValue", "AWS::Region", "${Raw}"]),
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_can_be_read(value: Any) -> None:
    readable = Readable(an_app())
    assert isinstance(readable.text(value, "app"), str)
    assert isinstance(readable.references(value, "app"), tuple)
    assert readable.text(value, "app") == as_text(readable.value(value, "app"))


@pytest.mark.parametrize(
    ("region", "name"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_partitions(region: str, name: str) -> None:
    assert partition(region) == name
