"""Asks the SageMaker endpoint for scores."""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from data_prep.recordio import SparseRecords
from recommend.errors import ModelFailedError, UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

# InvokeEndpoint takes 6,291,456 bytes, but a serverless endpoint 4 MB, in each direction:
# https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-invoke.html
_REQUEST_BYTES = 3_900_000

# Names of https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html#API_runtime_InvokeEndpoint_Errors
# and of throttling: https://docs.aws.amazon.com/sagemaker/latest/APIReference/CommonErrors.html
_TRANSIENT_ERRORS = {
    "InternalDependencyException",
    "InternalFailure",
    "ModelNotReadyException",
    "ServiceUnavailable",
    "ThrottlingException",
}

logger = Logger(child=True)


class Endpoint:
    """A deployed binary Factorization Machines model."""

    def __init__(self, client: "SageMakerRuntimeClient", *, name: str) -> None:
        self.name = name
        self._client = client

    def scores(self, batches: Iterable[SparseRecords]) -> list[float]:
        """Return one probability per row of all batches, in their order.

        Raises:
            UnavailableError: the endpoint cannot be reached, is not there, throttles, or is not ready.
            ModelFailedError: the model answers with an error, or with anything but one probability per row.
        """
        scores: list[float] = []
        for body, instances in _request_bodies(instance for rows in batches for instance in _instances(rows)):
            scores += _scores(self._invoke(body), instances)
        return scores

    def _invoke(self, body: bytes) -> bytes:
        try:
            response = self._client.invoke_endpoint(
                EndpointName=self.name, ContentType="application/json", Accept="application/json", Body=body
            )
            return response["Body"].read()
        except ClientError as error:
            logger.exception("InvokeEndpoint failed")
            code = error.response["Error"]["Code"]
            if code == "ModelError":
                status = error.response.get("OriginalStatusCode", "unknown")
                raise ModelFailedError(
                    f"The model answered with an error (its status code: {status})."
                ) from error
            # An endpoint that does not exist has no error code of its own, only a validation error.
            absent = code == "ValidationError" and "not found" in error.response["Error"]["Message"]
            if absent or code in _TRANSIENT_ERRORS:
                raise UnavailableError("The model endpoint is not available now. Try again later.") from error
            raise
        except (ConnectionError, HTTPClientError) as error:
            logger.exception("InvokeEndpoint was not answered")
            raise UnavailableError("The model endpoint did not answer in time. Try again later.") from error


def _instances(rows: SparseRecords) -> Iterator[str]:
    """Encode each row in the sparse JSON form of the common request format.

    https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html
    """
    keys = [str(key) for key in rows.keys.tolist()]
    # There are few values: they depend on a row's group of columns and on the length of its list.
    distinct, places = np.unique(rows.values, return_inverse=True)
    texts = [_number(value) for value in distinct]
    values = [texts[place] for place in places.tolist()]
    for first, end in pairwise(rows.indptr.tolist()):
        yield (
            f'{{"data":{{"features":{{"keys":[{",".join(keys[first:end])}],"shape":[{rows.shape}],'
            f'"values":[{",".join(values[first:end])}]}}}}}}'
        )


def _number(value: np.float32) -> str:
    """The shortest JSON number that is read as this float32."""
    return np.format_float_positional(value, trim="-")


def _request_bodies(instances: Iterable[str]) -> Iterator[tuple[bytes, int]]:
    """Yield request bodies within the size limit, each with its number of instances."""
    part: list[str] = []
    size = 0
    for instance in instances:
        if part and size + len(instance) + 1 > _REQUEST_BYTES:
            yield _request_body(part), len(part)
            part, size = [], 0
        part.append(instance)
        size += len(instance) + 1
    if part:
        yield _request_body(part), len(part)


def _request_body(instances: list[str]) -> bytes:
    return b'{"instances":[' + ",".join(instances).encode("ascii") + b"]}"


def _scores(body: bytes, instances: int) -> list[float]:
    try:
        predictions: list[dict[str, Any]] = json.loads(body)["predictions"]
        scores = [prediction["score"] for prediction in predictions]
        usable = len(scores) == instances and all(0 <= score <= 1 for score in scores)
    except (ValueError, TypeError, KeyError):
        usable = False
    if not usable:
        logger.error(
            "The model's answer is not one probability per instance",
            answer=body[:500].decode(errors="replace"),
        )
        raise ModelFailedError("The model's answer is not one probability per movie.")
    return scores
