"""Sparse rows, as files hold them and as the trainer does."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from data_prep.recordio import encode_sparse
from local_cloud.factorization_machines import decimals, kernel, records
from local_cloud.factorization_machines.dataset import Dataset

FEATURES = 6


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Compile, where Numba's cache is empty, before any test is timed."""
    kernel.load((*kernel.TRAINING, *records.READING, *decimals.WRITING))


def encoded(rows: Sequence[dict[int, float]], labels: Sequence[float] | None, shape: int = FEATURES) -> bytes:
    """Encode rows, each a map from feature to value."""
    return b"".join(
        encode_sparse(
            None if labels is None else np.array(labels, np.float32),
            np.cumsum([0, *map(len, rows)]),
            np.array([key for row in rows for key in row], np.int64),
            np.array([value for row in rows for value in row.values()], np.float32),
            shape,
        )
    )


def dataset(rows: Sequence[dict[int, float]], labels: Sequence[float]) -> Dataset:
    """The same rows as the trainer holds them."""
    csr = kernel.Rows(
        np.cumsum([0, *map(len, rows)]),
        np.array([key for row in rows for key in row], np.int32),
        np.array([value for row in rows for value in row.values()], np.float32),
    )
    return Dataset(csr, np.array(labels, np.float32))


@pytest.fixture
def encode() -> Callable[..., bytes]:
    return encoded


@pytest.fixture
def make_dataset() -> Callable[..., Dataset]:
    return dataset
