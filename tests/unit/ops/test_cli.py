from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.environment import load_environment
from infra.errors import ConfigurationError
from ops import cli, local
from ops.errors import OperationError


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(cli.app, ["--help"]).output
    for command in ("demo", "up", "down", "data", "build", "promote", "rollback", "status", "review"):
        assert command in shown


def test_a_rollback_does_not_claim_to_be_at_once() -> None:
    shown = CliRunner().invoke(cli.app, ["rollback", "--help"]).output
    assert "by a deployment with the environment's canary" in " ".join(shown.split())
    assert "at once" not in shown


def test_an_error_is_one_message_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_arguments: object) -> None:
        raise OperationError("the [port] is taken")

    monkeypatch.setattr(local, "stop", fail)
    monkeypatch.setattr("sys.argv", ["recommender", "down"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "Error: the [port] is taken\n"


def test_down_without_a_cloud_says_so(tmp_path: object) -> None:
    result = CliRunner().invoke(cli.app, ["down", "--directory", f"{tmp_path}/none"])
    assert result.exit_code == 0
    assert "No local cloud was up" in result.output


def test_up_prints_the_variables_of_a_cloud_that_is_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def start(**_arguments: object) -> None:
        pytest.fail("there is one already")

    cloud = local.LocalCloud(pid=1, port=4567, account="111111111111")
    monkeypatch.setattr(local, "running", lambda directory: cloud)
    monkeypatch.setattr(local, "start", start)
    for name in ("dev", "staging"):
        command = ["up", "--env", name, "--directory", str(tmp_path)]
        output = CliRunner().invoke(cli.app, command).output
        assert f"export AWS_ACCESS_KEY_ID={load_environment(name).account}\n" in output
        assert "export AWS_ENDPOINT_URL=http://localhost:4567\n" in output


def test_status_names_an_environment_that_it_does_not_know() -> None:
    result = CliRunner().invoke(cli.app, ["status", "stagin"])
    assert isinstance(result.exception, ConfigurationError)
    assert 'did you mean "staging"' in str(result.exception)
