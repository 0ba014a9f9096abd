"""Entry points of the function: `on_event` and `is_complete` of CDK's custom resource provider framework."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from first_model.events import LifecycleEvent
from first_model.lifecycle import FirstModel

logger = Logger()


@cache
def _first_model() -> FirstModel:
    return FirstModel(
        s3=boto3.client("s3"),
        stepfunctions=boto3.client("stepfunctions"),
        sagemaker=boto3.client("sagemaker"),
        ssm=boto3.client("ssm"),
    )


@logger.inject_lambda_context
def on_event(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    """Start what CloudFormation asks for."""
    request = LifecycleEvent.model_validate(event)
    result = _first_model().begin(request)
    logger.info("Begun", request_type=request.request_type, result=result)
    return result


@logger.inject_lambda_context
def is_complete(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    """Say whether it is done; raising tells CloudFormation that it failed."""
    request = LifecycleEvent.model_validate(event)
    result = _first_model().poll(request)
    logger.info("Polled", request_type=request.request_type, result=result)
    return result
