"""The API's OpenAPI 3.1 description, generated from its routes and schemas."""

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.models import APIKey, SecurityScheme, Server

from recommend.schemas import ErrorBody

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse

_VERSION = "1.0.0"

_ERRORS = {
    HTTPStatus.BAD_REQUEST: "The request is malformed: `invalid_request`.",
    HTTPStatus.FORBIDDEN: "The caller may not use this API: API Gateway's own answer.",
    HTTPStatus.NOT_FOUND: "A movie is not in the catalog: `unknown_movie`.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not JSON: `unsupported_media_type`.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests: API Gateway's own answer.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong on our side: `internal_error`.",
    HTTPStatus.BAD_GATEWAY: "The model did not give usable scores: `model_error`.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The model cannot be reached now, try again later: `unavailable`.",
}

_SECURITY_SCHEMES: dict[str, SecurityScheme] = {
    "ApiKey": APIKey.model_validate(
        {
            "name": "x-api-key",
            "in": "header",
            "description": "Where the environment has an API key with a usage plan.",
        }
    ),
    # The way to write IAM authorization in OpenAPI:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-authtype.html
    "Iam": APIKey.model_validate(
        {
            "name": "Authorization",
            "in": "header",
            "description": "AWS Signature Version 4; the caller needs `execute-api:Invoke`.",
            "x-amazon-apigateway-authtype": "awsSigv4",
        }
    ),
}


def responses(success: str, *errors: HTTPStatus) -> "dict[int, OpenAPIResponse]":
    """Return what a route answers, for its description: 200 with its return type, and errors."""
    described: dict[int, OpenAPIResponse] = {int(HTTPStatus.OK): {"description": success}}
    for status in sorted({*errors, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}):
        described[int(status)] = {
            "description": _ERRORS[status],
            "content": {"application/json": {"model": ErrorBody}},
        }
    return described


def describe(app: APIGatewayRestResolver, *, server_url: str) -> dict[str, Any]:
    """Return the OpenAPI document of an application, served at `server_url` (relative or absolute)."""
    document: dict[str, Any] = json.loads(
        app.get_openapi_json_schema(
            title="Movie recommender",
            version=_VERSION,
            openapi_version="3.1.0",
            description=(
                "Ranks movies for a user with a Factorization Machines model trained on ratings. "
                "Every error has the same JSON body: a code, a message and a request id."
            ),
            servers=[Server(url=server_url)],
            security_schemes=_SECURITY_SCHEMES,
            security=[{name: []} for name in _SECURITY_SCHEMES],
        )
    )
    # Powertools describes its own 422 and 500; this API answers 400 and 500 with its own error body instead.
    for operations in document["paths"].values():
        for operation in operations.values():
            del operation["responses"]["422"]
            content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
            operation["responses"]["500"] = {
                "description": _ERRORS[HTTPStatus.INTERNAL_SERVER_ERROR],
                "content": content,
            }
    for name in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        del document["components"]["schemas"][name]
    return document
