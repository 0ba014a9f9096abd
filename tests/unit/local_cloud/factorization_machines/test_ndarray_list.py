import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from local_cloud.factorization_machines import ndarray_list
from local_cloud.factorization_machines.ndarray_list import FormatError, NamedArray

FLOATS = st.floats(width=32, allow_nan=False)


def test_dense_array_is_laid_out_as_mxnet_does() -> None:
    content = ndarray_list.dumps([NamedArray("arg:w0_weight", np.array([1.5], np.float32))])
    assert content == b"".join(
        [
            struct.pack("<QQQ", 0x112, 0, 1),
            struct.pack("<Ii", 0xF993FAC9, 0),
            struct.pack("<Iq", 1, 1),
            struct.pack("<iii", 1, 0, 0),
            struct.pack("<f", 1.5),
            struct.pack("<QQ", 1, 13) + b"arg:w0_weight",
        ]
    )


def test_row_sparse_array_is_laid_out_as_mxnet_does() -> None:
    content = ndarray_list.dumps([NamedArray("v", np.array([[1, 2], [3, 4]], np.float32), row_sparse=True)])
    assert content == b"".join(
        [
            struct.pack("<QQQ", 0x112, 0, 1),
            struct.pack("<Ii", 0xF993FAC9, 1),
            struct.pack("<Iqq", 2, 2, 2),
            struct.pack("<Iqq", 2, 2, 2),
            struct.pack("<iii", 1, 0, 0),
            struct.pack("<iIq", 6, 1, 2),
            struct.pack("<4f", 1, 2, 3, 4),
            struct.pack("<2q", 0, 1),
            struct.pack("<QQ", 1, 1) + b"v",
        ]
    )


def test_row_that_is_not_stored_is_zero() -> None:
    content = b"".join(
        [
            struct.pack("<QQQ", 0x112, 0, 1),
            struct.pack("<Ii", 0xF993FAC9, 1),
            struct.pack("<Iqq", 2, 2, 2),
            struct.pack("<Iqq", 2, 4, 2),
            struct.pack("<iii", 1, 0, 0),
            struct.pack("<iIq", 6, 1, 2),
            struct.pack("<4f", 1, 2, 3, 4),
            struct.pack("<2q", 1, 3),
            struct.pack("<QQ", 1, 1) + b"v",
        ]
    )
    assert ndarray_list.loads(content)["v"].tolist() == [[0, 0], [1, 2], [0, 0], [3, 4]]
    assert_refused(content.replace(struct.pack("<2q", 1, 3), struct.pack("<2q", 1, 4)))
    assert_refused(content.replace(struct.pack("<2q", 1, 3), struct.pack("<2q", -1, 3)))


@pytest.mark.parametrize(
    "head",
    [struct.pack("<IIqq", 0xF993FAC8, 2, 1, 2), struct.pack("<III", 2, 1, 2)],
    ids=["V1", "before V1"],
)
def test_older_versions_are_read(head: bytes) -> None:
    content = b"".join(
        [
            struct.pack("<QQQ", 0x112, 0, 1),
            head,
            struct.pack("<iii", 1, 0, 1),
            struct.pack("<2d", 1.5, -2),
            struct.pack("<QQ", 1, 1) + b"v",
        ]
    )
    loaded = ndarray_list.loads(content)["v"]
    assert loaded.dtype == np.float64
    assert loaded.tolist() == [[1.5, -2]]


@given(
    st.dictionaries(
        st.text(max_size=5),
        hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0), elements=FLOATS),
        max_size=3,
    ),
    st.booleans(),
)
def test_round_trip(arrays: dict[str, np.ndarray], row_sparse: bool) -> None:
    content = ndarray_list.dumps([NamedArray(name, array, row_sparse) for name, array in arrays.items()])
    loaded = ndarray_list.loads(content)
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)


WHOLE = ndarray_list.dumps(
    [NamedArray("a", np.ones((2, 2), np.float32), row_sparse=True), NamedArray("b", np.ones(1, np.float32))]
)


@given(st.integers(0, len(WHOLE) - 1))
def test_truncated_file_is_refused(length: int) -> None:
    assert_refused(WHOLE[:length])


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_changed_byte_is_read_or_refused(place: int, byte: int) -> None:
    changed = bytearray(WHOLE)
    changed[place] = byte
    try:
        ndarray_list.loads(bytes(changed))
    except (FormatError, ValueError, MemoryError):
        return


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(content: bytes) -> None:
    assert_refused(content)


def test_csr_is_refused_by_name() -> None:
    with pytest.raises(FormatError, match="csr"):
        ndarray_list.loads(struct.pack("<QQQIi", 0x112, 0, 1, 0xF993FAC9, 2))


def assert_refused(content: bytes) -> None:
    with pytest.raises(FormatError):
        ndarray_list.loads(content)
