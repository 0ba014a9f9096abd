"""Our codec against that of the SageMaker Python SDK v2, with which Amazon's own notebooks write tensors."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sagemaker.amazon.common import (
    read_records,
    write_numpy_to_dense_tensor,
    write_spmatrix_to_sparse_tensor,
)

from data_prep.manifest import PrepareSettings
from data_prep.prepare import prepare
from data_prep.recordio import SparseRecords, decode_sparse, encode_dense, encode_sparse

pytestmark = pytest.mark.fidelity


def _theirs(matrix: scipy.sparse.csr_matrix, labels: np.ndarray | None) -> bytes:
    stream = io.BytesIO()
    write_spmatrix_to_sparse_tensor(stream, matrix, labels)
    return stream.getvalue()


def _ours(matrix: scipy.sparse.csr_matrix, labels: np.ndarray | None) -> bytes:
    return b"".join(encode_sparse(labels, matrix.indptr, matrix.indices, matrix.data, matrix.shape[1]))


def _random(
    seed: int, shape: int, most: int, rows: int, *, least: int = 0
) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
    """Rows of `least` to `most` elements, in no order and with repetitions; any float, NaN left out."""
    chance = np.random.default_rng(seed)

    def floats(n: int) -> np.ndarray:
        drawn = chance.integers(0, 1 << 32, n, dtype=np.uint32).view(np.float32)
        return np.where(np.isnan(drawn) | (chance.random(n) < 0.3), np.float32(0), drawn)

    indptr = np.cumsum([0, *chance.integers(least, most + 1, rows)])
    keys = chance.integers(0, shape, indptr[-1]) >> chance.integers(0, shape.bit_length(), indptr[-1])
    matrix = scipy.sparse.csr_matrix((rows, shape), dtype=np.float32)
    # Set one by one: the constructor would narrow the indexes or refuse what is not in order.
    matrix.indptr, matrix.indices, matrix.data = indptr, keys, floats(len(keys))
    return matrix, floats(rows)


@settings(max_examples=1000, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    shape=st.sampled_from([1, 2, 127, 128, 2625, 2**14 + 1, 2**21, 2**28, 2**32 + 7, 2**45, 2**62]),
    elements=st.sampled_from([(0, 0), (0, 1), (0, 2), (0, 5), (0, 60), (1, 1), (2, 2), (3, 3), (8, 8)]),
    rows=st.integers(0, 30),
    labelled=st.booleans(),
)
def test_any_matrix_has_the_sdks_bytes_and_reads_back(
    seed: int, shape: int, elements: tuple[int, int], rows: int, labelled: bool
) -> None:
    matrix, labels = _random(seed, shape, elements[1], rows, least=elements[0])
    theirs = _theirs(matrix, labels if labelled else None)
    assert _ours(matrix, labels if labelled else None) == theirs

    records = decode_sparse(theirs)
    assert records.indptr.tolist() == matrix.indptr.tolist()
    assert records.keys.tolist() == matrix.indices.tolist()
    assert records.values.tobytes() == matrix.data.tobytes()
    if labelled:
        assert records.labels.tobytes() == labels.tobytes()


@pytest.mark.parametrize(("least", "most"), [(0, 3), (2, 2), (0, 300)])
@pytest.mark.parametrize("shape", [2625, 2**18, 2**21, 2**33])
def test_thousands_of_rows_have_the_sdks_bytes(least: int, most: int, shape: int) -> None:
    matrix, labels = _random(most, shape, most, 4000, least=least)
    assert _ours(matrix, labels) == _theirs(matrix, labels)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    # Of no columns, the SDK's writer takes the labels' shape for an error.
    columns=st.integers(1, 40) | st.sampled_from([127, 128, 5000]),
    rows=st.integers(0, 20),
    labelled=st.booleans(),
)
def test_any_dense_matrix_has_the_sdks_bytes(seed: int, columns: int, rows: int, labelled: bool) -> None:
    drawn = np.random.default_rng(seed).integers(0, 1 << 32, (rows, columns + 1), dtype=np.uint32)
    numbers = drawn.view(np.float32)
    matrix = np.where(np.isnan(numbers), np.float32(0), numbers)
    labels = matrix[:, 0].copy() if labelled else None
    stream = io.BytesIO()
    write_numpy_to_dense_tensor(stream, matrix[:, 1:], labels)
    assert b"".join(encode_dense(labels, matrix[:, 1:])) == stream.getvalue()


@pytest.fixture(scope="module")
def movielens(movielens_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    return out / prepare(movielens_zip, out, settings=PrepareSettings()).digest


@pytest.mark.parametrize("name", ["train", "test"])
def test_movielens_files_are_the_sdks(movielens: Path, name: str) -> None:
    content = (movielens / name / f"{name}.protobuf").read_bytes()
    records = decode_sparse(content)
    matrix = scipy.sparse.csr_matrix(
        (records.values, records.keys, records.indptr), shape=(len(records), 2625)
    )
    assert _theirs(matrix, records.labels) == content


def test_the_sdk_reads_our_files(movielens: Path) -> None:
    content = (movielens / "test" / "test.protobuf").read_bytes()
    records = read_records(io.BytesIO(content))
    _compare(decode_sparse(content), records)


def _compare(ours: SparseRecords, theirs: list) -> None:
    assert len(theirs) == len(ours)
    tensors = [record.features["values"].float32_tensor for record in theirs]
    assert [key for tensor in tensors for key in tensor.keys] == ours.keys.tolist()
    assert [value for tensor in tensors for value in tensor.values] == ours.values.tolist()
    assert {tuple(tensor.shape) for tensor in tensors} == {(ours.shape,)}
    labels = [record.label["values"].float32_tensor.values for record in theirs]
    assert [list(label) for label in labels] == [[label] for label in ours.labels.tolist()]


def test_the_walk_throughs_matrix_in_file_order_has_its_size(movielens_zip: Path) -> None:
    """The 2018 walk-through writes 5,796,480 bytes for ua.base."""
    with zipfile.ZipFile(movielens_zip) as archive:
        rows = np.loadtxt(io.BytesIO(archive.read("ml-100k/ua.base")), dtype=np.int64)
    keys = np.stack([rows[:, 0] - 1, 943 + rows[:, 1] - 1], axis=1).ravel()
    matrix = scipy.sparse.csr_matrix(
        (np.ones(len(keys), np.float32), keys, np.arange(0, len(keys) + 1, 2)), shape=(len(rows), 2625)
    )
    labels = (rows[:, 2] >= 4).astype(np.float32)
    ours = _ours(matrix, labels)
    assert len(ours) == 5_796_480
    assert ours == _theirs(matrix, labels)
