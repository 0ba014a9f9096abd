"""How fast ratings are read from text: this project, which checks every character, against table readers.

    uv run --with polars --with pandas --with pyarrow python benchmarks/read.py

The other readers are no dependencies: those that are not installed are left out. All read the same files,
hot in the page cache, and take turns, so that a busy machine slows all of them; trust the ratios rather than
the rates. The time is the processor's, over all threads, and beside it the clock's.
"""

import argparse
import importlib
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from data_prep.formats import open_input

_CHUNK_ROWS = 500_000
# Of MovieLens 25M.
_USERS, _MOVIES = 162_541, 209_171
_FIRST_TIME, _LAST_TIME = 789_652_009, 1_574_327_703


def main() -> None:
    """Time the readers and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4_000_000, help="rows of each file (default 4,000,000)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each reader (default 5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = _written(Path(folder), options.rows)
        times: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        for _ in track(range(options.runs), description="Measuring", transient=True):
            for name, path in files.items():
                for reader, read in _readers().items():
                    wall, cpu = time.perf_counter(), time.process_time()
                    rows = read(path)
                    times[name, reader].append((time.process_time() - cpu, time.perf_counter() - wall))
                    if rows != options.rows:
                        raise SystemExit(f"{reader} finds {rows} rows in {name}")
    table = Table(title=f"{options.rows:,} rows; medians of {options.runs}; million rows a second")
    for heading in ("file", "reader", "of one processor", "by the clock"):
        table.add_column(heading, justify="right")
    for (name, reader), runs in times.items():
        rates = (options.rows / 1e6 / statistics.median(run[kind] for run in runs) for kind in (0, 1))
        table.add_row(name, reader, *(f"{rate:.1f}" for rate in rates))
    Console().print(table, f"NumPy {np.__version__}")


def _written(folder: Path, rows: int) -> Mapping[str, Path]:
    """Files in the layouts of MovieLens 100K, 25M and 10M, and of a shop whose ids are text."""
    lines: Mapping[str, tuple[str, str, Callable[[float], str]]] = {
        "u.data": ("", "{}\t{}\t{}\t{}\n", lambda stars: str(int(stars + 0.5))),
        "ratings.csv": ("userId,movieId,rating,timestamp\n", "{},{},{},{}\n", str),
        "ratings.dat": ("", "{}::{}::{}::{}\n", lambda stars: f"{stars:g}"),
        "shop.csv": ("user,item,rating,timestamp\n", "A{}K,B00{},{},{}\n", str),
    }
    for name, (header, line, rating) in lines.items():
        generator = np.random.default_rng(0)
        with (folder / name).open("w") as file:
            file.write(header)
            for first in range(0, rows, _CHUNK_ROWS):
                count = min(_CHUNK_ROWS, rows - first)
                columns = (
                    generator.integers(1, _USERS, count).tolist(),
                    generator.integers(1, _MOVIES, count).tolist(),
                    map(rating, (generator.integers(1, 11, count) / 2).tolist()),
                    generator.integers(_FIRST_TIME, _LAST_TIME, count).tolist(),
                )
                file.writelines(line.format(*row) for row in zip(*columns, strict=True))
    return {name: folder / name for name in lines}


def _readers() -> Mapping[str, Callable[[Path], int]]:
    readers: dict[str, Callable[[Path], int]] = {"this project": _read}
    for module, read in (("polars", _read_polars), ("pandas", _read_pandas), ("pyarrow", _read_pyarrow)):
        try:
            importlib.import_module(module)
        except ImportError:
            continue
        readers[module] = read
    return readers


def _read(path: Path) -> int:
    with open_input(path) as data:
        return sum(map(len, data.files["ratings"].blocks()))


def _shape(path: Path) -> tuple[str, bool]:
    """(separator, whether there is a header). None of the others reads a separator of two characters."""
    return {"u.data": ("\t", False), "ratings.dat": (":", False)}.get(path.name, (",", True))


def _read_polars(path: Path) -> int:
    polars = importlib.import_module("polars")
    separator, header = _shape(path)
    return len(polars.read_csv(path, separator=separator, has_header=header))


def _read_pandas(path: Path) -> int:
    pandas = importlib.import_module("pandas")
    separator, header = _shape(path)
    return len(pandas.read_csv(path, sep=separator, header=0 if header else None, engine="c"))


def _read_pyarrow(path: Path) -> int:
    csv = importlib.import_module("pyarrow.csv")
    separator, header = _shape(path)
    options = csv.ReadOptions(autogenerate_column_names=not header)
    table = csv.read_csv(path, read_options=options, parse_options=csv.ParseOptions(delimiter=separator))
    return int(table.num_rows)


if __name__ == "__main__":
    main()
