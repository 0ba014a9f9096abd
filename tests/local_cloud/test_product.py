"""The product as a user meets it: `recommender demo`, the API, a second deployment, bad ratings, teardown.

The tests of this module share one deployment and run in the order in which they stand: teardown is the last.
"""

import io
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, groupby
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest

from infra.environment import load_environment
from ops import local
from ops.deployment import Deployment
from ops.paths import ROOT
from tests.local_cloud.conftest import wait_for

pytestmark = pytest.mark.local_cloud

ENVIRONMENT = load_environment("dev")
RECOMMENDER = [shutil.which("recommender", path=ROOT / ".venv" / "bin") or "recommender"]


@dataclass
class Demo:
    """One run of `recommender demo`."""

    directory: Path
    port: int
    output: str = ""
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
        return clean | self.variables | {"PATH": path, "COLUMNS": "100"}

    def recommender(self, command: str, **more: str) -> subprocess.CompletedProcess[str]:
        options = ["--directory", str(self.directory)]
        if command != "down":
            options += ["--port", str(self.port)]
        return subprocess.run(
            [*RECOMMENDER, command, *options],
            cwd=ROOT,
            env=self.environment() | more,
            capture_output=True,
            text=True,
            check=False,
        )

    def cdk(self, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["npx", "cdk", *arguments, "-c", "env=dev", "--output", str(self.directory / "cdk.out")],
            cwd=cwd,
            env=self.environment() | {"CI": "true", "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    @property
    def session(self) -> boto3.Session:
        return boto3.Session(
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key="local",
            region_name=self.variables["AWS_REGION"],
        )

    @property
    def deployment(self) -> Deployment:
        return Deployment(name="dev", session=self.session)

    def curl(self) -> str:
        (line,) = [line for line in self.output.splitlines() if line.startswith("curl ")]
        return line

    def api(self, path: str, *, key: bool = True, body: object = None) -> tuple[int, dict]:
        url = urlsplit(re.search(r"'(http[^']+)'", self.curl()).group(1))
        headers = {"Host": url.netloc, "Content-Type": "application/json"}
        if key:
            headers["x-api-key"] = re.search(r"x-api-key: (\S+)'", self.curl()).group(1)
        stage = url.path.split("/")[1]
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{stage}{path}",
            headers=headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run = Demo(directory=tmp_path_factory.mktemp("demo") / "cloud", port=port)
    try:
        # What a user may have set for real accounts must not get in the way, nor be used.
        finished = run.recommender(
            "demo",
            AWS_PROFILE="production",
            AWS_ENDPOINT_URL_SSM="http://127.0.0.1:1",
            AWS_SESSION_TOKEN="real",
        )
        assert finished.returncode == 0, f"{finished.stdout}\n{finished.stderr}"
        assert finished.stderr == ""
        run.output = finished.stdout
        cloud = local.running(directory=run.directory)
        run.variables = cloud.variables(account=ENVIRONMENT.account, region=ENVIRONMENT.region)
        os.environ["AWS_ENDPOINT_URL"] = cloud.endpoint
        yield run
    finally:
        os.environ.pop("AWS_ENDPOINT_URL", None)
        run.recommender("down")


def rated_movies(archive: Path) -> dict[str, set[str]]:
    rated: dict[str, set[str]] = {}
    with zipfile.ZipFile(archive) as source:
        for line in source.read("ml-100k/u.data").decode().splitlines():
            user, movie, *_rest = line.split("\t")
            rated.setdefault(user, set()).add(movie)
    return rated


def test_it_prints_the_facts_of_the_data(demo: Demo) -> None:
    for fact in ("90,570", "9,430", "2,625 columns", "99.92% sparse", "5,796,480 bytes"):
        assert fact in demo.output, f"{fact} is missing from:\n{demo.output}"
    assert re.search(r"positive.*0\.55 +0\.58", demo.output)


def test_train_protobuf_has_the_walk_throughs_size(demo: Demo) -> None:
    bucket = demo.deployment.output("storage", "PreparedBucketName")
    digest = demo.deployment.manifest["digest"]
    head = demo.session.client("s3").head_object(Bucket=bucket, Key=f"{digest}/train/train.protobuf")
    assert head["ContentLength"] == 5_796_480


def test_the_model_beats_its_floors_on_all_test_rows(demo: Demo) -> None:
    test = demo.deployment.evaluation["test"]
    assert test["rows"] == 9_430
    assert test["accuracy"] >= 0.700
    assert test["auc"] >= 0.765
    assert test["cross_entropy"] <= 0.575
    for figure in (test["accuracy"], test["f1"], test["auc"], test["cross_entropy"]):
        assert f"{figure:.4f}" in demo.output
    for walk_through_or_positive in ("0.7159", "0.7456", "0.5800", "0.7341"):
        assert walk_through_or_positive in demo.output


def test_it_prints_the_ranking_beside_popularitys(demo: Demo) -> None:
    ranking = demo.deployment.evaluation["ranking"]
    for side in ("model", "popularity"):
        assert 0 < ranking[side]["ndcg"] < 1
        assert f"{ranking[side]['ndcg']:.4f}" in demo.output


def test_the_printed_curl_works_in_another_shell(demo: Demo) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    shell = subprocess.run(
        ["sh", "-c", demo.curl()],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    recommended = json.loads(shell.stdout)["recommendations"]
    assert len(recommended) == 10
    for movie in recommended:
        assert movie["title"] in demo.output


def test_recommended_movies_are_unseen_and_differ_between_users(demo: Demo, movielens_zip: Path) -> None:
    rated = rated_movies(movielens_zip)
    titles = {}
    for user in ("1", "2", "405"):
        status, answer = demo.api(f"/users/{user}/recommendations?count=10")
        assert status == 200, answer
        assert answer["known_user"] is True
        movies = [movie["movie"] for movie in answer["recommendations"]]
        assert len(set(movies)) == 10
        assert not set(movies) & rated[user]
        scores = [movie["score"] for movie in answer["recommendations"]]
        assert scores == sorted(scores, reverse=True)
        titles[user] = [movie["title"] for movie in answer["recommendations"]]
    assert titles["1"] != titles["2"]


def test_an_unknown_user_gets_the_movies_own_ranking(demo: Demo) -> None:
    status, answer = demo.api("/users/nobody/recommendations?count=3")
    assert status == 200
    assert answer["known_user"] is False
    assert len(answer["recommendations"]) == 3


def test_predictions_agree_with_recommendations(demo: Demo) -> None:
    _, recommended = demo.api("/users/1/recommendations?count=2")
    pairs = [{"user": "1", "movie": movie["movie"]} for movie in recommended["recommendations"]]
    status, answer = demo.api("/predictions", body={"pairs": pairs})
    assert status == 200, answer
    for prediction, movie in zip(answer["predictions"], recommended["recommendations"], strict=True):
        assert prediction["score"] == pytest.approx(movie["score"], abs=1e-6)


@pytest.mark.parametrize(
    ("path", "key", "body", "status"),
    [
        ("/users/1/recommendations?count=10", False, None, 403),
        ("/health", False, None, 403),
        ("/users/1/recommendations?count=0", True, None, 400),
        ("/users/1/recommendations?count=many", True, None, 400),
        ("/predictions", True, {"pairs": []}, 400),
        ("/predictions", True, {"pairs": [{"user": "1"}]}, 400),
        ("/predictions", True, {"pairs": [{"user": "1", "movie": "no-such"}]}, 404),
    ],
)
def test_an_error_has_a_code_a_message_and_a_request_id(
    demo: Demo, path: str, key: bool, body: object, status: int
) -> None:
    answered, answer = demo.api(path, key=key, body=body)
    assert answered == status, answer
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"code", "message", "request_id"}
    assert all(answer["error"].values())


def test_health_answers(demo: Demo) -> None:
    assert demo.api("/health")[0] == 200


def test_a_second_demo_says_that_one_is_up(demo: Demo) -> None:
    second = demo.recommender("demo")
    assert second.returncode == 1
    assert "already up" in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1


def test_a_second_deployment_changes_nothing_and_trains_nothing(demo: Demo) -> None:
    def state() -> tuple[list, list]:
        jobs = demo.session.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
        stacks = demo.session.client("cloudformation").describe_stacks()["Stacks"]
        return (
            [job["TrainingJobArn"] for job in jobs],
            [(stack["StackName"], stack["StackStatus"], stack.get("LastUpdatedTime")) for stack in stacks],
        )

    before = state()
    assert len(before[0]) == 1
    deployed = demo.cdk("deploy", "--all", "--require-approval", "never")
    assert deployed.returncode == 0, deployed.stdout
    assert deployed.stdout.count("(no changes)") == 3, deployed.stdout
    assert state() == before


def test_diff_after_a_deployment_is_empty(demo: Demo) -> None:
    compared = demo.cdk("diff", "--fail")
    assert compared.returncode == 0, compared.stdout
    assert "There were no differences" in compared.stdout


def test_a_new_ratings_object_starts_training_and_malformed_ones_stop_with_file_and_line(demo: Demo) -> None:
    bad = io.BytesIO()
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("ml-100k/u.data", "1\t1\t5\t881250949\n2\t1\t9\t881250950\n")
        archive.writestr("ml-100k/u.item", "1|A film (1995)|01-Jan-1995|||0|1" + "|0" * 17 + "\n")
    bucket = demo.deployment.output("storage", "RawBucketName")
    prepared = demo.deployment.output("storage", "PreparedBucketName")
    s3 = demo.session.client("s3")

    def prefixes() -> set[str]:
        listed = s3.list_objects_v2(Bucket=prepared, Delimiter="/").get("CommonPrefixes", [])
        return {entry["Prefix"] for entry in listed}

    before = prefixes()
    s3.put_object(Bucket=bucket, Key="ratings/bad.zip", Body=bad.getvalue())
    client = demo.session.client("stepfunctions")
    machine = demo.deployment.output("training", "StateMachineArn")
    deadline = time.monotonic() + 60
    while not (
        failed := client.list_executions(stateMachineArn=machine, statusFilter="FAILED")["executions"]
    ):
        assert time.monotonic() < deadline, "the upload started no execution that failed"
        time.sleep(0.5)
    cause = client.describe_execution(executionArn=failed[0]["executionArn"])["cause"]
    assert "u.data" in cause
    assert "line 2" in cause
    assert "9" in cause
    assert prefixes() == before, "something of the bad ratings was left in the prepared bucket"


class Releases:
    """What the environment's registry, serving stack and parameter say about its model."""

    def __init__(self, demo: Demo) -> None:
        self._session = demo.session
        self._deployment = demo.deployment
        self._sagemaker = self._session.client("sagemaker")

    def packages(self) -> list[dict]:
        """The model packages, the newest first."""
        return self._sagemaker.list_model_packages(
            ModelPackageGroupName=ENVIRONMENT.model_package_group,
            SortBy="CreationTime",
            SortOrder="Descending",
        )["ModelPackageSummaryList"]

    def served(self) -> str:
        """The package behind the endpoint, if the stack and the parameter name it too; else nothing."""
        endpoint = self._sagemaker.describe_endpoint(EndpointName=ENVIRONMENT.endpoint_name)
        configuration = self._sagemaker.describe_endpoint_config(
            EndpointConfigName=endpoint["EndpointConfigName"]
        )
        (variant,) = configuration["ProductionVariants"]
        model = self._sagemaker.describe_model(ModelName=variant["ModelName"])
        package = model["PrimaryContainer"]["ModelPackageName"]
        parameter = self._session.client("ssm").get_parameter(Name=ENVIRONMENT.model_package_parameter)
        named = {
            package,
            parameter["Parameter"]["Value"],
            self._deployment.output("serving", "ModelPackageArn"),
        }
        return package if named == {package} and endpoint["EndpointStatus"] == "InService" else ""

    def wait_until_over(self) -> list[dict]:
        """Wait until no release runs; return the executions, the newest first."""
        client = self._session.client("stepfunctions")
        machine = self._deployment.output("training", "ReleaseStateMachineArn")

        def ended() -> list[dict]:
            executions = client.list_executions(stateMachineArn=machine)["executions"]
            return [] if any(e["status"] == "RUNNING" for e in executions) else executions

        return [
            client.describe_execution(executionArn=execution["executionArn"])
            for execution in wait_for(ended, timeout=120)
        ]

    def set_approval(self, package: str, approval: str) -> None:
        self._sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus=approval)


NEW_MOVIE = "1683"
NEW_USERS = {str(user): str(user + 100) for user in range(844, 864)}
"""Users who are not in the data set, and who of it they take after."""


def with_newer_ratings(archive: Path) -> bytes:
    """The archive less the last 5,000 ratings, and with 20 more users, who have also rated one more movie."""
    with zipfile.ZipFile(archive) as source:
        ratings = source.read("ml-100k/u.data").splitlines(keepends=True)[:-5_000]
        movies = source.read("ml-100k/u.item")
    alike = {old.encode(): new.encode() for old, new in NEW_USERS.items()}
    for user, movie, rest in [line.split(b"\t", 2) for line in ratings]:
        if user in alike:
            ratings.append(b"\t".join([alike[user], movie, rest]))
    ratings += [b"%s\t%s\t4\t893286638\n" % (user, NEW_MOVIE.encode()) for user in alike.values()]
    movies += b"%s|A new movie (1998)|01-Apr-1998|||0|1" % NEW_MOVIE.encode() + b"|0" * 17 + b"\n"
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("ml-100k/u.data", b"".join(ratings))
        target.writestr("ml-100k/u.item", movies)
    return changed.getvalue()


@dataclass
class Client:
    """Asks the API without a pause, for recommendations, predictions and its health in turn."""

    demo: Demo
    answers: list[tuple[int, dict]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Client":
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        pairs = {
            "pairs": [{"user": user, "movie": movie} for user in ("1", "405") for movie in ("50", "1682")]
        }
        requests = cycle(
            [("/users/1/recommendations?count=1", None), ("/predictions", pairs), ("/health", None)]
        )
        while not self._over.is_set():
            path, body = next(requests)
            self.answers.append(self.demo.api(path, body=body))

    def packages(self) -> list[str]:
        """The packages that have answered, in order, each as often as in a row; all has gone well."""
        refused = [answer for answer in self.answers if answer[0] != 200]
        assert not refused, f"{len(refused)} of {len(self.answers)} requests failed, first {refused[0]}"
        return [package for package, _ in groupby(answer["model_package"] for _, answer in self.answers)]


def test_new_ratings_are_trained_on_and_served_without_a_deployment(demo: Demo, movielens_zip: Path) -> None:
    releases = Releases(demo)
    (first,) = releases.packages()
    before = demo.api("/users/1/recommendations?count=10")[1]
    assert demo.api("/users/950/recommendations?count=1")[1]["known_user"] is False
    bucket = demo.deployment.output("storage", "RawBucketName")
    body = with_newer_ratings(movielens_zip)
    demo.session.client("s3").put_object(Bucket=bucket, Key="ratings/newer.zip", Body=body)

    second = wait_for(lambda: releases.packages()[0] if len(releases.packages()) == 2 else None, timeout=180)
    assert second["ModelApprovalStatus"] == "Approved"
    package = second["ModelPackageArn"]
    with Client(demo) as client:
        wait_for(lambda: releases.served() == package, timeout=180)
        assert releases.wait_until_over()[0]["status"] == "SUCCEEDED"
    assert client.packages() == [first["ModelPackageArn"], package]
    assert demo.api("/health")[1]["model_package"] == package
    after = demo.api("/users/1/recommendations?count=10")[1]
    assert after["model_package"] == package
    assert before["model_package"] == first["ModelPackageArn"]
    assert [m["score"] for m in after["recommendations"]] != [m["score"] for m in before["recommendations"]]
    assert demo.api("/users/950/recommendations?count=1")[1]["known_user"] is True
    status, predicted = demo.api("/predictions", body={"pairs": [{"user": "1", "movie": NEW_MOVIE}]})
    assert (status, predicted["predictions"][0]["title"]) == (200, "A new movie (1998)")


def test_both_models_of_a_canary_answer_though_their_columns_differ(demo: Demo) -> None:
    releases = Releases(demo)
    sagemaker = demo.session.client("sagemaker")
    second, first = (package["ModelPackageArn"] for package in releases.packages())
    assert releases.served() == second
    name = ENVIRONMENT.endpoint_name
    served = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    configuration = sagemaker.describe_endpoint_config(EndpointConfigName=served)
    (variant,) = configuration["ProductionVariants"]
    role = sagemaker.describe_model(ModelName=variant["ModelName"])["ExecutionRoleArn"]
    sagemaker.create_model(
        ModelName="canary", ExecutionRoleArn=role, PrimaryContainer={"ModelPackageName": first}
    )
    canary = {"Type": "CAPACITY_PERCENT", "Value": 50}
    routing = {"Type": "CANARY", "CanarySize": canary, "WaitIntervalInSeconds": 10}

    def deployed(configuration: str) -> bool:
        endpoint = sagemaker.describe_endpoint(EndpointName=name)
        return endpoint["EndpointStatus"] == "InService" and endpoint["EndpointConfigName"] == configuration

    try:
        sagemaker.create_endpoint_config(
            EndpointConfigName="canary",
            ProductionVariants=[variant | {"ModelName": "canary", "InitialInstanceCount": 2}],
        )
        with Client(demo) as client:
            sagemaker.update_endpoint(
                EndpointName=name,
                EndpointConfigName="canary",
                DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}},
            )
            wait_for(lambda: deployed("canary"), timeout=120)
            sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=served)
            wait_for(lambda: deployed(served), timeout=120)
            time.sleep(1)
    finally:
        if not deployed(served):
            sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=served)
            wait_for(lambda: deployed(served), timeout=120)
        sagemaker.delete_endpoint_config(EndpointConfigName="canary")
        sagemaker.delete_model(ModelName="canary")
    packages = client.packages()
    assert (packages[0], packages[-1]) == (second, second)
    # In the canary, chance decides who answers.
    assert packages.count(first) > 3


