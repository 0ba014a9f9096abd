import errno
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress
from typer.testing import CliRunner

from data_prep import __main__ as main
from data_prep.__main__ import app
from data_prep.manifest import Manifest
from data_prep.prepare import read_finished
from data_prep.spool import Spool

Writer = Callable[[Mapping[str, bytes]], Path]


def _run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["prepare", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def _error(errors: str) -> str:
    """What comes after the log."""
    return "".join(line for line in errors.splitlines(keepends=True) if not line.startswith("{"))


def test_it_prepares_and_says_where(small: dict[str, bytes], write_zip: Writer, tmp_path: Path) -> None:
    code, shown, errors = _run(write_zip(small), "--out", tmp_path / "out", "--seed", 3, "--ranking-users", 2)
    assert code == 0
    logged = [json.loads(line) for line in errors.splitlines()]
    assert [line["message"] for line in logged][-2:] == ["Encoding the train rows", "Prepared"]
    assert {line["level"] for line in logged} == {"INFO"}
    lines = shown.splitlines()
    assert lines[0] == "movielens-100k, split ua: 3 users and 13 movies in 16 columns, 87.50% sparse"
    assert lines[1].startswith("train/train.protobuf: 3 rows, 0.3333 positive, ")
    manifest = read_finished(Path(lines[-1]))
    assert isinstance(manifest, Manifest)
    assert (manifest.settings.seed, manifest.settings.ranking_users) == (3, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--split", "u6"],
            "error: --split u6: must be ua, ub, u1 to u5, given, all-but-first-K, leave-last-K or random-P "
            "(K from 1, 0 < P < 1, at most nine digits)\n",
        ),
        (
            ["--split", "random-0.0000000001"],
            "error: --split random-0.0000000001: must be ua, ub, u1 to u5, given, all-but-first-K, "
            "leave-last-K or random-P (K from 1, 0 < P < 1, at most nine digits)\n",
        ),
        (["--features", ""], "error: --features '': give one or more groups, each once\n"),
        (
            ["--features", "user,tags"],
            "error: --features user,tags: Input should be 'user', 'movie', 'genres', 'year', 'age', "
            "'gender', 'occupation', 'time', 'user_history' or 'movie_history'\n",
        ),
        (["--ranking-users", "0"], "error: --ranking-users 0: Input should be greater than or equal to 1\n"),
        (
            ["--objective", "ranking", "--labels", "stars"],
            'error: options: labels "stars" are for the objective "rating"\n',
        ),
    ],
)
def test_settings_out_of_range_end_in_one_line(
    small: dict[str, bytes], write_zip: Writer, tmp_path: Path, arguments: list[str], message: str
) -> None:
    assert _run(write_zip(small), "--out", tmp_path / "out", *arguments) == (1, "", message)


def test_bad_input_ends_in_one_line(small: dict[str, bytes], write_zip: Writer, tmp_path: Path) -> None:
    source = write_zip(small | {"u.data": b"1\t1\t5\n"})
    code, shown, errors = _run(source, "--out", tmp_path / "out")
    assert (code, shown) == (1, "")
    assert _error(errors) == (
        "error: ml-small.zip/ml-small/u.data, line 1: expected 4 tab-separated columns "
        "(user, movie, rating, time), not 3, found '1\\t1\\t5'. "
        "Correct the line, or download the data set again\n"
    )


def test_a_place_that_cannot_be_written_ends_in_one_line(
    small: dict[str, bytes], write_zip: Writer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    code, _, errors = _run(write_zip(small), "--out", tmp_path / "file" / "out")
    assert code == 1
    assert _error(errors) == (
        f"error: {tmp_path}/file/out: Not a directory. Give a place that can be read and written\n"
    )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device. Make room there"),
        (OSError("4096 requested and 17 written"), "4096 requested and 17 written. Give a place that can be"),
    ],
)
def test_a_write_that_fails_names_the_place(
    small: dict[str, bytes],
    write_zip: Writer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    message: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Spool, "append", fail)
    out = tmp_path / "out"
    code, _, errors = _run(write_zip(small), "--out", out)
    assert code == 1
    assert _error(errors).startswith(f"error: {out}: {message}")


def test_the_bar_shows_a_share_as_soon_as_one_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[Progress] = []

    class Seen(Progress):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            bars.append(self)

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(main, "ProgressBar", Seen)
    with main._progress() as progress:
        (task,) = bars[0].tasks
        progress("Reading the ratings (65,536)", 0.0)
        assert (task.description, task.total) == ("Reading the ratings (65,536)", None)
        progress("Splitting the ratings", 0.3)
        assert (task.description, task.total, task.completed) == ("Splitting the ratings", 1.0, 0.3)


def test_it_runs_as_a_module() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "data_prep", "prepare", "/nowhere", "--out", "/nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert _error(run.stderr) == (
        "error: /nowhere: no such file or folder. "
        "Give the path of a folder, a zip archive or a file of ratings\n"
    )
