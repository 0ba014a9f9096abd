"""The bodies of the errors that API Gateway answers itself: the same JSON as the function's own errors."""

import json
from typing import Final, Literal

from aws_cdk import aws_apigateway as apigateway

from infra.api_schema import MAX_PAIRS

_NO_ROUTE: Final = "There is no such route; GET /openapi.json describes those that there are."
_OWN_MESSAGE: Final = None
"""API Gateway's own message says it best."""

# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
_ERRORS: Final = (
    ("ACCESS_DENIED", "access_denied", _OWN_MESSAGE),
    (
        "BAD_REQUEST_BODY",
        "invalid_request",
        'The body does not fit its schema: {"pairs": [{"user": "<id>", "movie": "<id>"}, ...]}, '
        f"1 to {MAX_PAIRS} pairs; GET /openapi.json has all of it.",
    ),
    ("BAD_REQUEST_PARAMETERS", "invalid_request", _OWN_MESSAGE),
    ("EXPIRED_TOKEN", "access_denied", "The credentials that signed the request have expired."),
    ("INTEGRATION_FAILURE", "unavailable", "The recommender did not answer. Try again later."),
    ("INTEGRATION_TIMEOUT", "unavailable", "The recommender did not answer in time. Try again later."),
    ("INVALID_API_KEY", "access_denied", "Send a valid API key in the header x-api-key."),
    ("INVALID_SIGNATURE", "access_denied", _OWN_MESSAGE),
    ("QUOTA_EXCEEDED", "quota_exceeded", "The API key has used up its requests of today."),
    ("REQUEST_TOO_LARGE", "invalid_request", "The request is larger than 10 MB."),
    (
        "RESOURCE_NOT_FOUND",
        "not_found",
        _NO_ROUTE,
    ),
    ("THROTTLED", "throttled", "Too many requests at once. Try again in a second."),
    ("UNAUTHORIZED", "access_denied", _OWN_MESSAGE),
    ("UNSUPPORTED_MEDIA_TYPE", "unsupported_media_type", "The body must be application/json."),
    ("DEFAULT_4XX", "invalid_request", _OWN_MESSAGE),
    ("DEFAULT_5XX", "internal_error", _OWN_MESSAGE),
)


def add_error_bodies(api: apigateway.RestApi, *, authorization: Literal["iam", "api_key"]) -> None:
    """Give every error of `api` the body {"error": {"code", "message", "request_id"}}."""
    for response_type, code, message in _ERRORS:
        _add(api, response_type, code, message)
    # The answer on a path without a route, and to a request without a signature where one is due.
    if authorization == "iam":
        message = "The request is not signed (AWS Signature Version 4), or there is no such route."
        _add(api, "MISSING_AUTHENTICATION_TOKEN", "access_denied", message)
    else:
        _add(api, "MISSING_AUTHENTICATION_TOKEN", "not_found", _NO_ROUTE, status="404")


def _add(
    api: apigateway.RestApi, response_type: str, code: str, message: str | None, status: str | None = None
) -> None:
    # $context.error.messageString comes with its quotes.
    shown = "$context.error.messageString" if message is None else json.dumps(message)
    body = f'{{"error":{{"code":"{code}","message":{shown},"request_id":"$context.requestId"}}}}'
    api.add_gateway_response(
        "".join(word.capitalize() for word in response_type.split("_")),
        type=apigateway.ResponseType.of(response_type),
        status_code=status,
        templates={"application/json": body},
    )
