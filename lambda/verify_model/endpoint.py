"""Asks the SageMaker endpoint for scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from pydantic import BaseModel, ValidationError

from evaluation.reference import Reference
from verify_model.errors import VerificationError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient


class _Features(BaseModel):
    keys: tuple[int, ...]
    shape: tuple[int]
    values: tuple[float, ...]


class _Data(BaseModel):
    features: _Features


class _Instance(BaseModel):
    data: _Data


class _Request(BaseModel):
    """The sparse JSON form of https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html."""

    instances: list[_Instance]


class _Prediction(BaseModel):
    score: float


class _Response(BaseModel):
    """The JSON form of https://docs.aws.amazon.com/sagemaker/latest/dg/fm-in-formats.html."""

    predictions: list[_Prediction]


class Endpoint:
    """A deployed binary Factorization Machines model."""

    def __init__(self, client: "SageMakerRuntimeClient", *, name: str) -> None:
        self.name = name
        self._client = client

    def scores(self, reference: Reference) -> Sequence[float]:
        """Return the score of each of the reference's rows; its own are not looked at.

        Raises:
            VerificationError: the endpoint does not answer with one score per row.
        """
        try:
            response = self._client.invoke_endpoint(
                EndpointName=self.name,
                ContentType="application/json",
                Accept="application/json",
                Body=_request(reference).model_dump_json().encode(),
            )
            content = response["Body"].read()
        except ClientError as error:
            raise VerificationError(
                f"Endpoint {self.name} does not score: {error}. "
                f"The log group /aws/sagemaker/Endpoints/{self.name} has more."
            ) from error
        try:
            scores = [prediction.score for prediction in _Response.model_validate_json(content).predictions]
        except ValidationError as error:
            raise self._unusable(content, reference) from error
        if len(scores) != len(reference.rows):
            raise self._unusable(content, reference)
        return scores

    def _unusable(self, content: bytes, reference: Reference) -> VerificationError:
        shown = content[:200].decode(errors="replace")
        return VerificationError(
            f"Endpoint {self.name} answers with something else than {len(reference.rows)} scores: {shown!r}"
        )


def _request(reference: Reference) -> _Request:
    rows = [
        _Features(keys=row.keys, shape=(reference.feature_dim,), values=row.values) for row in reference.rows
    ]
    return _Request(instances=[_Instance(data=_Data(features=row)) for row in rows])
