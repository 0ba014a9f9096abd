"""The document that records an evaluation (`evaluation.json`), and its main figures in flat form."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evaluation.classification import ClassificationMetrics, ThresholdRow
from evaluation.gate import Verdict
from evaluation.ranking import RankingMetrics

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Evaluation:
    """All that is known of a model's quality. `popularity` ranks the same candidates as `ranking`."""

    test: ClassificationMetrics
    thresholds: Sequence[ThresholdRow]
    ranking: RankingMetrics
    popularity: RankingMetrics
    verdict: Verdict

    def document(self, *, model: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
        """Return the content of `evaluation.json`; `model` and `dataset` say what was evaluated on what."""
        return {
            "format_version": FORMAT_VERSION,
            "model": dict(model),
            "dataset": dict(dataset),
            "test": asdict(self.test),
            "thresholds": [asdict(row) for row in self.thresholds],
            "ranking": {
                "users": self.ranking.users,
                "k": self.ranking.k,
                "model": _quality(self.ranking),
                "popularity": _quality(self.popularity),
            },
            "gate": asdict(self.verdict),
        }

    def metrics(self) -> dict[str, float]:
        """Return the main figures by name."""
        return {
            "accuracy": self.test.accuracy,
            "precision": self.test.precision,
            "recall": self.test.recall,
            "f1": self.test.f1,
            "auc": self.test.auc,
            "cross_entropy": self.test.cross_entropy,
            "everything_positive_accuracy": self.test.everything_positive.accuracy,
            "everything_positive_f1": self.test.everything_positive.f1,
            **_prefixed("ranking", self.ranking),
            **_prefixed("popularity", self.popularity),
        }


def _quality(ranking: RankingMetrics) -> dict[str, Any]:
    return {name: value for name, value in asdict(ranking).items() if name not in ("users", "k")}


def _prefixed(prefix: str, ranking: RankingMetrics) -> dict[str, float]:
    return {
        f"{prefix}_{name}": value for name, value in _quality(ranking).items() if name != "standard_errors"
    }
