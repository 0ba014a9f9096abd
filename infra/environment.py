"""An environment's settings: `config/<name>.toml`, checked completely before any stack exists.

Everything that differs between environments is here and nowhere else. The models are strict and frozen; each
field's description says what it accepts, for the reader and for the message about a value that it does not.
"""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from infra import images, instance_types
from infra.errors import ConfigurationError
from infra.explanation import Choices, nearest, problems
from infra.hyperparameters import Hyperparameters

PROJECT = "movie-recommender"
CONFIG = Path(__file__).resolve().parent.parent / "config"

_ENVIRONMENT_NAME = re.compile(r"[a-z][a-z0-9]{0,13}")
"""Short enough for `movie-recommender-<name>-<digest>-<execution>-ranking` to name a transform job (63)."""

_SCHEDULE = re.compile(
    r"rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\)"
    r"|cron\([\w*?,/#-]+( [\w*?,/#-]+){5}\)"
)


_GIB = 1024
_FEW = 4
_FARGATE_MEMORY_MIB: Mapping[float, Sequence[int]] = {
    0.25: (512, 1 * _GIB, 2 * _GIB),
    0.5: range(1 * _GIB, 4 * _GIB + 1, _GIB),
    1: range(2 * _GIB, 8 * _GIB + 1, _GIB),
    2: range(4 * _GIB, 16 * _GIB + 1, _GIB),
    4: range(8 * _GIB, 30 * _GIB + 1, _GIB),
    8: range(16 * _GIB, 60 * _GIB + 1, 4 * _GIB),
    16: range(32 * _GIB, 120 * _GIB + 1, 8 * _GIB),
}
"""By vCPUs; https://docs.aws.amazon.com/batch/latest/APIReference/API_ResourceRequirement.html."""


def _schedule(value: str) -> str:
    if not _SCHEDULE.fullmatch(value):
        raise ValueError
    return value


Days = Annotated[int, Field(ge=1, le=3650, description="a whole number of days, 1 to 3650")]
Share = Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")]
PositiveCount = Annotated[int, Field(ge=1, description="a whole number, 1 or more")]
WaitSeconds = Annotated[
    int, Field(ge=0, le=3600, description="a whole number of seconds, 0 to 3600 (an hour)")
]
Flag = Annotated[bool, Field(description="true or false")]
Table = Field(description="a table")


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ModelSettings(Section):
    """Where the model that is served comes from.

    An environment with source "training" trains its own. One with source "promoted" serves the package
    that is pinned here, by its ARN and the SHA-256 of its artifact; before its first promotion it has no
    pin and consists of storage and an empty model registry.
    """

    source: Annotated[Literal["training", "promoted"], Field(description="a source")]
    package_arn: Annotated[str, Field(description="the ARN of a model package")] | None = None
    artifact_sha256: (
        Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="64 lower-case hexadecimal digits")]
        | None
    ) = None

    @model_validator(mode="after")
    def _pin_belongs_to_promotion(self) -> Self:
        pinned = (self.package_arn is not None, self.artifact_sha256 is not None)
        if any(pinned) and self.source == "training":
            raise ValueError('package_arn and artifact_sha256 are for source = "promoted"; remove them')
        if any(pinned) and not all(pinned):
            missing = "artifact_sha256" if pinned[0] else "package_arn"
            raise ValueError(f"{missing} is missing: a pin has both package_arn and artifact_sha256")
        return self


class StorageSettings(Section):
    """The buckets."""

    retain_data: Flag
    prepared_expiry_days: Days
    noncurrent_expiry_days: Days
    access_log_expiry_days: Days


