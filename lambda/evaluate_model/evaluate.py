"""Evaluates one trained model."""

import numpy as np
from numpy.typing import NDArray

from data_prep.catalog import Catalog
from data_prep.errors import DataError
from data_prep.manifest import ChannelFacts, Manifest
from data_prep.recordio import SparseRecords, decode_sparse
from evaluate_model.messages import EvaluationRequest, EvaluationResult, GateResult
from evaluate_model.object_store import ObjectStore
from evaluation.classification import classification_metrics, threshold_table
from evaluation.errors import EvaluationError
from evaluation.gate import Gate
from evaluation.ranking import Candidates, popularity_scores, ranking_metrics
from evaluation.reference import Reference, ReferenceRow
from evaluation.report import Evaluation
from evaluation.scores import parse_scores

_REFERENCE_ROWS = 32


def evaluate(
    request: EvaluationRequest, *, store: ObjectStore, gate: Gate, model_bucket: str
) -> EvaluationResult:
    """Measure the model, judge it, and keep what serving it needs beside its artifact.

    The prepared data expire; a live model's catalog and histories must not, so they are copied. Doing all
    of it again writes the same objects.

    Raises:
        EvaluationError, DataError: a file is missing or not what it should be; names it.
    """
    data = f"s3://{request.prepared.bucket}/{request.prepared.digest}"
    manifest_uri, catalog_uri = f"{data}/manifest.json", f"{data}/catalog.json"
    manifest = Manifest.loads(store.read(manifest_uri), name=manifest_uri)
    catalog = Catalog.loads(store.read(catalog_uri), name=catalog_uri)
    evaluation, reference = _Evaluator(store, data, catalog).evaluation(manifest, request, gate)

    folder = f"s3://{model_bucket}/models/{request.prepared.name}"
    for name in ("catalog.json", "histories.bin"):
        store.copy(f"{data}/{name}", f"{folder}/{name}")
    sha256 = store.sha256(request.model_artifact)
    store.write_json(f"{folder}/reference.json", reference.model_dump())
    store.write_json(
        f"{folder}/evaluation.json",
        evaluation.document(
            model={
                "name": request.prepared.name,
                "artifact": request.model_artifact,
                "artifact_sha256": sha256,
            },
            dataset={
                "digest": manifest.digest,
                "source": manifest.source.model_dump(),
                "feature_dim": manifest.feature_dim,
                "train_rows": manifest.train.rows,
                "test_rows": manifest.test.rows,
                "ranking_rows": manifest.ranking.rows,
            },
        ),
    )
    verdict = evaluation.verdict
    return EvaluationResult(
        metrics=evaluation.metrics(),
        gate=GateResult(passed=verdict.passed, reasons=verdict.reasons, cause=verdict.cause),
        evaluation_uri=f"{folder}/evaluation.json",
        catalog_uri=f"{folder}/catalog.json",
        histories_uri=f"{folder}/histories.bin",
        reference_uri=f"{folder}/reference.json",
        artifact_sha256=sha256,
    )


class _Evaluator:
    def __init__(self, store: ObjectStore, data: str, catalog: Catalog) -> None:
        self._store = store
        self._data = data
        self._catalog = catalog

    def evaluation(
        self, manifest: Manifest, request: EvaluationRequest, gate: Gate
    ) -> tuple[Evaluation, Reference]:
        records = self._records(manifest.test)
        scores = self._scores(request.scores.test, records)
        test = classification_metrics(records.labels, scores)
        thresholds = threshold_table(records.labels, scores)
        rows = _reference_rows(records, scores)

        records = self._records(manifest.ranking)
        candidates = self._candidates(records, manifest.ranking)
        scores = self._scores(request.scores.ranking, records)
        size = len(self._catalog.movies)
        popularity = popularity_scores(
            candidates, np.array([movie.ratings for movie in self._catalog.movies], dtype=np.int64)
        )
        evaluation = Evaluation(
            test=test,
            thresholds=thresholds,
            ranking=ranking_metrics(candidates, scores, catalogue_size=size),
            popularity=ranking_metrics(candidates, popularity, catalogue_size=size),
            verdict=gate.judge(test),
        )
        # Whose ranking is judged has movies left to recommend.
        user = self._catalog.users[int(candidates.users[0])]
        return evaluation, Reference(feature_dim=manifest.feature_dim, user=user, rows=rows)

    def _uri(self, channel: ChannelFacts) -> str:
        return f"{self._data}/{channel.key}"

    def _records(self, channel: ChannelFacts) -> SparseRecords:
        try:
            records = decode_sparse(self._store.read(self._uri(channel)))
        except DataError as error:
            raise EvaluationError(f"{self._uri(channel)}: {error}") from error
        if len(records) != channel.rows:
            raise EvaluationError(
                f"{self._uri(channel)}: {len(records)} records, but the manifest counts {channel.rows}"
            )
        return records

    def _scores(self, uri: str, records: SparseRecords) -> NDArray[np.float64]:
        return parse_scores(self._store.open(uri), source=uri, rows=len(records))

    def _candidates(self, records: SparseRecords, channel: ChannelFacts) -> Candidates:
        try:
            return Candidates(
                users=_members(records, self._catalog, "user"),
                movies=_members(records, self._catalog, "movie"),
                relevant=records.labels == 1,
            )
        except EvaluationError as error:
            raise EvaluationError(f"{self._uri(channel)}: {error}") from error


def _reference_rows(records: SparseRecords, scores: NDArray[np.float64]) -> tuple[ReferenceRow, ...]:
    """Return rows from all over the records, the first and the last among them, with their scores."""
    spread = np.linspace(0, len(records) - 1, num=min(_REFERENCE_ROWS, len(records)), dtype=np.int64)
    parts = {row: slice(records.indptr[row], records.indptr[row + 1]) for row in spread}
    return tuple(
        ReferenceRow(
            keys=tuple(records.keys[part].tolist()),
            values=tuple(records.values[part].tolist()),
            score=float(scores[row]),
        )
        for row, part in parts.items()
    )


def _members(records: SparseRecords, catalog: Catalog, name: str) -> NDArray[np.int64]:
    """Return the one member of a group of columns that each row has, int64[rows]."""
    group = catalog.group(name)
    if group is None:
        raise EvaluationError(f"the rows have no columns of group {name}: prepare with the feature {name}")
    inside = (records.keys >= group.offset) & (records.keys < group.offset + group.size)
    rows = np.repeat(np.arange(len(records)), np.diff(records.indptr))[inside]
    if not np.array_equal(rows, np.arange(len(records))):
        counts = np.bincount(rows, minlength=len(records))
        row = int((counts != 1).argmax())
        raise EvaluationError(f"record {row + 1} has {counts[row]} columns of group {name}, not one")
    return records.keys[inside] - group.offset
