"""Looks for input that makes the readers of data_prep crash, hang or accept what is wrong.

    python tests/fuzz/fuzz_data_prep.py --minutes 10

Each case comes from a seed of its own, so that `--seed N --cases 1` repeats case N. Files of ratings in every
layout are damaged and read; what comes out must be a DataError or what a reader in plain Python makes of the
same bytes. Tensors are damaged and decoded; what comes out must be a DataError or what a decoder that takes
one record at a time makes of them, and must survive being encoded and decoded again. Ends with exit code 1
at the first case that fails, which it leaves in a file.
"""

import argparse
import io
import random
import signal
import struct
import sys
import tempfile
import time
import traceback
import types
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
# An installed package, too, is called "tests" and would hide the folder.
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = [str(ROOT / "tests")]

from data_prep.errors import DataError  # noqa: E402
from data_prep.formats import open_input  # noqa: E402
from data_prep.formats.csv_columns import find_dialect  # noqa: E402
from data_prep.formats.dialect import Dialect  # noqa: E402
from data_prep.protobuf import WireError, parse_record  # noqa: E402
from data_prep.recordio import MAGIC, SparseRecords, decode_sparse, encode_sparse  # noqa: E402
from data_prep.source import BYTE_ORDER_MARK  # noqa: E402
from tests.unit.data_prep.formats import reference, samples  # noqa: E402
from tests.unit.data_prep.formats.reference import BadLine, Layout, Row  # noqa: E402

_SECONDS_A_CASE = 20
_LENGTH_BITS = 29
_MAGIC_BYTES = struct.pack("<I", MAGIC)


class WrongError(AssertionError):
    """Something was accepted or refused against the reference."""


def main() -> int:
    """Run until the time or the cases are used up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to look (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="the first case (default 0)")
    parser.add_argument("--cases", type=int, default=sys.maxsize, help="how many cases at most")
    options = parser.parse_args()
    console = Console()
    signal.signal(signal.SIGALRM, _too_long)
    counts: Counter[tuple[str, str]] = Counter()
    started = time.monotonic()
    seed = options.seed
    with tempfile.TemporaryDirectory() as folder, console.status("") as status:
        while time.monotonic() - started < 60 * options.minutes and seed < options.seed + options.cases:
            name, target = list(TARGETS.items())[seed % len(TARGETS)]
            case: list[bytes] = []
            signal.alarm(_SECONDS_A_CASE)
            try:
                counts[name, target(random.Random(seed), Path(folder), case)] += 1
            except Exception:
                left = Path(f"fuzz-{seed}.bin")
                left.write_bytes(b"".join(case))
                console.print(traceback.format_exc(), markup=False)
                console.print(f"case {seed} ({name}) failed; its bytes are in {left}")
                return 1
            finally:
                signal.alarm(0)
            seed += 1
            if seed % 500 == 0:
                status.update(f"{seed - options.seed:,} cases")
    table = Table(title=f"cases {options.seed} to {seed - 1}, {time.monotonic() - started:.0f} s")
    for heading in ("", "accepted", "refused"):
        table.add_column(heading, justify="right")
    for name in TARGETS:
        table.add_row(name, *(f"{counts[name, result]:,}" for result in ("accepted", "refused")))
    console.print(table, f"{counts.total():,} cases; none crashed, hung, or was accepted wrongly")
    return 0


def _too_long(_signal: int, _frame: FrameType | None) -> None:
    raise WrongError(f"no answer within {_SECONDS_A_CASE} s")


def _movielens_lines(chance: random.Random, _folder: Path, case: list[bytes]) -> str:
    """Lines of a known MovieLens layout; refused and accepted exactly as the reference does."""
    layout = chance.choice(list(samples.DIALECTS))
    plain = samples.MOVIELENS[layout][1]
    content = samples.movielens_ratings(chance, plain, chance.choice([1, 3, 3, 20, 20, 100]))
    content = _damaged(chance, content)
    case.append(content)
    return _compare(chance, content, samples.DIALECTS[layout], plain)


def _any_lines(chance: random.Random, _folder: Path, case: list[bytes]) -> str:
    """Lines of anyone's ratings in known columns; likewise."""
    content, layout = samples.any_ratings(chance, chance.choice([1, 3, 3, 20, 20, 100]))
    dialect = find_dialect(content.removeprefix(BYTE_ORDER_MARK))
    if isinstance(dialect, str):
        raise WrongError(dialect)
    content = _damaged(chance, content, 0 if layout.header is None else content.index(b"\n") + 1)
    case.append(content)
    if chance.random() < 0.5:
        return _compare(chance, content, dialect, layout)
    return _compare(chance, content, replace(dialect, integer_ids=True), replace(layout, whole_ids=True))


