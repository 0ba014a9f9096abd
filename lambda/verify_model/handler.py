"""Entry points of the functions: `check` and `smoke_test`, for CDK's custom resource provider framework.

What they raise ends the deployment, with its message.
"""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from verify_model.check import ModelCheck
from verify_model.endpoint import Endpoint
from verify_model.events import CheckEvent, LifecycleEvent, SmokeTestEvent
from verify_model.object_store import ObjectStore
from verify_model.recommender import Recommender
from verify_model.registry import Registry
from verify_model.settings import CheckSettings, SmokeTestSettings
from verify_model.smoke_test import SmokeTest
from verify_model.stack import is_rolling_back

# Both InvokeEndpoint and the API's function answer within a minute, or not at all.
_CLIENT_CONFIG = Config(read_timeout=65, retries={"mode": "standard", "total_max_attempts": 3})

logger = Logger()


@cache
def _check() -> ModelCheck:
    settings = CheckSettings.from_environment()
    return ModelCheck(
        Registry(boto3.client("sagemaker", config=_CLIENT_CONFIG)),
        ObjectStore(boto3.client("s3", config=_CLIENT_CONFIG)),
        prefix=settings.model_package_arn_prefix,
    )


@cache
def _smoke_test() -> SmokeTest:
    settings = SmokeTestSettings.from_environment()
    return SmokeTest(
        Registry(boto3.client("sagemaker", config=_CLIENT_CONFIG)),
        ObjectStore(boto3.client("s3", config=_CLIENT_CONFIG)),
        endpoint=Endpoint(
            boto3.client("sagemaker-runtime", config=_CLIENT_CONFIG), name=settings.endpoint_name
        ),
        recommender=Recommender(
            boto3.client("lambda", config=_CLIENT_CONFIG), function=settings.recommend_function
        ),
        instances=settings.instance_count,
    )


@logger.inject_lambda_context
def check(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    """Let the deployment go on if the model package that the event names may be deployed."""
    if _decides(LifecycleEvent.model_validate(event)):
        properties = CheckEvent.model_validate(event).properties
        sha256 = _check().check(properties)
        logger.info("Checked", model_package=properties.model_package_arn, artifact_sha256=sha256)
    return {}


@logger.inject_lambda_context
def smoke_test(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Let the deployment end well if endpoint and API serve the model package that the event names."""
    if _decides(LifecycleEvent.model_validate(event)):
        properties = SmokeTestEvent.model_validate(event).properties
        answered = _smoke_test().run(properties, request_id=context.aws_request_id)
        logger.info(answered, model_package=properties.model_package_arn)
    return {}


def _decides(event: LifecycleEvent) -> bool:
    """Whether the event is one to decide on: neither a deletion nor a rollback must be stopped.

    A rollback restores what served before, rejected meanwhile or not.
    """
    match event.request_type:
        case "Create":
            decides = True
        case "Update":
            decides = not is_rolling_back(
                boto3.client("cloudformation", config=_CLIENT_CONFIG), event.stack_id
            )
        case "Delete":
            decides = False
    if not decides:
        logger.info("Nothing to decide", request_type=event.request_type)
    return decides
