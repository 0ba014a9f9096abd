import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.errors import EvaluationError
from evaluation.reference import Reference, ReferenceRow

REFERENCE: dict[str, Any] = {
    "format_version": 1,
    "feature_dim": 2625,
    "user": "1",
    "rows": [{"keys": [0, 951], "values": [1.0, 1.0], "score": 0.8312}],
}


def test_a_file() -> None:
    reference = Reference.loads(json.dumps(REFERENCE))

    assert (reference.feature_dim, reference.user) == (2625, "1")
    assert reference.rows == (ReferenceRow(keys=(0, 951), values=(1.0, 1.0), score=0.8312),)


_COLUMNS = st.lists(st.integers(0, 99), unique=True).map(sorted)


@given(
    user=st.text(),
    rows=st.lists(
        st.tuples(_COLUMNS, st.floats(0, 1), st.floats(width=32, allow_nan=False, allow_infinity=False))
    ).filter(bool),
)
def test_what_is_written_is_read_again(user: str, rows: list[tuple[list[int], float, float]]) -> None:
    reference = Reference(
        feature_dim=100,
        user=user,
        rows=tuple(
            ReferenceRow(keys=tuple(keys), values=(value,) * len(keys), score=score)
            for keys, score, value in rows
        ),
    )

    assert Reference.loads(json.dumps(reference.model_dump())) == reference


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format_version": 2}, "format_version: Input should be 1"),
        ({"rows": []}, "rows: Tuple should have at least 1 item"),
        ({"rows": [{"keys": [0], "values": [], "score": 0.5}]}, "row 1 has 1 keys but 0 values"),
        (
            {"rows": [{"keys": [2625], "values": [1], "score": 0.5}]},
            "row 1 has a key outside the 2625 columns",
        ),
        ({"rows": [{"keys": [-1], "values": [1], "score": 0.5}]}, "rows.0.keys.0: Input should be greater"),
        ({"rows": [{"keys": [0], "values": [1], "score": 1.5}]}, "rows.0.score: Input should be less"),
        ({"user": None}, "user: Input should be a valid string"),
    ],
)
def test_a_spoilt_file_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(EvaluationError) as error:
        Reference.loads(json.dumps(REFERENCE | change), name="s3://models/reference.json")
    assert str(error.value).startswith("s3://models/reference.json: ")
    assert said in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_what_is_no_reference_is_refused(content: bytes) -> None:
    with pytest.raises(EvaluationError, match=r"reference\.json: "):
        Reference.loads(content)


def test_reading_needs_no_numpy() -> None:
    """The function that reads it carries none."""
    program = "import sys; sys.modules['numpy'] = None; import evaluation.reference"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
