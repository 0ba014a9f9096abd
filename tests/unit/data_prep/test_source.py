import hashlib
import io
import random
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import DataError
from data_prep.source import BYTE_ORDER_MARK, Source, open_files
from tests.unit.data_prep.formats.samples import Trickle

Writer = Callable[[Mapping[str, bytes]], Path]


def _source(content: bytes) -> Source:
    return Source(name="x", location="x", openers={"f": lambda: io.BytesIO(content)}, container=None)


def _lines(content: bytes) -> list[tuple[int, bytes]]:
    return list(_source(content).lines("f"))


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("blank", [0, 1, 3])
def test_lines_are_numbered_whatever_ends_them(end: bytes, blank: int) -> None:
    assert _lines(b"a" + end + b"bc" + end * (1 + blank)) == [(1, b"a"), (2, b"bc")]


def test_a_blank_line_between_others_is_a_line() -> None:
    assert _lines(b"a\n\n\nb\n") == [(1, b"a"), (2, b""), (3, b""), (4, b"b")]


def test_an_empty_file_has_no_lines() -> None:
    assert _lines(b"") == []
    assert _lines(b"\n\r\n\n") == []


@pytest.mark.parametrize(("content", "line"), [(b"a\nb\ncut", 3), (b"cut", 1), (b"a\n\n\ncut", 4)])
def test_a_last_line_without_end_is_a_cut_download(content: bytes, line: int) -> None:
    with pytest.raises(
        DataError, match=rf"^x/f, line {line}: the file stops in the middle .* found 'cut'\. Down"
    ):
        _lines(content)


def test_a_last_line_without_end_is_taken_where_it_may_be() -> None:
    proven = Source("x", "x", {"f": lambda: io.BytesIO(b"a\n\nb")}, None, proven=True)
    assert list(proven.lines("f")) == [(1, b"a"), (2, b""), (3, b"b")]
    with pytest.raises(DataError, match="line 3: the file stops in the middle"):
        list(_source(b"a\n\nb").blocks("f", may_end=lambda line: line != b"b"))
    assert list(_source(b"b").blocks("f", may_end=lambda _: True)) == [(1, b"b\n")]


@pytest.mark.parametrize("content", [b"a\rb\r", b"a\rb", b"z\r" * (1 << 20)])
def test_carriage_returns_alone_are_named(content: bytes) -> None:
    with pytest.raises(DataError, match="its lines end in carriage returns alone, as on old Macs"):
        _lines(content)


@pytest.mark.parametrize("content", [b"a\nb\n", b"\n", b""])
@pytest.mark.parametrize("step", [1, 2, 100])
def test_a_byte_order_mark_is_left_out(content: bytes, step: int) -> None:
    marked = Source("x", "x", {"f": lambda: Trickle(BYTE_ORDER_MARK + content, step)}, None)
    assert list(marked.lines("f")) == _lines(content)
    assert _source(BYTE_ORDER_MARK + content).head("f") == content


def test_a_long_line_is_refused_wherever_it_begins() -> None:
    with pytest.raises(DataError, match=r"line 2: the line is longer than 1 MiB"):
        _lines(b"a\n" + b"z" * ((1 << 20) + 1) + b"\n")
    assert len(_lines(b"a\n" + b"z" * (1 << 20) + b"\nb\n")) == 3


def test_a_file_without_line_ends_is_refused_early() -> None:
    with pytest.raises(DataError, match=r"the line is longer than 1 MiB, found 'zzz"):
        _lines(b"z" * (5 << 20))


@given(
    st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b""))),
    st.sampled_from([b"\n", b"\r\n"]),
    st.integers(1, 9),
    st.integers(0, 4),
)
def test_blocks_hold_every_line_whatever_their_size(
    lines: list[bytes], end: bytes, block_bytes: int, blank: int
) -> None:
    content = b"".join(line + end for line in lines) + end * blank
    lines[:1] = [line.removeprefix(BYTE_ORDER_MARK) for line in lines[:1]]
    while lines and not lines[-1]:
        lines.pop()
    # Reads of a few bytes, so that blocks end at every kind of place.
    slow = Source("x", "x", {"f": lambda: Trickle(content, block_bytes)}, None)
    assert list(slow.lines("f")) == _lines(content) == list(enumerate(lines, 1))


