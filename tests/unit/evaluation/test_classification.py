import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaluation.classification import ClassificationMetrics, classification_metrics, threshold_table
from evaluation.errors import EvaluationError

Floats = NDArray[np.float64]

# Few distinct scores, so that ties and the threshold itself occur.
_SCORES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1, width=32))


@st.composite
def labelled_scores(draw: st.DrawFn) -> tuple[Floats, Floats]:
    labels = [1.0, 1.0, 0.0, 0.0, *draw(st.lists(st.sampled_from([0.0, 1.0]), max_size=30))]
    labels = draw(st.permutations(labels))
    scores = draw(st.lists(_SCORES, min_size=len(labels), max_size=len(labels)))
    return np.array(labels), np.array(scores)


def confusion(labels: Floats, scores: Floats, threshold: float) -> tuple[int, int, int, int]:
    pairs = [(label == 1, score >= threshold) for label, score in zip(labels, scores, strict=True)]
    return tuple(pairs.count(kind) for kind in ((True, True), (False, True), (True, False), (False, False)))  # type: ignore[return-value]


def expected_rates(labels: Floats, scores: Floats, threshold: float) -> tuple[float, float, float, float]:
    tp, fp, fn, tn = confusion(labels, scores, threshold)
    return (
        (tp + tn) / len(labels),
        tp / (tp + fp) if tp + fp else 0.0,
        tp / (tp + fn),
        2 * tp / (2 * tp + fp + fn),
    )


@given(labelled_scores(), st.sampled_from([0.25, 0.5, 0.9]))
def test_rates_count_the_confusion_matrix(data: tuple[Floats, Floats], threshold: float) -> None:
    metrics = classification_metrics(*data, threshold=threshold)

    assert (metrics.accuracy, metrics.precision, metrics.recall, metrics.f1) == pytest.approx(
        expected_rates(*data, threshold)
    )


@given(labelled_scores())
def test_auc_is_the_share_of_pairs_in_the_right_order(data: tuple[Floats, Floats]) -> None:
    labels, scores = data
    pairs = list(product(scores[labels == 1], scores[labels == 0]))
    expected = sum(1.0 if high > low else 0.5 if high == low else 0.0 for high, low in pairs) / len(pairs)

    assert classification_metrics(labels, scores).auc == pytest.approx(expected)


@given(labelled_scores())
def test_auc_standard_error_is_delongs(data: tuple[Floats, Floats]) -> None:
    labels, scores = data
    positives, negatives = scores[labels == 1], scores[labels == 0]

    def wins(high: float, low: float) -> float:
        return 1.0 if high > low else 0.5 if high == low else 0.0

    of_positive = [np.mean([wins(high, low) for low in negatives]) for high in positives]
    of_negative = [np.mean([wins(high, low) for high in positives]) for low in negatives]
    variance = np.var(of_positive, ddof=1) / len(positives) + np.var(of_negative, ddof=1) / len(negatives)

    found = classification_metrics(labels, scores).standard_errors.auc
    assert found == pytest.approx(math.sqrt(variance), abs=1e-9)


@given(labelled_scores())
def test_cross_entropy_is_the_mean_surprise(data: tuple[Floats, Floats]) -> None:
    labels, scores = data
    surprises = []
    for label, score in zip(labels, scores, strict=True):
        given_to_truth = score if label == 1 else 1 - score
        surprises.append(-math.log(min(max(given_to_truth, 2**-23), 1 - 2**-23)))
    metrics = classification_metrics(labels, scores)

    assert metrics.cross_entropy == pytest.approx(np.mean(surprises), abs=1e-12)
    assert metrics.standard_errors.cross_entropy == pytest.approx(
        np.std(surprises, ddof=1) / math.sqrt(len(surprises)), abs=1e-12
    )


@given(labelled_scores())
def test_threshold_table_agrees_with_counting(data: tuple[Floats, Floats]) -> None:
    table = threshold_table(*data)

    assert [row.threshold for row in table] == [round(0.05 * step, 2) for step in range(1, 20)]
    for row in table:
        found = (row.accuracy, row.precision, row.recall, row.f1)
        assert found == pytest.approx(expected_rates(*data, row.threshold))


def everything_positive() -> tuple[Floats, Floats]:
    """ua.test's label counts, and a model that always says yes."""
    labels = np.zeros(9430)
    labels[:5469] = 1
    return labels, np.full(9430, 0.9)


