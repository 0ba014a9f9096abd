import dataclasses
import math

import numpy as np
import pytest

from evaluation.classification import ClassificationMetrics, classification_metrics
from evaluation.gate import Gate

GATE = Gate(min_accuracy=0.69, min_auc=0.75, max_cross_entropy=0.58)


def metrics(accuracy: float = 0.71, auc: float = 0.77, cross_entropy: float = 0.56) -> ClassificationMetrics:
    some = classification_metrics(np.array([0.0, 0, 1, 1]), np.full(4, 0.5))
    return dataclasses.replace(some, accuracy=accuracy, auc=auc, cross_entropy=cross_entropy)


def test_a_good_model_passes() -> None:
    verdict = GATE.judge(metrics())

    assert verdict.passed
    assert verdict.reasons == []
    assert verdict.cause == (
        "The model passes the gate: accuracy 0.7100 (floor 0.6900), AUC 0.7700 (floor 0.7500), "
        "cross-entropy 0.5600 (ceiling 0.5800)"
    )


def test_each_bound_fails_with_its_figures() -> None:
    verdict = GATE.judge(metrics(accuracy=0.6812, auc=0.7, cross_entropy=0.6))

    assert not verdict.passed
    assert verdict.reasons == [
        "accuracy 0.6812 is below the floor 0.6900",
        "AUC 0.7000 is below the floor 0.7500",
        "cross-entropy 0.6000 is above the ceiling 0.5800",
    ]
    assert verdict.cause == "The model fails the gate: " + "; ".join(verdict.reasons)


def test_a_metric_at_its_bound_passes() -> None:
    assert GATE.judge(metrics(accuracy=0.69, auc=0.75, cross_entropy=0.58)).passed


def test_a_hair_below_is_told_apart_from_the_floor() -> None:
    assert GATE.judge(metrics(accuracy=0.68999)).reasons == ["accuracy 0.68999 is below the floor 0.69"]


@pytest.mark.parametrize("name", ["accuracy", "auc", "cross_entropy"])
def test_nan_never_passes(name: str) -> None:
    assert not GATE.judge(metrics(**{name: math.nan})).passed
