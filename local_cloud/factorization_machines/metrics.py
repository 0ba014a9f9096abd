"""The quality metrics that Factorization Machines prints while it trains and after it tested.

Definitions and digits were checked against the logs of real jobs: sums are float32 within a batch, float64
over batches; rows that fill up a short last training batch count as rows labelled 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from local_cloud.factorization_machines.hyperparameters import PredictorType

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

THRESHOLD = 0.5
"""The least score that a binary classifier labels 1."""

# Keeps the logarithm of a saturated probability finite.
_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Metric:
    """One printed metric; `tag` says whether it is to be made large (score) or small (loss)."""

    name: str
    tag: str
    value: float


class MetricSums:
    """Adds up what the predictor's three metrics need, batch by batch."""

    def __init__(self, predictor_type: PredictorType, batch_size: int) -> None:
        self._binary = predictor_type == "binary_classifier"
        self._batch_size = batch_size
        self.reset()

    def reset(self) -> None:
        """Forget every row."""
        self._rows = 0
        self._sums = np.zeros(4)

    def add(self, scores: Float32, labels: Float32) -> None:
        """Count rows, given their scores and labels, float32[n]; they begin a batch."""
        self._rows += len(scores)
        terms = self._binary_terms(scores, labels) if self._binary else self._regression_terms(scores, labels)
        starts = np.arange(0, len(scores), self._batch_size)
        self._sums += np.add.reduceat(terms, starts, axis=1).astype(np.float32).sum(axis=1, dtype=np.float64)

    def metrics(self) -> list[Metric]:
        """The three metrics over all rows counted, in the order in which they are printed."""
        if self._binary:
            correct, cross_entropy, hits, positives = self._sums.tolist()
            return [
                Metric("binary_classification_accuracy", "score", correct / self._rows),
                Metric("binary_classification_cross_entropy", "loss", cross_entropy / self._rows),
                Metric("binary_f_1.000", "score", 2 * hits / positives if positives else 0.0),
            ]
        squares, absolutes = (self._sums[:2] / self._rows).tolist()
        return [
            Metric("rmse", "loss", math.sqrt(squares)),
            Metric("mse", "loss", squares),
            Metric("absolute_loss", "loss", absolutes),
        ]

    @staticmethod
    def _binary_terms(scores: Float32, labels: Float32) -> Float64:
        probability = scores.astype(np.float64)
        predicted = scores >= np.float32(THRESHOLD)
        actual = labels >= np.float32(THRESHOLD)
        log_positive = np.log(np.maximum(probability, _LEAST_PROBABILITY))
        log_negative = np.log(np.maximum(1 - probability, _LEAST_PROBABILITY))
        cross_entropy = -(labels * log_positive + (1 - labels) * log_negative)
        positives = predicted.astype(np.float64) + actual
        return np.stack([predicted == actual, cross_entropy, predicted & actual, positives])

    @staticmethod
    def _regression_terms(scores: Float32, labels: Float32) -> Float64:
        error = scores.astype(np.float64) - labels
        nothing = np.zeros_like(error)
        return np.stack([error * error, np.abs(error), nothing, nothing])
