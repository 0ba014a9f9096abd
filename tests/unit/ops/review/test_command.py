import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from ops.errors import OperationError
from ops.review.command import CONDITION_MET, Format, report_files, review
from tests.unit.ops.review.templates import a_resource


def write(folder: Path, resources: dict[str, Any], version: str = "48.0.0") -> Path:
    """A cloud assembly of one stack."""
    folder.mkdir()
    stack = {"type": "aws:cloudformation:stack", "properties": {"templateFile": "app.json"}}
    manifest = {"version": version, "artifacts": {"app": stack}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "app.json").write_text(json.dumps({"Resources": resources}))
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    """Options that compare a bucket with the same under another name."""
    before = write(tmp_path / "a", {"B": a_resource("AWS::S3::Bucket", {"BucketName": "a"})})
    after = write(tmp_path / "b", {"B": a_resource("AWS::S3::Bucket", {"BucketName": "b"})})
    return ["--before", str(before), "--after", str(after), "--output", str(tmp_path / "out")]


@pytest.fixture
def run() -> Callable[..., Result]:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(review)

    def invoked(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return invoked


def test_the_verdict_is_printed_and_the_reports_are_written(
    run: Callable[..., Result], pair: list[str], tmp_path: Path
) -> None:
    result = run(*pair, "--format", "html", "--format", "md", "--format", "json")
    assert result.exit_code == 0
    assert result.output.startswith("Danger: ")
    assert "data can be lost with app/B" in result.output
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "review.html",
        "review.json",
        "review.md",
    ]
    assert "app/B" in (tmp_path / "out" / "review.html").read_text()


def test_the_same_assemblies_give_the_same_bytes(
    run: Callable[..., Result], pair: list[str], tmp_path: Path
) -> None:
    contents = []
    for _ in range(2):
        assert run(*pair, "--format", "html", "--format", "md", "--format", "json").exit_code == 0
        contents.append([file.read_bytes() for file in sorted((tmp_path / "out").iterdir())])
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("replacement", CONDITION_MET),
        ("data-loss,public", CONDITION_MET),
        ("public", 0),
        ("cost-increase:20%", 0),
    ],
)
def test_a_met_condition_is_exit_code_3(
    run: Callable[..., Result], pair: list[str], condition: str, code: int
) -> None:
    result = run(*pair, "--fail-on", condition)
    assert result.exit_code == code
    assert (f"--fail-on {condition.split(',', maxsplit=1)[0]}: app/B" in result.output) == (
        code == CONDITION_MET
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--before", "a"], "--before and --after belong together"),
        (["--before", "a", "--after", "b", "--base", "HEAD"], "leave --base and --env out"),
        (["--before", "a", "--after", "b"], "no such directory"),
        (["--fail-on", "nonsense"], "--fail-on nonsense: there is no such condition"),
        (["--traffic", "nonsense=1"], "nonsense"),
        (["--output", "x.html", "--format", "html", "--format", "md"], "several formats need a directory"),
    ],
)
def test_wrong_options_are_told_in_one_line(
    run: Callable[..., Result], options: list[str], message: str
) -> None:
    result = run(*options)
    assert isinstance(result.exception, OperationError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_an_assembly_of_a_newer_cdk_is_told(
    run: Callable[..., Result], pair: list[str], tmp_path: Path
) -> None:
    newer = write(tmp_path / "newer", {}, version="999.0.0")
    result = run(*pair, "--after", str(newer))
    assert "schema version 999.0.0 is newer" in str(result.exception)


def test_where_reports_go(tmp_path: Path) -> None:
    html, markdown = Format.HTML, Format.MARKDOWN
    assert report_files(tmp_path / "x.html", [html]) == {html: tmp_path / "x.html"}
    assert report_files(tmp_path, [html, markdown]) == {
        html: tmp_path / "review.html",
        markdown: tmp_path / "review.md",
    }
    (tmp_path / "folder.html").mkdir()
    assert report_files(tmp_path / "folder.html", [html]) == {html: tmp_path / "folder.html" / "review.html"}
    assert [file.name for file in report_files(None, [html]).values()] == ["review.html"]


def test_a_report_that_cannot_be_written_is_told(
    run: Callable[..., Result], pair: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    result = run(*pair[:4], "--output", str(tmp_path / "file" / "review.html"))
    assert isinstance(result.exception, OperationError)
    assert "cannot be written" in str(result.exception)
