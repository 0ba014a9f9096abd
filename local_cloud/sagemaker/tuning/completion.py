"""When a tuning job has found enough.

Criteria: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TuningJobCompletionCriteria.html.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from local_cloud.sagemaker.tuning.algorithm import Objective

_IMPROVEMENT = 0.01


class Completion:
    """The completion criteria of a tuning job."""

    def __init__(self, criteria: Mapping[str, Any], objective: Objective) -> None:
        self._objective = objective
        self._target: float | None = criteria.get("TargetObjectiveMetricValue")
        self._patience: int | None = criteria.get("BestObjectiveNotImproving", {}).get(
            "MaxNumberOfTrainingJobsNotImproving"
        )

    def best(self, metrics: Sequence[float | None]) -> int | None:
        """Return the index of the best of `metrics` (None: without), the first of equal ones."""
        best: int | None = None
        value: float | None = None
        for index, metric in enumerate(metrics):
            if metric is not None and (value is None or self._objective.better(metric, value)):
                best, value = index, metric
        return best

    def not_improving(self, metrics: Sequence[float | None]) -> int:
        """Return how many metrics there are since the last that was better than all before it by 1 %."""
        count, best = 0, None
        for metric in metrics:
            if metric is None:
                continue
            if best is None or self._improves(metric, best):
                count, best = 0, metric
            else:
                count += 1
        return count

    def _improves(self, metric: float, best: float) -> bool:
        return self._objective.better(metric, best) and abs(metric - best) >= _IMPROVEMENT * abs(best)

    def met(self, metrics: Sequence[float | None]) -> bool:
        """Return whether no more training jobs are needed after `metrics`."""
        best = self.best(metrics)
        if self._target is not None and best is not None:
            value = metrics[best]
            if value is not None and not self._objective.better(self._target, value):
                return True
        return self._patience is not None and self.not_improving(metrics) >= self._patience
