"""docs/promotion.md names what there is: commands, options, drifts, jobs, variables, roles."""

import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
import typer
import yaml
from typer.core import TyperGroup

from ops.cli import app
from ops.promotion.drift import Kind

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "promotion.md"
WORKFLOWS = ROOT / ".github" / "workflows"


@pytest.fixture(scope="module")
def text() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


def _commands(text: str) -> set[str]:
    """Every use of `recommender`, to the end of its part of the line."""
    return set(re.findall(r"recommender ((?:[\w-]+|\$env| (?=\S))+)", text))


def test_every_command_is_one(text: str) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    commands = _commands(text)
    assert len(commands) > 8
    for used in commands:
        name, *arguments = shlex.split(used)
        command = group.commands[name]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("--")} <= options, used


def test_every_drift_is_explained(text: str) -> None:
    table = text.split("| drift | means |")[1].split("\n\n", maxsplit=1)[0]

    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(get_args(Kind))


def test_every_check_is_the_name_of_a_job(text: str) -> None:
    jobs = yaml.safe_load((WORKFLOWS / "pull-request.yml").read_text())["jobs"]
    (row,) = [line for line in text.splitlines() if line.startswith("| Branch protection")]

    assert set(re.findall(r"`([^`]+)`", row)) - {"main"} == {
        job["name"] for name, job in jobs.items() if name != "comment"
    }


def test_every_variable_is_one_that_a_workflow_reads(text: str) -> None:
    source = "".join(path.read_text() for path in WORKFLOWS.glob("*.yml"))
    read = set(re.findall(r"(?:vars|secrets)\.(\w+)", source))
    for kind, environments in (("READ", ("DEV", "STAGING")), ("PROMOTE", ("STAGING", "PROD"))):
        assert f"vars[format('{{0}}_{kind}_ROLE_ARN', inputs." in source
        read |= {f"{environment}_{kind}_ROLE_ARN" for environment in environments}

    told = set(re.findall(r"`([A-Z][A-Z_]+)`", text))
    # What a person's shell has is no matter of the workflows.
    assert told - {"AWS_PROFILE"} == read


def test_links_lead_somewhere(text: str) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#([\w-]+))?\)", text)
    assert links
    for path, _ in links:
        if not path.startswith("https:"):
            assert (DOCUMENT.parent / path).exists(), path
    linked = (ROOT / "docs" / "configuration.md").read_text()
    for anchor in re.findall(r"promotion\.md#([\w-]+)", linked):
        headings = [
            line.lstrip("# ").lower().replace(" ", "-") for line in text.splitlines() if line[:1] == "#"
        ]
        assert anchor in headings
