import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from data_prep.sorting import stable_order


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.uint32, np.uint8])
@settings(deadline=None)
@given(data=st.data())
def test_it_sorts_as_numpy_does(dtype: type, data: st.DataObject) -> None:
    limits = np.iinfo(dtype)
    spread = data.draw(st.sampled_from([3, 1 << 10, 1 << 20, 1 << 40, 1 << 63]))
    elements = st.integers(0, min(int(limits.max), spread))
    numbers = data.draw(arrays.arrays(dtype, st.integers(0, 30), elements=elements))
    assert stable_order(numbers).tolist() == np.argsort(numbers, kind="stable").tolist()


def test_random_keys_that_begin_alike_are_told_apart() -> None:
    keys = np.random.PCG64(0).random_raw(1000)
    keys[::3] = keys[0]
    keys[1::3] = keys[1] ^ np.arange(len(keys[1::3]), dtype=np.uint64)[::-1]
    assert stable_order(keys).tolist() == np.argsort(keys, kind="stable").tolist()
