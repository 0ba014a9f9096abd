"""MXNet's lazy Adam over mini-batches, in file order."""

from __future__ import annotations

import threading

import numba
import numpy as np
import numpy.typing as npt

from local_cloud.factorization_machines import kernel
from local_cloud.factorization_machines.dataset import Dataset
from local_cloud.factorization_machines.hyperparameters import Hyperparameters
from local_cloud.factorization_machines.model import Model

Float32 = npt.NDArray[np.float32]

_NO_CLIPPING = -1.0


class Optimizer:
    """Updates a model's parameters in place, batch by batch, and keeps Adam's moments between batches.

    A feature's parameters change only in batches in which it occurs, but the step count, which corrects the
    moments' bias, is that of all batches. Weight decay is added to the gradient, before the moments. A short
    last batch is filled up with empty rows labelled 0: they count in the bias's gradient and in the scale
    1/batch size. The number of threads changes no bit of the result. Dense rows have every feature in every
    batch, so that each of their steps is Adam's usual one.

    Attributes:
        dense: the rows must be so.
    """

    def __init__(self, model: Model, hyperparameters: Hyperparameters, *, threads: int | None = None) -> None:
        """Train `model` with `threads` threads, by default as many as Numba may use (NUMBA_NUM_THREADS)."""
        self._threads = numba.get_num_threads() if threads is None else threads
        self.dense = model.dense
        self._logistic = model.predictor_type == "binary_classifier"
        self._size = hyperparameters.mini_batch_size
        self._weights = model.weights()
        features, factors = model.factors.shape
        self._moments = kernel.Moments(
            np.zeros(2, np.float32),
            np.zeros((features, 2), np.float32),
            np.zeros((features, 2, factors), np.float32),
        )
        tensors = (hyperparameters.bias, hyperparameters.linear, hyperparameters.factors)
        rescale, clip = hyperparameters.rescale_grad, hyperparameters.clip_gradient
        self._settings = kernel.Settings(
            np.array([tensor.learning_rate for tensor in tensors]),
            np.array([tensor.weight_decay for tensor in tensors], np.float32),
            np.float32(1 / self._size if rescale is None else rescale),
            np.float32(_NO_CLIPPING if clip is None else clip),
            np.float32(hyperparameters.eps),
        )
        self._steps = 0
        self._work = kernel.working_memory(features, factors, self._size, 0)

    def run(self, data: Dataset, first: int, last: int) -> Float32:
        """Take the batches numbered `first` up to, not including, `last`.

        Returns each row's score as it was before its batch's update, float32[(last - first) * batch size],
        the rows that fill up a short last batch included.
        """
        bounds = np.minimum(np.arange(first, last + 1) * self._size, len(data))
        scores = np.empty((last - first) * self._size, np.float32)
        work = self._working_memory(int(np.diff(data.rows.indptr[bounds]).max()))

        def train(thread: int) -> None:
            kernel.train(
                data.rows,
                data.labels,
                (first, last, self._size),
                self._logistic,
                self._weights,
                self._moments,
                self._settings,
                self._steps,
                work,
                scores,
                thread,
                self._threads,
            )

        others = [threading.Thread(target=train, args=(thread,)) for thread in range(1, self._threads)]
        for other in others:
            other.start()
        train(0)
        for other in others:
            other.join()
        self._steps += last - first
        return scores

    def _working_memory(self, most_entries: int) -> kernel.Work:
        """The memory of earlier calls, or a larger one if their batches had fewer entries."""
        if len(self._work.entry_rows) < most_entries:
            features, factors = self._weights.factors.shape
            self._work = kernel.working_memory(features, factors, self._size, most_entries)
        return self._work
