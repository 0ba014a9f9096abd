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
from recommend.served_models import ServedModels
from recommend.served_packages import ServedPackages
from recommend.settings import Settings

# API Gateway waits 29 seconds for the function: two attempts must fit.
_CLIENT_CONFIG = Config(
    connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2}
)

# When the endpoint switches to another package, all functions ask for it at the same time.
_DESCRIBING_CONFIG = Config(
    connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 4}
)

logger = Logger()


@cache
def _models() -> ServedModels:
    """Load the released model once per execution environment; another release starts new ones."""
    settings = Settings.from_environment()
    sagemaker = boto3.client("sagemaker", config=_DESCRIBING_CONFIG)
    s3 = boto3.client("s3", config=_CLIENT_CONFIG)
    endpoint = Endpoint(boto3.client("sagemaker-runtime", config=_CLIENT_CONFIG), name=settings.endpoint_name)

    def load(model_package: str) -> Recommender:
        data = load_model_data(sagemaker=sagemaker, s3=s3, model_package_arn=model_package)
        return Recommender(model_package=model_package, data=data, endpoint=endpoint)

    packages = ServedPackages(sagemaker, endpoint_name=settings.endpoint_name)
    return ServedModels(load(settings.model_package_arn), load=load, packages=packages.now)


_app = create_app(_models)


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one API Gateway proxy request."""
    return _app.resolve(event, context)
