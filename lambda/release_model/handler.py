"""Entry points of the function: the state machine's three steps."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from release_model.messages import BeginRequest, CheckRequest, Outcome, RestoreRequest
from release_model.parameter import PackageParameter
from release_model.registry import Registry
from release_model.release import Release
from release_model.serving_stack import ServingStack
from release_model.settings import Settings

logger = Logger()


@cache
def _release() -> Release:
    settings = Settings.from_environment()
    return Release(
        registry=Registry(boto3.client("sagemaker"), settings.model_package_group),
        parameter=PackageParameter(boto3.client("ssm"), settings.parameter_name),
        stack=ServingStack(boto3.client("cloudformation"), settings.serving_stack),
    )


@logger.inject_lambda_context
def begin(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    """Start the update that the environment needs, if it needs one."""
    return _told(_release().begin(BeginRequest.model_validate(event)))


@logger.inject_lambda_context
def check(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    """Say how far the update is; after a rollback, put everything back."""
    return _told(_release().check(CheckRequest.model_validate(event).release))


@logger.inject_lambda_context
def restore(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    """After one of the other steps has failed for good, leave no package that nothing has judged."""
    return _told(_release().restore(RestoreRequest.model_validate(event)))


def _told(outcome: Outcome) -> dict[str, Any]:
    told = outcome.model_dump(mode="json")
    logger.info(outcome.reason, outcome=told)
    return told
