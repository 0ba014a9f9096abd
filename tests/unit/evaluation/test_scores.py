import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.errors import EvaluationError
from evaluation.scores import parse_scores

PROBABILITIES = st.floats(min_value=0, max_value=1, width=32)


def parse(data: bytes, rows: int) -> list[float]:
    return list(parse_scores(io.BytesIO(data), source="s3://b/test.out", rows=rows))


def message(data: bytes, rows: int) -> str:
    with pytest.raises(EvaluationError) as error:
        parse(data, rows)
    return str(error.value)


def scored(*scores: float) -> bytes:
    return b"".join(b'{"predicted_label": 1.0, "score": %s}\n' % repr(score).encode() for score in scores)


@given(
    scores=st.lists(PROBABILITIES),
    score_first=st.booleans(),
    separators=st.sampled_from([(",", ":"), (", ", ": ")]),
    last_newline=st.booleans(),
)
def test_reads_what_a_json_encoder_writes(
    scores: list[float], score_first: bool, separators: tuple[str, str], last_newline: bool
) -> None:
    lines = []
    for score in scores:
        fields = [("score", score), ("predicted_label", float(score >= 0.5))]
        lines.append(json.dumps(dict(fields if score_first else fields[::-1]), separators=separators))
    text = "\n".join(lines) + ("\n" if last_newline and lines else "")

    assert parse(text.encode(), len(scores)) == scores


class Trickle:
    """A stream that returns less than was asked for, as a network stream may."""

    def __init__(self, data: bytes, size: int) -> None:
        self.rest = io.BytesIO(data)
        self.size = size

    def read(self, size: int, /) -> bytes:
        return self.rest.read(min(size, self.size))


@given(scores=st.lists(PROBABILITIES, min_size=1), size=st.integers(1, 200))
def test_lines_may_straddle_blocks(scores: list[float], size: int) -> None:
    stream = Trickle(scored(*scores), size)

    assert parse_scores(stream, source="x", rows=len(scores)).tolist() == scores


def test_many_blocks_keep_their_order() -> None:
    scores = (np.arange(20_000) / 20_000).tolist()

    assert parse(scored(*scores), len(scores)) == scores


def test_whole_numbers_and_other_fields_are_fine() -> None:
    assert parse(b'{"score": 1}\n{"score": 0, "extra": {"a": [1]}}\n { "score" : 0.5 } \r\n', 3) == [
        1,
        0,
        0.5,
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"score": NaN}', "score nan is not a probability in [0, 1]"),
        (b'{"score": Infinity}', "score inf is not a probability in [0, 1]"),
        (b'{"score": -0.25}', "score -0.25 is not a probability in [0, 1]"),
        (b'{"score": 3.5}', "score 3.5 is not a probability in [0, 1]"),
        (b'{"score": 1e999}', "score inf is not a probability in [0, 1]"),
        (b'{"score": ' + b"9" * 400 + b"}", "is not a probability in [0, 1]"),
        (b'{"score": "0.5"}', "the score is not a number"),
        (b'{"score": true}', "the score is not a number"),
        (b'{"score": null}', "the score is not a number"),
        (b'{"predicted_label": 1.0}', 'not a JSON object with a "score"'),
        (b"[0.5]", 'not a JSON object with a "score"'),
        (b"0.5", 'not a JSON object with a "score"'),
        (b"", "not a JSON object"),
        (b'{"score": 0.5', "not a JSON object"),
        (b'{"score": 0.5},', "not a JSON object"),
        (b'{"score": 0.5},{"score": 0.5}', "not a JSON object"),
        (b'{"score": 0.\x00}', "not a JSON object"),
        (b"\xff\xfe", "not a JSON object"),
        (b"[" * 5000, "not a JSON object"),
    ],
)
def test_a_bad_line_is_named(line: bytes, reason: str) -> None:
    said = message(scored(0.5, 0.5) + line + b"\n" + scored(0.5), rows=4)

    assert said.startswith("s3://b/test.out, line 3: ")
    assert reason in said


def test_a_bad_line_is_named_in_a_later_block() -> None:
    said = message(scored(*[0.25] * 20_000) + b'{"score": 2}\n', rows=20_001)

    assert said.startswith("s3://b/test.out, line 20001: score 2 ")


def test_objects_that_span_or_share_lines_are_refused() -> None:
    spanning = b'{"score": 0.1, "a": [{}\n{}]}\n{"score": 0.2},{"score": 0.3}\n'

    assert "line 1: not a JSON object" in message(spanning, rows=3)


def test_too_few_lines() -> None:
    assert message(scored(0.5, 0.5), rows=3) == (
        "s3://b/test.out, line 3: the file ends, but 3 records were to be scored"
    )
    assert "line 1: the file ends, but 1 records" in message(b"", rows=1)


def test_too_many_lines() -> None:
    assert message(scored(0.5, 0.5, 0.5), rows=2) == (
        "s3://b/test.out, line 3: more scores than the 2 records that were to be scored"
    )


def test_an_endless_line_does_not_fill_the_memory() -> None:
    assert "line 2: longer than 65536 bytes" in message(scored(0.5) + b" " * 1_000_000, rows=2)