def _any_file(chance: random.Random, folder: Path, case: list[bytes]) -> str:
    """Anyone's ratings, or damage to them, as one file: the columns have to be found out."""
    content, layout = samples.any_ratings(chance, chance.choice([1, 3, 20, 100]))
    content = _damaged(chance, content, 0 if layout.header is None else content.index(b"\n") + 1)
    case.append(content)
    path = folder / "mine"
    path.write_bytes(content)
    found = _opened(path)
    expected = reference.read_alone(content, layout)
    if found == (None if isinstance(expected, BadLine) else expected):
        return "refused" if found is None else "accepted"
    # A line that stands alone may as well have been written in other columns.
    if found is None or content.count(b"\n") > 1 or found not in _read_as_anyones(content):
        raise WrongError(f"read as {found}, by the reference as {expected}")
    return "accepted"


def _data_set(chance: random.Random, folder: Path, case: list[bytes]) -> str:
    """A MovieLens of several files, of which any may be damaged, in a folder."""
    layout = chance.choice(list(samples.DIALECTS))
    name, plain = samples.MOVIELENS[layout]
    files = {**samples.BESIDE[layout], name: samples.movielens_ratings(chance, plain, 5)}
    files = {
        file: _damaged(chance, content) if chance.random() < 0.5 else content
        for file, content in files.items()
    }
    case += files.values()
    path = folder / "set"
    path.mkdir(exist_ok=True)
    for old in path.iterdir():
        old.unlink()
    for file, content in files.items():
        (path / file).write_bytes(content)
    found = _opened(path)
    if found is None:
        return "refused"
    readings = [reference.read(files[name], other) for _, other in samples.MOVIELENS.values()]
    # Where no file is MovieLens' any more, the ratings may be anyone's.
    readings += _read_as_anyones(files[name])
    if found not in readings:
        raise WrongError(f"read as {found}, by the reference as one of {readings}")
    return "accepted"


def _read_as_anyones(content: bytes) -> list[list[Row] | BadLine]:
    layout = reference.find_layout(content)
    return [] if layout is None else [reference.read_alone(content, layout)]


def _archive(chance: random.Random, folder: Path, case: list[bytes]) -> str:
    """A zip archive with flipped bits or a part missing: the rows that were put in, or none."""
    layout = chance.choice(list(samples.DIALECTS))
    name, plain = samples.MOVIELENS[layout]
    ratings = samples.movielens_ratings(chance, plain, 30)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for file, content in {**samples.BESIDE[layout], name: ratings}.items():
            archive.writestr(f"data/{file}", content)
    damaged = bytearray(packed.getvalue())
    for _ in range(chance.randint(0, 3)):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    if chance.random() < 0.3:
        del damaged[chance.randrange(len(damaged)) :]
    case.append(bytes(damaged))
    path = folder / "set.zip"
    path.write_bytes(damaged)
    found = _opened(path)
    if found is None:
        return "refused"
    if found != reference.read(ratings, plain, proven=True):
        raise WrongError(f"read as {found}")
    return "accepted"


def _tensors(chance: random.Random, _folder: Path, case: list[bytes]) -> str:
    """Records of sparse rows, in parts or whole, with damage or without."""
    matrix = _matrix(chance)
    whole = b"".join(encode_sparse(matrix.labels, matrix.indptr, matrix.keys, matrix.values, matrix.shape))
    if chance.random() < 0.5:
        whole = _in_parts(whole)
    damaged = bytearray(whole)
    for _ in range(chance.choice([0, 1, 1, 2, 4])):
        if damaged:
            place = chance.randrange(len(damaged))
            action = chance.random()
            if action < 0.6:
                damaged[place] ^= 1 << chance.randrange(8)
            elif action < 0.7:
                damaged[place] = chance.randrange(256)
            elif action < 0.8:
                del damaged[place : place + chance.choice([1, 4, 8])]
            elif action < 0.9:
                damaged[place:place] = damaged[place : place + chance.choice([1, 4, 64])]
            else:
                del damaged[place:]
    content = bytes(damaged)
    case.append(content)
    try:
        found = decode_sparse(content)
    except DataError:
        if content == whole:
            raise
        plain = _decoded_plainly(content)
        if plain is not None:
            raise
        return "refused"
    plain = _decoded_plainly(content)
    if plain is None or not _same(found, plain):
        raise WrongError(f"decoded as {found}, by the reference as {plain}")
    again = b"".join(encode_sparse(None, found.indptr, found.keys, found.values, found.shape))
    if not _same(replace(decode_sparse(again), labels=found.labels), found):
        raise WrongError("not the same after encoding and decoding again")
    if content == whole and not _same(found, matrix):
        raise WrongError("not what was encoded")
    return "accepted"


