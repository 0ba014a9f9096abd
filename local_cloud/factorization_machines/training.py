"""The container's `train`: one training job, from its configuration to its model file."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from local_cloud.factorization_machines import artifact, kernel
from local_cloud.factorization_machines.dataset import Dataset, channel_files, leading_bytes, read_channel
from local_cloud.factorization_machines.errors import AlgorithmError, ClientError, JobError
from local_cloud.factorization_machines.hyperparameters import DEFAULTS, Hyperparameters
from local_cloud.factorization_machines.layout import TEST, TRAIN, Layout
from local_cloud.factorization_machines.logs import Number, Span, TrainingLog
from local_cloud.factorization_machines.metrics import MetricSums
from local_cloud.factorization_machines.model import Model, Scorer
from local_cloud.factorization_machines.optimizer import Optimizer

Float32 = npt.NDArray[np.float32]

# Where SageMaker's container keeps the file whose content it prints.
_DEFAULT_CONFIGURATION = "/opt/amazon/lib/python3.7/site-packages/algorithm/resources/default-conf.json"
# A signal is handled between two calls of the kernel; this many rows take well under a second.
_MOST_ROWS_A_CALL = 1_000_000


class _Stopped(BaseException):
    """SIGTERM came, by which SageMaker stops a job."""


def train(root: Path, stream: TextIO) -> int:
    """Run the training job laid out under `root` and log it to `stream`; returns the exit code, 0 or 1.

    A job that fails, or is stopped by SIGTERM, leaves its reason in the failure file and no model.
    """
    layout = Layout(root)
    layout.remove_failure()
    log = TrainingLog(stream)
    failure: JobError
    previous = signal.signal(signal.SIGTERM, _stop)
    try:
        _Job(layout, log).run()
    except JobError as error:
        failure = error
    except _Stopped:
        failure = AlgorithmError("Training was stopped by SIGTERM before it was complete; no model was saved")
    except MemoryError:
        failure = AlgorithmError(
            "Out of memory: the data and 12 bytes for each feature and factor have to fit"
        )
    except Exception as error:
        log.line(traceback.format_exc())
        failure = AlgorithmError(f"{type(error).__name__}: {error}")
    else:
        return 0
    finally:
        signal.signal(signal.SIGTERM, previous)
    log.record(f"{failure.log_label}: {failure}", "ERROR")
    layout.write_failure(failure.failure_reason)
    return 1


def _stop(*_: object) -> None:
    raise _Stopped


class _Job:
    """One run of the algorithm."""

    def __init__(self, layout: Layout, log: TrainingLog) -> None:
        self._layout = layout
        self._log = log
        self._started = time.time()

    def run(self) -> None:
        """Train, test if there is a test channel, and write the model. Raises JobError."""
        layout, log = self._layout, self._log
        log.line("Docker entrypoint called with argument(s): train")
        log.line("Running default environment configuration script")
        log.host = host = layout.host()
        settings = self._configure()
        data = {
            name: read_channel(name, layout.channel(name), settings.feature_dim, settings.predictor_type)
            for name in layout.channels()
        }
        rows = len(data[TRAIN])
        if settings.mini_batch_size > rows:
            raise ClientError(
                f"mini_batch_size is {settings.mini_batch_size}, but the train channel has {rows} records"
            )
        model = self._train(settings, data[TRAIN])
        trained = time.time()
        if TEST in data:
            self._test(settings, model, data[TEST])
        layout.model.mkdir(parents=True, exist_ok=True)
        artifact.write(artifact.model_path(layout.model, host), model, settings)
        log.metrics(
            Span(trained, time.time()),
            {"setuptime": self._setup.milliseconds, "totaltime": (time.time() - self._started) * 1000},
        )

    def _configure(self) -> Hyperparameters:
        self._log.record(f"Reading default configuration from {_DEFAULT_CONFIGURATION}: {DEFAULTS}")
        provided = self._layout.hyperparameters()
        path = self._layout.hyperparameters_file
        self._log.record(f"Merging with provided configuration from {path}: {provided}")
        settings = Hyperparameters.parse(provided)
        self._log.record(f"Final configuration: {settings.configuration}")
        return settings

    def _train(self, settings: Hyperparameters, data: Dataset) -> Model:
        log, size = self._log, settings.mini_batch_size
        folder = self._layout.channel(TRAIN)
        start = time.time()
        # SageMaker's container reads one batch to see whether the data is sparse.
        counters = _Counters()
        counters.add(size, 1)
        looked_at = leading_bytes(channel_files(folder), size)
        log.epoch_stats(folder, 0, (start - self._started) * 1000, 1, looked_at)
        log.record("Number of GPUs being used: 0")
        log.record("[Sparse network] Building a sparse network.")
        kernel.load(
            kernel.TRAINING, lambda: log.record("Compiling the numeric kernels for this machine, once.")
        )
        model = Model.initial(settings)
        optimizer = Optimizer(model, settings)
        log.record("Create Store: local")
        initialized = Span(start, time.time())
        self._setup = Span(self._started, initialized.end)
        log.metrics(initialized, {"initialize.time": initialized.milliseconds})
        log.metrics(initialized, counters.describe(), Meta="init_train_data_iter")

        sums = MetricSums(settings.predictor_type, size)
        batches = -(-len(data) // size)
        for epoch in range(settings.epochs):
            start = time.time()
            sums.reset()
            for first, last, publish in _segments(batches, size, settings.batch_metrics_publish_interval):
                scores = optimizer.run(data, first, last)
                sums.add(scores, _padded(data.labels[first * size : last * size], len(scores)))
                if publish:
                    log.train_quality(sums.metrics(), epoch, last - 1)
            span = Span(start, time.time())
            counters.add(len(data), batches)
            log.epoch_stats(folder, 2 * (epoch + 1), span.milliseconds, batches, data.size)
            log.train_quality(sums.metrics(), epoch)
            if epoch == settings.epochs - 1:
                log.train_quality(sums.metrics())
            first_only: dict[str, Number] = {} if epoch else {"epochs": settings.epochs}
            log.metrics(span, {**first_only, "update.time": span.milliseconds})
            log.progress(epoch + 1, settings.epochs)
            log.metrics(span, counters.describe(), epoch=epoch, Meta="training_data_iter")
            log.throughput(len(data) / max(span.end - span.start, 1e-6))
        return model

    def _test(self, settings: Hyperparameters, model: Model, data: Dataset) -> None:
        log, size = self._log, settings.mini_batch_size
        folder = self._layout.channel(TEST)
        start = time.time()
        sums = MetricSums(settings.predictor_type, size)
        sums.add(Scorer(model)(data.rows), data.labels)
        span = Span(start, time.time())
        batches = -(-len(data) // size)
        looked_at = leading_bytes(channel_files(folder), size)
        counters = _Counters()
        counters.add(len(data), batches)
        log.epoch_stats(folder, 0, (start - self._started) * 1000, 1, looked_at)
        log.epoch_stats(folder, 1, span.milliseconds, batches, data.size)
        log.metrics(span, counters.describe(), Meta="test_data_iter")
        log.test_quality(sums.metrics())


class _Counters:
    """What one channel's reader has read, in passes that each end with a reset."""

    def __init__(self) -> None:
        self._rows = self._batches = self._resets = 0
        self._last = self._most = (0, 0)

    def add(self, rows: int, batches: int) -> None:
        """Count one pass."""
        self._last = (rows, batches) if self._resets else (0, 0)
        self._rows += rows
        self._batches += batches
        self._resets += 1
        self._most = (max(self._most[0], rows), max(self._most[1], batches))

    def describe(self) -> dict[str, Number]:
        """Name the counts as the container does."""
        return {
            "Total Records Seen": self._rows,
            "Total Batches Seen": self._batches,
            "Max Records Seen Between Resets": self._most[0],
            "Max Batches Seen Between Resets": self._most[1],
            "Reset Count": self._resets,
            "Number of Records Since Last Reset": self._last[0],
            "Number of Batches Since Last Reset": self._last[1],
        }


def _segments(batches: int, size: int, interval: int) -> Iterator[tuple[int, int, bool]]:
    """Cut an epoch into calls of the kernel: first batch, end, and whether metrics are published then."""
    most = max(1, _MOST_ROWS_A_CALL // size)
    first = 0
    while first < batches:
        published = -(-first // interval) * interval
        last = min(published + 1, first + most, batches)
        yield first, last, last == published + 1
        first = last


def _padded(labels: Float32, size: int) -> Float32:
    if len(labels) == size:
        return labels
    return np.concatenate([labels, np.zeros(size - len(labels), np.float32)])
