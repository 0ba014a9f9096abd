import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from local_cloud.sagemaker import s3_data
from local_cloud.sagemaker.errors import SageMakerError


@pytest.mark.parametrize(
    ("uri", "parsed"),
    [("s3://b/k/x", ("b", "k/x")), ("s3://b", ("b", "")), ("s3://b/", ("b", ""))],
)
def test_uri(uri: str, parsed: tuple[str, str]) -> None:
    assert s3_data.parse_uri(uri) == parsed


@pytest.mark.parametrize("uri", ["b/k", "https://b/k", "s3://", "s3:///k"])
def test_bad_uri(uri: str) -> None:
    with pytest.raises(SageMakerError, match="is not an S3 URI"):
        s3_data.parse_uri(uri)


def found(cloud: Any, kind: str, uri: str) -> list[tuple[str, str]]:
    source = {"S3DataType": kind, "S3Uri": uri}
    objects = s3_data.objects(cloud.s3, source, role="role", region="us-east-1")
    return [(item.key, item.path) for item in objects]


def test_prefix_is_cut_at_its_last_slash(cloud: Any) -> None:
    for key in ("in/a", "in/sub/b", "in/", "in2/c"):
        cloud.s3.objects["data", key] = b""
    assert found(cloud, "S3Prefix", "s3://data/in/") == [("in/a", "a"), ("in/sub/b", "sub/b")]
    assert found(cloud, "S3Prefix", "s3://data/in/a") == [("in/a", "a")]
    assert found(cloud, "S3Prefix", "s3://data/in") == [
        ("in/a", "in/a"),
        ("in/sub/b", "in/sub/b"),
        ("in2/c", "in2/c"),
    ]


def test_manifest(cloud: Any) -> None:
    manifest = [{"prefix": "s3://data/in/"}, "a", "sub/b"]
    cloud.s3.objects["data", "m"] = json.dumps(manifest).encode()
    assert found(cloud, "ManifestFile", "s3://data/m") == [("in/a", "a"), ("in/sub/b", "sub/b")]


@pytest.mark.parametrize("content", [b"nonsense", b"[]", b'["a"]', b"{}"])
def test_bad_manifest(cloud: Any, content: bytes) -> None:
    cloud.s3.objects["data", "m"] = content
    with pytest.raises(SageMakerError, match="s3://data/m is not a manifest"):
        found(cloud, "ManifestFile", "s3://data/m")


@pytest.mark.parametrize("kind", ["S3Prefix", "ManifestFile"])
@pytest.mark.parametrize("uri", ["s3://bucket/absent", "s3://absent/x"])
def test_no_data_is_refused_as_by_sagemaker(cloud: Any, kind: str, uri: str) -> None:
    with pytest.raises(
        SageMakerError, match=f'No S3 objects found under S3 URL "{uri}" given in input'
    ) as error:
        found(cloud, kind, uri)
    assert 'role "role" has "s3:ListBucket" permissions' in error.value.message


def test_other_sources_are_refused(cloud: Any) -> None:
    with pytest.raises(SageMakerError, match="not AugmentedManifestFile"):
        found(cloud, "AugmentedManifestFile", "s3://data/m")


def test_archive_depends_on_names_and_contents_only(cloud: Any, tmp_path: Path) -> None:
    digests = set()
    for run, moment in (("one", 1), ("two", 1_000_000_000)):
        folder = tmp_path / run
        (folder / "sub").mkdir(parents=True)
        for name in ("b", "a", "sub/c"):
            (folder / name).write_text(name)
            os.utime(folder / name, (moment, moment))
        archive = tmp_path / f"{run}.tar.gz"
        s3_data.pack(folder, archive)
        digests.add(hashlib.sha256(archive.read_bytes()).hexdigest())
    assert len(digests) == 1
    s3_data.upload(cloud.s3, archive, "s3://out/m.tar.gz", kms_key="key")
    assert cloud.s3.encryption == {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key"}
    s3_data.extract_model(cloud.s3, "s3://out/m.tar.gz", tmp_path / "model")
    assert (tmp_path / "model" / "sub" / "c").read_text() == "sub/c"


def test_archive_cannot_write_outside_its_folder(cloud: Any, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../evil"))
    cloud.s3.objects["out", "m"] = buffer.getvalue()
    with pytest.raises(tarfile.TarError):
        s3_data.extract_model(cloud.s3, "s3://out/m", tmp_path / "model")
    assert not (tmp_path / "evil").exists()