TARGETS: Mapping[str, Callable[[random.Random, Path, list[bytes]], str]] = {
    "MovieLens ratings": _movielens_lines,
    "other ratings": _any_lines,
    "other ratings as a file": _any_file,
    "MovieLens folders": _data_set,
    "MovieLens archives": _archive,
    "RecordIO tensors": _tensors,
}


def _damaged(chance: random.Random, content: bytes, first: int = 0) -> bytes:
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        content = samples.corrupted(chance, content, first)
    if chance.random() < 0.05:
        content = content[: chance.randrange(first, len(content) + 1)]
    return content


def _compare(chance: random.Random, content: bytes, dialect: Dialect, layout: Layout) -> str:
    step, exact = chance.choice([1, 7, 100, 1000, 1 << 18]), chance.choice([0, 50, 1 << 13])
    found, expected = samples.readings(content, dialect, layout, step=step, exact=exact)
    if found != expected:
        raise WrongError(f"read as {found}, by the reference as {expected}")
    return "refused" if isinstance(found, BadLine) else "accepted"


def _opened(path: Path) -> list[Row] | None:
    try:
        with open_input(path) as data:
            data.movies()
            data.users()
            return samples.rows_of(data.files["ratings"])
    except DataError:
        return None


def _matrix(chance: random.Random) -> SparseRecords:
    generator = np.random.default_rng(chance.getrandbits(32))
    shape = int(chance.choice([1, 100, 3000, 1 << 33]))
    counts = generator.integers(0, chance.choice([1, 3, 30]), size=chance.choice([0, 1, 5, 40]))
    if chance.random() < 0.5 and len(counts):
        counts[:] = 2
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    keys = generator.integers(0, shape, size=indptr[-1], dtype=np.int64)
    values = generator.normal(size=len(keys)).astype(np.float32)
    if chance.random() < 0.5:
        # These bytes make a record that is written in parts, where they stand in the right place.
        values[generator.random(len(values)) < 0.5] = np.frombuffer(_MAGIC_BYTES, dtype="<f4")
    return SparseRecords(generator.normal(size=len(counts)).astype(np.float32), indptr, keys, values, shape)


def _in_parts(content: bytes) -> bytes:
    """The same records, cut where a payload holds the magic number at a multiple of four bytes."""
    out = b""
    for payload in _payloads(content) or []:
        parts, first = [], 0
        for at in range(0, len(payload) - 3, 4):
            if payload[at : at + 4] == _MAGIC_BYTES:
                parts.append(payload[first:at])
                first = at + 4
        parts.append(payload[first:])
        last = len(parts) - 1
        for place, part in enumerate(parts):
            kind = 0 if not last else 1 if not place else 3 if place == last else 2
            out += struct.pack("<II", MAGIC, kind << _LENGTH_BITS | len(part)) + part + bytes(-len(part) % 4)
    return out


def _payloads(content: bytes) -> list[bytes] | None:
    """One frame after the other, parts joined by the magic number; None where they do not fit together."""
    payloads: list[bytes] = []
    at, before = 0, 0
    while at < len(content):
        if at + 8 > len(content):
            return None
        magic, word = struct.unpack_from("<II", content, at)
        kind, length = word >> _LENGTH_BITS, word % (1 << _LENGTH_BITS)
        part = content[at + 8 : at + 8 + length]
        goes_on = before in {1, 2}
        if magic != MAGIC or len(part) < length or kind > 3 or (kind in {2, 3}) != goes_on:
            return None
        if goes_on:
            payloads[-1] += _MAGIC_BYTES + part
        else:
            payloads.append(part)
        at, before = at + 8 + length + -length % 4, kind
    return None if before in {1, 2} else payloads


def _decoded_plainly(content: bytes) -> SparseRecords | None:
    """One record after the other; None where they break a rule or one is split into parts."""
    labels: list[float] = []
    counts: list[int] = []
    keys: list[int] = []
    values: list[float] = []
    shape = 0
    payloads = _payloads(content)
    if payloads is None:
        return None
    for payload in payloads:
        try:
            features, label = parse_record(payload)
        except WireError:
            return None
        columns = features.shape[0]
        if (
            columns >= 1 << 63
            or (counts and columns != shape)
            or any(key >= columns for key in features.keys)
        ):
            return None
        shape = columns
        labels.append(float("nan") if label is None else label)
        counts.append(len(features.keys))
        keys += features.keys
        values += features.values
    return SparseRecords(
        np.array(labels, dtype=np.float32),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.array(keys, dtype=np.int64),
        np.array(values, dtype=np.float32),
        shape,
    )


def _same(one: SparseRecords, other: SparseRecords) -> bool:
    """Whether two matrices are the same; any NaN equals any other: Python does not keep which it was."""
    arrays = ("labels", "indptr", "keys", "values")
    empty = len(one) == len(other) == 0
    return (empty or one.shape == other.shape) and all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in arrays
    )


if __name__ == "__main__":
    sys.exit(main())
