"""The local Factorization Machines' latency for JSON requests and rows a second for RecordIO batches.

    python benchmarks/serving.py [--seconds N] [--factors K]

A model of MovieLens-100k's shape, 2,625 features. JSON requests ask for one row, or for one user's scores of
all 1,682 movies, over kept connections to a server process; 1, 8 and 64 clients are threads of this process,
which competes with the server for the processors: the figures are upper bounds of what the server takes. A
RecordIO batch of 6 MiB is what a transform job sends: 98,304 rows, answered in JSON Lines, by the function
behind `/invocations` in this process, with one thread and with one a processor, and over HTTP.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from data_prep.recordio import encode_sparse  # noqa: E402 - the package, not the script beside this one
from local_cloud.factorization_machines import (  # noqa: E402
    artifact,
    decimals,
    kernel,
    payloads,
    records,
)
from local_cloud.factorization_machines.hyperparameters import Hyperparameters  # noqa: E402
from local_cloud.factorization_machines.model import Model  # noqa: E402
from local_cloud.factorization_machines.serving import Limits, ModelServer  # noqa: E402

USERS, MOVIES = 943, 1682
FEATURES = USERS + MOVIES
BATCH_ROWS = 98_304


def json_request(rows: int) -> bytes:
    """One user's scores of the first `rows` movies."""
    features = [{"keys": [7, USERS + movie], "shape": [FEATURES], "values": [1, 1]} for movie in range(rows)]
    return json.dumps({"instances": [{"data": {"features": one}} for one in features]}).encode()


def recordio_request() -> bytes:
    random = np.random.default_rng(0)
    users, movies = random.integers(0, USERS, BATCH_ROWS), USERS + random.integers(0, MOVIES, BATCH_ROWS)
    indptr, ones = np.arange(0, 2 * BATCH_ROWS + 1, 2), np.ones(2 * BATCH_ROWS, np.float32)
    keys = np.stack([users, movies], axis=1).ravel()
    return b"".join(encode_sparse(np.ones(BATCH_ROWS, np.float32), indptr, keys, ones, FEATURES))


def latencies(
    port: int, body: bytes, content_type: str, clients: int, seconds: float
) -> tuple[list[float], float]:
    """Let clients ask for some seconds: each request's seconds, and how long it took in all."""
    stop = threading.Event()
    headers = {"Content-Type": content_type, "Accept": payloads.JSON_LINES}

    def ask(_: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        times = []
        while not stop.is_set():
            start = time.perf_counter()
            connection.request("POST", "/invocations", body, headers)
            response = connection.getresponse()
            response.read()
            times.append(time.perf_counter() - start)
            if response.status != 200:
                raise SystemExit(f"a request was answered with status {response.status}")
        connection.close()
        return times

    with ThreadPoolExecutor(clients) as pool:
        start = time.perf_counter()
        running = [pool.submit(ask, number) for number in range(clients)]
        time.sleep(seconds)
        stop.set()
        times = [one for future in running for one in future.result()]
        return times, time.perf_counter() - start


def rate(work: Callable[[], object], threads: int, seconds: float) -> float:
    """Calls a second, of several threads together; the median over three periods."""
    found = []
    for _ in range(3):
        end = time.perf_counter() + seconds / 3

        def repeat(_: int, end: float = end) -> int:
            calls = 0
            while time.perf_counter() < end:
                work()
                calls += 1
            return calls

        start = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            calls = sum(pool.map(repeat, range(threads)))
        found.append(calls / (time.perf_counter() - start))
    return sorted(found)[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement (default 3)")
    parser.add_argument("--factors", type=int, default=64)
    options = parser.parse_args()
    settings = Hyperparameters.parse(
        {
            "feature_dim": str(FEATURES),
            "num_factors": str(options.factors),
            "predictor_type": "binary_classifier",
            "linear_init_sigma": "1",
            "factors_init_sigma": "0.1",
        }
    )
    model = Model.initial(settings)
    processors = os.cpu_count() or 1
    print(
        f"{FEATURES:,} features, k={options.factors}; {processors} processors, load {os.getloadavg()[0]:.1f}"
    )

    kernel.load((*kernel.TRAINING, *records.READING, *decimals.WRITING))
    batch = recordio_request()
    with ModelServer(("127.0.0.1", 0), model, Limits()) as server:
        for threads in sorted({1, processors}):
            calls = rate(
                lambda: server.predict(batch, payloads.RECORDIO, payloads.JSON_LINES),
                threads,
                options.seconds,
            )
            print(f"RecordIO in this process, {threads} threads: {calls * BATCH_ROWS:12,.0f} rows/s")

    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "model").mkdir()
        artifact.write(Path(name) / "model" / "model_algo-1", model, settings)
        command = [sys.executable, "-m", "local_cloud.factorization_machines", "serve"]
        process = subprocess.Popen(
            [*command, "--root", name, "--port", "0"], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        try:
            line = ""
            while not line.startswith("Listening on "):
                line = (process.stdout.readline() if process.stdout else "") or sys.exit(
                    "the server did not start"
                )
            port = int(line.strip().rpartition(":")[2])
            for clients in sorted({1, processors}):
                times, took = latencies(port, batch, payloads.RECORDIO, clients, options.seconds)
                print(
                    f"RecordIO over HTTP, {clients} clients: {len(times) * BATCH_ROWS / took:12,.0f} rows/s"
                )
            print(
                f"{'JSON rows':>10}{'clients':>9}{'p50 ms':>9}{'p99 ms':>9}{'requests/s':>12}{'rows/s':>11}"
            )
            for rows in (1, MOVIES):
                for clients in (1, 8, 64):
                    times, took = latencies(port, json_request(rows), payloads.JSON, clients, options.seconds)
                    half, most = np.percentile(times, [50, 99]) * 1000
                    calls = len(times) / took
                    print(f"{rows:10,}{clients:9}{half:9.2f}{most:9.2f}{calls:12,.0f}{calls * rows:11,.0f}")
        finally:
            process.terminate()
            process.wait(timeout=30)


if __name__ == "__main__":
    main()
