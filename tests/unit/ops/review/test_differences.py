from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.review.differences import Difference, Value, differences
from ops.review.intrinsics import as_text


def compared(before: Any, after: Any, *, unordered: bool = False) -> list[Difference]:
    return differences(Value(before, before), Value(after, after), name="P", unordered=lambda _: unordered)


def told(before: Any, after: Any, *, unordered: bool = False) -> list[tuple[str, Any, Any]]:
    return [(each.path, each.before, each.after) for each in compared(before, after, unordered=unordered)]


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"A": 1}, {"A": 2}, [("P.A", 1, 2)]),
        ({"A": 1}, {}, [("P.A", 1, None)]),
        ({}, {"A": {"B": 1}}, [("P.A", None, {"B": 1})]),
        ({"A": "1", "B": "true"}, {"A": 1, "B": True}, []),
        ({"A": None}, {"A": "null"}, [("P.A", None, "null")]),
        ({"A": {"B": 1}}, {"A": "x"}, [("P.A", {"B": 1}, "x")]),
        ({"A": ["x", "y"]}, {"A": ["x", "z"]}, [("P.A", ["x", "y"], ["x", "z"])]),
        (
            {"V": [{"VariantName": "a", "N": 1}, {"VariantName": "b", "N": 1}]},
            {"V": [{"VariantName": "b", "N": 2}, {"VariantName": "a", "N": 1}]},
            [("P.V[b].N", 1, 2)],
        ),
        (
            {"V": [{"Key": "a", "Value": 1}]},
            {"V": [{"Key": "a", "Value": 1}, {"Key": "b", "Value": 2}]},
            [("P.V[b]", None, {"Key": "b", "Value": 2})],
        ),
        ({"L": [{"A": 1, "B": 1}]}, {"L": [{"A": 1, "B": 2}]}, [("P.L[0].B", 1, 2)]),
        (
            {"L": [{"A": 1, "B": 1, "C": 1}]},
            {"L": [{"A": 2, "B": 2, "C": 2}]},
            [("P.L[0]", {"A": 1, "B": 1, "C": 1}, {"A": 2, "B": 2, "C": 2})],
        ),
        # An item at the front does not make all others differ.
        (
            {"L": [{"A": 1}, {"A": 2}]},
            {"L": [{"A": 0}, {"A": 1}, {"A": 2}]},
            [("P.L[0]", None, {"A": 0})],
        ),
    ],
)
def test_differences(before: Any, after: Any, found: list[tuple[str, Any, Any]]) -> None:
    assert told(before, after) == found


def test_another_order_is_a_difference_where_order_counts() -> None:
    assert [each.order_only for each in compared({"L": [1, 2]}, {"L": [2, 1]})] == [False]
    assert [each.order_only for each in compared({"L": [1, 2]}, {"L": [2, 1]}, unordered=True)] == [True]


def test_the_order_of_tags_never_counts() -> None:
    tags = [{"Key": "a", "Value": 1}, {"Key": "b", "Value": 1}]
    assert [each.order_only for each in compared({"Tags": tags}, {"Tags": tags[::-1]})] == [True]


def test_in_a_policy_neither_order_nor_single_lists_count() -> None:
    one = {"Effect": "Allow", "Action": ["a", "b"], "Resource": "*"}
    two = {"Effect": "Deny", "Action": "c", "Resource": ["*"], "Condition": {"Bool": {"x": "true"}}}
    before = {"Statement": [one, two]}
    after = {"Statement": [{**two, "Action": ["c"], "Resource": "*"}, one]}
    assert [each for each in compared(before, after) if not each.order_only] == []
    assert told(before, {"Statement": [one, {**two, "Condition": {}}]}) == [
        ("P.Statement[1].Condition.Bool", {"x": "true"}, None)
    ]


def test_a_policy_of_one_statement_needs_no_list() -> None:
    statement = {"Effect": "Allow", "Action": "a"}
    assert compared({"Statement": statement}, {"Statement": [statement]}) == []


def test_json_within_text_is_compared_as_json() -> None:
    before = {"Definition": '{"States": {"A": {"Next": "B"}}, "StartAt": "A"}'}
    after = {"Definition": '{"StartAt":"A","States":{"A":{"Next":"C"}}}'}
    assert told(before, after) == [("P.Definition.States.A.Next", "B", "C")]
    assert told({"D": "{broken"}, {"D": "{}"}) == [("P.D", "{broken", "{}")]


def test_only_identity_is_compared_and_only_names_are_shown() -> None:
    moved = differences(Value("s:A", "s/Old"), Value("s:A", "s/New"), name="P", unordered=lambda _: False)
    assert moved == []
    (anew,) = differences(Value("s:A", "s/X"), Value("s:B", "s/X"), name="P", unordered=lambda _: False)
    assert (anew.before, anew.after) == ("s/X", "s/X (new)")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=15,
)


@given(JSON)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert compared(value, value) == []


@given(JSON, JSON, st.booleans())
def test_what_differs_is_told_both_ways(one: Any, other: Any, unordered: bool) -> None:
    there = compared(one, other, unordered=unordered)
    back = compared(other, one, unordered=unordered)
    assert bool(there) == bool(back)
    if not there:
        assert spelled(one) == spelled(other)


def spelled(value: Any) -> Any:
    """Scalars that CloudFormation takes for the same, spelled alike; null is as good as absent."""
    if isinstance(value, dict):
        return {key: spelled(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [spelled(item) for item in value]
    return value if value is None else as_text(value)
