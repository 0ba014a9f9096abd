import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from data_prep import storage
from data_prep.errors import DataError
from data_prep.manifest import Manifest, PrepareSettings
from data_prep.prepare import prepare
from data_prep.storage import Prefix

Writer = Callable[[Mapping[str, bytes]], Path]


@pytest.fixture
def prepared(small: dict[str, bytes], write_folder: Writer, tmp_path: Path) -> tuple[Path, Manifest]:
    manifest = prepare(write_folder(small), tmp_path / "out", settings=PrepareSettings())
    return tmp_path / "out" / manifest.digest, manifest


def test_the_newest_ratings_are_found(memory_s3: Any) -> None:
    for key in ("other/z.zip", "ratings/", "ratings/b.zip", "ratings/c.zip", "ratings/a.zip", "other/y.zip"):
        memory_s3.put("raw", key, b"")
    assert storage.newest_ratings(memory_s3.client, "raw") == "ratings/a.zip"


def test_no_ratings_is_an_error(memory_s3: Any) -> None:
    memory_s3.put("raw", "ratings/", b"")
    with pytest.raises(
        DataError, match=r"^s3://raw/ratings/: there are no ratings\. Upload a data set there"
    ):
        storage.newest_ratings(memory_s3.client, "raw")


def test_an_object_is_downloaded_under_its_name(memory_s3: Any, tmp_path: Path) -> None:
    memory_s3.put("raw", "ratings/x y/ml 100k.zip", b"content")
    path = storage.download(memory_s3.client, "raw", "ratings/x y/ml 100k.zip", tmp_path)
    assert path == tmp_path / "ml 100k.zip"
    assert path.read_bytes() == b"content"


def test_an_object_that_is_not_there_is_an_error(memory_s3: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^s3://raw/ratings/x\.zip: there is no such object\. Give the key"):
        storage.download(memory_s3.client, "raw", "ratings/x.zip", tmp_path)


@pytest.mark.parametrize("key", ["ratings/..", "..", "/"])
def test_a_key_that_no_file_can_be_called_is_refused(memory_s3: Any, tmp_path: Path, key: str) -> None:
    memory_s3.put("raw", key, b"content")
    with pytest.raises(DataError, match="this is no name for a file"):
        storage.download(memory_s3.client, "raw", key, tmp_path / "folder")


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/outside", "a//b", "./a", "x/y/z/../a"])
def test_a_data_set_stays_in_its_folder(memory_s3: Any, tmp_path: Path, name: str) -> None:
    memory_s3.put("raw", "set/u.data", b"")
    memory_s3.put("raw", f"set/{name}", b"")
    message = rf"^s3://raw/set/{re.escape(name)}: a part of the key is empty, \. or \.\., which no file"
    with pytest.raises(DataError, match=message):
        storage.download_data_set(memory_s3.client, "raw", "set", tmp_path / "scratch" / "folder")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_of_a_bucket_only_what_may_be_a_data_set_is_downloaded(memory_s3: Any, tmp_path: Path) -> None:
    for key in ("u.data", "ml/u.item", "ml/deep/er", ".git/x", "ml/.hidden", "__MACOSX/u.data", "ml/"):
        memory_s3.put("raw", key, key.encode())
    target = storage.download_data_set(memory_s3.client, "raw", "", tmp_path)
    assert target == tmp_path / "raw"
    found = {
        path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()
    }
    assert found == {"u.data": b"u.data", "ml/u.item": b"ml/u.item"}


def test_more_files_than_a_data_set_has_are_not_downloaded(
    memory_s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "MOST_FILES", 3)
    for number in range(4):
        memory_s3.put("raw", f"set/{number}.csv", b"")
    with pytest.raises(
        DataError, match=r"^s3://raw/set/: it holds more than 3 files\. Give a prefix with a data"
    ):
        storage.download_data_set(memory_s3.client, "raw", "set/", tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_aws_refuses_is_awss_error(memory_s3: Any, tmp_path: Path) -> None:
    memory_s3.refuse = True
    with pytest.raises(ClientError, match="AccessDenied"):
        storage.download(memory_s3.client, "raw", "ratings/x.zip", tmp_path)


def test_a_data_set_is_stored_manifest_last_and_found(
    memory_s3: Any, prepared: tuple[Path, Manifest]
) -> None:
    folder, manifest = prepared
    assert storage.find_prepared(memory_s3.client, "prepared", manifest.digest) is None
    written = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    storage.upload_prepared(Prefix(memory_s3.client, "prepared", manifest.digest), folder, manifest)
    stored = {
        key.removeprefix(f"{manifest.digest}/"): content for (_, key), content in memory_s3.objects.items()
    }
    assert stored == written
    assert [key for method, key in memory_s3.requests if method == "PUT"][
        -1
    ] == f"{manifest.digest}/manifest.json"
    assert storage.find_prepared(memory_s3.client, "prepared", manifest.digest) == manifest


@pytest.mark.parametrize(
    "damage", ["manifest.json", "train/train.protobuf", "short", "not json", "other format"]
)
def test_an_incomplete_data_set_is_not_found(
    memory_s3: Any, prepared: tuple[Path, Manifest], damage: str
) -> None:
    folder, manifest = prepared
    storage.upload_prepared(Prefix(memory_s3.client, "prepared", manifest.digest), folder, manifest)
    place = ("prepared", f"{manifest.digest}/manifest.json")
    if damage == "short":
        memory_s3.objects["prepared", f"{manifest.digest}/catalog.json"] = b"{}"
    elif damage == "not json":
        memory_s3.objects[place] = b"{"
    elif damage == "other format":
        memory_s3.objects[place] = json.dumps(
            json.loads(memory_s3.objects[place]) | {"format_version": 1}
        ).encode()
    else:
        del memory_s3.objects["prepared", f"{manifest.digest}/{damage}"]
    assert storage.find_prepared(memory_s3.client, "prepared", manifest.digest) is None
