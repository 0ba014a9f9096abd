from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.splits import hold_out_first


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30)), unique=True, max_size=80), st.integers(1, 5)
)
def test_the_first_ratings_of_each_user_are_held_out(pairs: list[tuple[int, int]], ratings: int) -> None:
    seen: Counter[int] = Counter()
    train: list[tuple[int, int]] = []
    test: list[tuple[int, int]] = []
    for user, movie in pairs:
        (test if seen[user] < ratings else train).append((user, movie))
        seen[user] += 1
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    train_rows, test_rows = hold_out_first(array[:, 0], array[:, 1], ratings=ratings)
    assert [pairs[row] for row in train_rows] == sorted(train)
    assert [pairs[row] for row in test_rows] == sorted(test)
