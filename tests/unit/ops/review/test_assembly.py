import json
from pathlib import Path
from typing import Any

import pytest

from ops.errors import OperationError
from ops.review.assembly import NEWEST_SCHEMA, read_assembly, readable_path

BUCKET = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "DependsOn": "Other"}


def write(folder: Path, **files: Any) -> Path:
    """A directory with one JSON file for each keyword; `__` stands for `/` and the suffix is added."""
    for name, content in files.items():
        file = folder / f"{name.replace('__', '/')}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def a_manifest(version: str = "48.0.0", **artifacts: Any) -> dict[str, Any]:
    return {"version": version, "artifacts": artifacts}


def a_stack(file: str, **more: Any) -> dict[str, Any]:
    return {"type": "aws:cloudformation:stack", "properties": {"templateFile": file}, **more}


def test_a_stack_and_its_resources(tmp_path: Path) -> None:
    stack = a_stack(
        "a.json",
        environment="aws://123456789012/eu-west-1",
        displayName="Stage/Data (the-name)",
        metadata={
            "/Stage/Data/Bucket/Resource": [{"type": "aws:cdk:logicalId", "data": "Bucket1"}],
            "/Stage/Data/Bucket": [
                {"type": "aws:cdk:warning", "data": "careful"},
                {"type": "aws:cdk:hint", "data": "x"},
            ],
        },
    )
    stack["properties"] |= {"stackName": "the-name", "terminationProtection": True}
    write(tmp_path, manifest=a_manifest(Data=stack), a={"Resources": {"Bucket1": BUCKET}})
    (found,) = read_assembly(tmp_path).stacks.values()
    assert (found.id, found.name, found.account, found.region) == (
        "Stage/Data",
        "the-name",
        "123456789012",
        "eu-west-1",
    )
    assert found.termination_protection
    assert [(each.level, each.path, each.text) for each in found.messages] == [
        ("warning", "Stage/Data/Bucket", "careful")
    ]
    bucket = found.resources["Bucket1"]
    assert bucket.path == "Stage/Data/Bucket"
    assert bucket.deletion_policy == "Retain"
    assert bucket.depends_on == ("Other",)
    assert bucket.properties == {}


def test_a_resource_without_metadata_has_its_logical_id_for_a_path(tmp_path: Path) -> None:
    write(tmp_path, manifest=a_manifest(Data=a_stack("a.json")), a={"Resources": {"Bucket1": BUCKET}})
    (stack,) = read_assembly(tmp_path).stacks.values()
    assert stack.resources["Bucket1"].path == "Data/Bucket1"
    assert (stack.account, stack.region) == ("unknown-account", "unknown-region")


def test_stages_within_stages(tmp_path: Path) -> None:
    inner = {"type": "cdk:cloud-assembly", "properties": {"directoryName": "assembly-Inner"}}
    write(
        tmp_path,
        manifest=a_manifest(Outer={**inner, "displayName": "Outer"}),
        **{
            "assembly-Inner__manifest": a_manifest(S=a_stack("t.json")),
            "assembly-Inner__t": {"Resources": {}},
        },
    )
    assert list(read_assembly(tmp_path).stacks) == ["Outer/S"]


@pytest.mark.parametrize(
    "metadata",
    [{"aws:asset:path": "nested.template.json", "aws:asset:property": "TemplateURL"}, {}],
    ids=["by metadata", "by the asset's hash"],
)
def test_nested_stacks(tmp_path: Path, metadata: dict[str, str]) -> None:
    nested = {
        "Type": "AWS::CloudFormation::Stack",
        "Properties": {"TemplateURL": {"Fn::Join": ["", ["https://s3/", "0123abcd.json"]]}},
        "Metadata": {"aws:cdk:path": "Top/Net.NestedStack/Net.NestedStackResource", **metadata},
    }
    write(
        tmp_path,
        manifest=a_manifest(Top=a_stack("top.json")),
        top={"Resources": {"Net1": nested}},
        **{
            "nested.template": {"Resources": {"Bucket": BUCKET}},
            "Top.assets": {"files": {"0123abcd": {"source": {"path": "nested.template.json"}}}},
        },
    )
    assembly = read_assembly(tmp_path)
    assert list(assembly.stacks) == ["Top", "Top/Net"]
    assert assembly.stacks["Top/Net"].nested_in == "Top"
    assert assembly.stacks["Top/Net"].nested_as == "Net1"
    assert [bucket.stack for bucket in assembly.resources("AWS::S3::Bucket")] == ["Top/Net"]


def test_a_nested_stack_from_elsewhere_is_a_resource_only(tmp_path: Path) -> None:
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "https://elsewhere/t.json"}}
    write(tmp_path, manifest=a_manifest(Top=a_stack("top.json")), top={"Resources": {"Net": nested}})
    assembly = read_assembly(tmp_path)
    assert list(assembly.stacks) == ["Top"]
    assert [each.logical_id for each in assembly.resources()] == ["Net"]


def test_the_validation_report_comes_along(tmp_path: Path) -> None:
    write(tmp_path, manifest=a_manifest(), **{"validation-report": {"title": "Validation Report"}})
    assert read_assembly(tmp_path).validation_report == {"title": "Validation Report"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "not a CDK cloud assembly (it has no manifest.json)"),
        ({"manifest": {"artifacts": {}}}, "not a CDK cloud assembly (no schema version)"),
        ({"manifest": '{"version": '}, "manifest.json:1: not JSON"),
        ({"manifest": "[]"}, "not a JSON object"),
        (
            {"manifest": a_manifest(f"{NEWEST_SCHEMA + 1}.0.0")},
            f"schema version {NEWEST_SCHEMA + 1}.0.0 is newer than {NEWEST_SCHEMA}",
        ),
        ({"manifest": a_manifest(S=a_stack("s.json"))}, "s.json: the template of stack S is missing"),
        ({"manifest": a_manifest(S=a_stack("s.json")), "s": "{\n  oops"}, "s.json:2: not JSON"),
        (
            {"manifest": a_manifest(S={"type": "cdk:cloud-assembly", "properties": {"directoryName": "x"}})},
            "the stage's assembly is missing",
        ),
    ],
)
def test_what_is_no_assembly_is_told_in_one_line(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    with pytest.raises(OperationError) as error:
        read_assembly(write(tmp_path, **files))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match="no such directory"):
        read_assembly(tmp_path / "none")


def test_the_newest_schema_is_that_of_the_locked_cdk() -> None:
    from aws_cdk.cloud_assembly_schema import Manifest

    assert Manifest.version().split(".")[0] == str(NEWEST_SCHEMA)


@pytest.mark.parametrize(
    ("path", "readable"),
    [
        ("/Stack/Bucket/Resource", "Stack/Bucket"),
        ("Stack/First/Resource/Default", "Stack/First"),
        ("Stack/Api/Default/users", "Stack/Api/Default/users"),
        ("Resource", "Resource"),
    ],
)
def test_a_readable_path(path: str, readable: str) -> None:
    assert readable_path(path) == readable
