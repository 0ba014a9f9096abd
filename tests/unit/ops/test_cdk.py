"""The CDK command line runs apart from the user's own AWS settings, and its failures are passed on."""

from pathlib import Path

import pytest

from ops import cdk as module
from ops.errors import OperationError


@pytest.fixture
def fake_cdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    command = tmp_path / "node_modules" / ".bin" / "cdk"
    command.parent.mkdir(parents=True)
    command.write_text(
        '#!/bin/sh\necho "arguments: $*"\nenv | grep ^AWS_ | sort\necho\nexit ${FAKE_EXIT:-0}\n'
    )
    command.chmod(0o755)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return command


def test_output_goes_to_the_log_and_to_the_progress(
    fake_cdk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    seen: list[str] = []
    log = tmp_path / "logs" / "deploy.log"
    module.cdk(["deploy", "--all"], variables={"AWS_REGION": "eu-west-1"}, log=log, progress=seen.append)
    assert seen == ["arguments: deploy --all", "AWS_REGION=eu-west-1"]
    assert log.read_text().splitlines()[0] == "arguments: deploy --all"


def test_a_failure_ends_with_what_was_printed(fake_cdk: Path, tmp_path: Path) -> None:
    with pytest.raises(OperationError, match=r"(?s)`cdk deploy` failed .*arguments: deploy --all"):
        module.cdk(
            ["deploy", "--all"],
            variables={"FAKE_EXIT": "1"},
            log=tmp_path / "deploy.log",
            progress=lambda _line: None,
        )


def test_a_missing_command_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOT", tmp_path)
    with pytest.raises(OperationError, match="npm ci"):
        module.cdk(["deploy"], variables={}, log=tmp_path / "log", progress=lambda _line: None)
