"""The command line's folders and s3:// prefixes."""

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data_prep import places
from data_prep.__main__ import app
from data_prep.manifest import PrepareSettings
from data_prep.prepare import prepare
from data_prep.storage import Prefix

Writer = Callable[[Mapping[str, bytes]], Path]


@pytest.fixture
def s3(memory_s3: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(places, "_client", lambda: memory_s3.client)
    return memory_s3


def _run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    last = result.stderr.splitlines()[-1] if result.stderr else ""
    return result.exit_code, result.stdout.splitlines()[-1] if result.stdout else "", last


def _expected(source: Path, out: Path, chosen: PrepareSettings) -> tuple[str, dict[str, bytes]]:
    digest = prepare(source, out, settings=chosen).digest
    folder = out / digest
    return digest, {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def _stored(s3: Any, bucket: str, prefix: str) -> dict[str, bytes]:
    return {
        key.removeprefix(prefix): content
        for (place, key), content in s3.objects.items()
        if place == bucket and key.startswith(prefix)
    }


def test_an_object_becomes_a_data_set_under_a_prefix(
    small: dict[str, bytes], write_zip: Writer, tmp_path: Path, s3: Any, fingerprinted: list[str]
) -> None:
    archive = write_zip(small)
    s3.put("raw", "ratings/ml-small.zip", archive.read_bytes())
    digest, expected = _expected(archive, tmp_path / "out", PrepareSettings())
    place = f"s3://prepared/sets/{digest}"
    fingerprinted.clear()
    assert _run("prepare", "s3://raw/ratings/ml-small.zip", "--out", "s3://prepared/sets/")[:2] == (0, place)
    assert _stored(s3, "prepared", f"sets/{digest}/") == expected
    puts = [key for method, key in s3.requests if method == "PUT"]
    assert puts[-1] == f"sets/{digest}/manifest.json"

    s3.requests.clear()
    assert fingerprinted == ["ml-small.zip"]
    assert _run("prepare", archive, "--out", "s3://prepared/sets")[:2] == (0, place)
    assert "PUT" not in {method for method, _ in s3.requests}


def test_the_steps_go_from_prefix_to_prefix(
    small: dict[str, bytes], write_folder: Writer, tmp_path: Path, s3: Any
) -> None:
    folder = write_folder(small)
    for name, content in small.items():
        s3.put("raw", f"ratings/ml-small/{name}", content)
    digest, expected = _expected(folder, tmp_path / "out", PrepareSettings(shards=2))
    code, place, _ = _run("plan", "s3://raw/ratings/ml-small/", "--out", "s3://prepared", "--shards", 2)
    assert (code, place) == (0, f"s3://prepared/{digest}")
    for shard in (1, 0):
        assert _run("encode", place, "--shard", shard)[0] == 0
    assert _run("finish", place)[:2] == (0, place)
    assert _stored(s3, "prepared", f"{digest}/") == expected


def test_a_prefix_without_its_last_slash_is_a_folder_too(
    small: dict[str, bytes], write_folder: Writer, tmp_path: Path, s3: Any
) -> None:
    for name, content in small.items():
        s3.put("raw", f"ml-small/{name}", content)
    digest, _ = _expected(write_folder(small), tmp_path / "out", PrepareSettings())
    code, place, _ = _run("prepare", "s3://raw/ml-small", "--out", tmp_path / "here")
    assert (code, Path(place)) == (0, tmp_path / "here" / digest)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "s3://raw/none.zip",
            "error: s3://raw/none.zip: there is no such object. Give the key of an uploaded",
        ),
        ("s3:///none.zip", "error: s3:///none.zip: this names no bucket. Give s3://bucket/prefix"),
    ],
)
def test_what_is_not_there_ends_in_one_line(s3: Any, tmp_path: Path, source: str, message: str) -> None:
    code, shown, error = _run("prepare", source, "--out", tmp_path)
    assert (code, shown) == (1, "")
    assert error.startswith(message)


def test_what_aws_refuses_ends_in_one_line(s3: Any, tmp_path: Path) -> None:
    s3.refuse = True
    code, _, error = _run("prepare", "s3://raw/ml.zip", "--out", tmp_path)
    assert code == 1
    assert error.startswith("error: An error occurred")
    assert error.endswith("Check the credentials, the network, and that s3://raw/ml.zip may be used")


def test_an_upload_that_aws_refuses_ends_in_one_line(
    small: dict[str, bytes], write_zip: Writer, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Prefix.put

    def refused(store: Prefix, path: Path, name: str) -> None:
        s3.refuse = True
        put(store, path, name)

    monkeypatch.setattr(Prefix, "put", refused)
    code, _, error = _run("prepare", write_zip(small), "--out", "s3://prepared")
    assert code == 1
    assert re.match(
        r"error: Failed to upload .* to prepared/.*AccessDenied.* that s3://prepared may be", error
    )


def test_bad_rows_are_passed_over_and_listed(
    small: dict[str, bytes], write_folder: Writer, tmp_path: Path
) -> None:
    source = write_folder(small | {"u.data": small["u.data"] + b"1\t40\t9\t1\n"})
    result = CliRunner().invoke(
        app, ["prepare", str(source), "--out", str(tmp_path / "out"), "--max-bad-rows", "1"]
    )
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[1] == "left out, bad rows: 1"
    assert lines[2] == (
        "  ml-small/u.data, line 26: the rating '9' is not one of 1 to 5, found '1\\t40\\t9\\t1'"
    )
    sha256 = hashlib.sha256((Path(lines[-1]) / "train" / "train.protobuf").read_bytes()).hexdigest()
    assert sha256 in (Path(lines[-1]) / "manifest.json").read_text()
