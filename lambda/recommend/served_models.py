"""Asks the model that the endpoint serves: while a deployment replaces one by another, whichever answers.

A request is made of one model's columns, and may get to an instance that has the other's. It is then made of
the other's columns and sent again, until an instance gets what was made for it.
"""

from collections.abc import Callable, Iterator
from itertools import cycle, islice, repeat
from typing import Final, TypeVar

from aws_lambda_powertools import Logger

from data_prep.errors import DataError
from evaluation.errors import EvaluationError
from recommend.errors import OtherModelError, UnavailableError
from recommend.recommender import Recommender

Answer = TypeVar("Answer")

_AT_ONCE: Final = 2
_ATTEMPTS: Final = 20
"""How often a question is put to two models, in turn, while the endpoint serves both or does not say.

If a share p of the instances has the one model, two turns fail together with p (1 - p), at most 1/4: all of
them with 1 in a million. If one of the models gives nothing but errors, it is 1 in 1,024 at p = 1/2.
"""

logger = Logger(child=True)


class ServedModels:
    """The models that the endpoint may be serving, two at most."""

    def __init__(
        self,
        released: Recommender,
        *,
        load: Callable[[str], Recommender],
        packages: Callable[[], list[str]],
    ) -> None:
        """Begin with the model that was released last.

        `packages` gives the ARNs of the packages that the endpoint may be serving now; `load` the model of
        one. Where that fails with UnavailableError, KeyError, DataError or EvaluationError, the others have
        to do.
        """
        self._models = [released]
        self._load = load
        self._packages = packages

    def ask(self, question: Callable[[Recommender], Answer]) -> Answer:
        """Put a question to the models in turn; return the first answer.

        Raises:
            OtherModelError: the endpoint serves none of the models, or none that works.
            Exception: whatever else the question raises.
        """
        refusal = OtherModelError("The endpoint serves no model that is known.")
        for model in self._turns():
            try:
                answer = question(model)
            except OtherModelError as error:
                refusal = error
            else:
                self._models.sort(key=lambda other: other.model_package != model.model_package)
                return answer
        raise refusal

    def _turns(self) -> Iterator[Recommender]:
        yield from self._models
        packages = self._packages()[:_AT_ONCE]
        served = [model for model in map(self._model_of, packages) if model]
        # Requests may get to the model before for a moment after the endpoint has stopped naming it.
        before = [model for model in self._models if model not in served]
        kept = [*served, *before][:_AT_ONCE]
        # What has just refused comes last.
        self._models = sorted(kept, key=self._models.__contains__)
        logger.info("The endpoint's models", served=packages, asked=[m.model_package for m in self._models])
        attempts = len(self._models) if len(packages) == 1 else _ATTEMPTS
        yield from islice(cycle(self._models), attempts)
        # Its reference scores may be wrong: that fails a deployment, but no request before it is undone.
        for model in served[-1:]:
            logger.error("No answer has the reference scores", model_package=model.model_package)
            yield from repeat(model.trusting(), attempts)

    def _model_of(self, package: str) -> Recommender | None:
        for model in self._models:
            if model.model_package == package:
                return model
        try:
            return self._load(package)
        except (UnavailableError, KeyError, DataError, EvaluationError):
            logger.exception("A model that the endpoint serves cannot be loaded", model_package=package)
            return None