class DataSettings(Section):
    """How ratings become training rows; `data_prep` gives each its meaning."""

    split: Annotated[
        str,
        Field(
            pattern=r"^(u[ab]|u[1-5]|given|(all-but-first|leave-last)-[1-9]\d{0,8}|random-0\.\d{0,8}[1-9])$",
            description='"ua", "ub", "u1" to "u5", "given", "all-but-first-K", "leave-last-K", "random-0.P"',
        ),
    ]
    shuffle: Flag = True
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="a whole number from 0 to 4294967295")]
    liked_threshold: Annotated[float, Field(description="a rating")]
    duplicates: Annotated[Literal["error", "first", "last"], Field(description="a policy")] = "error"
    unknown_test: Annotated[Literal["drop", "error"], Field(description="a policy")] = "drop"
    max_bad_rows: Annotated[int, Field(ge=0, description="a whole number, 0 or more")] = 0
    ranking_users: PositiveCount


class GateSettings(Section):
    """What a trained model must reach on the test ratings to be registered."""

    min_accuracy: Share
    min_auc: Share
    max_cross_entropy: Annotated[float, Field(gt=0, description="a number above 0")]


class BatchSettings(Section):
    """Data preparation in AWS Batch, on Fargate, for ratings that outgrow the function."""

    above_mib: Annotated[int, Field(ge=0, description="a whole number of MiB, 0 or more")]
    vcpus: Annotated[float, Choices((0.25, 0.5, 1, 2, 4, 8, 16), "a number of vCPUs that Fargate offers")]
    memory_mib: Annotated[int, Field(ge=512, le=122_880, description="a whole number of MiB, 512 to 122880")]
    storage_gib: Annotated[int, Field(ge=21, le=200, description="a whole number of GiB, 21 to 200")]
    shards: Annotated[int, Field(ge=2, le=1000, description="a whole number from 2 to 1000")]
    max_runtime_minutes: Annotated[
        int, Field(ge=1, le=24 * 60, description="a whole number of minutes, 1 to 1440")
    ]

    @model_validator(mode="after")
    def _memory_fits_the_processors(self) -> Self:
        offered = _FARGATE_MEMORY_MIB[self.vcpus]
        if self.memory_mib not in offered:
            if len(offered) <= _FEW:
                allowed = ", ".join(map(str, offered))
            else:
                allowed = f"{offered[0]} to {offered[-1]} in steps of {offered[1] - offered[0]}"
            raise ValueError(
                f"memory_mib = {self.memory_mib}: with {self.vcpus:g} vCPUs Fargate offers {allowed} MiB"
            )
        return self


class TrainingSettings(Section):
    """The training workflow: what it reads, on what it runs, what starts it."""

    ratings: Annotated[str, Field(min_length=1, description="the path of a file, from the project's folder")]
    instance_type: Annotated[str, Choices(instance_types.TRAINING, "a training instance type")]
    transform_instance_type: Annotated[str, Choices(instance_types.TRANSFORM, "a transform instance type")]
    max_runtime_minutes: Annotated[
        int, Field(ge=1, le=5 * 24 * 60, description="a whole number of minutes, 1 to 7200 (five days)")
    ]
    approval: Annotated[Literal["automatic", "manual"], Field(description="an approval")]
    upload_trigger: Flag
    schedule: (
        Annotated[
            str,
            AfterValidator(_schedule),
            Field(description='"rate(7 days)" or "cron(0 3 ? * MON *)", as EventBridge Scheduler takes them'),
        ]
        | None
    ) = None
    hyperparameters: Hyperparameters = Table
    data: DataSettings = Table
    gate: GateSettings = Table
    batch: Annotated[BatchSettings, Table] | None = None


class DeploymentSettings(Section):
    """How a running endpoint changes to new instances, and what that costs: until it has, both are billed.

    With `canary_percent` the new instances first get that share of the requests, for
    `canary_wait_seconds`; without it they get all requests at once. The old ones are kept for
    `termination_wait_seconds` after all requests have moved. The alarms are watched in both waits.
    """

    canary_percent: (
        Annotated[int, Field(ge=1, le=50, description="a whole number of percent, 1 to 50")] | None
    ) = None
    canary_wait_seconds: WaitSeconds | None = None
    termination_wait_seconds: WaitSeconds

    @model_validator(mode="after")
    def _wait_belongs_to_the_canary(self) -> Self:
        if self.canary_percent is not None and self.canary_wait_seconds is None:
            raise ValueError("canary_wait_seconds is missing: canary_percent needs it")
        if self.canary_percent is None and self.canary_wait_seconds is not None:
            raise ValueError("canary_wait_seconds is for a canary: set canary_percent too, or remove it")
        return self


