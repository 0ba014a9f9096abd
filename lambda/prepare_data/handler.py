"""Entry point of the function."""

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from data_prep.errors import DataError
from prepare_data.messages import PrepareRequest
from prepare_data.prepare import prepare_ratings
from prepare_data.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = Logger()


@cache
def _s3() -> "S3Client":
    return boto3.client("s3")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    """Prepare the ratings that the event names, or else the newest ones.

    Raises:
        DataError: the ratings cannot be used; the state machine's error shows file, line and reason.
    """
    request = PrepareRequest.model_validate(event)
    try:
        prepared = prepare_ratings(request, settings=Settings.from_environment(), s3=_s3())
    except DataError as error:
        logger.error("The ratings cannot be used", reason=str(error))  # noqa: TRY400 - not a fault of the code
        raise
    return prepared.model_dump()
