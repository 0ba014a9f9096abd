import pytest
from typer.testing import CliRunner

from ops import cli, local
from ops.errors import OperationError


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(cli.app, ["--help"]).output
    for command in ("demo", "up", "down", "data", "build", "review"):
        assert command in shown


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