class AlarmSettings(Section):
    """What of the endpoint's own figures is too much; then a deployment under way is rolled back."""

    max_server_errors: Annotated[int, Field(ge=0, description="a whole number, 0 or more")]
    max_latency_ms: Annotated[
        int, Field(ge=1, le=60_000, description="a whole number of milliseconds, 1 to 60000")
    ]
    evaluation_minutes: Annotated[int, Field(ge=1, le=60, description="a whole number of minutes, 1 to 60")]


class ServingSettings(Section):
    """The endpoint."""

    instance_type: Annotated[str, Choices(instance_types.HOSTING, "a hosting instance type")]
    instance_count: PositiveCount
    deployment: DeploymentSettings = Table
    alarms: AlarmSettings = Table

    @model_validator(mode="after")
    def _canary_is_an_instance(self) -> Self:
        percent = self.deployment.canary_percent
        if percent is None:
            return self
        if self.instance_count == 1:
            raise ValueError(
                f"deployment.canary_percent = {percent}: a canary needs instance_count = 2 or more; "
                "it is 1, which is replaced all at once"
            )
        if self.instance_count * percent < 100:
            raise ValueError(
                f"deployment.canary_percent = {percent}: must be at least one of {self.instance_count} "
                f"instances, which is {math.ceil(100 / self.instance_count)} percent"
            )
        return self

    @model_validator(mode="after")
    def _alarms_can_go_off_in_the_canary(self) -> Self:
        wait = self.deployment.canary_wait_seconds
        needed = self.alarms.evaluation_minutes * 60
        if wait is not None and wait < needed:
            raise ValueError(
                f"deployment.canary_wait_seconds = {wait}: the alarms need {needed} seconds to go off "
                f"(alarms.evaluation_minutes = {self.alarms.evaluation_minutes}); wait longer, or take "
                "deployment.canary_percent and canary_wait_seconds away to move all requests at once"
            )
        return self


class ApiSettings(Section):
    """Who may call the API, and how often."""

    authorization: Annotated[Literal["iam", "api_key"], Field(description="an authorization")]
    rate_per_second: Annotated[int, Field(ge=1, le=10_000, description="a whole number from 1 to 10000")]
    burst: Annotated[int, Field(ge=1, le=5_000, description="a whole number from 1 to 5000")]
    quota_per_day: PositiveCount | None = None

    @model_validator(mode="after")
    def _quota_belongs_to_keys(self) -> Self:
        if self.authorization == "api_key" and self.quota_per_day is None:
            raise ValueError('quota_per_day is missing: authorization = "api_key" needs it')
        if self.authorization == "iam" and self.quota_per_day is not None:
            raise ValueError(
                'quota_per_day is for authorization = "api_key" (API Gateway counts by key); remove it'
            )
        return self


class LogSettings(Section):
    """Every log group of the environment."""

    retention_days: Annotated[
        int,
        Choices(
            (
                1,
                3,
                5,
                7,
                14,
                30,
                60,
                90,
                120,
                150,
                180,
                365,
                400,
                545,
                731,
                1096,
                1827,
                2192,
                2557,
                2922,
                3288,
                3653,
            ),
            "a number of days that CloudWatch Logs offers",
        ),
    ]


