"""Images without Docker: which are there, and what a container of one runs."""

from pathlib import Path

import pytest

from local_cloud.batch.errors import BatchError
from local_cloud.batch.images import Images

TAG = "5c" * 32
URI = f"111111111111.dkr.ecr.us-east-1.amazonaws.com/cdk-hnb659fds-container-assets-111111111111:{TAG}"


def staged(assembly: Path, dockerfile: str, tag: str = TAG) -> None:
    folder = assembly / f"asset.{tag}"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(dockerfile)
    (folder / "data.txt").write_text("content")


def images(tmp_path: Path) -> Images:
    return Images(tmp_path / "images", (tmp_path / "one.out", tmp_path / "two.out"))


def test_an_image_is_there_when_its_build_context_is(tmp_path: Path) -> None:
    found = images(tmp_path)
    assert not found.has(TAG)
    staged(tmp_path / "two.out", 'ENTRYPOINT ["python", "-m", "job"]\n')
    assert found.has(TAG)
    assert not found.has("../two.out/asset")


def test_an_image_stays_when_the_assembly_is_made_anew(tmp_path: Path) -> None:
    staged(tmp_path / "one.out", 'ENTRYPOINT ["python", "-m", "job"]\n')
    found = images(tmp_path)
    assert found.has(TAG)
    (tmp_path / "one.out" / f"asset.{TAG}" / "data.txt").write_text("other")
    assert (found.image(URI).folder / "data.txt").read_text() == "content"


def test_a_container_runs_the_entry_point(tmp_path: Path) -> None:
    staged(
        tmp_path / "one.out",
        'FROM python:3.13-slim\nENTRYPOINT ["python3", "-m", \\\n  "package.job", "--quiet"]\nCMD ["all"]\n',
    )
    image = images(tmp_path).image(URI)
    assert (image.module, image.arguments, image.command) == ("package.job", ("--quiet",), ("all",))


@pytest.mark.parametrize(
    "dockerfile", ["FROM scratch\n", 'ENTRYPOINT ["/bin/job"]\n', "ENTRYPOINT job now\n"]
)
def test_an_entry_point_that_cannot_be_run_here(tmp_path: Path, dockerfile: str) -> None:
    staged(tmp_path / "one.out", dockerfile)
    with pytest.raises(BatchError, match="whose entry point is a Python module"):
        images(tmp_path).image(URI)


@pytest.mark.parametrize("uri", [URI, "docker.io/library/python:3.13", f"somewhere/else:{TAG}"])
def test_an_image_that_is_not_there(tmp_path: Path, uri: str) -> None:
    with pytest.raises(BatchError, match="CannotPullContainerError"):
        images(tmp_path).image(uri)
