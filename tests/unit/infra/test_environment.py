"""Settings files: what a right one becomes, and what is said about every kind of wrong one."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from infra.environment import CONFIG, Environment, load_environment
from infra.errors import ConfigurationError
from infra.explanation import problems

SETTINGS = Path(__file__).parent / "config"
"""Settings that stay as they are while those of the real environments change."""
OF_DEV = "arn:aws:sagemaker:us-east-1:111111111111:model-package/movie-recommender-dev/1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like config/."""
    return shutil.copytree(SETTINGS, tmp_path / "config")


def _said(folder: Path, name: str = "dev") -> list[str]:
    """The lines that loading the environment ends with."""
    with pytest.raises(ConfigurationError) as error:
        load_environment(name, folder=folder)
    return str(error.value).splitlines()


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} is not once in {path.name}"
    path.write_text(text.replace(old, new))


class TestShippedEnvironments:
    """The files in config/."""

    def test_dev_trains(self) -> None:
        dev = load_environment("dev")

        assert dev.account == "111111111111"
        assert dev.model.source == "training"
        assert dev.training is not None
        assert dev.training.ratings == ".data/ml-100k.zip"
        assert dev.api.authorization == "api_key"
        assert dev.storage.retain_data is False

    @pytest.mark.parametrize("name", ["staging", "prod"])
    def test_others_wait_for_a_promotion(self, name: str) -> None:
        environment = load_environment(name)

        assert environment.model.source == "promoted"
        assert environment.model.package_arn is None
        assert environment.training is None
        assert environment.api.authorization == "iam"
        assert environment.storage.retain_data is True

    def test_names(self) -> None:
        dev = load_environment("dev")

        assert dev.prefix == "movie-recommender-dev"
        assert dev.stack_name("serving") == "movie-recommender-dev-serving"
        assert dev.endpoint_name == "movie-recommender-dev"
        assert dev.model_package_group == "movie-recommender-dev"
        assert dev.model_package_parameter == "/movie-recommender/dev/model-package"

    def test_each_has_an_account_of_its_own(self) -> None:
        accounts = [load_environment(path.stem).account for path in CONFIG.glob("*.toml")]

        assert len(set(accounts)) == len(accounts) == 3

    def test_settings_cannot_be_changed(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            load_environment("dev").region = "eu-west-1"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # unknown keys
        (
            "retain_data = false",
            "retain_dat = false",
            'storage.retain_dat = false: unknown key; did you mean "retain_data"?',
        ),
        (
            "[logs]",
            "colour = 1\n[logs]",
            "api.colour = 1: unknown key; known keys: authorization, burst, quota_per_day, rate_per_second",
        ),
        ("[logs]", "[log]", 'log = a table: unknown key; did you mean "logs"?'),
        (
            "linear_lr = 0.0018",
            "linear_rate = 0.0006",
            "training.hyperparameters.linear_rate = 0.0006: unknown key; did you mean "
            '"linear_lr" or "linear_wd"?',
        ),
        (
            'region = "us-east-1"',
            'regions = ["us-east-1"]',
            'regions = an array: unknown key; did you mean "region"?',
        ),
        (
            'account = "1',
            'name = "dev"\naccount = "1',
            "name: unknown key; the file's own name is the environment's",
        ),
        (
            "[logs]",
            '"a\\nb" = 1\n[logs]',
            'api."a\\nb" = 1: unknown key; known keys: authorization, burst, quota_per_day, rate_per_second',
        ),
        # missing keys
        ("retain_data = false\n", "", "storage.retain_data is missing: must be true or false"),
        (
            "[training.gate]\nmin_accuracy = 0.70\nmin_auc = 0.765\nmax_cross_entropy = 0.575\n",
            "",
            "training.gate is missing: must be a table",
        ),
        # wrong types
        ("retain_data = false", 'retain_data = "no"', 'storage.retain_data = "no": must be true or false'),
        ("retain_data = false", "retain_data = 0", "storage.retain_data = 0: must be true or false"),
        (
            'account = "111111111111"',
            "account = 111111111111",
            "account = 111111111111: must be an AWS account: a string of 12 digits",
        ),
        ("[serving]", "[[serving]]", "serving = an array: must be a table"),
        (
            "epochs = 44",
            "epochs = 44.0",
            "training.hyperparameters.epochs = 44.0: must be a whole number above 0",
        ),
        ("seed = 0", "seed = true", "training.data.seed = true: must be a whole number from 0 to 4294967295"),
        # values outside their range
        ("epochs = 44", "epochs = 0", "training.hyperparameters.epochs = 0: must be a whole number above 0"),
        (
            "linear_lr = 0.0018",
            "linear_lr = -1",
            "training.hyperparameters.linear_lr = -1: must be a number, 0 or more",
        ),
        (
            "linear_lr = 0.0018",
            "linear_lr = inf",
            "training.hyperparameters.linear_lr = Infinity: must be a number, 0 or more",
        ),
        ("min_auc = 0.765", "min_auc = 75", "training.gate.min_auc = 75: must be a number from 0 to 1"),
        (
            "instance_count = 1",
            "instance_count = 0",
            "serving.instance_count = 0: must be a whole number, 1 or more",
        ),
        (
            "max_server_errors = 5",
            "max_server_errors = -1",
            "serving.alarms.max_server_errors = -1: must be a whole number, 0 or more",
        ),
        (
            "max_latency_ms = 2000",
            "max_latency_ms = 0.5",
            "serving.alarms.max_latency_ms = 0.5: must be a whole number of milliseconds, 1 to 60000",
        ),
        (
            "termination_wait_seconds = 0",
            "termination_wait_seconds = 3601",
            "serving.deployment.termination_wait_seconds = 3601: must be a whole number of seconds, "
            "0 to 3600 (an hour)",
        ),
        (
            'account = "111111111111"',
            'account = "1111"',
            'account = "1111": must be an AWS account: a string of 12 digits',
        ),
        (
            'region = "us-east-1"',
            'region = "us-est-1"',
            'region = "us-est-1": must be a region that has all that is deployed; '
            'did you mean "us-west-1" or "us-east-1"?',
        ),
        (
            'instance_type = "ml.t2.medium"',
            'instance_type = "ml.t3.medium"',
            'serving.instance_type = "ml.t3.medium": must be a hosting instance type; did you mean '
            '"ml.t2.medium"?',
        ),
        (
            'source = "training"',
            'source = "trained"',
            'model.source = "trained": must be a source, one of "training", "promoted"',
        ),
        (
            'split = "ua"',
            'split = "u6"',
            'training.data.split = "u6": must be "ua", "ub", "u1" to "u5", "given", "all-but-first-K", '
            '"leave-last-K", "random-0.P"',
        ),
        (
            "upload_trigger = true",
            'upload_trigger = true\nschedule = "rate(1 days)"',
            'training.schedule = "rate(1 days)": must be "rate(7 days)" or "cron(0 3 ? * MON *)", '
            "as EventBridge Scheduler takes them",
        ),
        (
            "retention_days = 30",
            "retention_days = 31",
            "logs.retention_days = 31: must be a number of days that CloudWatch Logs offers, one of 1, 3, 5, "
            "7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653",
        ),
        # values that do not go together
        ("quota_per_day = 10_000\n", "", 'api.quota_per_day is missing: authorization = "api_key" needs it'),
        (
            '"api_key"',
            '"iam"',
            'api.quota_per_day is for authorization = "api_key" (API Gateway counts by key); remove it',
        ),
        (
            "termination_wait_seconds = 0",
            "termination_wait_seconds = 0\ncanary_percent = 50\ncanary_wait_seconds = 60",
            "serving.deployment.canary_percent = 50: a canary needs instance_count = 2 or more; it is 1, "
            "which is replaced all at once",
        ),
        (
            "termination_wait_seconds = 0",
            "termination_wait_seconds = 0\ncanary_wait_seconds = 60",
            "serving.deployment.canary_wait_seconds is for a canary: set canary_percent too, or remove it",
        ),
        (
            'source = "training"',
            'source = "promoted"',
            'training is for model.source = "training"; remove it',
        ),
        (
            'source = "training"',
            'source = "training"\npackage_arn = "arn"',
            'model.package_arn and artifact_sha256 are for source = "promoted"; remove them',
        ),
        # not TOML
        (
            'region = "us-east-1"',
            "region",
            "not TOML: Expected '=' after a key in a key/value pair (at line 4, column 7)",
        ),
        (
            "retain_data = false",
            "retain_data = false\nretain_data = true",
            "not TOML: Cannot overwrite a value (at line 12, column 19)",
        ),
    ],
)
def test_a_mistake_is_told_in_a_line(folder: Path, old: str, new: str, said: str) -> None:
    _replace(folder / "dev.toml", old, new)

    assert _said(folder) == [f"config/dev.toml: {said}"]


