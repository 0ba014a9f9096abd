"""Tests what serves a model: the endpoint gives the model's own scores, the API recommends with them."""

from typing import Final

from evaluation.errors import EvaluationError
from evaluation.reference import Reference
from verify_model.endpoint import Endpoint
from verify_model.errors import VerificationError
from verify_model.events import SmokeTestProperties
from verify_model.object_store import ObjectStore
from verify_model.recommender import Recommender
from verify_model.registry import ModelPackage, Registry

TOLERANCE: Final = 1e-6

_QUESTIONS_PER_INSTANCE: Final = 3
"""SageMaker chooses the instance that answers: this often, each of two is asked in 97 of 100 tests."""
_MOST_QUESTIONS: Final = 30


class SmokeTest:
    """The smoke test of one environment, whose endpoint has `instances`."""

    def __init__(
        self,
        registry: Registry,
        store: ObjectStore,
        *,
        endpoint: Endpoint,
        recommender: Recommender,
        instances: int,
    ) -> None:
        self._registry = registry
        self._store = store
        self._endpoint = endpoint
        self._recommender = recommender
        self._questions = 1 if instances == 1 else min(_QUESTIONS_PER_INSTANCE * instances, _MOST_QUESTIONS)

    def run(self, expected: SmokeTestProperties, *, request_id: str) -> str:
        """Ask the endpoint and the API; return in one line what they answered.

        Raises:
            VerificationError: one of them does not serve the model package.
        """
        package = self._registry.package(expected.model_package_arn)
        reference = self._reference(package)
        for _ in range(self._questions):
            self._compare_scores(package, reference)
        count = self._ask_for_recommendations(package, reference.user, request_id)
        return (
            f"{len(reference.rows)} scores are those of the evaluation, and user {reference.user!r} "
            f"gets {count} recommendations"
        )

    def _reference(self, package: ModelPackage) -> Reference:
        uri = package.metadata.get("reference_uri")
        if uri is None:
            raise VerificationError(
                f"Model package {package.arn} records no reference_uri, so what serves it cannot be compared "
                "with its evaluation: deploy a package that the training workflow or a promotion registered."
            )
        try:
            return Reference.loads(self._store.read(uri), name=uri)
        except EvaluationError as error:
            raise VerificationError(
                f"The reference scores of model package {package.arn} are spoilt, {error}: restore the "
                "version of the object that was registered, or deploy another package."
            ) from error

    def _compare_scores(self, package: ModelPackage, reference: Reference) -> None:
        scores = self._endpoint.scores(reference)
        differing = [
            (abs(score - row.score), number, score, row.score)
            for number, (score, row) in enumerate(zip(scores, reference.rows, strict=True), start=1)
            if not abs(score - row.score) <= TOLERANCE
        ]
        if differing:
            _, number, score, recorded = max(differing)
            raise VerificationError(
                f"Endpoint {self._endpoint.name} does not serve model package {package.arn}: "
                f"{len(differing)} of {len(scores)} scores differ from those in "
                f"{package.metadata['reference_uri']} by more than {TOLERANCE:g}, most of all row {number}, "
                f"{score} instead of {recorded}. "
                "Deploy a package whose reference scores are its artifact's own."
            )

    def _ask_for_recommendations(self, package: ModelPackage, user: str, request_id: str) -> int:
        answer = self._recommender.recommendations(user, request_id=request_id)
        if answer.model_package != package.arn:
            raise VerificationError(
                f"The API recommends with model package {answer.model_package}, not with {package.arn}: "
                "its function has not been updated. Deploy again."
            )
        if not answer.recommendations:
            raise VerificationError(
                f"The API has no recommendations for user {user!r} of model package {package.arn}, who had "
                "some when the model was evaluated: its catalog.json and histories.bin are not the model's."
            )
        return len(answer.recommendations)
