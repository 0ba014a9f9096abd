"""Deploy the dev environment to the local cloud and show what came out."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from infra.environment import Environment, load_environment
from ops import demo_report, local
from ops.bundle import bundle_functions
from ops.cdk import cdk
from ops.datasets import fetch_movielens_100k
from ops.deployment import Deployment
from ops.errors import OperationError
from ops.paths import DATA
from ops.progress import step
from ops.recommendations import RecommendationApi

ENVIRONMENT = "dev"
USER = "1"
COUNT = 10

_POLL_SECONDS = 1.0


def demo(console: Console, *, port: int, directory: Path) -> None:
    """Fetch the data, start the local cloud, run `cdk bootstrap` and `cdk deploy --all`, print the result.

    Raises:
        OperationError: a step failed. The local cloud, if it came up, stays up for a look.
    """
    started = time.monotonic()
    environment = load_environment(ENVIRONMENT)
    already = local.running(directory=directory)
    if already:
        raise OperationError(
            f"The local cloud is already up on port {already.port} (process {already.pid}): "
            "`make down` ends it, then `make demo` starts afresh"
        )
    console.print(f"[bold]Movie recommender[/bold]: the {ENVIRONMENT} environment on this machine\n")
    with step(console, "MovieLens 100k") as progress:
        fetch_movielens_100k(
            DATA / "ml-100k.zip", progress=lambda what, share: progress(f"{what}: {share:.0%}")
        )
    with step(console, "Packaging the Lambda functions"):
        bundle_functions()
    with step(console, "Starting the local cloud"):
        cloud = local.start(account=environment.account, port=port, directory=directory)
    variables = cloud.variables(account=environment.account, region=environment.region)
    local.point_this_process(variables)
    deployment = Deployment(name=environment.name, session=boto3.Session())
    _deploy(console, environment, deployment, variables, directory)
    api = RecommendationApi.of_local(deployment, cloud)
    with step(console, f"Asking the API for user {USER}"):
        recommended = api.recommendations(USER, count=COUNT)
    demo_report.show(console, deployment, api, recommended)
    console.print(
        f"\n[dim]{time.monotonic() - started:.0f} s in all. "
        "The local cloud stays up: [/dim]make down[dim] ends it."
    )


def _deploy(
    console: Console,
    environment: Environment,
    deployment: Deployment,
    variables: Mapping[str, str],
    directory: Path,
) -> None:
    selected = ["--context", f"env={environment.name}"]
    with step(console, "cdk bootstrap") as progress:
        target = f"aws://{environment.account}/{environment.region}"
        # Outside the app: inside, the CDK would synthesize it first, only to learn what `target` says.
        cdk(
            ["bootstrap", target],
            variables=variables,
            log=directory / "bootstrap.log",
            progress=progress,
            cwd=directory,
        )
    with step(console, "cdk deploy --all") as progress, _TrainingProgress(deployment, progress) as training:
        arguments = ["deploy", "--all", "--require-approval", "never", "--progress", "events", *selected]
        arguments += ["--output", str(directory / "cdk.out")]
        cdk(arguments, variables=variables, log=directory / "deploy.log", progress=training.unless_training)


class _TrainingProgress:
    """Says how far training is while `cdk deploy` waits for the first model, and itself prints nothing."""

    def __init__(self, deployment: Deployment, show: Callable[[str], None]) -> None:
        self._deployment = deployment
        self._show = show
        self._training = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_TrainingProgress":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def unless_training(self, line: str) -> None:
        """Show a line of the CDK's own, except while there is something better to say."""
        if not self._training:
            self._show(line)

    def _watch(self) -> None:
        while not self._done.wait(_POLL_SECONDS):
            try:
                state = self._deployment.training_state()
            except (ClientError, BotoCoreError):
                state = None
            self._training = state is not None
            if state:
                self._show(state)
