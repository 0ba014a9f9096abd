import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_prep.lists import Lists, spans

_lists = st.lists(st.lists(st.integers(0, 99), max_size=4), min_size=1, max_size=6)


def _encode(lists: list[list[int]]) -> Lists:
    members = np.array([member for members in lists for member in members], dtype=np.int64)
    return Lists.of_lengths(np.array([*map(len, lists)]), members)


def _decode(lists: Lists) -> list[list[int]]:
    return [part.tolist() for part in np.split(lists.members, lists.boundaries[1:-1])] if len(lists) else []


@given(st.data(), _lists)
def test_lists_are_taken_and_thinned_as_in_plain_python(draw: st.DataObject, plain: list[list[int]]) -> None:
    lists = _encode(plain)
    assert (len(lists), lists.lengths.tolist()) == (len(plain), [*map(len, plain)])
    numbers = draw.draw(st.lists(st.integers(-1, len(plain) - 1), max_size=8))
    wanted = [plain[number] if number >= 0 else [] for number in numbers]
    asked = np.array(numbers, dtype=np.int64)
    assert _decode(lists.take(asked)) == wanted
    assert lists.lengths_of(asked).tolist() == [*map(len, wanted)]
    odd = [[member for member in members if member % 2] for members in plain]
    assert _decode(lists.where(lists.members % 2 == 1)) == odd


def test_spans_are_runs_of_numbers() -> None:
    assert spans(np.array([7, 0, 3]), np.array([2, 0, 3])).tolist() == [7, 8, 3, 4, 5]
