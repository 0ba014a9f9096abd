"""How fast ratings become tensors: this project against the 2018 walk-through's way.

    uv run --group fidelity python benchmarks/data_prep.py [--full] [--json FILE]

The walk-through (https://aws.amazon.com/blogs/machine-learning/build-a-movie-recommender-with-factorization-machines-on-amazon-sagemaker/)
reads the ratings with Python's csv module into a `lil_matrix` and writes them with the SageMaker Python SDK's
`write_spmatrix_to_sparse_tensor` (v2: v3's is not implemented).

- encode: both sides take the same CSR matrix of MovieLens 100k's ua.base, in memory, and write to a BytesIO.
  Their bytes are compared before anything is timed.
- end to end: a million ratings in MovieLens 25M's layout, from text to the train and test tensors in files.
  Ours is the whole preparation: it splits, checks, shuffles, and writes catalog, histories, checksums and the
  ranking rows of one user, too.
- at scale (--full): 25 million generated ratings in MovieLens 25M's layout, about 650 MB of text, with the
  peak of resident memory, and the time that writing files of the same size takes.

The sides take turns, so that a busy machine slows both: trust the ratios rather than the rates.
"""

import argparse
import csv
import io
import json
import logging
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# The package, not this script, which is called like it.
sys.path.insert(0, str(ROOT))
logging.getLogger("sagemaker.config").setLevel(logging.ERROR)

import numpy as np  # noqa: E402
import scipy.sparse  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from data_prep.manifest import PrepareSettings  # noqa: E402
from data_prep.prepare import prepare  # noqa: E402
from data_prep.recordio import SparseRecords, decode_sparse, encode_sparse  # noqa: E402
from ops.datasets import fetch_movielens_100k  # noqa: E402

GENERATED = Path(tempfile.gettempdir()) / "movie-recommender-benchmark"
# MovieLens 25M's numbers: https://files.grouplens.org/datasets/movielens/ml-25m-README.html
FULL = (25_000_095, 162_541, 62_423)
# Some are drawn twice: a little more than a million remain.
MILLION = (1_030_000, 6_500, 4_000)
HIGHEST_MOVIE_ID = 209_171
_GENRES = ("Action", "Adventure", "Comedy", "Drama", "Sci-Fi", "Thriller")


