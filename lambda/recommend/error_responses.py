"""Turns whatever goes wrong into `{"error": {"code", "message", "request_id"}}` with the right status."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
)

from recommend.errors import ModelFailedError, UnavailableError, UnknownMovieError
from recommend.schemas import ErrorBody, ErrorDetail

_NAMED_AT_MOST = 10
_RETRY_AFTER_SECONDS = "1"

logger = Logger(child=True)


class ErrorResponses:
    """The error handlers of an application."""

    def __init__(self, app: APIGatewayRestResolver, methods: Mapping[str, str]) -> None:
        """Register a handler for every kind of error.

        `methods`: the one method of each route, by the route's rule.
        """
        self._app = app
        self._routes = [
            (re.compile(re.sub(r"<\w+>", "[^/]+", re.escape(rule)) + "/*"), method)
            for rule, method in methods.items()
        ]
        app.not_found(self._no_route)
        for kind, handler in (
            (RequestValidationError, self._invalid_request),
            (RequestUnsupportedContentType, self._invalid_request),
            (UnknownMovieError, self._unknown_movie),
            (UnavailableError, self._unavailable),
            (ModelFailedError, self._model_failed),
            (Exception, self._unexpected),
        ):
            app.exception_handler(kind)(handler)

    def _respond(
        self, status: HTTPStatus, code: str, message: str, headers: dict[str, str | list[str]] | None = None
    ) -> Response[str]:
        request_id = self._app.current_event.request_context.request_id or ""
        return Response(
            status_code=status,
            content_type=content_types.APPLICATION_JSON,
            body=ErrorBody(
                error=ErrorDetail(code=code, message=message, request_id=request_id)
            ).model_dump_json(),
            headers=headers,
        )

    def _no_route(self, _: NotFoundError) -> Response[str]:
        path = self._app.current_event.path
        for pattern, method in self._routes:
            if pattern.fullmatch(path):
                message = f"{path} takes {method}, not {self._app.current_event.http_method}."
                return self._respond(
                    HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", message, {"Allow": method}
                )
        return self._respond(
            HTTPStatus.NOT_FOUND, "not_found", f"There is nothing at {path}; see /openapi.json."
        )

    def _invalid_request(
        self, error: RequestValidationError | RequestUnsupportedContentType
    ) -> Response[str]:
        return self._body_not_json() or self._respond(
            HTTPStatus.BAD_REQUEST, "invalid_request", _validation_message(error.errors())
        )

    def _body_not_json(self) -> Response[str] | None:
        # Powertools also reads forms, and fails on a broken one in its own ways; this API takes JSON only.
        event = self._app.current_event
        content_type = event.headers.get("content-type", "").strip()
        if event.body is None or re.match(r"application/json\b|$", content_type, re.IGNORECASE):
            return None
        return self._respond(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            f"The body must be application/json, not {content_type}.",
        )

    def _unknown_movie(self, error: UnknownMovieError) -> Response[str]:
        return self._respond(HTTPStatus.NOT_FOUND, "unknown_movie", str(error))

    def _unavailable(self, error: UnavailableError) -> Response[str]:
        return self._respond(
            HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", str(error), {"Retry-After": _RETRY_AFTER_SECONDS}
        )

    def _model_failed(self, error: ModelFailedError) -> Response[str]:
        return self._respond(HTTPStatus.BAD_GATEWAY, "model_error", str(error))

    def _unexpected(self, _: Exception) -> Response[str]:
        if response := self._body_not_json():
            return response
        logger.exception("Unexpected error")
        return self._respond(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "internal_error",
            "Something went wrong on our side; the request id leads to it in the logs.",
        )


def _validation_message(errors: Sequence[Mapping[str, Any]]) -> str:
    """Say which parts of the request are wrong, and why, for people."""
    said = [_one_message(error) for error in errors[:_NAMED_AT_MOST]]
    if len(errors) > _NAMED_AT_MOST:
        said.append(f"and {len(errors) - _NAMED_AT_MOST} more")
    return "; ".join(said)


def _one_message(error: Mapping[str, Any]) -> str:
    source, *path = error["loc"]
    if error["type"] == "json_invalid":
        return f"body is not valid JSON: {error['ctx']['error']} at character {path[0]}"
    kind = {"query": "query parameter ", "path": "path parameter "}.get(source, source if not path else "")
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    return f"{kind}{where}: {error['msg'][:1].lower()}{error['msg'][1:]}"
