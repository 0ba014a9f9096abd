"""How well scores tell liked from disliked: accuracy, F1, AUC, cross-entropy, with standard errors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EvaluationError

CROSS_ENTROPY_CLIP = float(np.finfo(np.float32).eps)
"""The cross-entropy keeps scores this far from 0 and 1: 2^-23, as scikit-learn does for float32 scores.

SageMaker computes scores in float32, where a sigmoid saturates at exactly 1: without a limit, one
saturated wrong score would make the mean infinite. With it, that score costs 15.9 nats.
"""

_THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True)
class StandardErrors:
    """One standard error of each metric, for rows drawn independently."""

    accuracy: float
    precision: float
    recall: float
    f1: float
    auc: float
    cross_entropy: float


@dataclass(frozen=True)
class EverythingPositive:
    """What a model that calls every row positive would reach: the bar that F1 has to clear."""

    accuracy: float
    f1: float


@dataclass(frozen=True)
class ClassificationMetrics:
    """Quality on labelled rows. A row is predicted positive if its score is at or above `threshold`.

    `precision` and `f1` are 0 where nothing was predicted positive. `cross_entropy` is in nats per row.
    """

    rows: int
    positive_share: float
    threshold: float
    accuracy: float
    precision: float
    recall: float
    f1: float
    auc: float
    cross_entropy: float
    standard_errors: StandardErrors
    everything_positive: EverythingPositive


@dataclass(frozen=True)
class ThresholdRow:
    """Quality if rows with a score at or above `threshold` are predicted positive."""

    threshold: float
    precision: float
    recall: float
    f1: float
    accuracy: float


def classification_metrics(
    labels: NDArray[np.floating], scores: NDArray[np.floating], *, threshold: float = 0.5
) -> ClassificationMetrics:
    """Compare labels (0 or 1, [rows]) with scores (probabilities of 1, [rows]).

    Raises:
        EvaluationError: lengths differ, a label is not 0 or 1, a score is not in [0, 1], or there are fewer
            than two rows of either label (then AUC or its standard error is undefined).
    """
    positive = _checked_labels(labels, scores)
    predicted = scores >= threshold
    correct = predicted == positive
    hits = predicted & positive
    accuracy = _ratio(correct, np.ones_like(correct))
    precision = _ratio(hits, predicted)
    recall = _ratio(hits, positive)
    f1 = _ratio(2.0 * hits, predicted.astype(float) + positive)
    auc = _auc(scores[positive], scores[~positive])
    cross_entropy = _mean(_cross_entropy(positive, scores))
    share = float(positive.mean())
    return ClassificationMetrics(
        rows=len(positive),
        positive_share=share,
        threshold=threshold,
        accuracy=accuracy.value,
        precision=precision.value,
        recall=recall.value,
        f1=f1.value,
        auc=auc.value,
        cross_entropy=cross_entropy.value,
        standard_errors=StandardErrors(
            accuracy=accuracy.standard_error,
            precision=precision.standard_error,
            recall=recall.standard_error,
            f1=f1.standard_error,
            auc=auc.standard_error,
            cross_entropy=cross_entropy.standard_error,
        ),
        everything_positive=EverythingPositive(accuracy=share, f1=2 * share / (1 + share)),
    )


def threshold_table(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> list[ThresholdRow]:
    """Return quality at thresholds 0.05 to 0.95. Takes and raises what `classification_metrics` does."""
    positive = _checked_labels(labels, scores)
    positive_scores = np.sort(scores[positive])
    negative_scores = np.sort(scores[~positive])
    table = []
    for threshold in _THRESHOLDS:
        hits = len(positive_scores) - int(np.searchsorted(positive_scores, threshold, side="left"))
        rejected = int(np.searchsorted(negative_scores, threshold, side="left"))
        predicted = hits + len(negative_scores) - rejected
        table.append(
            ThresholdRow(
                threshold=threshold,
                precision=hits / predicted if predicted else 0.0,
                recall=hits / len(positive_scores),
                f1=2 * hits / (predicted + len(positive_scores)),
                accuracy=(hits + rejected) / len(positive),
            )
        )
    return table


@dataclass(frozen=True)
class _Estimate:
    value: float
    standard_error: float


def _checked_labels(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> NDArray[np.bool_]:
    if len(labels) != len(scores):
        raise EvaluationError(f"there are {len(labels)} labels but {len(scores)} scores")
    positive: NDArray[np.bool_] = labels == 1
    wrong = ~(positive | (labels == 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise EvaluationError(f"row {row + 1}: label {labels[row]} is neither 0 nor 1")
    outside = ~((scores >= 0) & (scores <= 1))
    if outside.any():
        row = int(outside.argmax())
        raise EvaluationError(f"row {row + 1}: score {scores[row]} is not a probability in [0, 1]")
    for label, count in ((1, int(positive.sum())), (0, int((~positive).sum()))):
        if count < 2:
            raise EvaluationError(f"{count} of {len(labels)} rows have label {label}: at least 2 are needed")
    return positive


def _mean(values: NDArray[np.float64]) -> _Estimate:
    return _Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


def _ratio(numerator: NDArray[np.generic], denominator: NDArray[np.generic]) -> _Estimate:
    """Estimate Σ numerator / Σ denominator over rows, with the linearised (delta method) standard error."""
    above = numerator.astype(np.float64)
    below = denominator.astype(np.float64)
    total = below.sum()
    if total == 0:
        return _Estimate(0.0, 0.0)
    value = float(above.sum() / total)
    rows = len(above)
    variance = np.square(above - value * below).sum() * rows / (rows - 1)
    return _Estimate(value, float(np.sqrt(variance) / total))


def _auc(positive_scores: NDArray[np.floating], negative_scores: NDArray[np.floating]) -> _Estimate:
    """Estimate P(positive's score > negative's) + ½ P(equal), with DeLong's standard error.

    Computed from midranks, as in Sun and Xu, "Fast Implementation of DeLong's Algorithm", IEEE Signal
    Processing Letters 21 (2014), https://doi.org/10.1109/LSP.2014.2337313.
    """
    positives, negatives = len(positive_scores), len(negative_scores)
    ranks = _midranks(np.concatenate([positive_scores, negative_scores]))
    beaten_by_positive = (ranks[:positives] - _midranks(positive_scores)) / negatives
    beating_negative = 1 - (ranks[positives:] - _midranks(negative_scores)) / positives
    variance = beaten_by_positive.var(ddof=1) / positives + beating_negative.var(ddof=1) / negatives
    return _Estimate(float(beaten_by_positive.mean()), float(np.sqrt(variance)))


def _midranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rank from 1; equal values share the mean of their ranks."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(sizes)
    return np.asarray((last_rank - (sizes - 1) / 2)[group], dtype=np.float64)


def _cross_entropy(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    clipped = np.clip(scores.astype(np.float64), CROSS_ENTROPY_CLIP, 1 - CROSS_ENTROPY_CLIP)
    return np.asarray(-np.log(np.where(positive, clipped, 1 - clipped)), dtype=np.float64)
