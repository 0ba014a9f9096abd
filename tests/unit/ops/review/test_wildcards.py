import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.review.wildcards import Reach, covers, normalized, overlap

PATTERNS = st.text(alphabet="ab*?", max_size=7)
TEXTS = st.text(alphabet="abc", max_size=7)


def matches(pattern: str, text: str) -> bool:
    regex = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(regex, text, re.DOTALL) is not None


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("*", "s3:getobject", True),
        ("s3:*", "s3:getobject", True),
        ("s3:*", "s3:get*", True),
        ("s3:get*", "s3:*", False),
        ("s3:getobject", "s3:getobject*", False),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/models/x", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b", False),
        ("arn:aws:s3:::b/models/*", "arn:aws:s3:::b/*", False),
        ("arn:*:role/a?", "arn:aws:iam::1:role/ab", True),
        ("a?", "a*", False),
        ("*?", "?*", True),
        ("?*", "*", False),
        ("a.c", "abc", False),
        ("${app/Data.Arn}/*", "${app/Data.Arn}/x", True),
    ],
)
def test_covers(wide: str, narrow: str, expected: bool) -> None:
    assert covers(wide, narrow) is expected


@given(PATTERNS, PATTERNS, TEXTS)
def test_what_is_covered_is_matched(wide: str, narrow: str, text: str) -> None:
    if covers(wide, narrow) and matches(narrow, text):
        assert matches(wide, text)


@given(PATTERNS, TEXTS)
def test_covering_a_text_is_matching_it(pattern: str, text: str) -> None:
    assert covers(pattern, text) == matches(pattern, text)


@given(PATTERNS, PATTERNS, PATTERNS)
def test_coverage_is_transitive(one: str, other: str, third: str) -> None:
    assert covers(one, one)
    if covers(one, other) and covers(other, third):
        assert covers(one, third)


@given(PATTERNS, st.integers(0, 7))
def test_a_wildcard_more_never_narrows(pattern: str, position: int) -> None:
    wider = pattern[:position] + "*" + pattern[position:]
    assert covers(wider, pattern)
    assert covers(pattern[:position] + "*", pattern)


@given(PATTERNS, TEXTS)
def test_normalizing_changes_no_match(pattern: str, text: str) -> None:
    assert matches(normalized(pattern), text) == matches(pattern, text)


@given(PATTERNS, PATTERNS, TEXTS)
def test_patterns_with_a_common_text_overlap(one: str, other: str, text: str) -> None:
    assert overlap(one, other) == overlap(other, one)
    if matches(one, text) and matches(other, text):
        assert overlap(one, other)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a*", "*b", True),
        ("a*", "b*", False),
        ("s3:Get*", "s3:Put*", False),
        ("*", "", True),
        ("?", "", False),
    ],
)
def test_overlap(one: str, other: str, expected: bool) -> None:
    assert overlap(one, other) is expected


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        (Reach(("*",)), Reach(("iam:*",), inverted=True), True),
        (Reach(("s3:*",)), Reach(("iam:*",), inverted=True), False),
        (Reach(("iam:*",), inverted=True), Reach(("s3:get",)), True),
        (Reach(("iam:*",), inverted=True), Reach(("iam:passrole",)), False),
        (Reach(("iam:*",), inverted=True), Reach(("i*",)), False),
        (Reach(("iam:get",), inverted=True), Reach(("iam:*",), inverted=True), True),
        (Reach(("iam:*",), inverted=True), Reach(("iam:get",), inverted=True), False),
        (Reach(("a", "b*")), Reach(("b1", "a")), True),
    ],
)
def test_reach(wide: Reach, narrow: Reach, expected: bool) -> None:
    assert wide.covers(narrow) is expected


REACHES = st.builds(Reach, st.lists(PATTERNS, min_size=1, max_size=3).map(tuple), st.booleans())


@given(REACHES, REACHES, TEXTS)
def test_a_reach_covers_no_text_that_it_does_not_reach(wide: Reach, narrow: Reach, text: str) -> None:
    def reaches(reach: Reach) -> bool:
        return any(matches(pattern, text) for pattern in reach.patterns) != reach.inverted

    if wide.covers(narrow) and reaches(narrow):
        assert reaches(wide)