def main() -> None:
    """Measure, print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="prepare 25 million ratings, too")
    parser.add_argument("--runs", type=int, default=3, help="runs of the walk-through's way (default 3)")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.prepare:
        print(json.dumps(prepare_here(arguments.prepare)))
        return
    console = Console()
    found: dict[str, Any] = {"encode": measure_encoding(arguments.runs)}
    console.print(encoding_table(found["encode"]))
    found["end to end"] = measure_end_to_end(arguments.runs)
    console.print(end_to_end_table(found["end to end"]))
    if arguments.full:
        found["at scale"] = measure_at_scale(FULL)
        console.print(scale_table(found["at scale"]))
    console.print(f"Python {sys.version.split()[0]}, NumPy {np.__version__}, {os.cpu_count()} CPUs")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


# -- encoding alone ------------------------------------------------------------------------------------------


def measure_encoding(runs: int) -> dict[str, Any]:
    """Seconds of each run, by side."""
    # Takes seconds, and memory that is not the preparation's.
    from sagemaker.amazon.common import (  # noqa: PLC0415
        read_records,
        write_spmatrix_to_sparse_tensor,
    )

    rows = _ua_base()
    matrix = scipy.sparse.csr_matrix((rows.values, rows.keys, rows.indptr), shape=(len(rows), rows.shape))

    def encode() -> io.BytesIO:
        stream = io.BytesIO()
        for chunk in encode_sparse(rows.labels, rows.indptr, rows.keys, rows.values, rows.shape):
            stream.write(chunk)
        return stream

    def sdk_encode() -> io.BytesIO:
        stream = io.BytesIO()
        write_spmatrix_to_sparse_tensor(stream, matrix, rows.labels)
        return stream

    content = encode().getvalue()
    if content != sdk_encode().getvalue():
        raise SystemExit("The two encoders write different bytes: the times would mean nothing")
    times: dict[str, list[float]] = {"encode": [], "sdk encode": [], "decode": [], "sdk decode": []}
    for _ in range(runs):
        times["sdk encode"].append(_seconds(sdk_encode))
        times["encode"] += [_seconds(encode) for _ in range(10)]
        times["sdk decode"].append(_seconds(lambda: read_records(io.BytesIO(content))))
        times["decode"] += [_seconds(lambda: decode_sparse(content)) for _ in range(10)]
    return {"rows": len(rows), "bytes": len(content), "seconds": _medians(times)}


def _ua_base() -> SparseRecords:
    archive = fetch_movielens_100k(ROOT / ".data" / "ml-100k.zip")
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(archive, Path(folder), settings=PrepareSettings(shuffle=False, ranking_users=1))
        return decode_sparse((Path(folder) / prepared.digest / prepared.train.shards[0].key).read_bytes())


def encoding_table(found: dict[str, Any]) -> Table:
    """The table of `measure_encoding`."""
    rows, seconds = found["rows"], found["seconds"]
    table = _table(
        f"Encoding ua.base, {rows:,} rows, {found['bytes']:,} bytes", "this project", "SDK v2", "ratio"
    )
    for step in ("encode", "decode"):
        ours, theirs = seconds[step], seconds[f"sdk {step}"]
        table.add_row(step, _rate(rows, ours), _rate(rows, theirs), f"{theirs / ours:,.0f} ×")
    return table


# -- text to tensors -----------------------------------------------------------------------------------------


def measure_end_to_end(runs: int) -> dict[str, Any]:
    """Seconds of each side on the same million ratings."""
    folder = generated(*MILLION)
    times: dict[str, list[float]] = {
        "walk-through": [],
        "this project": [],
        "read": [],
        "matrix": [],
        "SDK": [],
    }
    processor: dict[str, list[float]] = {"walk-through": [], "this project": []}
    for _ in range(runs):
        used = time.process_time()
        rows, steps = walk_through(folder / "ratings.csv", MILLION[1])
        processor["walk-through"].append(time.process_time() - used)
        times["walk-through"].append(sum(steps.values()))
        for step, seconds in steps.items():
            times[step].append(seconds)
        for _ in range(3):
            with tempfile.TemporaryDirectory() as out:
                chosen = PrepareSettings(ranking_users=1)
                used = time.process_time()
                times["this project"].append(_seconds(lambda: prepare(folder, Path(out), settings=chosen)))  # noqa: B023
                processor["this project"].append(time.process_time() - used)
    return {"rows": rows, "seconds": _medians(times), "processor": _medians(processor)}


def walk_through(ratings: Path, users: int) -> tuple[int, dict[str, float]]:
    """Do what the walk-through does, all rows to one tensor in file order: (rows, seconds of the steps)."""
    from sagemaker.amazon.common import write_spmatrix_to_sparse_tensor  # noqa: PLC0415

    started = time.perf_counter()
    with ratings.open(newline="") as file:
        samples = csv.reader(file)
        next(samples)
        rows = [(int(user), int(movie), float(rating)) for user, movie, rating, _ in samples]
    read = time.perf_counter()
    matrix = scipy.sparse.lil_matrix((len(rows), users + HIGHEST_MOVIE_ID), dtype="float32")
    labels = []
    for line, (user, movie, rating) in enumerate(rows):
        matrix[line, user - 1] = 1
        matrix[line, users + movie - 1] = 1
        labels.append(1 if rating >= 4 else 0)
    vector = np.array(labels).astype("float32")
    built = time.perf_counter()
    with tempfile.TemporaryFile() as file:
        write_spmatrix_to_sparse_tensor(file, matrix.tocsr(), vector)
    steps = {"read": read - started, "matrix": built - read, "SDK": time.perf_counter() - built}
    return len(rows), steps


def end_to_end_table(found: dict[str, Any]) -> Table:
    """The table of `measure_end_to_end`."""
    rows, seconds = found["rows"], found["seconds"]
    table = _table(f"Text to tensors, {rows:,} ratings", "this project", "walk-through", "ratio")
    ours, theirs = seconds["this project"], seconds["walk-through"]
    table.add_row("all", _rate(rows, ours), _rate(rows, theirs), f"{theirs / ours:,.0f} ×")
    ours, theirs = found["processor"]["this project"], found["processor"]["walk-through"]
    table.add_row("processor's time", _rate(rows, ours), _rate(rows, theirs), f"{theirs / ours:,.0f} ×")
    for step, what in (("read", "csv loop"), ("matrix", "lil_matrix loop"), ("SDK", "SDK's writer")):
        table.add_row(what, "", _rate(rows, seconds[step]), "")
    return table


# -- at scale ------------------------------------------------------------------------------------------------


def measure_at_scale(numbers: tuple[int, int, int]) -> dict[str, Any]:
    """Prepare in a process of its own, so that its memory is its own; then write as many bytes."""
    folder = generated(*numbers)
    run = subprocess.run(
        [sys.executable, __file__, "--prepare", str(folder)], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    content = bytes(1 << 20)

    def write() -> None:
        with tempfile.NamedTemporaryFile(dir=GENERATED) as file:
            for _ in range(found["written"] >> 20):
                file.write(content)

    return found | {"write": _seconds(write)}


def prepare_here(folder: Path) -> dict[str, Any]:
    """Seconds by step, peak of memory and bytes written, of one preparation."""
    steps: dict[str, float] = {}
    last = [time.perf_counter(), "Starting"]

    def record(doing: str, _share: float) -> None:
        now = time.perf_counter()
        steps[str(last[1])] = steps.get(str(last[1]), 0.0) + now - float(last[0])
        last[:] = [now, doing.partition(" (")[0]]

    out = GENERATED / "out"
    started = time.perf_counter()
    prepared = prepare(folder, out, settings=PrepareSettings(), progress=record)
    seconds = time.perf_counter() - started
    shutil.rmtree(out)
    return {
        "rows": prepared.train.rows + prepared.test.rows + prepared.left_out.unknown_test,
        "seconds": seconds,
        "peak_mb": peak_of_memory(),
        "written": sum(prepared.sizes().values()),
        "steps": steps,
    }


def peak_of_memory() -> float:
    """The peak of this process's resident memory, in MB.

    Linux counts what the process that started this one had into `ru_maxrss`, but not into VmHWM.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def scale_table(found: dict[str, Any]) -> Table:
    """The table of `measure_at_scale`."""
    seconds, rows = found["seconds"], found["rows"]
    table = _table(f"{rows:,} ratings, {found['written']:,} bytes written", "seconds", "share")
    for step, some in found["steps"].items():
        table.add_row(step, f"{some:,.1f}", f"{some / seconds:.0%}")
    table.add_row("all", f"{seconds:,.1f}", "")
    table.add_row("writing as many bytes", f"{found['write']:,.1f}", f"{found['write'] / seconds:.0%}")
    table.add_row("peak of memory", f"{found['peak_mb']:,.0f} MB", "")
    return table


