"""Credentials for an environment's account: the user's own, or the local cloud's."""

import os
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from infra.environment import Environment
from ops.errors import OperationError
from ops.refusals import EXPIRED, code, refusals_told

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NAMES_OF_PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
"""https://boto3.amazonaws.com/v1/documentation/api/latest/guide/configuration.html"""


def in_local_cloud() -> bool:
    """Tell whether this process's AWS services are on this machine."""
    return urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname in _LOOPBACK


def session_for(
    environment: Environment, profile: str | None = None, *, option: str | None = None
) -> boto3.Session:
    """Return a session in the environment's account and region, checked by asking AWS who it belongs to.

    Where AWS_ENDPOINT_URL is an address of this machine, that is the local cloud: the access key id is the
    account there, and no credentials of the user's are looked at. Otherwise they are those of `profile`; of
    the profile that AWS_PROFILE names; of a profile that is called like the environment's stacks begin, such
    as `movie-recommender-staging`, if the user has one; or what the AWS SDK finds by itself.

    Args:
        environment: whose account.
        profile: of the user's AWS configuration.
        option: the command's option that names the profile, for the message; None if it has none.

    Raises:
        OperationError: the credentials are missing, expired, not accepted, or another account's.
    """
    if in_local_cloud():
        session = boto3.Session(
            aws_access_key_id=environment.account,
            aws_secret_access_key="local",  # noqa: S106 - the local cloud checks no secret
            region_name=environment.region,
        )
    else:
        try:
            if profile is None and _has_profile_of(environment):
                profile = environment.prefix
            session = boto3.Session(profile_name=profile, region_name=environment.region)
        except BotoCoreError as error:
            raise OperationError(
                f"{_subject(environment, profile)}: {error}: `aws configure list-profiles` lists yours, "
                "AWS_PROFILE names one for all environments"
            ) from error
    _require_account(session, environment, profile, option)
    return session


def caller(session: boto3.Session) -> str:
    """Return the ARN of the user or role that the session acts as.

    Raises:
        OperationError: AWS refuses.
    """
    with refusals_told("The caller's identity cannot be read"):
        return session.client("sts").get_caller_identity()["Arn"]


def variables_of(session: boto3.Session) -> dict[str, str]:
    """Return the session's credentials and region as environment variables, for a program that it starts.

    Raises:
        OperationError: there are no credentials.
    """
    credentials = session.get_credentials()
    if credentials is None:
        raise OperationError("There are no AWS credentials")
    frozen = credentials.get_frozen_credentials()
    region = str(session.region_name)
    variables = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    variables["AWS_ACCESS_KEY_ID"] = str(frozen.access_key)
    variables["AWS_SECRET_ACCESS_KEY"] = str(frozen.secret_key)
    if frozen.token:
        variables["AWS_SESSION_TOKEN"] = frozen.token
    # Where the services are, and whose certificates to trust, is not a matter of the account.
    return variables | {
        name: value
        for name, value in os.environ.items()
        if name.startswith("AWS_ENDPOINT_URL") or name == "AWS_CA_BUNDLE"
    }


def _has_profile_of(environment: Environment) -> bool:
    if any(name in os.environ for name in _NAMES_OF_PROFILES):
        return False
    return environment.prefix in boto3.Session().available_profiles


def _require_account(
    session: boto3.Session, environment: Environment, profile: str | None, option: str | None
) -> None:
    subject = _subject(environment, profile)
    other = f"log in, or call a profile of account {environment.account} {environment.prefix}"
    if option is not None:
        other += f", or name one with {option}"
    try:
        identity = session.client("sts").get_caller_identity()
    except ClientError as error:
        if code(error) in EXPIRED:
            raise OperationError(f"{subject}: the credentials have expired: {other}") from error
        raise OperationError(f"{subject}: AWS does not accept the credentials ({error}): {other}") from error
    except EndpointConnectionError as error:
        local = ": `recommender up` starts the local cloud" if in_local_cloud() else ""
        raise OperationError(f"{subject}: {str(error).rstrip('.')}{local}") from error
    except BotoCoreError as error:
        raise OperationError(f"{subject}: {str(error).rstrip('.')}: {other}") from error
    if identity["Account"] != environment.account:
        raise OperationError(
            f"{subject}: the credentials are those of account {identity['Account']} ({identity['Arn']}): "
            f"{other}"
        )


def _subject(environment: Environment, profile: str | None) -> str:
    used = f", profile {profile}" if profile else ""
    return f"Account {environment.account} ({environment.name}{used})"
