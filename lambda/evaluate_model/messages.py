"""What the state machine sends to this function, and what it gets back."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

S3Uri = Annotated[str, Field(pattern=r"^s3://[^/]+/.+")]


class Message(BaseModel):
    """Base: unknown fields belong to other states."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


class PreparedData(Message):
    """The part of PrepareData's result that is needed here. The data set is at `s3://<bucket>/<digest>/`."""

    bucket: str
    digest: str
    name: str = Field(description="Of the training job, and of the model's folder in the model bucket.")


class Scores(Message):
    """The outputs of the two batch transform jobs: one JSON line per row of the tensors."""

    test: S3Uri
    ranking: S3Uri


class EvaluationRequest(Message):
    """The function's event."""

    prepared: PreparedData
    model_artifact: S3Uri
    scores: Scores


class GateResult(Message):
    """What the gate decided; `cause` is one line that says all."""

    passed: bool
    reasons: list[str]
    cause: str


class EvaluationResult(Message):
    """The function's answer. The four files lie beside the model's artifact."""

    metrics: dict[str, float]
    gate: GateResult
    evaluation_uri: str
    catalog_uri: str
    histories_uri: str
    reference_uri: str
    artifact_sha256: str