# -- made-up ratings -----------------------------------------------------------------------------------------


def generated(rows: int, users: int, movies: int) -> Path:
    """A folder in MovieLens 25M's layout, made once: ratings.csv by user and movie, and movies.csv."""
    folder = GENERATED / f"{rows}-{users}-{movies}"
    if not folder.is_dir():
        GENERATED.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=GENERATED) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            _generate(made, rows, users, movies)
            made.rename(folder)
    return folder


def _generate(folder: Path, rows: int, users: int, movies: int) -> None:
    chance = np.random.default_rng(0)
    ids = np.sort(chance.choice(np.arange(1, HIGHEST_MOVIE_ID + 1), movies, replace=False))
    with (folder / "movies.csv").open("w") as file:
        file.write("movieId,title,genres\n")
        for key in ids.tolist():
            genres = sorted({_GENRES[key % 6], _GENRES[key // 6 % 6]})
            file.write(f"{key},Film {key} ({1950 + key % 70}),{'|'.join(genres)}\n")
    popularity = 1 / np.arange(1, movies + 1) ** 0.6
    chance.shuffle(popularity)
    below = np.cumsum(popularity) / popularity.sum()
    # Each has some of the rest, twenty at least, as in MovieLens.
    weights = chance.lognormal(0, 1.1, users)
    wanted = np.minimum(20 + (weights / weights.sum() * (rows - 20 * users)).astype(np.int64), movies // 4)
    wanted[np.argsort(wanted)[: rows - wanted.sum()]] += 1
    with (folder / "ratings.csv").open("w") as file:
        file.write("userId,movieId,rating,timestamp\n")
        for first in range(0, users, 1000):
            counts = wanted[first : first + 1000]
            # More than are wanted: what is drawn twice counts once.
            drawn = np.repeat(np.arange(len(counts)), 2 * counts + 20)
            codes = np.unique(drawn * movies + np.searchsorted(below, chance.random(len(drawn))))
            order = np.lexsort((chance.random(len(codes)), codes // movies))
            place = np.arange(len(codes)) - np.searchsorted(codes // movies, codes // movies)
            codes = np.sort(codes[order][place < counts[codes // movies]])
            stars = chance.integers(1, 11, len(codes)) / 2
            times = chance.integers(789_652_009, 1_574_327_703, len(codes))
            columns = (codes // movies + first + 1, ids[codes % movies], stars, times)
            lines = zip(*(column.tolist() for column in columns), strict=True)
            file.writelines(f"{user},{movie},{rating},{at}\n" for user, movie, rating, at in lines)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=f"{title}; medians")
    for heading in ("", *headings):
        table.add_column(heading, justify="right")
    return table


def _medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(some) for name, some in times.items()}


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _rate(rows: int, seconds: float) -> str:
    return f"{seconds:,.4g} s, {rows / seconds:,.0f} rows/s"


if __name__ == "__main__":
    main()
