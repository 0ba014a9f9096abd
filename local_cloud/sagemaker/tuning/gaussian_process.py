"""Gaussian process regression of a cost, and where to look for a lower one.

Matérn 5/2 kernel with one length scale, of which the most likely of a few is taken, as is the noise. Follows
Rasmussen and Williams, "Gaussian Processes for Machine Learning", algorithm 2.1 and section 5.4.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_LENGTH_SCALES = (0.1, 0.2, 0.4, 0.8, 1.6)
_NOISES = (1e-6, 1e-3, 1e-1)
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True)
class GaussianProcess:
    """A process that has seen costs.

    Attributes:
        points: float64 [n, d], where.
        costs: float64 [n], standardized by `mean` and `spread`.
        mean: of the costs.
        spread: standard deviation of the costs.
        length_scale: of the kernel.
        noise: variance of the noise, as a share of the kernel's variance.
    """

    points: Array
    costs: Array
    mean: float
    spread: float
    length_scale: float
    noise: float

    def _factor(self) -> Array:
        kernel = _matern(self.points, self.points, self.length_scale)
        factor: Array = np.linalg.cholesky(kernel + self.noise * np.eye(len(kernel))).astype(np.float64)
        return factor

    def _variance(self, factor: Array) -> float:
        whitened = np.linalg.solve(factor, self.costs)
        return max(float(whitened @ whitened) / len(self.costs), _LEAST_VARIANCE)

    def log_likelihood(self) -> float:
        """Return the log marginal likelihood at the best variance, up to a constant."""
        factor = self._factor()
        count = len(self.costs)
        return -0.5 * count * math.log(self._variance(factor)) - float(np.log(np.diag(factor)).sum())

    def forecast(self, points: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation, float64 [m] each, of the cost at `points`, float64 [m, d]."""
        factor = self._factor()
        cross = np.linalg.solve(factor, _matern(self.points, points, self.length_scale))
        mean = cross.T @ np.linalg.solve(factor, self.costs)
        share = np.maximum(1.0 - (cross**2).sum(axis=0), _LEAST_VARIANCE)
        deviation = np.sqrt(self._variance(factor) * share)
        return self.mean + self.spread * mean, self.spread * deviation

    def with_forecasts(self, points: Array) -> "GaussianProcess":
        """Return a process that takes its own forecast at `points` for observed."""
        forecast, _ = self.forecast(points)
        return GaussianProcess(
            np.concatenate([self.points, points]),
            np.concatenate([self.costs, (forecast - self.mean) / self.spread]),
            self.mean,
            self.spread,
            self.length_scale,
            self.noise,
        )

    def expected_improvement(self, points: Array, best: float) -> Array:
        """Return by how much the cost at `points` can be expected to be below `best`, float64 [m]."""
        mean, deviation = self.forecast(points)
        z = (best - mean) / deviation
        density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
        below = np.array([0.5 * math.erfc(-each / math.sqrt(2)) for each in z])
        improvement: Array = deviation * (z * below + density)
        return improvement


def fit(points: Array, costs: Array) -> GaussianProcess:
    """Return the most likely process.

    Args:
        points: float64 [n, d], coordinates in [0, 1].
        costs: float64 [n].
    """
    mean, spread = float(costs.mean()), float(costs.std()) or 1.0
    standard = (costs - mean) / spread
    processes = [
        GaussianProcess(points, standard, mean, spread, length_scale, noise)
        for length_scale in _LENGTH_SCALES
        for noise in _NOISES
    ]
    return max(processes, key=GaussianProcess.log_likelihood)


def _matern(one: Array, other: Array, length_scale: float) -> Array:
    distance = np.sqrt(((one[:, None, :] - other[None, :, :]) ** 2).sum(axis=2))
    scaled = math.sqrt(5) * distance / length_scale
    kernel: Array = (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
    return kernel