class DeliverySettings(Section):
    """Who deploys from GitHub Actions."""

    repository: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9-]+(/[A-Za-z0-9._-]+|@[0-9]+/[A-Za-z0-9._-]+@[0-9]+)$",
            description='the repository as GitHub\'s tokens name it, "owner/name" or "owner@id/name@id"',
        ),
    ]
    oidc_provider: Annotated[
        Literal["create", "existing"], Field(description="where the account's identity provider comes from")
    ]


class Environment(Section):
    """One deployable environment. Its name is the name of its file."""

    name: str = Field(exclude=True)
    account: Annotated[
        str, Field(pattern=r"^[0-9]{12}$", description="an AWS account: a string of 12 digits")
    ]
    region: Annotated[
        str,
        Choices(tuple(images.ACCOUNTS), "a region that has all that is deployed"),
    ]
    termination_protection: Flag
    model: ModelSettings = Table
    storage: StorageSettings = Table
    training: Annotated[TrainingSettings, Table] | None = None
    serving: ServingSettings = Table
    api: ApiSettings = Table
    logs: LogSettings = Table
    delivery: Annotated[DeliverySettings, Table] | None = None

    @model_validator(mode="after")
    def _training_belongs_to_its_source(self) -> Self:
        if self.model.source == "training" and self.training is None:
            raise ValueError('training is missing: model.source = "training" needs it')
        if self.model.source == "promoted" and self.training is not None:
            raise ValueError('training is for model.source = "training"; remove it')
        return self

    @model_validator(mode="after")
    def _pin_is_registered_here(self) -> Self:
        arn = self.model.package_arn
        if arn is not None and not re.fullmatch(rf"{re.escape(self.model_package_arn_prefix)}[1-9]\d*", arn):
            raise ValueError(
                f'model.package_arn = "{arn}": must be a package of this environment\'s own registry, '
                f"{self.model_package_arn_prefix}<version>"
            )
        return self

    @property
    def prefix(self) -> str:
        """What every stack and every named resource of the environment starts with."""
        return f"{PROJECT}-{self.name}"

    def stack_name(self, part: str) -> str:
        """The name of the environment's stack `part`: "storage", "training", "serving", "delivery"."""
        return f"{self.prefix}-{part}"

    @property
    def endpoint_name(self) -> str:
        """The SageMaker endpoint's name, the same for as long as the environment lives."""
        return self.prefix

    @property
    def model_package_group(self) -> str:
        """The name of the environment's model registry."""
        return self.prefix

    @property
    def model_package_arn_prefix(self) -> str:
        """The ARN of a package in the environment's registry, up to its version."""
        partition = images.partition(self.region)
        registry = f"arn:{partition}:sagemaker:{self.region}:{self.account}:model-package"
        return f"{registry}/{self.model_package_group}/"

    @property
    def model_package_parameter(self) -> str:
        """The name of the SSM parameter with the ARN of the package to serve (environments that train)."""
        return f"/{PROJECT}/{self.name}/model-package"


def load_environment(name: str, *, folder: Path = CONFIG) -> Environment:
    """Read and check the environment `name` from `folder`.

    Raises:
        ConfigurationError: there is no such environment, or its file is wrong; every problem is told.
    """
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise ConfigurationError(
            f'Environment "{name}" is unknown{nearest(name, known)}; {folder.name}/ has: {", ".join(known)}'
        )
    path = folder / f"{name}.toml"
    shown = f"{folder.name}/{path.name}"
    if not _ENVIRONMENT_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{shown}: the file names the environment: a lower-case letter, then at most 13 letters or digits"
        )
    values = _parsed(path, shown)
    try:
        return Environment.model_validate(values | {"name": name})
    except ValidationError as error:
        raise ConfigurationError(
            "\n".join(f"{shown}: {line}" for line in problems(error, Environment))
        ) from error


def _parsed(path: Path, shown: str) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{shown}: byte {error.start} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{shown}: not TOML: {error}") from error
    if "name" in values:
        raise ConfigurationError(f"{shown}: name: unknown key; the file's own name is the environment's")
    return values
