"""Training speed and memory of the local Factorization Machines beside other libraries, on the same data.

    python benchmarks/factorization_machines.py [--rows N] [--rounds N] [--engines NAME ...] [--peers PYTHON]

The peers are optional, and skipped where they are missing. They need an environment of their own:

    python3.11 -m venv /tmp/peers
    USER=me /tmp/peers/bin/pip install torch modern-fm scipy xlearn
    USER=me python benchmarks/factorization_machines.py --peers /tmp/peers/bin/python

xlearn is compiled when it is installed (a C++ compiler, a minute) and ends at once where USER is not set.

Generated ratings: 69,878 users, uniform, and 10,622 movies by a power law, one-hot (80,500 features), labels
0 or 1. Every engine runs in a process of its own, so that its peak memory is its own; the engines take turns,
and the table has medians over the rounds, so that a busy machine slows all of them. The seconds are of
training epochs alone; of engines that only train as a whole, the time of one epoch is taken off that of
several.

They do not do the same work. `local` and `torch` take Adam's step for each batch of 1,000 rows, lazily;
`modern-fm adam` one for all features; xlearn and `modern-fm adagrad` a step for each row, xlearn's threads
without locks, so that its result is another one each time. The local trainer's is the same for any number of
threads: its digest is printed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
USERS, MOVIES = 69_878, 10_622
FEATURES = USERS + MOVIES
BATCH = 1000
CHUNK = 1_000_000
Result = dict[str, float | str]


def write_data(folder: Path, rows: int, *, text: bool) -> None:
    """Write the same rows as RecordIO (train/), as arrays and, for xlearn, as text, with bounded memory."""
    sys.path.insert(0, str(ROOT))
    from data_prep.recordio import encode_sparse  # noqa: PLC0415 - the peers' interpreter does not have it

    keys = np.lib.format.open_memmap(folder / "keys.npy", "w+", np.int32, (rows, 2))
    labels = np.lib.format.open_memmap(folder / "labels.npy", "w+", np.float32, (rows,))
    popularity = 1 / np.arange(1, MOVIES + 1) ** 0.8
    popularity /= popularity.sum()
    (folder / "train").mkdir()
    with (
        (folder / "train" / "train.protobuf").open("wb") as records,
        (folder / "train.txt").open("w") as lines,
    ):
        for begin in range(0, rows, CHUNK):
            random = np.random.default_rng(begin)
            count = min(CHUNK, rows - begin)
            part = np.empty((count, 2), np.int32)
            part[:, 0] = random.integers(0, USERS, count)
            part[:, 1] = USERS + random.choice(MOVIES, count, p=popularity)
            values = random.integers(0, 2, count).astype(np.float32)
            keys[begin : begin + count], labels[begin : begin + count] = part, values
            indptr, ones = np.arange(0, 2 * count + 1, 2), np.ones(2 * count, np.float32)
            records.writelines(encode_sparse(values, indptr, part.ravel().astype(np.int64), ones, FEATURES))
            if text:
                pairs = zip(values.astype(int).tolist(), part.tolist(), strict=True)
                lines.writelines(f"{label} {user}:1 {movie}:1\n" for label, (user, movie) in pairs)


def per_epoch(train: Callable[[int], None], epochs: int) -> float:
    """Seconds of one epoch of an engine that trains as a whole."""
    times = []
    for count in (1, 1 + epochs):
        start = time.perf_counter()
        train(count)
        times.append(time.perf_counter() - start)
    return (times[1] - times[0]) / epochs


def local(folder: Path, factors: int, epochs: int, threads: int) -> Result:
    sys.path.insert(0, str(ROOT))
    import hashlib  # noqa: PLC0415

    from local_cloud.factorization_machines import kernel, records  # noqa: PLC0415
    from local_cloud.factorization_machines.channel import FileChannel  # noqa: PLC0415
    from local_cloud.factorization_machines.dataset import Schema  # noqa: PLC0415
    from local_cloud.factorization_machines.hyperparameters import Hyperparameters  # noqa: PLC0415
    from local_cloud.factorization_machines.model import Model  # noqa: PLC0415
    from local_cloud.factorization_machines.optimizer import Optimizer  # noqa: PLC0415

    kernel.load((*kernel.TRAINING, *records.READING))
    settings = Hyperparameters.parse(
        {
            "feature_dim": str(FEATURES),
            "num_factors": str(factors),
            "predictor_type": "binary_classifier",
            "mini_batch_size": str(BATCH),
        }
    )
    start = time.perf_counter()
    channel = FileChannel("train", folder / "train", Schema(FEATURES, "binary_classifier"), BATCH, folder)
    read = time.perf_counter() - start
    model = Model.initial(settings)
    optimizer = Optimizer(model, settings, threads=threads)
    seconds = []
    for _ in range(epochs + 1):
        start = time.perf_counter()
        for part in channel.passes():
            optimizer.run(part, 0, -(-len(part) // BATCH))
        seconds.append(time.perf_counter() - start)
    digest = hashlib.sha256(model.factors.tobytes()).hexdigest()[:12]
    return {"seconds": statistics.median(seconds[1:]), "note": f"read in {read:.1f} s, factors {digest}"}


def torch_sparse_adam(folder: Path, factors: int, epochs: int, threads: int) -> Result:
    import torch  # noqa: PLC0415

    torch.set_num_threads(threads)

    keys = torch.from_numpy(np.load(folder / "keys.npy").astype(np.int64))
    labels = torch.from_numpy(np.load(folder / "labels.npy"))
    weights = torch.nn.Embedding(FEATURES, factors, sparse=True)
    linear = torch.nn.Embedding(FEATURES, 1, sparse=True)
    bias = torch.nn.Parameter(torch.zeros(1))
    torch.nn.init.normal_(weights.weight, 0, 0.001)
    torch.nn.init.normal_(linear.weight, 0, 0.01)
    optimizers = [
        torch.optim.SparseAdam(list(weights.parameters()), lr=1e-4),
        torch.optim.SparseAdam(list(linear.parameters()), lr=1e-3),
        torch.optim.Adam([bias], lr=0.1),
    ]
    loss = torch.nn.BCEWithLogitsLoss()
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        for begin in range(0, len(keys), BATCH):
            part = keys[begin : begin + BATCH]
            pair = weights(part)
            score = bias + linear(part).sum((1, 2)) + (pair[:, 0] * pair[:, 1]).sum(1)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss(score, labels[begin : begin + BATCH]).backward()
            for optimizer in optimizers:
                optimizer.step()
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds), "note": f"torch {torch.__version__}"}


def modern_fm(folder: Path, factors: int, epochs: int, optimizer: str) -> Result:
    import modern_fm  # noqa: PLC0415
    import scipy.sparse  # noqa: PLC0415

    keys, labels = np.load(folder / "keys.npy"), np.load(folder / "labels.npy")
    rows = len(labels)
    matrix = scipy.sparse.csr_matrix(
        (np.ones(2 * rows, np.float32), keys.ravel(), np.arange(0, 2 * rows + 1, 2)), shape=(rows, FEATURES)
    )

    def train(count: int) -> None:
        batch = BATCH if optimizer == "adam" else 1
        model = modern_fm.FMClassifier(factors, optimizer=optimizer, batch_size=batch, max_iter=count)
        model.fit(matrix, labels)

    return {"seconds": per_epoch(train, epochs), "note": f"modern-fm {modern_fm.__version__}"}


def xlearn(folder: Path, factors: int, epochs: int) -> Result:
    import xlearn  # noqa: PLC0415

    def train(count: int) -> None:
        model = xlearn.create_fm()
        model.setTrain(str(folder / "train.txt"))
        model.setQuiet()
        model.disableEarlyStop()
        settings = {"task": "binary", "lr": 0.1, "lambda": 1e-5, "k": factors, "opt": "adagrad"}
        model.fit({**settings, "epoch": count, "nthread": os.cpu_count() or 1}, str(folder / "model.out"))

    return {"seconds": per_epoch(train, epochs), "note": f"xlearn {xlearn.__version__}"}


ENGINES: dict[str, Callable[[Path, int, int], Result]] = {
    "local": lambda *job: local(*job, threads=os.cpu_count() or 1),
    "local-1-thread": lambda *job: local(*job, threads=1),
    "xlearn": xlearn,
    "torch": lambda *job: torch_sparse_adam(*job, threads=os.cpu_count() or 1),
    "torch-1-thread": lambda *job: torch_sparse_adam(*job, threads=1),
    "modern-fm-adagrad": lambda *job: modern_fm(*job, optimizer="adagrad"),
    "modern-fm-adam": lambda *job: modern_fm(*job, optimizer="adam"),
}


def peak_megabytes() -> float:
    """Of this process so far; Linux counts in KiB, macOS in bytes."""
    import resource  # noqa: PLC0415

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def work(engine: str, folder: Path, factors: int, epochs: int) -> None:
    """Run one engine in this process and print its result as the last line."""
    try:
        result = ENGINES[engine](folder, factors, epochs)
    except ImportError as error:
        result = {"skipped": f"{error}: see the head of this script for how to install it"}
    print("\n" + json.dumps({**result, "megabytes": peak_megabytes()}))


def run(engine: str, python: str, folder: Path, options: argparse.Namespace) -> Result:
    """Run one engine in a process of its own."""
    command = [python, __file__, "--work", engine, str(folder)]
    command += ["--factors", str(options.factors), "--epochs", str(options.epochs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"skipped": reason}
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def rounds(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Result]]:
    skipped: set[str] = set()
    for _ in range(options.rounds):
        for engine in options.engines:
            if engine in skipped:
                continue
            python = sys.executable if engine.startswith("local") else options.peers
            result = run(engine, python, folder, options)
            if "skipped" in result:
                skipped.add(engine)
            yield engine, result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3, help="timed in each round (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every engine (default 3)")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=[*ENGINES])
    parser.add_argument("--peers", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--folder", help="where the data goes for the run, about 110 bytes a row")
    parser.add_argument("--work", nargs=2, metavar=("ENGINE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work[0], Path(options.work[1]), options.factors, options.epochs)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write_data(folder, options.rows, text="xlearn" in options.engines)
        # What the system still writes to the disk would slow down whoever comes first.
        os.sync()
        results: dict[str, list[Result]] = {engine: [] for engine in options.engines}
        loads = []
        for engine, result in rounds(options, folder):
            results[engine].append(result)
            loads.append(os.getloadavg()[0])
    print(f"{options.rows:,} rows, {FEATURES:,} features, k={options.factors}; {os.cpu_count()} processors,")
    print(f"{options.rounds} rounds of {options.epochs} epochs, load {min(loads):.1f} to {max(loads):.1f}")
    print(f"{'engine':20}{'s/epoch':>9}{'rows/s':>13}{'local is':>10}{'peak MB':>9}")
    base = None
    for engine, found in results.items():
        reason = next((result["skipped"] for result in found if "skipped" in result), None)
        if reason is not None:
            print(f"{engine:20} skipped: {reason}")
            continue
        seconds = statistics.median(float(result["seconds"]) for result in found)
        base = seconds if base is None else base
        memory = max(float(result["megabytes"]) for result in found)
        ratio = f"{seconds / base:.2f} ×"
        speed = options.rows / seconds
        print(f"{engine:20}{seconds:9.2f}{speed:13,.0f}{ratio:>10}{memory:9,.0f}  {found[-1]['note']}")


if __name__ == "__main__":
    main()
