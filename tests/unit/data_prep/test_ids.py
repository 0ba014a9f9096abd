import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import ids as ids_module
from data_prep.ids import IdTable

_numbers = st.integers(0, 20) | st.integers(90, 110) | st.integers(0, 2**63 - 1)
_names = st.text(alphabet="aé1 ", min_size=1, max_size=5).map(str.encode)


@settings(deadline=None)
@given(st.lists(st.lists(_numbers, min_size=1)) | st.lists(st.lists(_names, min_size=1)))
def test_ids_are_numbered_once_each_and_sorted(blocks: list[list[int]] | list[list[bytes]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids_module, "_LEAST_RECENT", 2)
        patch.setattr(ids_module, "_TABLE_IDS", 100)
        table = IdTable()
        codes = [table.codes(np.array(block)).tolist() for block in blocks]
    seen: dict[object, int] = {}
    for block, found in zip(blocks, codes, strict=True):
        for key, code in zip(block, found, strict=True):
            assert seen.setdefault(key, code) == code
    assert sorted(seen.values()) == list(range(len(table)))
    ids, of_ids = table.sorted_ids()
    assert ids.tolist() == sorted(seen)  # type: ignore[type-var]
    assert [seen[key] for key in ids.tolist()] == of_ids.tolist()


@settings(deadline=None)
@given(st.sets(_numbers), st.lists(_numbers, min_size=1))
def test_a_closed_table_knows_no_others(known: set[int], asked: list[int]) -> None:
    listed = sorted(known)
    table = IdTable.of(listed)
    places = {key: place for place, key in enumerate(listed)}
    assert table.codes(np.array(asked)).tolist() == [places.get(key, -1) for key in asked]
    assert len(table) == len(listed)
    assert table.sorted_ids()[0].tolist() == listed


def test_a_closed_table_of_names() -> None:
    table = IdTable.of(["a", "é", "z"])
    assert table.codes(np.array([b"z", "é".encode(), b"b"])).tolist() == [2, 1, -1]
