"""Asks the function behind the API, as API Gateway does."""

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from verify_model.errors import VerificationError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_SHOWN = 300


class Recommendations(BaseModel):
    """The part of the API's answer that is looked at."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model_package: str
    recommendations: list[dict[str, Any]]


class _ProxyResponse(BaseModel):
    """The part of the function's answer that is looked at.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
    """

    status_code: int = Field(alias="statusCode")
    body: str


class Recommender:
    """The function `function` (its name)."""

    def __init__(self, client: "LambdaClient", *, function: str) -> None:
        self._client = client
        self._function = function

    def recommendations(self, user: str, *, request_id: str) -> Recommendations:
        """Return what the API recommends to `user`; `request_id` names the question in the function's log.

        Raises:
            VerificationError: it does not answer with recommendations.
        """
        try:
            answer = self._client.invoke(
                FunctionName=self._function, Payload=json.dumps(_request(user, request_id))
            )
        except ClientError as error:
            raise VerificationError(f"Function {self._function} cannot be invoked: {error}") from error
        content = answer["Payload"].read()
        if "FunctionError" in answer:
            raise self._failed(f"fails: {_shown(content)}")
        try:
            response = _ProxyResponse.model_validate_json(content)
            if response.status_code != 200:
                raise self._failed(
                    f"answers user {user!r} with status {response.status_code}: {response.body[:_SHOWN]}"
                )
            return Recommendations.model_validate_json(response.body)
        except ValidationError as error:
            raise self._failed(f"answers with no recommendations: {_shown(content)}") from error

    def _failed(self, how: str) -> VerificationError:
        return VerificationError(f"Function {self._function}, which answers the API, {how}")


def _shown(content: bytes) -> str:
    return content[:_SHOWN].decode(errors="replace")


def _request(user: str, request_id: str) -> dict[str, Any]:
    """The event of a GET request, as far as an application reads it."""
    path = f"/users/{quote(user, safe='')}/recommendations"
    return {
        "resource": "/users/{user}/recommendations",
        "path": path,
        "httpMethod": "GET",
        "headers": {"accept": "application/json"},
        "multiValueHeaders": {"accept": ["application/json"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"user": user},
        "stageVariables": None,
        "requestContext": {"requestId": request_id, "path": path, "httpMethod": "GET", "stage": "smoke-test"},
        "body": None,
        "isBase64Encoded": False,
    }
