"""A Factorization Machine's parameters, and scoring with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from local_cloud.factorization_machines import kernel
from local_cloud.factorization_machines.hyperparameters import Hyperparameters, Initializer, PredictorType
from local_cloud.factorization_machines.initialization import MXNetGenerator

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """Scores a row x by z = w0 + Σ_i w_i x_i + Σ_i<j (v_i · v_j) x_i x_j.

    `bias` (w0) is float32[1], `linear` (w) float32[D], `factors` (v) float32[D, k].
    """

    predictor_type: PredictorType
    bias: Float32
    linear: Float32
    factors: Float32
    dense: bool = False
    """Trained on dense rows, for which the network and the artifact are laid out in another way."""

    @property
    def feature_dim(self) -> int:
        """The number of features, D."""
        return int(self.factors.shape[0])

    @classmethod
    def initial(cls, hyperparameters: Hyperparameters, seed: int = 0, *, dense: bool = False) -> Model:
        """Draw the parameters that SageMaker's container starts from; its jobs were reproduced with seed 0.

        MXNet 1.3 initializes parameters in the order of their sorted names: v, w0_weight, w1_weight for
        sparse rows, and Linear_Plus_Bias_bias, Linear_Plus_Bias_weight, v, float32[k, D], for dense ones.
        """
        generator = MXNetGenerator(seed)
        size = (hyperparameters.feature_dim, hyperparameters.num_factors)
        if dense:
            bias = _draw(generator, hyperparameters.bias.initializer, 1)
            linear = _draw(generator, hyperparameters.linear.initializer, size[0])
            transposed = _draw(generator, hyperparameters.factors.initializer, size[0] * size[1])
            factors = np.ascontiguousarray(transposed.reshape(size[::-1]).T)
            return cls(hyperparameters.predictor_type, bias, linear, factors, dense=True)
        factors = _draw(generator, hyperparameters.factors.initializer, size[0] * size[1]).reshape(size)
        bias = _draw(generator, hyperparameters.bias.initializer, 1)
        linear = _draw(generator, hyperparameters.linear.initializer, size[0])
        return cls(hyperparameters.predictor_type, bias, linear, factors)

    def weights(self) -> kernel.Weights:
        """The same arrays, and each feature's squared norm, as the kernels take them."""
        norms = np.empty(self.feature_dim, np.float32)
        kernel.square_norms(self.factors, norms)
        return kernel.Weights(self.bias, self.linear, self.factors, norms)


class Scorer:
    """Scores rows with one model. Safe to use from several threads at once."""

    def __init__(self, model: Model) -> None:
        self._weights = model.weights()
        self._logistic = model.predictor_type == "binary_classifier"

    def __call__(self, rows: kernel.Rows) -> Float32:
        """Score each row, float32[n]: a probability for a binary classifier, z itself for a regressor."""
        scores = np.empty(len(rows.indptr) - 1, np.float32)
        kernel.predict(rows, self._weights, self._logistic, 0, scores)
        return scores


def _draw(generator: MXNetGenerator, initializer: Initializer, count: int) -> Float32:
    if initializer.method == "normal":
        return generator.normal(count, initializer.parameter)
    if initializer.method == "uniform":
        return generator.uniform(count, initializer.parameter)
    return np.full(count, initializer.parameter, np.float32)
