"""Asks the SageMaker endpoint for scores."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from data_prep.recordio import SparseRecords
from recommend.errors import ModelFailedError, OtherModelError, UnavailableError
from recommend.fingerprint import Fingerprint

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

_ATTEMPTS: Final = 10
"""How often a part of a request is sent: if half of the instances are another model's, 1 in 1,024 fails."""

logger = Logger(child=True)


class Endpoint:
    """A deployed binary Factorization Machines model, or two while one replaces the other."""

    def __init__(self, client: "SageMakerRuntimeClient", *, name: str) -> None:
        self.name = name
        self._client = client

    def scores(self, batches: Iterable[SparseRecords], *, by: Fingerprint) -> list[float]:
        """Return one probability per row of all batches, in their order, all by the model of a fingerprint.

        Raises:
            UnavailableError: the endpoint cannot be reached, is not there, throttles, or is not ready.
            OtherModelError: what answers is, or may be, another model.
            ModelFailedError: the model answers with anything but one probability per row.
        """
        scores: list[float] = []
        instances = (instance for rows in batches for instance in _instances(rows))
        for body, count in _request_bodies(list(_instances(by.rows)), instances):
            # The first part tells whether this model serves at all.
            ask = self._ask_until_answered if scores else self._ask
            scores += ask(body, count, by)
        return scores

    def _ask_until_answered(self, body: bytes, count: int, by: Fingerprint) -> list[float]:
        for _ in range(_ATTEMPTS - 1):
            with suppress(OtherModelError):
                return self._ask(body, count, by)
        return self._ask(body, count, by)

    def _ask(self, body: bytes, count: int, by: Fingerprint) -> list[float]:
        scores = _scores(self._invoke(body), count)
        known = len(by.scores)
        if not by.fits(scores[:known]):
            raise OtherModelError("The endpoint's model is not the one that it should be.")
        return scores[known:]

    def _invoke(self, body: bytes) -> bytes:
        try:
            response = self._client.invoke_endpoint(
                EndpointName=self.name, ContentType="application/json", Accept="application/json", Body=body
            )
            return response["Body"].read()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ModelError":
                # Which error a model gives to another one's columns is not documented.
                logger.warning("The model answered with an error", error=str(error))
                status = error.response.get("OriginalStatusCode", "unknown")
                raise OtherModelError(
                    f"The model answered with an error (its status code: {status})."
                ) from error
            logger.exception("InvokeEndpoint failed")
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


def _request_bodies(first: list[str], instances: Iterable[str]) -> Iterator[tuple[bytes, int]]:
    """Yield request bodies within the size limit, each with its number of instances.

    Each begins with `first`.
    """
    beginning = sum(len(instance) + 1 for instance in first)
    part, size = list(first), beginning
    for instance in instances:
        if len(part) > len(first) and size + len(instance) + 1 > _REQUEST_BYTES:
            yield _request_body(part), len(part)
            part, size = list(first), beginning
        part.append(instance)
        size += len(instance) + 1
    if len(part) > len(first):
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
