import numpy as np
import pytest

from data_prep.shuffle import ascending
from data_prep.spool import BLOCK_ROWS

ROW = np.dtype([("key", "<u8"), ("place", "<u4")])


@pytest.mark.parametrize("count", [1, 1000, BLOCK_ROWS, 3 * BLOCK_ROWS])
@pytest.mark.parametrize("bits", [0, 8, 40, 64])
def test_rows_ascend_by_key_and_equal_ones_keep_their_order(count: int, bits: int) -> None:
    rows = np.empty(count, dtype=ROW)
    rows["key"] = np.random.PCG64(0).random_raw(count) >> np.uint64(64 - bits) if bits else 7
    rows["place"] = np.arange(count)
    blocks = list(ascending(rows))
    np.testing.assert_array_equal(np.concatenate(blocks), rows[np.argsort(rows["key"], kind="stable")])
    assert len(blocks) > 1 or count < BLOCK_ROWS or bits == 0


def test_places_as_keys_make_even_blocks() -> None:
    rows = np.zeros(4 * BLOCK_ROWS, dtype=ROW)
    rows["key"] = np.arange(len(rows))
    assert max(map(len, ascending(rows))) <= BLOCK_ROWS