def test_everything_positive_on_the_walk_throughs_test_set() -> None:
    metrics = classification_metrics(*everything_positive())

    assert metrics.rows == 9430
    assert round(metrics.positive_share, 4) == 0.58
    assert (round(metrics.accuracy, 4), round(metrics.f1, 4)) == (0.58, 0.7341)
    assert metrics.accuracy == metrics.everything_positive.accuracy
    assert metrics.f1 == pytest.approx(metrics.everything_positive.f1)
    assert metrics.auc == 0.5
    assert metrics.recall == 1


def test_accuracy_standard_error_is_a_proportions() -> None:
    metrics = classification_metrics(*everything_positive())

    assert metrics.standard_errors.accuracy == pytest.approx(math.sqrt(0.58 * 0.42 / 9430), rel=1e-3)
    assert metrics.standard_errors.recall == 0


def test_f1_standard_error_matches_resampling() -> None:
    generator = np.random.default_rng(1)
    labels = (generator.random(400) < 0.55).astype(float)
    scores = np.clip(0.5 + 0.2 * (labels - 0.5) + 0.2 * generator.standard_normal(400), 0, 1)

    def resampled() -> ClassificationMetrics:
        rows = generator.integers(0, 400, 400)
        return classification_metrics(labels[rows], scores[rows])

    samples = [resampled() for _ in range(600)]
    found = classification_metrics(labels, scores).standard_errors
    for name in ("f1", "precision", "recall", "auc", "accuracy", "cross_entropy"):
        bootstrap = np.std([getattr(sample, name) for sample in samples])
        assert getattr(found, name) == pytest.approx(bootstrap, rel=0.15), name


def test_perfect_and_inverted_scores() -> None:
    labels = np.array([0.0, 0, 1, 1])

    assert classification_metrics(labels, np.array([0.1, 0.2, 0.8, 0.9])).auc == 1
    assert classification_metrics(labels, np.array([0.9, 0.8, 0.2, 0.1])).auc == 0


def test_a_score_at_the_threshold_is_positive() -> None:
    metrics = classification_metrics(np.array([0.0, 0, 1, 1]), np.full(4, 0.5))

    assert metrics.recall == 1


def test_nothing_predicted_positive() -> None:
    metrics = classification_metrics(np.array([0.0, 0, 1, 1]), np.full(4, 0.1))

    assert (metrics.precision, metrics.recall, metrics.f1) == (0, 0, 0)
    assert (metrics.standard_errors.precision, metrics.standard_errors.f1) == (0, 0)


def test_a_saturated_wrong_score_costs_a_finite_amount() -> None:
    metrics = classification_metrics(np.array([1.0, 1, 0, 0]), np.array([0.0, 1, 0, 0]))

    assert metrics.cross_entropy == pytest.approx(15.94 / 4, abs=0.01)


@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        ([1, 0, 1], [0.5, 0.5], "there are 3 labels but 2 scores"),
        ([1, 0, 4, 1, 0], [0.5] * 5, "row 3: label 4.0 is neither 0 nor 1"),
        ([1, 0, np.nan, 1, 0], [0.5] * 5, "row 3: label nan is neither 0 nor 1"),
        ([1, 0, 1, 0], [0.5, np.nan, 0.5, 0.5], "row 2: score nan is not a probability in [0, 1]"),
        ([1, 0, 1, 0], [0.5, 0.5, 0.5, 1.5], "row 4: score 1.5 is not a probability in [0, 1]"),
        ([1, 1, 1, 0], [0.5] * 4, "1 of 4 rows have label 0: at least 2 are needed"),
        ([0, 0], [0.5] * 2, "0 of 2 rows have label 1: at least 2 are needed"),
        ([], [], "0 of 0 rows have label 1: at least 2 are needed"),
    ],
)
def test_unusable_input_is_refused(labels: list[float], scores: list[float], said: str) -> None:
    with pytest.raises(EvaluationError) as error:
        classification_metrics(np.array(labels, dtype=float), np.array(scores, dtype=float))

    assert str(error.value) == said


def test_float32_input_is_judged_in_float64() -> None:
    labels, scores = everything_positive()
    single = classification_metrics(labels.astype(np.float32), scores.astype(np.float32))

    assert single.cross_entropy == pytest.approx(
        classification_metrics(labels, scores).cross_entropy, rel=1e-6
    )
