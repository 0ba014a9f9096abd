"""One channel's rows, read from its RecordIO-protobuf files and checked."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_prep.errors import DataError
from data_prep.recordio import decode_sparse
from local_cloud.factorization_machines.errors import ClientError
from local_cloud.factorization_machines.hyperparameters import PredictorType
from local_cloud.factorization_machines.kernel import Rows

_LENGTH_MASK = (1 << 29) - 1


@dataclass(frozen=True)
class Dataset:
    """Labelled sparse rows in file order: `labels` float32[n]. `size` is that of the files, in bytes."""

    rows: Rows
    labels: npt.NDArray[np.float32]
    size: int

    def __len__(self) -> int:
        return int(self.labels.size)


def channel_files(folder: Path) -> list[Path]:
    """List the files under a channel's folder in the order in which they are read, that of their paths.

    Empty files, which stand for folders in S3, are left out.
    """
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def read_channel(name: str, folder: Path, feature_dim: int, predictor_type: PredictorType) -> Dataset:
    """Read every file of a channel.

    Raises ClientError where there is none, where a file cannot be decoded, where its rows have another number
    of features than `feature_dim`, and where a label or a value is missing or unfit for the predictor.
    """
    files = channel_files(folder)
    if not files:
        raise ClientError(f"Channel {name!r} has no data: there is no file in {folder}, or all are empty")
    parts = [_read_file(name, path, folder, feature_dim, predictor_type) for path in files]
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part.rows.keys) for part in parts)])
    indptr = [part.rows.indptr[:-1] + start for part, start in zip(parts, starts, strict=False)]
    rows = Rows(
        np.concatenate([*indptr, starts[-1:]]),
        np.concatenate([part.rows.keys for part in parts]),
        np.concatenate([part.rows.values for part in parts]),
    )
    return Dataset(rows, np.concatenate([part.labels for part in parts]), sum(part.size for part in parts))


def leading_bytes(files: list[Path], records: int) -> int:
    """Count the bytes that the first `records` records take on disk, in files that have been decoded."""
    total = 0
    for path in files:
        with path.open("rb") as file:
            while records and (header := file.read(8)):
                length = struct.unpack_from("<I", header, 4)[0] & _LENGTH_MASK
                padded = -(-length // 4) * 4
                file.seek(padded, 1)
                total += 8 + padded
                records -= 1
    return total


def _read_file(
    channel: str, path: Path, folder: Path, feature_dim: int, predictor_type: PredictorType
) -> Dataset:
    where = f"channel {channel!r}, file {path.relative_to(folder)}"
    with path.open("rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        records = decode_sparse(content)
    except DataError as error:
        raise ClientError(f"Unable to read data: {where}: {error}") from error
    if records.shape != feature_dim:
        raise ClientError(
            f"The rows of {where} have {records.shape} features, but feature_dim is {feature_dim}: "
            "the two must be equal"
        )
    labels = records.labels
    _check_labels(where, labels, np.isfinite(labels), "labels must be finite numbers")
    if predictor_type == "binary_classifier":
        _check_labels(where, labels, (labels >= 0) & (labels <= 1), "a binary classifier's labels are 0 or 1")
    finite = np.isfinite(records.values)
    if not finite.all():
        row = int(np.searchsorted(records.indptr, np.argmin(finite), side="right"))
        raise ClientError(f"Row {row} of {where} has a value that is not a finite number")
    return Dataset(
        Rows(records.indptr, records.keys.astype(np.int32), records.values), labels, content.nbytes
    )


def _check_labels(
    where: str, labels: npt.NDArray[np.float32], good: npt.NDArray[np.bool_], rule: str
) -> None:
    if good.all():
        return
    row = int(np.argmin(good))
    found = "no label" if np.isnan(labels[row]) else f"the label {labels[row]:g}"
    raise ClientError(f"Row {row + 1} of {where} has {found}: {rule}")
