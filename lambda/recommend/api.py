"""The routes of the API."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query

from recommend import openapi
from recommend.error_responses import ErrorResponses
from recommend.errors import ModelFailedError, UnavailableError
from recommend.schemas import MAXIMUM_COUNT, Health, PredictionRequest, Predictions, Recommendations
from recommend.served_models import ServedModels

_RECOMMENDATIONS = "/users/<user>/recommendations"
_PREDICTIONS = "/predictions"
_HEALTH = "/health"
_OPENAPI = "/openapi.json"

_MODEL_ERRORS = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)


def create_app(models: Callable[[], ServedModels]) -> APIGatewayRestResolver:
    """Return the application. `models` is called for each request, and may raise as a route may."""
    app = APIGatewayRestResolver(
        enable_validation=True,
        response_validation_error_http_code=HTTPStatus.INTERNAL_SERVER_ERROR,
        json_body_deserializer=_parse_json,
    )

    @app.get(
        _RECOMMENDATIONS,
        summary="Recommend movies to a user",
        description=(
            "Ranks the movies that the user has not rated. A user that the model does not know gets the "
            "movies' own ranking, and the note says so."
        ),
        operation_id="recommend",
        responses=openapi.responses("The best movies first.", HTTPStatus.BAD_REQUEST, *_MODEL_ERRORS),
    )
    def recommend(
        user: Annotated[str, Path(description="The user's id in the ratings data.")],
        count: Annotated[int, Query(ge=1, le=MAXIMUM_COUNT, description="How many movies at most.")] = 10,
        threshold: Annotated[
            float, Query(ge=0, le=1, description="Only movies with at least this score.")
        ] = 0.0,
    ) -> Recommendations:
        return models().ask(
            lambda model: model.recommend(unquote(user), count=count, minimum_score=threshold)
        )

    @app.post(
        _PREDICTIONS,
        summary="Predict whether users like movies",
        description=(
            "Scores user-movie pairs. A user that the model does not know is scored by the movie alone; "
            "a movie that is not in the catalog fails the request, and the message names it."
        ),
        operation_id="predict",
        responses=openapi.responses(
            "One prediction per pair, in order.",
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.NOT_FOUND,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            *_MODEL_ERRORS,
        ),
    )
    def predict(request: Annotated[PredictionRequest, Body()]) -> Predictions:
        return models().ask(lambda model: model.predict(request.pairs))

    @app.get(
        _HEALTH,
        summary="Ask whether the recommender works",
        description="Has the endpoint score one movie.",
        operation_id="health",
        responses=openapi.responses("The model answers.", HTTPStatus.SERVICE_UNAVAILABLE),
    )
    def health() -> Health:
        try:
            return models().ask(lambda model: model.check())
        except ModelFailedError as error:
            raise UnavailableError(str(error)) from error

    @app.get(_OPENAPI, include_in_schema=False)
    def description() -> Response[str]:
        # The path that the client used, stage or base path included, less the route's own.
        request_path = app.current_event.request_context.path or _OPENAPI
        base = request_path.rstrip("/").removesuffix(_OPENAPI)
        document = openapi.describe(app, server_url=base or "/")
        return Response(HTTPStatus.OK, content_types.APPLICATION_JSON, json.dumps(document))

    ErrorResponses(app, {_RECOMMENDATIONS: "GET", _PREDICTIONS: "POST", _HEALTH: "GET", _OPENAPI: "GET"})
    return app


def _parse_json(text: str) -> dict[str, object]:
    """Parse a request body; raise the one error that Powertools takes for the caller's mistake."""
    try:
        content: dict[str, object] = json.loads(text)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError("Too deep or too long a value", text, 0) from error
    return content
