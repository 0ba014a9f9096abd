"""The gate: the least that a model must reach before it is registered."""

from dataclasses import dataclass

from evaluation.classification import ClassificationMetrics


@dataclass(frozen=True)
class Verdict:
    """What the gate decided.

    `reasons`: one sentence per failed bound, with the figures; none if passed. `cause`: all in one line.
    """

    passed: bool
    reasons: list[str]
    cause: str


@dataclass(frozen=True)
class Gate:
    """Bounds on test metrics. A metric that equals its bound passes; NaN never does."""

    min_accuracy: float
    min_auc: float
    max_cross_entropy: float

    def judge(self, metrics: ClassificationMetrics) -> Verdict:
        """Compare metrics with the bounds."""
        reasons = []
        for name, value, floor in (
            ("accuracy", metrics.accuracy, self.min_accuracy),
            ("AUC", metrics.auc, self.min_auc),
        ):
            if not value >= floor:
                reasons.append(_reason(name, value, "below the floor", floor))
        if not metrics.cross_entropy <= self.max_cross_entropy:
            reasons.append(
                _reason("cross-entropy", metrics.cross_entropy, "above the ceiling", self.max_cross_entropy)
            )
        if reasons:
            return Verdict(
                passed=False, reasons=reasons, cause="The model fails the gate: " + "; ".join(reasons)
            )
        return Verdict(
            passed=True,
            reasons=[],
            cause=(
                "The model passes the gate: "
                f"accuracy {metrics.accuracy:.4f} (floor {self.min_accuracy:.4f}), "
                f"AUC {metrics.auc:.4f} (floor {self.min_auc:.4f}), "
                f"cross-entropy {metrics.cross_entropy:.4f} (ceiling {self.max_cross_entropy:.4f})"
            ),
        )


def _reason(name: str, value: float, relation: str, bound: float) -> str:
    shown, limit = f"{value:.4f}", f"{bound:.4f}"
    if shown == limit:
        shown, limit = repr(value), repr(bound)
    return f"{name} {shown} is {relation} {limit}"
