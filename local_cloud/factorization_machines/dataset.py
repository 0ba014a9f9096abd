"""Labelled rows as the trainer takes them, decoded from records and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_prep.errors import DataError
from data_prep.recordio import decode_sparse
from local_cloud.factorization_machines import records
from local_cloud.factorization_machines.errors import ClientError
from local_cloud.factorization_machines.hyperparameters import PredictorType
from local_cloud.factorization_machines.kernel import Rows
from local_cloud.factorization_machines.records import Block, Bytes

Float32 = npt.NDArray[np.float32]

MIXED = (
    "Some rows are sparse, with keys, and some dense, without: write the whole channel with one of "
    "write_spmatrix_to_sparse_tensor and write_numpy_to_dense_tensor"
)


@dataclass(frozen=True)
class Dataset:
    """Labelled rows in file order: `labels` float32[n]; dense rows have an entry for every feature."""

    rows: Rows
    labels: Float32
    dense: bool = False

    def __len__(self) -> int:
        return int(self.labels.size)


@dataclass(frozen=True)
class Schema:
    """What a channel's rows must be like."""

    feature_dim: int
    predictor_type: PredictorType


@dataclass(frozen=True)
class Place:
    """Where records were read: in which file of which channel, behind how many rows and bytes."""

    source: str
    rows: int
    bytes: int


def decode(data: Bytes, count: int, schema: Schema, place: Place) -> Dataset:
    """Decode `data`, uint8[n], which holds `count` whole frames or, at the end of a file, something else.

    Raises ClientError where it cannot be decoded, where some rows are dense and some are sparse, where they
    have another number of features than `schema`, and where a label or a value is missing or unfit for the
    predictor.
    """
    block = records.decode(data, count, schema.feature_dim) if count else None
    if block is None:
        block = _decode_slowly(data, schema, place)
    labels = block.labels
    _check_labels(place, labels, np.isfinite(labels), "labels must be finite numbers")
    if schema.predictor_type == "binary_classifier":
        _check_labels(place, labels, (labels >= 0) & (labels <= 1), "a binary classifier's labels are 0 or 1")
    return Dataset(block.rows, labels, block.dense)


def join(parts: list[Dataset]) -> Dataset:
    """Put one or more data sets behind each other. Raises ClientError where dense and sparse ones meet."""
    if len(parts) == 1:
        return parts[0]
    if len({part.dense for part in parts}) > 1:
        raise ClientError(MIXED)
    starts = np.cumsum([0, *(len(part.rows.keys) for part in parts)])
    indptr = [part.rows.indptr[:-1] + start for part, start in zip(parts, starts, strict=False)]
    rows = Rows(
        np.concatenate([*indptr, starts[-1:]]),
        np.concatenate([part.rows.keys for part in parts]),
        np.concatenate([part.rows.values for part in parts]),
    )
    return Dataset(rows, np.concatenate([part.labels for part in parts]), parts[0].dense)


def _decode_slowly(data: Bytes, schema: Schema, place: Place) -> Block:
    """Read what is laid out in an unusual way, and say what is wrong with what cannot be read."""
    try:
        sparse = decode_sparse(data.tobytes())
    except DataError as error:
        raise ClientError(f"Unable to read data: {place.source}: {_moved(error, place)}") from error
    if sparse.shape != schema.feature_dim:
        raise ClientError(
            f"The rows of {place.source} have {sparse.shape} features, but feature_dim is "
            f"{schema.feature_dim}: the two must be equal"
        )
    finite = np.isfinite(sparse.values)
    if not finite.all():
        row = int(np.searchsorted(sparse.indptr, np.argmin(finite), side="right"))
        raise ClientError(f"Row {place.rows + row} of {place.source} has a value that is not a finite number")
    return Block(Rows(sparse.indptr, sparse.keys.astype(np.int32), sparse.values), sparse.labels, dense=False)


def _moved(error: DataError, place: Place) -> str:
    """Let an error that counts from the start of some bytes count from the start of their file."""

    def move(found: re.Match[str]) -> str:
        return f"record {int(found[1]) + place.rows}, byte {int(found[2]) + place.bytes}"

    return re.sub(r"record (\d+), byte (\d+)", move, str(error), count=1)


def _check_labels(place: Place, labels: Float32, good: npt.NDArray[np.bool_], rule: str) -> None:
    if good.all():
        return
    row = int(np.argmin(good))
    found = "no label" if np.isnan(labels[row]) else f"the label {labels[row]:g}"
    raise ClientError(f"Row {place.rows + row + 1} of {place.source} has {found}: {rule}")
