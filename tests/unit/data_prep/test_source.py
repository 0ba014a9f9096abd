import io
import random
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import DataError
from data_prep.source import Source, opened

Writer = Callable[[Mapping[str, bytes]], Path]
LAYOUT = "the right layout"


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
    while lines and not lines[-1]:
        lines.pop()
    # Reads of a few bytes, so that blocks end at every kind of place.
    slow = Source("x", "x", {"f": lambda: _Trickle(content, block_bytes)}, None)
    assert list(slow.lines("f")) == _lines(content) == list(enumerate(lines, 1))


class _Trickle(io.BytesIO):
    def __init__(self, content: bytes, step: int) -> None:
        super().__init__(content)
        self._step = step

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._step)


def test_folder_and_zip_give_the_same_files(
    small: dict[str, bytes], write_folder: Writer, write_zip: Writer
) -> None:
    found = []
    for path in (write_folder(small), write_zip(small)):
        with opened(path, marker="u.item", layout=LAYOUT) as source:
            found.append(
                {name: b"".join(block for _, block in source.blocks(name)) for name in source.openers}
            )
    assert found == [small, small]


def test_an_archive_is_told_by_content_not_by_name(small: dict[str, bytes], write_zip: Writer) -> None:
    path = write_zip(small)
    renamed = path.rename(path.with_suffix(".dat"))
    with opened(renamed, marker="u.item", layout=LAYOUT) as source:
        assert "u.data" in source
        assert source.path("u.data") == "ml-small.dat/ml-small/u.data"


def test_files_at_the_top_and_one_folder_down_are_found(
    tmp_path: Path, small: dict[str, bytes], write_folder: Writer
) -> None:
    folder = write_folder(small)
    for path in (folder, tmp_path):
        with opened(path, marker="u.item", layout=LAYOUT) as source:
            assert set(source.openers) == set(small)


def test_the_fingerprint_follows_the_content(
    small: dict[str, bytes], write_folder: Writer, write_zip: Writer
) -> None:
    def fingerprint(path: Path) -> str:
        with opened(path, marker="u.item", layout=LAYOUT) as source:
            return source.sha256()

    folder, archive = write_folder(small), write_zip(small)
    before = fingerprint(folder), fingerprint(archive)
    assert before == (fingerprint(folder), fingerprint(archive))
    (folder / ".DS_Store").write_bytes(b"x")
    assert fingerprint(folder) == before[0]
    (folder / "u.user").write_bytes(small["u.user"] + b"4|1|F|x|1\n")
    assert fingerprint(folder) != before[0]
    assert fingerprint(write_zip({**small, "u.user": b"1|1|F|x|1\n"})) != before[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"1\t2\t3\t4\n", "this is neither a folder nor a zip archive. Give the right layout"),
        (b"", "this is neither a folder nor a zip archive"),
        (
            b"PK\x03\x04 and then nothing",
            r"the zip archive is damaged or cut short \(File is not a zip file\). Down",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "ratings"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"ratings: {reason}"), opened(path, marker="u.item", layout=LAYOUT):
        pass


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="no such file or folder"),
        opened(tmp_path / "nothing", marker="u.item", layout=LAYOUT),
    ):
        pass


def test_a_folder_of_something_else_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n")
    with (
        pytest.raises(DataError, match=r"there is no u\.item; it holds ratings\.csv\. Give the right layout"),
        opened(tmp_path, marker="u.item", layout=LAYOUT),
    ):
        pass


def test_several_data_sets_in_one_place_are_refused(tmp_path: Path, small: dict[str, bytes]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "u.item").write_bytes(small["u.item"])
    with (
        pytest.raises(DataError, match=r"it holds several data sets: a, b\. Give one of them"),
        opened(tmp_path, marker="u.item", layout=LAYOUT),
    ):
        pass


def test_a_truncated_archive_is_refused(small: dict[str, bytes], write_zip: Writer) -> None:
    path = write_zip(small)
    path.write_bytes(path.read_bytes()[:-30])
    with (
        pytest.raises(DataError, match="the zip archive is damaged or cut short"),
        opened(path, marker="u.item", layout=LAYOUT),
    ):
        pass


def test_an_encrypted_member_is_refused(small: dict[str, bytes], write_zip: Writer) -> None:
    path = write_zip(small)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        content[archive.getinfo("ml-small/u.data").header_offset + 6] |= 1
        content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with (
        pytest.raises(DataError, match=r"u\.data: cannot be read \(.*encrypted"),
        opened(path, marker="u.item", layout=LAYOUT) as source,
    ):
        list(source.blocks("u.data"))


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
            with opened(path, marker="u.item", layout=LAYOUT) as source:
                for name in source.openers:
                    for _ in source.blocks(name):
                        pass
        except DataError:
            refused += 1
    assert refused > 200
