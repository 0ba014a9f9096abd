"""Credentials of an environment's account, and what is said of those that do not do."""

import os
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infra.environment import Environment, load_environment
from ops.accounts import session_for, variables_of
from ops.errors import OperationError


@pytest.fixture
def staging() -> Environment:
    environment = load_environment("staging")
    return environment.model_copy(update={"account": "222222222222"})


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No settings of the user's own: an empty AWS configuration. Returns its file."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path / "config"


def profile(name: str) -> str:
    return f"[profile {name}]\naws_access_key_id = KEY-OF-{name}\naws_secret_access_key = secret\n"


def answer(monkeypatch: pytest.MonkeyPatch, account: str | Exception = "222222222222") -> None:
    """Let AWS answer who is calling."""

    def call(_self: Any, operation: str, _parameters: Any) -> Any:
        assert operation == "GetCallerIdentity"
        if isinstance(account, Exception):
            raise account
        return {"Account": account, "Arn": f"arn:aws:iam::{account}:user/alice"}

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)


def key(session: boto3.Session) -> str:
    credentials = session.get_credentials()
    assert credentials is not None
    return str(credentials.access_key)


@pytest.mark.parametrize("address", ["http://localhost:4566", "http://127.0.0.1:4600", "http://[::1]:80"])
def test_in_the_local_cloud_the_key_is_the_account(
    staging: Environment, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    answer(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "111111111111")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another cloud")
    session = session_for(staging)
    assert key(session) == "222222222222"
    assert session.get_credentials().token is None
    assert session.region_name == staging.region


def test_elsewhere_they_are_the_users_own(staging: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://vpce.example.com")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert key(session_for(staging)) == "AKIA"


def test_a_profile_is_named_or_called_like_the_environment(
    staging: Environment, monkeypatch: pytest.MonkeyPatch, aws: Path
) -> None:
    answer(monkeypatch)
    aws.write_text(profile("mine") + profile("movie-recommender-staging"))
    assert key(session_for(staging, "mine")) == "KEY-OF-mine"
    assert key(session_for(staging)) == "KEY-OF-movie-recommender-staging"


def refused(staging: Environment, *arguments: Any, **options: Any) -> str:
    with pytest.raises(OperationError) as refusal:
        session_for(staging, *arguments, **options)
    return str(refusal.value)


def test_none(staging: Environment) -> None:
    message = refused(staging, option="--target-profile")
    assert message.startswith("Account 222222222222 (staging): Unable to locate credentials: log in")
    assert "or name one with --target-profile" in message


def test_a_profile_that_does_not_exist(staging: Environment) -> None:
    assert "profile nobody): The config profile (nobody) could not be found" in refused(staging, "nobody")


def test_a_profile_that_aws_profile_names(
    staging: Environment, monkeypatch: pytest.MonkeyPatch, aws: Path
) -> None:
    answer(monkeypatch)
    aws.write_text(profile("mine") + profile("movie-recommender-staging"))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    assert key(session_for(staging)) == "KEY-OF-mine", "the user's word wins over a profile's name"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    message = refused(staging)
    assert message.startswith(
        "Account 222222222222 (staging): The config profile (nobody) could not be found: "
    )
    assert "AWS_PROFILE names one" in message


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "because"}}, "GetCallerIdentity")


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (error("ExpiredToken"), "the credentials have expired: log in"),
        (error("InvalidClientTokenId"), "AWS does not accept the credentials"),
        (EndpointConnectionError(endpoint_url="https://sts"), "Could not connect"),
        ("111111111111", r"are those of account 111111111111 (arn:aws:iam::111111111111:user/alice): log in"),
    ],
)
def test_credentials_that_do_not_do(
    staging: Environment, monkeypatch: pytest.MonkeyPatch, failure: str | Exception, told: str
) -> None:
    answer(monkeypatch, failure)
    message = refused(staging)
    assert message.startswith("Account 222222222222 (staging): ")
    assert told in message
    assert "\n" not in message


def test_a_program_gets_the_same_credentials(
    staging: Environment, monkeypatch: pytest.MonkeyPatch, aws: Path
) -> None:
    answer(monkeypatch)
    aws.write_text(profile("mine") + "aws_session_token = token\n")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/ca.pem")
    assert variables_of(session_for(staging, "mine")) == {
        "AWS_ACCESS_KEY_ID": "KEY-OF-mine",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CA_BUNDLE": "/ca.pem",
    }
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    variables = variables_of(session_for(staging))
    assert variables["AWS_ENDPOINT_URL"] == "http://localhost:4566"
    assert variables["AWS_ACCESS_KEY_ID"] == "222222222222"
    assert "AWS_SESSION_TOKEN" not in variables
