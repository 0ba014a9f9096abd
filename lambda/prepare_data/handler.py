"""Entry points of the functions that prepare ratings, and that choose where that is done."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from data_prep.errors import DataError
from prepare_data.choose import choose_preparation
from prepare_data.messages import PrepareRequest
from prepare_data.prepare import prepare_ratings
from prepare_data.settings import BatchSettings, Settings

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
    with _refusals_logged():
        return prepare_ratings(request, settings=Settings.from_environment(), s3=_s3()).model_dump()


@logger.inject_lambda_context
def choose(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    """Decide whether `handler` prepares the ratings, or AWS Batch.

    Raises:
        DataError: there are no ratings, or their key cannot be used.
    """
    request = PrepareRequest.model_validate(event)
    with _refusals_logged():
        choice = choose_preparation(
            request, settings=Settings.from_environment(), batch=BatchSettings.from_environment(), s3=_s3()
        )
    return choice.model_dump(mode="json")


@contextmanager
def _refusals_logged() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        logger.error("The ratings cannot be used", reason=str(error))  # noqa: TRY400 - not a fault of the code
        raise
