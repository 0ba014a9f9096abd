import math

import numpy as np
import pytest

from local_cloud.factorization_machines.metrics import Metric, MetricSums

RANDOM = np.random.default_rng(0)


def test_regression_metrics_pool_all_rows() -> None:
    sums = MetricSums("regressor", 2)
    sums.add(np.array([1, 3, 4, 0], np.float32), np.array([2, 3, 2, 0], np.float32))
    sums.add(np.array([5], np.float32), np.array([1], np.float32))
    assert sums.metrics() == [
        Metric("rmse", "loss", math.sqrt(21 / 5)),
        Metric("mse", "loss", 21 / 5),
        Metric("absolute_loss", "loss", 7 / 5),
    ]


def test_binary_metrics() -> None:
    sums = MetricSums("binary_classifier", 3)
    scores = np.array([0.9, 0.5, 0.2, 0.4, 0.7], np.float32)
    labels = np.array([1, 0, 0, 1, 1], np.float32)
    sums.add(scores, labels)
    accuracy, cross_entropy, f1 = sums.metrics()
    # A score of one half is labelled 1: hits 0.9, 0.7; false alarm 0.5; miss 0.4.
    assert accuracy == Metric("binary_classification_accuracy", "score", 3 / 5)
    assert f1 == Metric("binary_f_1.000", "score", 2 * 2 / (2 * 2 + 1 + 1))
    expected = -np.log([0.9, 0.5, 0.8, 0.4, 0.7]).mean()
    assert cross_entropy.name == "binary_classification_cross_entropy"
    assert cross_entropy.tag == "loss"
    assert cross_entropy.value == pytest.approx(expected, rel=1e-6)


def test_f1_without_any_positive_is_zero() -> None:
    sums = MetricSums("binary_classifier", 4)
    sums.add(np.array([0.1, 0.2], np.float32), np.zeros(2, np.float32))
    assert sums.metrics()[2].value == 0.0


def test_saturated_probabilities_cost_a_finite_amount() -> None:
    sums = MetricSums("binary_classifier", 4)
    sums.add(np.array([0, 1], np.float32), np.array([1, 0], np.float32))
    assert math.isfinite(sums.metrics()[1].value)
    assert sums.metrics()[1].value > 20


def test_sums_are_rounded_to_float32_batch_by_batch() -> None:
    scores = RANDOM.normal(size=1000).astype(np.float32)
    sums = MetricSums("regressor", 100)
    sums.add(scores, np.zeros(1000, np.float32))
    squares = [float(np.float32((part.astype(float) ** 2).sum())) for part in scores.reshape(10, 100)]
    assert sums.metrics()[1].value == sum(squares) / 1000


def test_reset_forgets() -> None:
    sums = MetricSums("regressor", 1)
    sums.add(np.array([9], np.float32), np.array([0], np.float32))
    sums.reset()
    sums.add(np.array([1], np.float32), np.array([0], np.float32))
    assert sums.metrics()[1].value == 1.0