@pytest.mark.parametrize(
    ("pin", "said"),
    [
        (
            'package_arn = "arn:aws:sagemaker:us-east-1:333333333333:model-package/movie-recommender-prod/1"',
            "model.artifact_sha256 is missing: a pin has both package_arn and artifact_sha256",
        ),
        (
            f'artifact_sha256 = "{"0" * 64}"',
            "model.package_arn is missing: a pin has both package_arn and artifact_sha256",
        ),
        (
            'artifact_sha256 = "0G"',
            'model.artifact_sha256 = "0G": must be 64 lower-case hexadecimal digits',
        ),
        (
            f'package_arn = "{OF_DEV}"\nartifact_sha256 = "{"0" * 64}"',
            f'model.package_arn = "{OF_DEV}": '
            "must be a package of this environment's own registry, "
            "arn:aws:sagemaker:us-east-1:333333333333:model-package/movie-recommender-prod/<version>",
        ),
    ],
)
def test_a_mistake_in_a_pin_is_told_in_a_line(folder: Path, pin: str, said: str) -> None:
    _replace(folder / "prod.toml", 'source = "promoted"', f'source = "promoted"\n{pin}\n')

    assert _said(folder, "prod") == [f"config/prod.toml: {said}"]


def test_a_pin(folder: Path) -> None:
    arn = "arn:aws:sagemaker:us-east-1:333333333333:model-package/movie-recommender-prod/12"
    pin = f'source = "promoted"\npackage_arn = "{arn}"\nartifact_sha256 = "{"5c" * 32}"'
    _replace(folder / "prod.toml", 'source = "promoted"', pin)

    assert load_environment("prod", folder=folder).model.package_arn == arn


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "canary_percent = 50",
            "canary_percent = 51",
            "canary_percent = 51: must be a whole number of percent, 1 to 50",
        ),
        (
            "canary_percent = 50",
            "canary_percent = 49",
            "canary_percent = 49: must be at least one of 2 instances, which is 50 percent",
        ),
        (
            "canary_wait_seconds = 600\n",
            "",
            "canary_wait_seconds is missing: canary_percent needs it",
        ),
        (
            "canary_wait_seconds = 600",
            "canary_wait_seconds = 179",
            "canary_wait_seconds = 179: the alarms need 180 seconds to go off (alarms.evaluation_minutes = "
            "3); wait longer, or take deployment.canary_percent and canary_wait_seconds away to move all "
            "requests at once",
        ),
    ],
)
def test_a_mistake_in_a_canary_is_told_in_a_line(folder: Path, old: str, new: str, said: str) -> None:
    _replace(folder / "prod.toml", old, new)

    assert _said(folder, "prod") == [f"config/prod.toml: serving.deployment.{said}"]


