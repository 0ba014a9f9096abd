"""Tells models apart by what they answer: each scores the same rows differently."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from data_prep.recordio import SparseRecords
from evaluation.reference import Reference, ReferenceRow

TOLERANCE: Final = 1e-5
"""How far scores of the same model may lie apart, from one instance to another: rounding of float32."""

_ROWS: Final = 4
"""Rows enough that no two models score all of them alike, and few enough that a request hardly grows."""


@dataclass(frozen=True)
class Fingerprint:
    """Some rows, and the scores that a model gave them when it was evaluated; labels are not a number."""

    rows: SparseRecords
    scores: tuple[float, ...]

    @classmethod
    def of(cls, reference: Reference) -> Self:
        """Take the first rows of a model's reference scores."""
        return cls._of_rows(reference.rows[:_ROWS], reference.feature_dim)

    def without_rows(self) -> Self:
        """Return the fingerprint that every model of as many columns has."""
        return self._of_rows((), self.rows.shape)

    @classmethod
    def _of_rows(cls, chosen: Sequence[ReferenceRow], feature_dim: int) -> Self:
        return cls(
            rows=SparseRecords(
                labels=np.full(len(chosen), np.nan, dtype=np.float32),
                indptr=np.cumsum([0, *(len(row.keys) for row in chosen)]),
                keys=np.array([key for row in chosen for key in row.keys], dtype=np.int64),
                values=np.array([value for row in chosen for value in row.values], dtype=np.float32),
                shape=feature_dim,
            ),
            scores=tuple(row.score for row in chosen),
        )

    def fits(self, scores: Sequence[float]) -> bool:
        """Return whether the model that gave the rows these scores is the one of the fingerprint."""
        return all(abs(score - own) <= TOLERANCE for score, own in zip(scores, self.scores, strict=True))
