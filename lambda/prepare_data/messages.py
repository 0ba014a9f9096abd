"""What the state machine sends to this function, and what it gets back."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Message(BaseModel):
    """Base: unknown fields belong to other states."""

    model_config = ConfigDict(frozen=True)


class RatingsObject(Message):
    """An object in S3 with a data set."""

    bucket: str = Field(min_length=1)
    key: str = Field(min_length=1)
    shards: int = Field(default=1, ge=1, description="Into how many files the train rows go.")


class Commands(Message):
    """What AWS Batch's jobs run of data_prep's command line, one after the other."""

    plan: tuple[str, ...]
    encode: tuple[str, ...]
    finish: tuple[str, ...]


class RatingsChoice(RatingsObject):
    """Which ratings are prepared, and where; takes the place of `ratings` in the event."""

    home: Literal["lambda", "batch"]
    commands: Commands | None = None


class PrepareRequest(Message):
    """The function's event. Without `ratings`, the newest object under `ratings/` is meant."""

    ratings: RatingsObject | None = None
    execution: str = Field(min_length=1, description="The state machine's execution id.")


class PreparedData(Message):
    """The function's answer: a prepared data set, and the name for what is made of it in this execution."""

    digest: str
    prefix: str
    bucket: str
    train_uri: str
    test_uri: str
    ranking_uri: str
    feature_dim: str = Field(description="A string, as every hyperparameter is.")
    name: str = Field(description="Of the training job and the model; the same when the step is retried.")
    train_rows: int
    test_rows: int
    source_key: str
