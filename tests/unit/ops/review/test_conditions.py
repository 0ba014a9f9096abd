import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.review.conditions import Condition, allows_all_of


def condition(operator: str, *values: str, key: str = "aws:SourceArn") -> Condition:
    return Condition(operator, key, values)


@pytest.mark.parametrize(
    ("loose", "strict"),
    [
        (condition("StringEquals", "a", "b"), condition("StringEquals", "a")),
        (condition("StringLike", "a*"), condition("StringEquals", "abc")),
        (condition("StringLike", "*"), condition("StringLike", "a*")),
        (condition("ArnLike", "arn:*"), condition("ArnEquals", "arn:aws:s3:::b")),
        (condition("StringNotEquals", "a"), condition("StringNotEquals", "a", "b")),
        (condition("StringNotEquals", "abc"), condition("StringNotLike", "a*")),
        (condition("IpAddress", "10.0.0.0/8"), condition("IpAddress", "10.1.0.0/16")),
        (condition("IpAddress", "0.0.0.0/0"), condition("IpAddress", "192.0.2.7")),
        (condition("NotIpAddress", "10.1.0.0/16"), condition("NotIpAddress", "10.0.0.0/8")),
        (condition("NumericLessThan", "1.2"), condition("NumericLessThan", "1.0")),
        (condition("NumericGreaterThan", "1"), condition("NumericGreaterThan", "2")),
        (condition("StringEqualsIfExists", "a"), condition("StringEquals", "a")),
        (condition("stringequals", "a", key="AWS:sourcearn"), condition("StringEquals", "a")),
        (condition("StringEqualsIgnoreCase", "A", "b"), condition("StringEqualsIgnoreCase", "a")),
    ],
)
def test_loosened(loose: Condition, strict: Condition) -> None:
    assert loose.allows_all_of(strict)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (condition("StringEquals", "a"), condition("StringEquals", "b")),
        (condition("StringEquals", "a"), condition("StringEquals", "a", "b")),
        (condition("StringEquals", "abc"), condition("StringLike", "a*")),
        (condition("StringNotLike", "a*"), condition("StringNotEquals", "abc")),
        (condition("StringEquals", "a"), condition("StringEqualsIfExists", "a")),
        (condition("Bool", "true"), condition("Bool", "false")),
        (condition("IpAddress", "10.1.0.0/16"), condition("IpAddress", "10.0.0.0/8")),
        (condition("IpAddress", "0.0.0.0/0"), condition("IpAddress", "::/0")),
        (condition("IpAddress", "${Somewhere}"), condition("IpAddress", "10.0.0.0/8")),
        (condition("NumericLessThan", "1.0"), condition("NumericLessThan", "1.2")),
        (condition("StringEquals", "a", key="aws:other"), condition("StringEquals", "a")),
        (condition("ForAllValues:StringEquals", "a"), condition("StringEquals", "a")),
    ],
)
def test_not_loosened(one: Condition, other: Condition) -> None:
    assert not one.allows_all_of(other)


CONDITIONS = st.frozensets(
    st.builds(
        Condition,
        st.sampled_from(["StringEquals", "StringLike", "StringNotEquals", "ArnLike"]),
        st.sampled_from(["aws:SourceArn", "aws:SourceAccount"]),
        st.lists(st.text(alphabet="ab*", min_size=1, max_size=3), min_size=1, max_size=2).map(
            lambda found: tuple(sorted(set(found)))
        ),
    ),
    max_size=3,
)


@given(CONDITIONS, CONDITIONS)
def test_fewer_conditions_allow_all_that_more_do(
    some: frozenset[Condition], more: frozenset[Condition]
) -> None:
    assert allows_all_of(some, some | more)
    assert allows_all_of(frozenset(), some)
