"""How fast ua.base becomes train.protobuf and is read back: this project against the SageMaker Python SDK v2.

    uv run --group fidelity python benchmarks/encode.py

Both sides take the same CSR matrix and labels and work in memory; their bytes are compared before anything is
timed. The two take turns, so that a busy machine slows both; trust the ratio rather than the rates.
"""

import argparse
import io
import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from data_prep.dataset import read_ua_split
from data_prep.features import one_hot
from data_prep.recordio import decode_sparse, encode_sparse
from data_prep.source import opened
from ops.datasets import fetch_movielens_100k

logging.getLogger("sagemaker.config").setLevel(logging.ERROR)

import scipy.sparse  # noqa: E402
from sagemaker.amazon.common import read_records, write_spmatrix_to_sparse_tensor  # noqa: E402

DATA = Path(__file__).parents[1] / ".data" / "ml-100k.zip"


def main() -> None:
    """Time the four and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--runs", type=int, default=5, help="runs of the SDK, each with ten of ours (default 5)"
    )
    runs = parser.parse_args().runs

    with opened(fetch_movielens_100k(DATA), marker="u.item", layout="MovieLens-100k") as source:
        dataset = read_ua_split(source)
    train = dataset.train
    rows = one_hot(train.users, train.movies, train.stars >= 4, dataset)
    matrix = scipy.sparse.csr_matrix((rows.values, rows.keys, rows.indptr), shape=(len(rows), rows.shape))

    def encode() -> bytes:
        return b"".join(encode_sparse(rows.labels, rows.indptr, rows.keys, rows.values, rows.shape))

    def sdk_encode() -> bytes:
        stream = io.BytesIO()
        write_spmatrix_to_sparse_tensor(stream, matrix, rows.labels)
        return stream.getvalue()

    content = encode()
    if content != sdk_encode():
        raise SystemExit("The two encoders write different bytes: the times would mean nothing")

    times: dict[str, list[float]] = {"encode": [], "sdk encode": [], "decode": [], "sdk decode": []}
    for _ in track(range(runs), description="Measuring", transient=True):
        times["sdk encode"].append(_seconds(sdk_encode))
        times["encode"] += [_seconds(encode) for _ in range(10)]
        times["sdk decode"].append(_seconds(lambda: read_records(io.BytesIO(content))))
        times["decode"] += [_seconds(lambda: decode_sparse(content)) for _ in range(10)]

    size = f"{len(rows):,} rows, {rows.shape:,} columns, {len(content):,} bytes"
    table = Table(title=f"ua.base: {size}; medians")
    for heading in ("", "this project", "SDK v2", "ratio"):
        table.add_column(heading, justify="right")
    for step in ("encode", "decode"):
        ours, theirs = statistics.median(times[step]), statistics.median(times[f"sdk {step}"])
        table.add_row(step, _rate(len(rows), ours), _rate(len(rows), theirs), f"{theirs / ours:,.0f} ×")
    Console().print(table, f"NumPy {np.__version__}; {runs} runs of the SDK, {10 * runs} of this project")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _rate(rows: int, seconds: float) -> str:
    return f"{1000 * seconds:,.1f} ms, {rows / seconds:,.0f} rows/s"


if __name__ == "__main__":
    main()
