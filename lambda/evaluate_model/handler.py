"""Entry point of the function."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from evaluate_model.evaluate import evaluate
from evaluate_model.messages import EvaluationRequest
from evaluate_model.object_store import ObjectStore
from evaluate_model.settings import Settings

logger = Logger()


@cache
def _store() -> ObjectStore:
    return ObjectStore(boto3.client("s3"))


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    """Evaluate the model that the event names. The state machine shows what this raises."""
    settings = Settings.from_environment()
    request = EvaluationRequest.model_validate(event)
    result = evaluate(request, store=_store(), gate=settings.gate, model_bucket=settings.model_bucket)
    logger.info(result.gate.cause, model=request.prepared.name, metrics=result.metrics)
    return result.model_dump()
