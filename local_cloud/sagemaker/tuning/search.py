"""How a tuning job chooses the hyperparameters of its next training job.

Strategies: https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-how-it-works.html.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from local_cloud.sagemaker.errors import validation
from local_cloud.sagemaker.tuning import gaussian_process
from local_cloud.sagemaker.tuning.space import Categorical, Dimension, Values, features_of, values_at


@dataclass(frozen=True)
class Trial:
    """A training job that a search has asked for.

    Attributes:
        values: its tuned hyperparameters.
        cost: what is to be minimized: the objective metric, or its negative; None without a metric.
        ended: whether the training job has ended.
    """

    values: Values
    cost: float | None
    ended: bool


class Search(Protocol):
    """A strategy at work."""

    def next(self, trials: Sequence[Trial]) -> Values | None:
        """Return values to try, knowing all `trials` so far, or None when there is nothing left to try."""


class RandomSearch:
    """Values at random, which depend on nothing but the seed."""

    def __init__(self, space: Sequence[Dimension], seed: int) -> None:
        self._space = space
        self._random = np.random.default_rng(seed)

    def next(self, trials: Sequence[Trial]) -> Values | None:  # noqa: ARG002 (it learns nothing)
        """See `Search`."""
        return values_at(self._space, self._random.random(len(self._space)).tolist())


class GridSearch:
    """All combinations of categorical values, in the order of the request."""

    def __init__(self, space: Sequence[Dimension]) -> None:
        lists = []
        for dimension in space:
            if not isinstance(dimension, Categorical):
                raise validation(
                    "Strategy Grid takes CategoricalParameterRanges only, and the hyperparameter "
                    f"{dimension.name!r} has another range"
                )
            lists.append([(dimension.name, value) for value in dimension.values])
        self.size = math.prod(len(values) for values in lists)
        self._combinations = itertools.product(*lists)

    def next(self, trials: Sequence[Trial]) -> Values | None:  # noqa: ARG002 (it learns nothing)
        """See `Search`."""
        combination = next(self._combinations, None)
        return None if combination is None else dict(combination)


class BayesianSearch:
    """Bayesian optimization: a Gaussian process over the trials so far, and its expected improvement.

    The method of Snoek, Larochelle and Adams, "Practical Bayesian Optimization of Machine Learning
    Algorithms" (https://arxiv.org/abs/1206.2944), which AWS's documentation refers to. Trials that still run
    count with the process's own forecast, failed ones with the worst cost so far.
    """

    _CANDIDATES = 2000
    _NEIGHBOURS = 200
    _NEIGHBOUR_DISTANCE = 0.05

    def __init__(self, space: Sequence[Dimension], seed: int) -> None:
        self._space = space
        self._random = np.random.default_rng(seed)
        self._first = max(3, len(space) + 1)

    def next(self, trials: Sequence[Trial]) -> Values | None:
        """See `Search`."""
        costs = [trial.cost for trial in trials if trial.cost is not None]
        if len(trials) < self._first or len(costs) < 2:
            return values_at(self._space, self._random.random(len(self._space)).tolist())
        worst = max(costs)
        ended = [trial for trial in trials if trial.ended]
        process = gaussian_process.fit(
            self._features([trial.values for trial in ended]),
            np.array([worst if trial.cost is None else trial.cost for trial in ended]),
        )
        running = [trial.values for trial in trials if not trial.ended]
        if running:
            process = process.with_forecasts(self._features(running))
        tried = {tuple(trial.values.items()) for trial in trials}
        best = min((trial for trial in ended if trial.cost is not None), key=lambda trial: trial.cost or 0.0)
        drawn = self._candidates(best.values)
        candidates = [values for values in drawn if tuple(values.items()) not in tried] or drawn
        improvement = process.expected_improvement(self._features(candidates), min(costs))
        return candidates[int(np.argmax(improvement))]

    def _candidates(self, best: Values) -> list[Values]:
        size = len(self._space)
        anywhere = self._random.random((self._CANDIDATES, size))
        steps = self._random.normal(0.0, self._NEIGHBOUR_DISTANCE, (self._NEIGHBOURS, size))
        near = [
            {
                dimension.name: best[dimension.name]
                if isinstance(dimension, Categorical)
                else dimension.at(float(np.clip(dimension.features(best[dimension.name])[0] + step, 0, 1)))
                for dimension, step in zip(self._space, row, strict=True)
            }
            for row in steps
        ]
        return [*(values_at(self._space, row) for row in anywhere.tolist()), *near]

    def _features(self, values: Sequence[Values]) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
        return np.array([features_of(self._space, each) for each in values])
