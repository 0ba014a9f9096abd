"""Entry point of the function."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from recommend.api import create_app
from recommend.endpoint import Endpoint
from recommend.model_data import load_model_data
from recommend.recommender import Recommender
from recommend.settings import Settings

# API Gateway waits 29 seconds for the function: two attempts must fit.
_CLIENT_CONFIG = Config(
    connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2}
)

logger = Logger()


@cache
def _recommender() -> Recommender:
    """Load the model's data once per execution environment; a new model package starts new ones."""
    settings = Settings.from_environment()
    data = load_model_data(
        sagemaker=boto3.client("sagemaker", config=_CLIENT_CONFIG),
        s3=boto3.client("s3", config=_CLIENT_CONFIG),
        model_package_arn=settings.model_package_arn,
    )
    endpoint = Endpoint(
        boto3.client("sagemaker-runtime", config=_CLIENT_CONFIG),
        name=settings.endpoint_name,
    )
    return Recommender(model_package=settings.model_package_arn, data=data, endpoint=endpoint)


_app = create_app(_recommender)


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one API Gateway proxy request."""
    return _app.resolve(event, context)
