import json

import numpy as np

from evaluation.classification import classification_metrics, threshold_table
from evaluation.gate import Gate
from evaluation.ranking import Candidates, ranking_metrics
from evaluation.report import Evaluation

LABELS = np.array([0.0, 0, 1, 1])
SCORES = np.array([0.2, 0.6, 0.5, 0.9])


def evaluation() -> Evaluation:
    test = classification_metrics(LABELS, SCORES)
    candidates = Candidates(
        np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([True, False, False, True])
    )
    return Evaluation(
        test=test,
        thresholds=threshold_table(LABELS, SCORES),
        ranking=ranking_metrics(candidates, np.array([0.9, 0.1, 0.1, 0.9]), catalogue_size=4, k=1),
        popularity=ranking_metrics(candidates, np.array([7.0, 3, 7, 3]), catalogue_size=4, k=1),
        verdict=Gate(min_accuracy=0.8, min_auc=0.5, max_cross_entropy=1).judge(test),
    )


def test_the_document_has_its_documented_form() -> None:
    document = evaluation().document(model={"name": "m"}, dataset={"digest": "d"})

    assert document["format_version"] == 1
    assert (document["model"], document["dataset"]) == ({"name": "m"}, {"digest": "d"})
    assert document["test"]["accuracy"] == 0.75
    assert document["test"]["everything_positive"] == {"accuracy": 0.5, "f1": 2 / 3}
    assert set(document["test"]["standard_errors"]) >= {"accuracy", "f1", "auc", "cross_entropy"}
    assert document["thresholds"][9] == {
        "threshold": 0.5,
        "precision": 2 / 3,
        "recall": 1.0,
        "f1": 0.8,
        "accuracy": 0.75,
    }
    assert (document["ranking"]["users"], document["ranking"]["k"]) == (2, 1)
    assert document["ranking"]["model"]["precision"] == 1
    assert document["ranking"]["popularity"]["precision"] == 0.5
    assert set(document["ranking"]["model"]) == {"precision", "recall", "ndcg", "coverage", "standard_errors"}
    assert document["gate"] == {
        "passed": False,
        "reasons": ["accuracy 0.7500 is below the floor 0.8000"],
        "cause": "The model fails the gate: accuracy 0.7500 is below the floor 0.8000",
    }
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_metrics_are_flat_numbers() -> None:
    metrics = evaluation().metrics()

    assert all(isinstance(value, float) for value in metrics.values())
    assert metrics["accuracy"] == 0.75
    assert (metrics["ranking_coverage"], metrics["popularity_coverage"]) == (0.5, 0.25)
    assert metrics["everything_positive_accuracy"] == 0.5
