"""Requests and responses of the API: validated, and shown in the OpenAPI description."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAXIMUM_COUNT = 100
MAXIMUM_PAIRS = 100

Identifier = Annotated[str, Field(min_length=1, max_length=128)]
Score = Annotated[
    float,
    Field(ge=0, le=1, description="Probability that the user likes the movie: rates it 4 stars or more."),
]


class Request(BaseModel):
    """Base: a field that the schema does not know is an error, most likely a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Response(BaseModel):
    """Base: later versions may add fields, so that clients must pass over those that they do not know."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


class Recommendation(Response):
    """One recommended movie."""

    rank: int = Field(ge=1)
    movie: str = Field(description="The movie's id in the ratings data.")
    title: str
    year: int | None = Field(description="Year of release, where the data tell it.")
    genres: list[str]
    score: Score


class Recommendations(Response):
    """The movies that a user has not rated, best first."""

    user: str
    known_user: bool = Field(description="Whether the model has seen ratings of this user.")
    model_package: str = Field(description="ARN of the model package that gave the scores.")
    recommendations: list[Recommendation]
    note: str | None = Field(description="What the reader should know about this answer.")


class Pair(Request):
    """A user and a movie."""

    user: Identifier
    movie: Identifier


class PredictionRequest(Request):
    """The pairs to predict."""

    pairs: list[Pair] = Field(min_length=1, max_length=MAXIMUM_PAIRS)


class Prediction(Response):
    """What the model says about one pair."""

    user: str
    movie: str
    title: str
    known_user: bool = Field(
        description="If false, the score is the movie's own, the same for every new user."
    )
    score: Score
    liked: bool = Field(description="Whether the score is 0.5 or more.")


class Predictions(Response):
    """One prediction per pair, in the order of the request."""

    model_package: str = Field(description="ARN of the model package that gave the scores.")
    predictions: list[Prediction]


class Health(Response):
    """The endpoint answers with a usable score."""

    status: Literal["ok"]
    endpoint: str
    model_package: str


class ErrorDetail(Response):
    """What went wrong."""

    code: str = Field(description="Stable, for programs.")
    message: str = Field(description="For people; the wording may change.")
    request_id: str = Field(description="Names this request in the logs.")


class ErrorBody(Response):
    """The body of every response that is not a success."""

    error: ErrorDetail
