"""The same ratings prepared by one process, and by AWS Batch's array job in the local cloud.

    python benchmarks/batch_array.py [--rows N] [--shards N]

Generates ratings in MovieLens 25M's layout (once), prepares them with the command line, then starts a local
cloud, puts them into S3 and submits the three jobs that the training workflow would: plan, encode as an array
job, finish. The shards one after another must be the one process's train file, byte for byte; with 25 million
ratings the local S3 holds some 6 GB in memory meanwhile.
"""

import argparse
import hashlib
import importlib.util
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from ops import local  # noqa: E402 - the checkout, not an installed version
from ops.bundle import lay_out_image  # noqa: E402

ACCOUNT, REGION = "111111111111", "us-east-1"
TAG = hashlib.sha256(b"benchmarks/batch_array.py").hexdigest()
REPOSITORY = "cdk-benchmark-container-assets-1"


def main() -> None:
    """Print the times of both, and whether the bytes are the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=25_000_095)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--port", type=int, default=4667)
    options = parser.parse_args()
    users, movies = max(100, options.rows // 154), max(100, options.rows // 400)
    archive = zipped(benchmark_of_data_prep().generated(options.rows, users, movies))
    with tempfile.TemporaryDirectory(dir=archive.parent) as name:
        folder = Path(name)
        (train,), seconds = in_one_process(archive, folder / "one")
        expected = digest_of([train])
        print(f"{options.rows:,} ratings, {archive.stat().st_size:,} bytes of zip")
        print(f"one process: {seconds:.0f} s, {train.stat().st_size:,} bytes of train records")
        cloud = local.start(account=ACCOUNT, port=options.port, directory=folder / "cloud")
        try:
            found = in_batch(cloud, archive, folder, options.shards)
        finally:
            local.stop(directory=folder / "cloud")
    same = found == expected
    print("the shards are the one process's file" if same else f"OTHER BYTES: {found} for {expected}")
    sys.exit(0 if same else 1)


def benchmark_of_data_prep() -> ModuleType:
    """The neighbouring script, which generates the ratings; it is called like the package."""
    path = Path(__file__).with_name("data_prep.py")
    spec = importlib.util.spec_from_file_location("benchmark_of_data_prep", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def zipped(folder: Path) -> Path:
    """The folder as an archive beside it, made once."""
    archive = folder.with_suffix(".zip")
    if not archive.exists():
        unfinished = archive.with_suffix(".part")
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
            for file in sorted(folder.iterdir()):
                target.write(file, f"ml-generated/{file.name}")
        unfinished.rename(archive)
    return archive


def in_one_process(archive: Path, out: Path) -> tuple[list[Path], float]:
    """Prepare with the command line: the train files and the seconds taken."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "data_prep", "prepare", str(archive), "--out", str(out)]
    subprocess.run([*command, *settings()], cwd=ROOT, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"one process: peak memory {peak:,} MiB")
    return sorted(out.glob("*/train/*.protobuf")), seconds


def settings() -> list[str]:
    return ["--split", "all-but-first-10", "--duplicates", "last"]


def in_batch(cloud: local.LocalCloud, archive: Path, folder: Path, shards: int) -> str:
    """Prepare with the three jobs: the SHA-256 of the train shards one after another."""
    variables = cloud.variables(account=ACCOUNT, region=REGION)
    local.point_this_process(variables)
    staged = folder / "cloud" / "cdk.out" / f"asset.{TAG}"
    lay_out_image(folder / "image").rename(_parent(staged))
    boto3.client("ecr").create_repository(repositoryName=REPOSITORY)
    boto3.client("ecr").describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": TAG}])
    s3: Any = boto3.client("s3")
    for bucket in ("raw", "prepared"):
        s3.create_bucket(Bucket=bucket)
    s3.upload_file(str(archive), "raw", f"ratings/{archive.name}")
    batch: Any = boto3.client("batch")
    batch.create_compute_environment(
        computeEnvironmentName="jobs",
        type="MANAGED",
        computeResources={
            "type": "FARGATE",
            "maxvCpus": os.cpu_count() or 1,
            "subnets": ["a"],
            "securityGroupIds": ["b"],
        },
    )
    order = [{"order": 1, "computeEnvironment": "jobs"}]
    batch.create_job_queue(jobQueueName="jobs", priority=1, computeEnvironmentOrder=order)
    batch.register_job_definition(
        jobDefinitionName="prepare-data",
        type="container",
        containerProperties={"image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}:{TAG}"},
    )
    source = f"s3://raw/ratings/{archive.name}"
    plan = ["plan", source, "--out", "s3://prepared", *settings(), "--shards", str(shards)]
    run(batch, "plan", plan)
    place = s3.list_objects_v2(Bucket="prepared", MaxKeys=1)["Contents"][0]["Key"].partition("/")[0]
    run(batch, "encode", ["encode", f"s3://prepared/{place}"], arrayProperties={"size": shards})
    run(batch, "finish", ["finish", f"s3://prepared/{place}"])
    entries = s3.list_objects_v2(Bucket="prepared", Prefix=f"{place}/train/")["Contents"]
    files = []
    for key in sorted(entry["Key"] for entry in entries):
        files.append(folder / Path(key).name)
        s3.download_file("prepared", key, str(files[-1]))
    return digest_of(files)


def run(batch: Any, name: str, command: list[str], **more: Any) -> None:
    """Run a job to its end, and print how long it took."""
    start = time.perf_counter()
    job = batch.submit_job(
        jobName=name,
        jobQueue="jobs",
        jobDefinition="prepare-data",
        containerOverrides={"command": command},
        **more,
    )["jobId"]
    while (found := batch.describe_jobs(jobs=[job])["jobs"][0])["status"] not in {"SUCCEEDED", "FAILED"}:
        time.sleep(0.2)
    print(f"AWS Batch, {name}: {found['status']}, {time.perf_counter() - start:.0f} s", flush=True)
    if found["status"] == "FAILED":
        sys.exit(str(found))


def digest_of(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    main()
