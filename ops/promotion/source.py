"""The model that is promoted: chosen in its environment, and checked before anything is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from pydantic import BaseModel, ConfigDict, ValidationError

from infra import images
from infra.environment import Environment
from ops.errors import OperationError
from ops.promotion.live import live_endpoint, released_package
from ops.promotion.objects import FetchedFile, Progress, S3Object, fetch
from ops.promotion.packages import ModelPackage, package_name, read_package, require_member

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ARTIFACT = "model.tar.gz"


@dataclass(frozen=True)
class Model:
    """A package and its files, fetched and checked.

    Attributes:
        package: of the source environment.
        artifact: what serves.
        companions: what serving and judging it need, each by its own name.
    """

    package: ModelPackage
    artifact: FetchedFile
    companions: Sequence[FetchedFile]

    @property
    def files(self) -> Sequence[FetchedFile]:
        """All of them, the artifact first."""
        return [self.artifact, *self.companions]


class _Gate(BaseModel):
    passed: bool
    reasons: list[str]


class _EvaluatedModel(BaseModel):
    artifact_sha256: str


class _Evaluation(BaseModel):
    """The part of evaluation.json that is judged here."""

    model_config = ConfigDict(strict=True)

    model: _EvaluatedModel
    gate: _Gate


def chosen_package(environment: Environment, session: boto3.Session, arn: str | None) -> ModelPackage:
    """Return the package to promote: `arn`, or without it the one that the environment serves.

    Raises:
        OperationError: there is none, the environment is not in the state that its settings ask for, or the
            package may not be deployed.
    """
    if arn is None:
        arn = _live_package(environment, session)
    else:
        require_member(environment, arn)
    package = read_package(session.client("sagemaker"), arn)
    package.require_usable()
    if package.image != images.image_uri(environment.region):
        raise OperationError(
            f"{package.name} is served by the image {package.image}, not by "
            f"{images.image_uri(environment.region)}: it is not a model of this project"
        )
    return package


def fetch_model(s3: "S3Client", package: ModelPackage, folder: Path, progress: Progress) -> Model:
    """Download the package's files into `folder` and check them.

    Raises:
        OperationError: a file is missing, the artifact's bytes are not those that were registered, or the
            model did not pass its gate.
    """
    artifact = fetch(s3, S3Object.parse(package.artifact_uri), folder / ARTIFACT, progress)
    if artifact.sha256 != package.artifact_sha256:
        raise OperationError(
            f"{package.name} cannot be promoted: the SHA-256 of its artifact is not what was registered. "
            f"{artifact.source.uri} has {artifact.sha256}, the package recorded {package.artifact_sha256}: "
            "its bytes have changed since. Train again, or choose another package with --package"
        )
    evaluation = fetch(s3, S3Object.parse(package.evaluation_uri), folder / "evaluation.json", progress)
    _require_passed(package, evaluation)
    others = [
        fetch(s3, S3Object.parse(package.recorded(key)), folder / name, progress)
        for name, key in (
            ("catalog.json", "catalog_uri"),
            ("histories.bin", "histories_uri"),
            ("reference.json", "reference_uri"),
        )
    ]
    return Model(package, artifact, [evaluation, *others])


def _live_package(environment: Environment, session: boto3.Session) -> str:
    name = environment.name
    endpoint = live_endpoint(session.client("sagemaker"), environment.endpoint_name)
    if endpoint is None:
        raise OperationError(
            f"{name} serves no model: it has no endpoint {environment.endpoint_name}. Deploy it first "
            f"(`npx cdk deploy --all -c env={name}`), or name a package of its registry with --package"
        )
    if endpoint.status != "InService":
        raise OperationError(
            f"Endpoint {endpoint.name} is {endpoint.status}, so it is not certain what {name} serves: wait "
            "until it is InService, or name a package with --package"
        )
    if endpoint.package_arn is None:
        raise OperationError(
            f"Endpoint {endpoint.name} serves a model of which no model package is known: "
            f"`recommender status {name}` says what to do; or name a package with --package"
        )
    if environment.training is not None:
        wanted, where = released_package(session.client("ssm"), environment), "its SSM parameter"
    else:
        wanted, where = environment.model.package_arn, f"the pin in config/{name}.toml"
    if wanted != endpoint.package_arn:
        raise OperationError(
            f"{name} serves {package_name(endpoint.package_arn)}, but {where} says "
            f"{package_name(wanted) if wanted else 'nothing'}: `recommender status {name}` says what to do; "
            "or name the package to promote with --package"
        )
    return endpoint.package_arn


def _require_passed(package: ModelPackage, file: FetchedFile) -> None:
    try:
        evaluation = _Evaluation.model_validate_json(file.path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise OperationError(
            f"{package.name} cannot be promoted: its evaluation cannot be read: {file.source.uri}: "
            f"{where}{': ' if where else ''}{first['msg']}"
        ) from error
    if evaluation.model.artifact_sha256 != package.artifact_sha256:
        raise OperationError(
            f"{package.name} cannot be promoted: {file.source.uri} is the evaluation of another artifact "
            f"({evaluation.model.artifact_sha256}, not {package.artifact_sha256})"
        )
    if not evaluation.gate.passed:
        reasons = "; ".join(evaluation.gate.reasons) or "no reason is given"
        raise OperationError(f"{package.name} cannot be promoted: it did not pass its gate: {reasons}")
