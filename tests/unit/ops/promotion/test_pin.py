"""The pin in an environment's settings, and the pins that git remembers."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.environment import load_environment
from infra.errors import ConfigurationError
from ops.errors import OperationError
from ops.promotion.pin import Pin, committed_pins, pin_of, replace_settings, write_pin

CONFIG = Path(__file__).parents[4] / "config"


def pin(version: int) -> Pin:
    prefix = "arn:aws:sagemaker:us-east-1:222222222222:model-package/movie-recommender-staging"
    return Pin(f"{prefix}/{version}", f"{version:064x}")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "staging.toml").write_text(unpinned())
    return folder


def unpinned() -> str:
    lines = (CONFIG / "staging.toml").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("package_arn", "artifact_sha256")))


def git(config: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=config.parent, check=True, capture_output=True)


def commit(config: Path) -> None:
    git(config, "add", "--all")
    git(config, "commit", "--allow-empty", "--message", "x")


def test_the_pin_is_what_the_settings_then_have(config: Path) -> None:
    assert pin_of(load_environment("staging", folder=config)) is None
    assert write_pin("staging", pin(3), config=config)
    assert pin_of(load_environment("staging", folder=config)) == pin(3)
    assert not write_pin("staging", pin(3), config=config), "there is nothing to change"
    assert write_pin("staging", pin(4), config=config)
    assert pin_of(load_environment("staging", folder=config)) == pin(4)


def test_nothing_else_changes(config: Path) -> None:
    path = config / "staging.toml"
    before = path.read_text()
    path.chmod(0o640)
    write_pin("staging", pin(3), config=config)
    lines = path.read_text().splitlines(keepends=True)
    own = [line for line in lines if line.startswith(("package_arn", "artifact_sha256"))]
    assert len(own) == 2
    assert "".join(line for line in lines if line not in own) == before
    assert path.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in config.iterdir()] == ["staging.toml"]


@settings(max_examples=25, deadline=None)
@given(
    comment=st.text(st.characters(blacklist_categories=["Cc", "Cs"]), max_size=20),
    form=st.sampled_from(
        ['[model]\nsource = "promoted"', 'model.source = "promoted"', 'model = { source = "promoted" }']
    ),
)
def test_comments_and_forms_of_tables_stay(
    tmp_path_factory: pytest.TempPathFactory, comment: str, form: str
) -> None:
    config = tmp_path_factory.mktemp("config")
    head, _, tail = unpinned().partition("[model]")
    rest = tail[tail.index("[storage]") :]
    path = config / "staging.toml"
    path.write_text(f"{head}{form} # {comment}\n\n{rest}", encoding="utf-8")
    write_pin("staging", pin(7), config=config)
    assert pin_of(load_environment("staging", folder=config)) == pin(7)
    assert f"# {comment}\n" in path.read_text(encoding="utf-8")
    assert path.read_text(encoding="utf-8").endswith(rest)


def test_a_link_stays_a_link(config: Path, tmp_path: Path) -> None:
    path = config / "staging.toml"
    path.rename(tmp_path / "elsewhere.toml")
    path.symlink_to(tmp_path / "elsewhere.toml")
    write_pin("staging", pin(3), config=config)
    assert path.is_symlink()
    assert pin_of(load_environment("staging", folder=config)) == pin(3)


def test_settings_that_are_not_valid_stay_as_they_are(config: Path) -> None:
    path = config / "staging.toml"
    path.write_text(unpinned().replace("[logs]", "[log]"))
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"config/staging\.toml: log"):
        write_pin("staging", pin(3), config=config)
    assert path.read_bytes() == before


def test_what_an_interruption_left_is_no_environment_and_is_overwritten(config: Path) -> None:
    (config / ".staging.toml.new").write_text("half of")
    with pytest.raises(ConfigurationError, match=r"config/ has: staging$"):
        load_environment("prod", folder=config)
    write_pin("staging", pin(3), config=config)
    assert [file.name for file in config.iterdir()] == ["staging.toml"]


def test_settings_are_replaced_as_a_whole_or_not_at_all(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config / "staging.toml"
    before = path.read_bytes()

    def fail(_file: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="the disk is full"):
        replace_settings(path, b"after")
    assert path.read_bytes() == before
    monkeypatch.undo()
    replace_settings(path, b"after")
    assert path.read_bytes() == b"after"


def test_git_remembers_the_pins_the_latest_first(config: Path) -> None:
    git(config, "init", "--initial-branch=main")
    commit(config)
    assert committed_pins("staging", config=config) == []
    for version in (1, 2, 2, 3):
        write_pin("staging", pin(version), config=config)
        commit(config)
    (config / "staging.toml").write_text("not [ TOML")
    commit(config)
    write_back = unpinned()
    (config / "staging.toml").write_text(write_back)
    commit(config)
    write_pin("staging", pin(2), config=config)
    commit(config)
    write_pin("staging", pin(9), config=config)
    assert committed_pins("staging", config=config) == [pin(2), pin(3), pin(2), pin(1)]


def test_a_pull_request_counts_as_what_it_brought(config: Path) -> None:
    git(config, "init", "--initial-branch=main")
    write_pin("staging", pin(1), config=config)
    commit(config)
    git(config, "switch", "--create", "promote")
    for version in (2, 3):
        write_pin("staging", pin(version), config=config)
        commit(config)
    git(config, "switch", "main")
    git(config, "merge", "--no-ff", "--no-edit", "promote")
    assert committed_pins("staging", config=config) == [pin(3), pin(1)]


def test_without_a_checkout_there_is_no_history(config: Path) -> None:
    with pytest.raises(OperationError, match="is in no git checkout"):
        committed_pins("staging", config=config)
