import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.sagemaker.splitting import SplitError, assemble, split

MAGIC = 0xCED7230A


def part(payload: bytes, flag: int = 0) -> bytes:
    return struct.pack("<II", MAGIC, flag << 29 | len(payload)) + payload + bytes(-len(payload) % 4)


def whole_or_parts(pieces: list[bytes]) -> bytes:
    if len(pieces) == 1:
        return part(pieces[0])
    flags = [1] + [2] * (len(pieces) - 2) + [3]
    return b"".join(part(piece, flag) for piece, flag in zip(pieces, flags, strict=True))


RECORDS = st.lists(
    st.lists(st.binary(max_size=20), min_size=1, max_size=4).map(whole_or_parts), min_size=1, max_size=12
)


@given(RECORDS, st.integers(40, 200), st.booleans())
def test_batches_are_whole_records_within_the_limit(
    records: list[bytes], limit: int, multi_record: bool
) -> None:
    data = b"".join(records)
    if any(len(record) > limit for record in records):
        with pytest.raises(SplitError, match="Too much data for max payload size"):
            list(split(data, split_type="RecordIO", multi_record=multi_record, max_bytes=limit))
        return
    batches = [
        bytes(batch)
        for batch in split(data, split_type="RecordIO", multi_record=multi_record, max_bytes=limit)
    ]
    assert b"".join(batches) == data
    assert max(map(len, batches)) <= limit
    if not multi_record:
        assert batches == records
        return
    expected: list[bytes] = []
    for record in records:
        if expected and len(expected[-1]) + len(record) <= limit:
            expected[-1] += record
        else:
            expected.append(record)
    assert batches == expected


@given(st.lists(st.binary(max_size=9).map(lambda text: text.replace(b"\n", b" ")), max_size=12))
def test_lines_keep_their_newlines(lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in lines) + b"last"
    single = list(split(data, split_type="Line", multi_record=False, max_bytes=100))
    assert [bytes(line) for line in single] == [line + b"\n" for line in lines] + [b"last"]


def test_unsplit_object_is_one_request() -> None:
    (batch,) = split(b"abc", split_type="None", multi_record=True, max_bytes=3)
    assert bytes(batch) == b"abc"
    with pytest.raises(SplitError, match="has 4 bytes, MaxPayloadInMB allows 3"):
        list(split(b"abcd", split_type="None", multi_record=True, max_bytes=3))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (part(b"abcd")[:-4], "record at byte 0 is cut short"),
        (part(b"abcd") + b"nope", "no magic number at byte 12"),
        (part(b"abcd") + b"x", "13 bytes are not a multiple of 4"),
        (part(b"abcd")[:4], "record at byte 0 is cut short"),
    ],
)
def test_broken_recordio_is_located(data: bytes, message: str) -> None:
    with pytest.raises(SplitError, match=message):
        list(split(data, split_type="RecordIO", multi_record=True, max_bytes=100))


def test_lines_are_assembled_with_newlines() -> None:
    assert b"".join(assemble([b"a", b"b\n", b""], by_line=True)) == b"a\nb\n"
    assert b"".join(assemble([b"a", b"b"], by_line=False)) == b"ab"