@pytest.mark.parametrize(("instances", "percent"), [(2, 50), (3, 34), (10, 10), (100, 1)])
def test_a_canary_is_at_least_an_instance(folder: Path, instances: int, percent: int) -> None:
    path = folder / "prod.toml"
    _replace(path, "instance_count = 2", f"instance_count = {instances}")
    _replace(path, "canary_percent = 50", f"canary_percent = {percent}")
    assert load_environment("prod", folder=folder).serving.deployment.canary_percent == percent

    if percent > 1:
        _replace(path, f"canary_percent = {percent}", f"canary_percent = {percent - 1}")
        assert "must be at least one of" in _said(folder, "prod")[0]


def test_training_must_be_there_to_train(folder: Path) -> None:
    _replace(folder / "prod.toml", 'source = "promoted"', 'source = "training"')

    assert _said(folder, "prod") == [
        'config/prod.toml: training is missing: model.source = "training" needs it'
    ]


def test_every_mistake_is_told(folder: Path) -> None:
    _replace(folder / "dev.toml", "burst = 40", "burst = 0")
    _replace(folder / "dev.toml", "retain_data = false\n", "")

    assert _said(folder) == [
        "config/dev.toml: storage.retain_data is missing: must be true or false",
        "config/dev.toml: api.burst = 0: must be a whole number from 1 to 5000",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pord", 'Environment "pord" is unknown; did you mean "prod"?; config/ has: dev, prod'),
        ("test", 'Environment "test" is unknown; config/ has: dev, prod'),
        ("../config/dev", 'Environment "../config/dev" is unknown; config/ has: dev, prod'),
    ],
)
def test_unknown_environment(folder: Path, name: str, said: str) -> None:
    assert _said(folder, name) == [said]