def test_a_package_that_is_rejected_while_live_is_replaced_by_the_last_approved_one(demo: Demo) -> None:
    releases = Releases(demo)
    second, first = (package["ModelPackageArn"] for package in releases.packages())
    assert releases.served() == second

    with Client(demo) as client:
        releases.set_approval(second, "Rejected")
        wait_for(lambda: releases.served() == first, timeout=180)
        assert releases.wait_until_over()[0]["status"] == "SUCCEEDED"
    assert client.packages() == [second, first]
    assert demo.api("/health")[1]["model_package"] == first


def test_a_package_that_does_not_serve_is_rejected_with_the_reason_and_not_tried_again(demo: Demo) -> None:
    releases = Releases(demo)
    sagemaker = demo.session.client("sagemaker")
    live = releases.served()
    good = sagemaker.describe_model_package(ModelPackageName=live)
    (container,) = good["InferenceSpecification"]["Containers"]
    bucket = demo.deployment.output("storage", "ModelBucketName")
    demo.session.client("s3").put_object(Bucket=bucket, Key="models/bad/model.tar.gz", Body=b"no archive")
    with Client(demo) as client:
        bad = sagemaker.create_model_package(
            ModelPackageGroupName=ENVIRONMENT.model_package_group,
            ModelApprovalStatus="Approved",
            InferenceSpecification={
                "Containers": [
                    {"Image": container["Image"], "ModelDataUrl": f"s3://{bucket}/models/bad/model.tar.gz"}
                ],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            ModelMetrics=good["ModelMetrics"],
            CustomerMetadataProperties=good["CustomerMetadataProperties"],
        )["ModelPackageArn"]

        def judged() -> dict | None:
            described = sagemaker.describe_model_package(ModelPackageName=bad)
            return described if described["ModelApprovalStatus"] == "Rejected" else None

        described = wait_for(judged, timeout=180)
        executions = releases.wait_until_over()
    assert "models/bad/model.tar.gz" in described["ApprovalDescription"]
    (failed,) = [execution for execution in executions if execution["status"] == "FAILED"]
    assert failed["error"] == "NotReleased"
    assert bad in failed["cause"]
    assert described["ApprovalDescription"].removeprefix("Not released: ") in failed["cause"]
    # The rejection started a release of its own, which found nothing to do.
    assert json.loads(executions[0]["input"]) == {"package": bad, "approval": "Rejected"}
    assert executions[0]["status"] == "SUCCEEDED"
    assert releases.served() == live
    stack = demo.session.client("cloudformation").describe_stacks(StackName="movie-recommender-dev-serving")
    assert stack["Stacks"][0]["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert client.packages() == [live]


def test_a_failed_training_job_surfaces_its_reason_in_the_deployment(demo: Demo, tmp_path: Path) -> None:
    """A copy of the project, in another account, whose batches are larger than the data."""
    project = tmp_path / "project"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, project / name)
    for shared in (".venv", "node_modules", ".data", "build"):
        (project / shared).symlink_to(ROOT / shared)
    settings = project / "config" / "dev.toml"
    text = settings.read_text().replace(ENVIRONMENT.account, "444444444444")
    text, replaced = re.subn(r"(?m)^mini_batch_size *=.*$", "mini_batch_size = 100000", text)
    assert replaced == 1
    settings.write_text(text)

    other = Demo(directory=tmp_path / "other", port=demo.port, variables=dict(demo.variables))
    other.variables["AWS_ACCESS_KEY_ID"] = "444444444444"
    bootstrapped = other.cdk("bootstrap", cwd=project)
    assert bootstrapped.returncode == 0, bootstrapped.stdout
    stack = "movie-recommender-dev-training"
    deployed = other.cdk("deploy", stack, "--require-approval", "never", cwd=project)
    assert deployed.returncode != 0
    assert "mini_batch_size" in deployed.stdout, deployed.stdout
    client = other.session.client("stepfunctions")
    destroyed = other.cdk("destroy", "--all", "--force", cwd=project)
    assert destroyed.returncode == 0, destroyed.stdout
    assert client.list_state_machines()["stateMachines"] == []


def test_destroy_leaves_nothing_behind(demo: Demo) -> None:
    destroyed = demo.cdk("destroy", "--all", "--force")
    assert destroyed.returncode == 0, destroyed.stdout
    session = demo.session
    stacks = session.client("cloudformation").describe_stacks()["Stacks"]
    assert [stack["StackName"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"] == [
        "CDKToolkit"
    ]
    sagemaker = session.client("sagemaker")
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_models()["Models"] == []
    assert sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    assert session.client("lambda").list_functions()["Functions"] == []
    assert session.client("stepfunctions").list_state_machines()["stateMachines"] == []
    assert session.client("apigateway").get_rest_apis()["items"] == []
    assert session.client("apigateway").get_api_keys()["items"] == []
    assert session.client("events").list_rules()["Rules"] == []
    parameters = session.client("ssm").describe_parameters()["Parameters"]
    assert [p["Name"] for p in parameters if p["Name"].startswith("/movie-recommender")] == []
    buckets = [bucket["Name"] for bucket in session.client("s3").list_buckets()["Buckets"]]
    assert [bucket for bucket in buckets if not bucket.startswith("cdk-")] == []
    roles = [role["RoleName"] for role in session.client("iam").list_roles()["Roles"]]
    left = [role for role in roles if not role.startswith("cdk-")]
    # API Gateway has one role for the logs of all APIs of an account and region: retained, and said to be.
    assert len(left) == 1, left
    assert left[0].startswith("movie-recommender-dev-serving-ApiRestApiCloudWatchR")
    assert re.search(r"DELETE_SKIPPED +\| AWS::IAM::Role +\| Api/RestApi/CloudWatchRole", destroyed.stdout)
    groups = [group["logGroupName"] for group in session.client("logs").describe_log_groups()["logGroups"]]
    # SageMaker's own log groups are shared by all jobs of an account, so they are not the stacks' to delete.
    assert [group for group in groups if not group.startswith("/aws/sagemaker/")] == []
    keys = session.client("kms").list_keys()["Keys"]
    states = [
        session.client("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] for key in keys
    ]
    assert set(states) <= {"PendingDeletion"}


def test_down_ends_every_process_and_removes_its_files(demo: Demo) -> None:
    cloud = local.running(directory=demo.directory)
    stopped = demo.recommender("down")
    assert stopped.returncode == 0
    assert not demo.directory.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", cloud.port)) != 0
    if Path("/proc").is_dir():
        left = [
            command
            for process in Path("/proc").glob("[0-9]*/environ")
            if str(demo.directory) in _read(process) and (command := _read(process.with_name("cmdline")))
        ]
        assert left == []


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode(errors="replace")
    except OSError:
        return ""
