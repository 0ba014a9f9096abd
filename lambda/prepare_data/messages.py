"""What the state machine sends to this function, and what it gets back."""

from pydantic import BaseModel, ConfigDict, Field


class Message(BaseModel):
    """Base: unknown fields belong to other states."""

    model_config = ConfigDict(frozen=True)


class RatingsObject(Message):
    """An object in S3 with a data set."""

    bucket: str = Field(min_length=1)
    key: str = Field(min_length=1)


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
