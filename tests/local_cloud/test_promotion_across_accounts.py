"""Promotion as a team does it: dev, staging and prod in three accounts, the same model bytes in all of them.

The tests of this module share three deployments, made from a checkout of their own whose `config/` they
change, and run in the order in which they stand.
"""

import json
import os
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ops import local
from ops.paths import ROOT
from tests.local_cloud.conftest import free_port, wait_for

pytestmark = pytest.mark.local_cloud

REGION = "us-east-1"
ACCOUNTS = {"dev": "111111111111", "staging": "222222222222", "prod": "333333333333"}
SHORTEST = {"canary_wait_seconds": 60, "termination_wait_seconds": 0, "evaluation_minutes": 1}
"""The shortest canary in which an alarm can go off."""
# dev prepares even these few ratings in AWS Batch.
BATCH = """
[training.batch]
above_mib = 0
vcpus = 1
memory_mib = 2048
storage_gib = 21
shards = 3
max_runtime_minutes = 10
"""
PAIRS = [{"user": str(user), "movie": str(movie)} for user in (1, 42, 943) for movie in (50, 181, 1682)]


@dataclass
class Team:
    """A checkout and a local cloud that all three environments are deployed to."""

    checkout: Path
    directory: Path
    port: int
    folders: dict[str, Path] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        return f"http://localhost:{self.port}"

    def variables(self, name: str) -> dict[str, str]:
        return local.LocalCloud(pid=0, port=self.port, account="").variables(
            account=ACCOUNTS[name], region=REGION
        )

    def run(self, *command: str, name: str = "dev", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout, with the variables of environment `name`."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        finished = subprocess.run(
            command,
            cwd=self.checkout,
            env=clean
            | self.variables(name)
            | {
                "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
                # The command's packages are the checkout's.
                "PYTHONPATH": str(self.checkout),
                "COLUMNS": "200",
                "CI": "true",
                "NO_COLOR": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check:
            assert finished.returncode == 0, f"{command}: {finished.stdout[-6000:]}"
        return finished

    def deploy(self, name: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`cdk deploy --all` of one environment."""
        folder = self.directory / f"{name}.out"
        arguments = ["--all", "--require-approval", "never", "-c", f"env={name}", "--output", str(folder)]
        return self.run("npx", "cdk", "deploy", *arguments, name=name, check=check)

    def promote(self, source: str, target: str) -> str:
        return self.run("recommender", "promote", source, target).stdout

    def status(self) -> dict[str, dict[str, Any]]:
        content = json.loads(self.run("recommender", "status", "--json").stdout)
        return {each["environment"]: each for each in content}

    def session(self, name: str) -> boto3.Session:
        return boto3.Session(
            aws_access_key_id=ACCOUNTS[name], aws_secret_access_key="local", region_name=REGION
        )

    def client(self, service: str, name: str) -> Any:
        return self.session(name).client(service, endpoint_url=self.endpoint)

    def output(self, name: str, stack: str, key: str) -> str:
        stacks = self.client("cloudformation", name).describe_stacks(
            StackName=f"movie-recommender-{name}-{stack}"
        )
        return next(
            each["OutputValue"] for each in stacks["Stacks"][0]["Outputs"] if each["OutputKey"] == key
        )

    def ask(self, name: str, path: str, body: object = None) -> tuple[int, Any]:
        """Ask an environment's API, signed as the environment's account; dev takes its key as well."""
        url = urlsplit(self.output(name, "serving", "ApiUrl"))
        host = f"{(url.hostname or '').split('.')[0]}.execute-api.localhost:{self.port}"
        data = None if body is None else json.dumps(body).encode()
        headers = {"Host": host, "Content-Type": "application/json"}
        if name == "dev":
            key = self.client("apigateway", name).get_api_key(
                apiKey=self.output(name, "serving", "ApiKeyId"), includeValue=True
            )
            headers["x-api-key"] = key["value"]
        request = AWSRequest(
            "GET" if data is None else "POST",
            f"http://127.0.0.1:{self.port}{url.path.rstrip('/')}{path}",
            data=data,
            headers=headers,
        )
        SigV4Auth(Credentials(ACCOUNTS[name], "local"), "execute-api", REGION).add_auth(request)
        prepared = urllib.request.Request(
            request.url, data=data, headers=dict(request.headers.items()), method=request.method
        )
        try:
            with urllib.request.urlopen(prepared, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def live_package(self, name: str) -> str:
        """The package behind an environment's endpoint."""
        sagemaker = self.client("sagemaker", name)
        endpoint = sagemaker.describe_endpoint(EndpointName=f"movie-recommender-{name}")
        assert endpoint["EndpointStatus"] == "InService"
        configuration = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
        model = sagemaker.describe_model(ModelName=configuration["ProductionVariants"][0]["ModelName"])
        arn: str = model["PrimaryContainer"]["ModelPackageName"]
        return arn

    def metadata(self, name: str, package: str) -> dict[str, str]:
        found = self.client("sagemaker", name).describe_model_package(ModelPackageName=package)
        metadata: dict[str, str] = found["CustomerMetadataProperties"]
        return metadata

    def register_again(self, name: str, **changed: str) -> str:
        """Register the live model of an environment once more, with other metadata: its ARN."""
        sagemaker = self.client("sagemaker", name)
        package = sagemaker.describe_model_package(ModelPackageName=self.live_package(name))
        containers = package["InferenceSpecification"]["Containers"]
        answer = sagemaker.create_model_package(
            ModelPackageGroupName=package["ModelPackageGroupName"],
            ModelApprovalStatus="Approved",
            InferenceSpecification={
                **package["InferenceSpecification"],
                "Containers": [{key: each[key] for key in ("Image", "ModelDataUrl")} for each in containers],
            },
            ModelMetrics=package["ModelMetrics"],
            CustomerMetadataProperties=package["CustomerMetadataProperties"] | changed,
        )
        arn: str = answer["ModelPackageArn"]
        return arn

    def pin(self, name: str, package: str, sha256: str) -> None:
        """Write a pin as a person would who edits the settings by hand."""
        path = self.checkout / "config" / f"{name}.toml"
        lines = [
            line
            for line in path.read_text().splitlines()
            if not line.startswith(("package_arn", "artifact_sha256"))
        ]
        at = next(index for index, line in enumerate(lines) if line.startswith("source = "))
        lines[at + 1 : at + 1] = [f'package_arn = "{package}"', f'artifact_sha256 = "{sha256}"']
        path.write_text("\n".join(lines) + "\n")

    def move_traffic_at_once(self, name: str) -> None:
        """Take back what is not committed, and commit settings without a canary, which takes a minute."""
        self.run("git", "checkout", "--quiet", "--", "config")
        path = self.checkout / "config" / f"{name}.toml"
        lines = [line for line in path.read_text().splitlines() if not line.startswith("canary_")]
        path.write_text("\n".join(lines) + "\n")
        self.commit("Move the traffic at once")

    def commit(self, message: str) -> None:
        self.run("git", "commit", "--quiet", "--all", "--message", message)


class Client:
    """Asks an environment's API continuously, and keeps every answer that is not 200."""

    def __init__(self, team: Team, name: str) -> None:
        self.answered = 0
        self.failed: list[tuple[int, Any]] = []
        self._team, self._name = team, name
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]

    def __enter__(self) -> "Client":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._done.is_set():
            status, body = self._team.ask(self._name, "/predictions", {"pairs": PAIRS})
            self.answered += 1
            if status != 200:
                self.failed.append((status, body))
            time.sleep(0.1)


def make_checkout(folder: Path) -> Path:
    """Copy the working tree into a git repository of its own, beside what has been installed and built."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in (".venv", "node_modules", ".data", "build"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("staging", "prod"):
        path = folder / "config" / f"{name}.toml"
        text = path.read_text()
        for key, value in SHORTEST.items():
            before = next(line for line in text.splitlines() if line.startswith(f"{key} = "))
            text = text.replace(before, f"{key} = {value}")
        path.write_text(text)
    settings = folder / "config" / "dev.toml"
    settings.write_text(settings.read_text() + BATCH)
    author = ["-c", "user.name=A Team", "-c", "user.email=team@example.com"]
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "Begin"]):
        subprocess.run(["git", *author, *arguments], cwd=folder, check=True)
    for key, value in (("user.name", "A Team"), ("user.email", "team@example.com")):
        subprocess.run(["git", "config", key, value], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    (folder / "checkout").mkdir()
    made = Team(make_checkout(folder / "checkout"), folder / "cloud", free_port())
    where = ["--directory", str(made.directory), "--port", str(made.port)]
    try:
        made.run("recommender", "demo", *where)
        for name in ("staging", "prod"):
            subprocess_folder = ["bootstrap", f"aws://{ACCOUNTS[name]}/{REGION}", "--app", ""]
            made.run("npx", "cdk", *subprocess_folder, name=name)
            made.deploy(name)
        yield made
    finally:
        made.run("recommender", "down", "--directory", str(made.directory), check=False)


def test_dev_prepared_its_ratings_in_aws_batch(team: Team) -> None:
    batch, s3 = team.client("batch", "dev"), team.client("s3", "dev")
    (queue,) = batch.describe_job_queues()["jobQueues"]
    jobs = batch.list_jobs(jobQueue=queue["jobQueueName"], jobStatus="SUCCEEDED")["jobSummaryList"]
    assert [job["jobName"].rpartition("-")[2] for job in jobs] == ["plan", "encode", "finish"]
    (encode,) = batch.describe_jobs(jobs=[jobs[1]["jobId"]])["jobs"]
    assert encode["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 3
    prepared = team.output("dev", "storage", "PreparedBucketName")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=prepared)["Contents"]]
    shards = sorted(key.partition("/")[2] for key in keys if "/train/" in key)
    assert shards == [f"train/train-{number:05}-of-00003.protobuf" for number in range(3)]
    assert not [key for key in keys if "/parts/" in key]


def test_a_model_is_promoted_through_three_accounts(team: Team) -> None:
    said = team.promote("dev", "staging")
    assert "cdk deploy --all -c env=staging" in said
    team.commit("Promote to staging")
    team.deploy("staging")
    team.promote("staging", "prod")
    team.commit("Promote to prod")
    team.deploy("prod")

    packages = {name: team.live_package(name) for name in ACCOUNTS}
    digests = {name: team.metadata(name, package)["artifact_sha256"] for name, package in packages.items()}
    assert len(set(digests.values())) == 1
    lineage = team.metadata("prod", packages["prod"])
    assert lineage["source_account"] == ACCOUNTS["staging"]
    assert lineage["source_package_arn"] == packages["staging"]
    assert ACCOUNTS["dev"] not in json.dumps(lineage["catalog_uri"])

    answers = {}
    for name in ACCOUNTS:
        status, answers[name] = team.ask(name, "/predictions", {"pairs": PAIRS})
        assert status == 200, answers[name]
    scores = {name: [each["score"] for each in answer["predictions"]] for name, answer in answers.items()}
    assert scores["staging"] == pytest.approx(scores["dev"], abs=1e-6)
    assert scores["prod"] == pytest.approx(scores["dev"], abs=1e-6)


def test_nothing_in_prod_names_dev(team: Team) -> None:
    templates = list((team.directory / "prod.out").glob("*.template.json"))
    assert {path.name.rpartition("prod-")[2].split(".")[0] for path in templates} >= {"storage", "serving"}
    for path in templates:
        text = path.read_text()
        for foreign in ("movie-recommender-dev", "/dev/", ACCOUNTS["dev"], ACCOUNTS["staging"]):
            assert foreign not in text, (path.name, foreign)


def test_status_agrees_about_all_three(team: Team) -> None:
    status = team.status()
    assert set(status) == set(ACCOUNTS)
    for name, each in status.items():
        assert each["drift"] == [], (name, each)


def test_a_model_whose_alarm_rings_in_the_canary_is_taken_back(team: Team) -> None:
    before = team.live_package("staging")
    sha256 = team.metadata("staging", before)["artifact_sha256"]
    team.pin("staging", team.register_again("staging"), sha256)
    cloudwatch = team.client("cloudwatch", "staging")
    sagemaker = team.client("sagemaker", "staging")

    def ring() -> None:
        def canary() -> bool:
            endpoint = sagemaker.describe_endpoint(EndpointName="movie-recommender-staging")
            return "PendingDeploymentSummary" in endpoint

        wait_for(canary, timeout=120)
        cloudwatch.set_alarm_state(
            AlarmName="movie-recommender-staging-endpoint-latency",
            StateValue="ALARM",
            StateReason="A test of the rollback",
        )

    ringing = threading.Thread(target=ring)
    with Client(team, "staging") as client:
        ringing.start()
        deployed = team.deploy("staging", check=False)
        ringing.join()
    assert deployed.returncode != 0
    assert "alarm" in deployed.stdout.lower(), deployed.stdout[-3000:]
    assert team.live_package("staging") == before
    assert client.failed == []
    assert client.answered > 20
    cloudwatch.set_alarm_state(
        AlarmName="movie-recommender-staging-endpoint-latency", StateValue="OK", StateReason="Over"
    )


def test_status_names_the_drift_that_a_failed_deployment_leaves(team: Team) -> None:
    assert team.status()["staging"]["drift"] != []


def test_a_model_that_fails_its_smoke_test_is_taken_back(team: Team) -> None:
    team.move_traffic_at_once("staging")
    before = team.live_package("staging")
    metadata = team.metadata("staging", before)
    s3 = team.client("s3", "staging")
    bucket, _, key = metadata["reference_uri"].removeprefix("s3://").partition("/")
    reference = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    reference["rows"][0]["score"] += 1e-4
    s3.put_object(Bucket=bucket, Key="models/wrong/reference.json", Body=json.dumps(reference).encode())
    package = team.register_again("staging", reference_uri=f"s3://{bucket}/models/wrong/reference.json")
    team.pin("staging", package, metadata["artifact_sha256"])
    with Client(team, "staging") as client:
        deployed = team.deploy("staging", check=False)
    assert deployed.returncode != 0
    assert package.rpartition("/")[2] in deployed.stdout
    assert "score" in deployed.stdout
    assert team.live_package("staging") == before
    assert client.failed == []
    assert client.answered > 20


def test_a_changed_artifact_is_not_deployed(team: Team) -> None:
    before = team.live_package("staging")
    metadata = team.metadata("staging", before)
    s3 = team.client("s3", "staging")
    bucket = team.output("staging", "storage", "ModelBucketName")
    key = f"models/{metadata['artifact_sha256']}/model.tar.gz"
    content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    flipped = content[:1000] + bytes([content[1000] ^ 1]) + content[1001:]
    s3.put_object(Bucket=bucket, Key=key, Body=flipped)
    try:
        team.pin("staging", team.register_again("staging"), metadata["artifact_sha256"])
        deployed = team.deploy("staging", check=False)
        assert deployed.returncode != 0
        assert metadata["artifact_sha256"] in deployed.stdout
        assert team.live_package("staging") == before
    finally:
        s3.put_object(Bucket=bucket, Key=key, Body=content)


def test_rollback_deploys_the_previous_pin(team: Team) -> None:
    team.run("git", "checkout", "--quiet", "--", "config")
    before = team.live_package("staging")
    sha256 = team.metadata("staging", before)["artifact_sha256"]
    package = team.register_again("staging")
    team.pin("staging", package, sha256)
    team.commit("Serve another package")
    with Client(team, "staging") as client:
        team.deploy("staging")
        assert team.live_package("staging") == package
        said = team.run("recommender", "rollback", "staging", name="staging").stdout
    assert team.live_package("staging") == before
    assert client.failed == []
    assert "git commit" in said
    assert before in (team.checkout / "config" / "staging.toml").read_text()