def _only(path: Path) -> dict[str, bytes]:
    with open_files(path) as files:
        (source,) = files.folders()
        return {name: b"".join(block for _, block in source.blocks(name)) for name in source.openers}


def test_folder_and_zip_give_the_same_files(
    small: dict[str, bytes], write_folder: Writer, write_zip: Writer
) -> None:
    assert _only(write_folder(small)) == _only(write_zip(small)) == small


def test_an_archive_is_told_by_content_not_by_name(small: dict[str, bytes], write_zip: Writer) -> None:
    path = write_zip(small)
    with open_files(path.rename(path.with_suffix(".dat"))) as files:
        (source,) = files.folders()
        assert source.path("u.data") == "ml-small.dat/ml-small/u.data"


def test_a_file_that_is_no_archive_is_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "ratings.zip"
    path.write_bytes(b"PK-1,2,3\n")
    with open_files(path) as files:
        (source,) = files.folders()
        assert source.path("ratings.zip") == "ratings.zip"
        assert source.head("ratings.zip") == b"PK-1,2,3\n"
        assert source.sha256() == hashlib.sha256(b"PK-1,2,3\n").hexdigest()


def test_files_at_the_top_and_one_folder_down_are_found_but_not_hidden_ones(tmp_path: Path) -> None:
    for name in ("a", "b/c", "b/d", ".e", "b/.f", "__MACOSX/g", ".h/i", "b/c2/too-deep"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n")
    with open_files(tmp_path) as files:
        assert {frozenset(source.openers) for source in files.folders()} == {
            frozenset({"a"}),
            frozenset({"c", "d"}),
        }


@pytest.mark.parametrize("pack", [False, True])
def test_files_are_found_deeper_where_none_lie_above(tmp_path: Path, pack: bool) -> None:
    files = ("a/b/c/one", "a/b/c/two", "a/b/c/d/three", ".git/x")
    path = tmp_path / "set"
    if pack:
        with zipfile.ZipFile(path, "w") as archive:
            for name in files:
                archive.writestr(name, b"x\n")
    for name in () if pack else files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"x\n")
    with open_files(path) as found:
        (source,) = found.folders()
        assert set(source.openers) == {"one", "two"}
        assert source.path("one") == "set/a/b/c/one"


def test_the_fingerprint_follows_the_content(
    small: dict[str, bytes], write_folder: Writer, write_zip: Writer
) -> None:
    def fingerprint(path: Path) -> str:
        with open_files(path) as files:
            return files.folders()[0].sha256()

    folder, archive = write_folder(small), write_zip(small)
    before = fingerprint(folder), fingerprint(archive)
    assert before == (fingerprint(folder), fingerprint(archive))
    (folder / ".DS_Store").write_bytes(b"x")
    assert fingerprint(folder) == before[0]
    (folder / "u.user").write_bytes(small["u.user"] + b"4|1|F|x|1\n")
    assert fingerprint(folder) != before[0]
    assert fingerprint(write_zip({**small, "u.user": b"1|1|F|x|1\n"})) != before[1]


@pytest.mark.parametrize("keep", [-30, 300, 60])
def test_a_truncated_archive_is_refused(small: dict[str, bytes], write_zip: Writer, keep: int) -> None:
    path = write_zip(small)
    path.write_bytes(path.read_bytes()[:keep])
    with (
        pytest.raises(DataError, match=r"the zip archive is damaged or cut short .*\. Download it again"),
        open_files(path),
    ):
        pass


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing: no such file or folder"), open_files(tmp_path / "nothing"):
        pass


def test_an_encrypted_member_is_refused(small: dict[str, bytes], write_zip: Writer) -> None:
    path = write_zip(small)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        content[archive.getinfo("ml-small/u.data").header_offset + 6] |= 1
        content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"u\.data: cannot be read \(.*encrypted"):
        _only(path)


def test_damaged_archives_never_raise_anything_else(small: dict[str, bytes], write_zip: Writer) -> None:
    path = write_zip(small)
    sound = path.read_bytes()
    chance = random.Random(0)
    refused = 0
    for _ in range(400):
        damaged = bytearray(sound)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            with open_files(path) as files:
                for source in files.folders():
                    for name in source.openers:
                        for _ in source.blocks(name):
                            pass
        except DataError:
            refused += 1
    assert refused > 200