@pytest.mark.parametrize("name", ["Dev", "1st", "a-b", "averyveryverylongname"])
def test_an_environment_needs_a_name_that_fits_into_others(folder: Path, name: str) -> None:
    (folder / f"{name}.toml").write_bytes((SETTINGS / "dev.toml").read_bytes())

    assert _said(folder, name) == [
        f"config/{name}.toml: the file names the environment: "
        "a lower-case letter, then at most 13 letters or digits"
    ]


def test_a_file_that_is_not_utf8(folder: Path) -> None:
    (folder / "dev.toml").write_bytes(b"# caf\xe9\n")

    assert _said(folder) == ["config/dev.toml: byte 5 is not UTF-8"]


@pytest.mark.parametrize(
    "schedule", ["rate(1 day)", "rate(12 hours)", "cron(0 3 ? * MON *)", "cron(0/15 8-17 ? * MON-FRI 2026)"]
)
def test_schedules(folder: Path, schedule: str) -> None:
    _replace(folder / "dev.toml", "upload_trigger = true", f'upload_trigger = true\nschedule = "{schedule}"')

    training = load_environment("dev", folder=folder).training
    assert training is not None
    assert training.schedule == schedule


class TestDelivery:
    """The repository whose workflows are trusted: a mistake here would trust another one."""

    @staticmethod
    def _add(folder: Path, repository: str) -> None:
        with (folder / "dev.toml").open("a") as file:
            file.write(f'\n[delivery]\nrepository = "{repository}"\noidc_provider = "create"\n')

    @pytest.mark.parametrize(
        "repository", ["owner/name", "an-owner/a.name_of-1", "owner@583231/name@1296269"]
    )
    def test_repositories(self, folder: Path, repository: str) -> None:
        self._add(folder, repository)

        delivery = load_environment("dev", folder=folder).delivery
        assert delivery is not None
        assert delivery.repository == repository

    @pytest.mark.parametrize(
        "repository",
        [
            "name",
            "owner/*",
            "*/name",
            "owner/name:environment:prod",
            "https://github.com/owner/name",
            "owner@1/name",
            "owner/name@1",
            "owner/name/",
            "owner/name\\n",
        ],
    )
    def test_what_is_none(self, folder: Path, repository: str) -> None:
        self._add(folder, repository)

        (line,) = _said(folder)
        assert line.startswith(f'config/dev.toml: delivery.repository = "{repository}": must be ')
        assert line.endswith('as GitHub\'s tokens name it, "owner/name" or "owner@id/name@id"')


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(deadline=None)
@given(
    table=st.sampled_from(["model", "storage", "training", "serving", "api", "logs", "account", "region"]),
    key=st.sampled_from(["source", "package_arn", "retain_data", "hyperparameters", "burst", "gate"])
    | st.text(),
    value=_VALUES,
)
def test_whatever_is_wrong_can_be_explained(table: str, key: str, value: object) -> None:
    """No value makes the explanation itself fail, and each problem stays a line."""
    values = load_environment("dev", folder=SETTINGS).model_dump(exclude_none=True) | {"name": "dev"}
    values[table] = values[table] | {key: value} if isinstance(values[table], dict) else value
    try:
        Environment.model_validate(values)
    except ValidationError as error:
        lines = problems(error, Environment)
        assert lines
        assert all(line.strip() and "\n" not in line for line in lines)
