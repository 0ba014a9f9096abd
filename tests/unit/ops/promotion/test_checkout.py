"""The checkout that a rollback deploys."""

import subprocess
from pathlib import Path

import pytest

from ops.errors import OperationError
from ops.promotion.checkout import described, require_clean


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a project that is a folder of a larger checkout."""
    folder = tmp_path / "project" / "config"
    folder.mkdir(parents=True)
    for name in ("staging", "prod"):
        (folder / f"{name}.toml").write_text("before")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "Begin")
    return folder


def test_branch_and_commit_are_named(config: Path) -> None:
    commit = git(config, "rev-parse", "--short", "HEAD")
    assert described(config) == f"branch main, commit {commit} (Begin)"
    git(config, "checkout", "--quiet", "--detach")
    assert described(config) == f"no branch, commit {commit} (Begin)"


def test_the_pin_and_what_is_beside_the_project_may_have_changed(config: Path) -> None:
    (config / "prod.toml").write_text("the pin of an interrupted rollback")
    (config / ".staging.toml.new").write_text("half of")
    (config.parent.parent / "elsewhere").touch()
    require_clean("prod", config=config)
    git(config, "add", "--all")
    require_clean("prod", config=config)


def test_what_else_has_changed_is_told(config: Path) -> None:
    (config / "staging.toml").write_text("after")
    (config / "prod.toml").write_text("after")
    match = (
        r"as well: M project/config/staging\.toml\. Commit it, put it aside \(git stash .*config/prod\.toml"
    )
    with pytest.raises(OperationError, match=match):
        require_clean("prod", config=config)
    for number in range(6):
        (config.parent / f"new{number}").touch()
    with pytest.raises(OperationError, match=r"\?\? project/new3 and 2 more\. Commit it"):
        require_clean("prod", config=config)


def test_without_a_checkout_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    with pytest.raises(OperationError, match="`git status --porcelain` failed"):
        require_clean("prod", config=tmp_path / "config")
