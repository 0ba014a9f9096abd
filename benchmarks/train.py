"""Training speed of the local Factorization Machines, beside the same algorithm in NumPy.

    python benchmarks/train.py [--rows N] [--users N] [--movies N] [--factors K] [--batch B] [--epochs N]

Generated ratings: users uniform, movies by a power law, one-hot. Both trainers start from the same parameters
and take the same batches; the NumPy one runs a part of the rows, its results are compared, and rows per
second are of what each ran. One thread each. Compilation is timed apart: name an empty folder by
NUMBA_CACHE_DIR to see what the first use costs.
"""

import argparse
import resource
import sys
import time

import numpy as np

from local_cloud.factorization_machines import kernel
from local_cloud.factorization_machines.dataset import Dataset
from local_cloud.factorization_machines.hyperparameters import Hyperparameters, TensorSettings
from local_cloud.factorization_machines.model import Model
from local_cloud.factorization_machines.optimizer import Optimizer

Array = np.ndarray


def generate(rows: int, users: int, movies: int) -> Dataset:
    random = np.random.default_rng(0)
    popularity = 1 / np.arange(1, movies + 1) ** 0.8
    keys = np.empty(2 * rows, np.int32)
    keys[0::2] = random.integers(0, users, rows)
    keys[1::2] = users + random.choice(movies, rows, p=popularity / popularity.sum())
    labels = random.integers(0, 2, rows).astype(np.float32)
    return Dataset(kernel.Rows(np.arange(0, 2 * rows + 1, 2), keys, np.ones(2 * rows, np.float32)), labels)


class NumpyOptimizer:
    """Lazy Adam on batches of two-hot rows with NumPy's whole-array operations."""

    def __init__(self, model: Model, settings: Hyperparameters) -> None:
        self.bias, self.linear, self.factors = model.bias.copy(), model.linear.copy(), model.factors.copy()
        self.settings = settings
        self.moments = [
            (np.zeros_like(array), np.zeros_like(array)) for array in (self.bias, self.linear, self.factors)
        ]
        self.steps = 0

    def run(self, data: Dataset, batches: int) -> None:
        size = self.settings.mini_batch_size
        for batch in range(batches):
            rows = slice(batch * size, (batch + 1) * size)
            self._batch(data.rows.keys.reshape(-1, 2)[rows], data.labels[rows])

    def _batch(self, keys: Array, labels: Array) -> None:
        settings, size = self.settings, np.float32(self.settings.mini_batch_size)
        left, right = self.factors[keys[:, 0]], self.factors[keys[:, 1]]
        score = self.bias[0] + self.linear[keys].sum(axis=1) + (left * right).sum(axis=1)
        slope = (1 / (1 + np.exp(-score)) - labels).astype(np.float32)
        features, place = np.unique(keys, return_inverse=True)
        place = place.reshape(keys.shape)
        linear = np.zeros(len(features), np.float32)
        factors = np.zeros((len(features), self.factors.shape[1]), np.float32)
        for column, other in ((0, right), (1, left)):
            # Sums over runs of one feature, which is many times faster than np.add.at.
            order = np.argsort(place[:, column], kind="stable")
            ordered = place[order, column]
            starts = np.flatnonzero(np.diff(ordered, prepend=-1))
            linear[ordered[starts]] += np.add.reduceat(slope[order], starts)
            factors[ordered[starts]] += np.add.reduceat((slope[:, None] * other)[order], starts, axis=0)
        self.steps += 1
        everything = np.zeros(1, np.int64)
        self._step(0, self.bias, everything, slope.sum(keepdims=True) / size, settings.bias)
        self._step(1, self.linear, features, linear / size, settings.linear)
        self._step(2, self.factors, features, factors / size, settings.factors)

    def _step(self, index: int, weights: Array, rows: Array, gradient: Array, tensor: TensorSettings) -> None:
        old = weights[rows]
        gradient = gradient + np.float32(tensor.weight_decay) * old
        mean, variance = self.moments[index]
        mean[rows] = new_mean = np.float32(0.9) * mean[rows] + np.float32(0.1) * gradient
        variance[rows] = new_variance = np.float32(0.999) * variance[rows] + np.float32(0.001) * gradient**2
        correction = np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        rate = np.float32(tensor.learning_rate * correction)
        weights[rows] = old - rate * new_mean / (np.sqrt(new_variance) + np.float32(1e-8))


def peak_megabytes() -> float:
    """Of this process so far; Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=69_878)
    parser.add_argument("--movies", type=int, default=10_677)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()

    start = time.perf_counter()
    kernel.load(kernel.TRAINING, lambda: print("compiling the kernels"))
    print(f"kernels ready after {time.perf_counter() - start:.2f} s")
    data = generate(options.rows, options.users, options.movies)
    settings = Hyperparameters.parse(
        {
            "feature_dim": str(options.users + options.movies),
            "num_factors": str(options.factors),
            "predictor_type": "binary_classifier",
            "mini_batch_size": str(options.batch),
            "linear_lr": "0.01",
            "factors_lr": "0.001",
        }
    )
    batches = options.rows // options.batch
    if not batches:
        parser.error("--rows must be at least --batch")
    start = time.perf_counter()
    model = Model.initial(settings)
    print(f"initial parameters after {time.perf_counter() - start:.2f} s")
    numpy_optimizer = NumpyOptimizer(model, settings)
    optimizer = Optimizer(model, settings)

    part = min(batches, max(1, 100_000 // options.batch))
    start = time.perf_counter()
    numpy_optimizer.run(data, part)
    numpy_speed = part * options.batch / (time.perf_counter() - start)
    optimizer.run(data, 0, part)
    difference = np.abs(numpy_optimizer.factors - model.factors).max()

    seconds = []
    for _ in range(options.epochs):
        start = time.perf_counter()
        optimizer.run(data, 0, batches)
        seconds.append(time.perf_counter() - start)
    speed = batches * options.batch / np.median(seconds)
    shape = f"{options.rows:,} rows, {settings.feature_dim:,} features"
    print(f"{shape}, k={options.factors}, batch {options.batch}")
    print(
        f"local     {speed:12,.0f} rows/s ({np.median(seconds):.3f} s an epoch, median of {options.epochs})"
    )
    print(f"NumPy     {numpy_speed:12,.0f} rows/s, largest difference of a factor {difference:.1e}")
    print(f"ratio     {speed / numpy_speed:12.1f}")
    print(f"peak RSS  {peak_megabytes():12,.0f} MB")


if __name__ == "__main__":
    main()
