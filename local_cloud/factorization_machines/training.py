"""The container's `train`: one training job, from its configuration to its model file."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from local_cloud.factorization_machines import artifact, kernel, records
from local_cloud.factorization_machines.channel import Channel, FileChannel, PipeChannel
from local_cloud.factorization_machines.dataset import MIXED, Dataset, Schema
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
        kernel.load(
            (*kernel.TRAINING, *records.READING),
            lambda: log.record("Compiling the numeric kernels for this machine, once."),
        )
        channels = {name: self._channel(name, piped, settings) for name, piped in layout.channels().items()}
        model = self._train(settings, channels[TRAIN])
        trained = time.time()
        if TEST in channels:
            self._test(settings, model, channels[TEST])
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

    def _channel(self, name: str, piped: bool, settings: Hyperparameters) -> Channel:
        path, size = self._layout.channel(name), settings.mini_batch_size
        schema = Schema(settings.feature_dim, settings.predictor_type)
        if piped:
            return PipeChannel(name, path, schema, size)
        return FileChannel(name, path, schema, size, self._layout.scratch)

    def _train(self, settings: Hyperparameters, channel: Channel) -> Model:
        log, size = self._log, settings.mini_batch_size
        start = time.time()
        # SageMaker's container reads one batch to see whether the data is sparse.
        counters = _Counters()
        counters.add(size, 1)
        parts = channel.passes()
        first = next(parts)
        if size > len(first):
            raise ClientError(f"mini_batch_size is {size}, but the train channel has {len(first)} records")
        log.epoch_stats(channel.path, 0, (start - self._started) * 1000, 1, channel.batch_bytes)
        log.record("Number of GPUs being used: 0")
        kind = "dense" if first.dense else "sparse"
        log.record(f"[{kind.capitalize()} network] Building a {kind} network.")
        model = Model.initial(settings, dense=first.dense)
        optimizer = Optimizer(model, settings)
        log.record("Create Store: local")
        initialized = Span(start, time.time())
        self._setup = Span(self._started, initialized.end)
        log.metrics(initialized, {"initialize.time": initialized.milliseconds})
        log.metrics(initialized, counters.describe(), Meta="init_train_data_iter")

        sums = MetricSums(settings.predictor_type, size)
        for epoch in range(settings.epochs):
            start = time.time()
            parts = chain([first], parts) if epoch == 0 else channel.passes()
            rows, batches = self._epoch(epoch, settings, parts, optimizer, sums)
            span = Span(start, time.time())
            counters.add(rows, batches)
            log.epoch_stats(channel.path, 2 * (epoch + 1), span.milliseconds, batches, channel.size)
            log.train_quality(sums.metrics(), epoch)
            if epoch == settings.epochs - 1:
                log.train_quality(sums.metrics())
            first_only: dict[str, Number] = {} if epoch else {"epochs": settings.epochs}
            log.metrics(span, {**first_only, "update.time": span.milliseconds})
            log.progress(epoch + 1, settings.epochs)
            log.metrics(span, counters.describe(), epoch=epoch, Meta="training_data_iter")
            log.throughput(rows / max(span.end - span.start, 1e-6))
        return model

    def _epoch(
        self,
        epoch: int,
        settings: Hyperparameters,
        parts: Iterable[Dataset],
        optimizer: Optimizer,
        sums: MetricSums,
    ) -> tuple[int, int]:
        """Train on each part in turn; `sums` become the epoch's. Returns the rows and the batches taken."""
        size, interval = settings.mini_batch_size, settings.batch_metrics_publish_interval
        rows = done = 0
        sums.reset()
        for part in parts:
            if part.dense != optimizer.dense:
                raise ClientError(MIXED)
            batches = -(-len(part) // size)
            for first, last, publish in _segments(done, done + batches, interval):
                scores = optimizer.run(part, first - done, last - done)
                labels = part.labels[(first - done) * size : (last - done) * size]
                sums.add(scores, _padded(labels, len(scores)))
                if publish:
                    self._log.train_quality(sums.metrics(), epoch, last - 1)
            rows, done = rows + len(part), done + batches
        return rows, done

    def _test(self, settings: Hyperparameters, model: Model, channel: Channel) -> None:
        log, size = self._log, settings.mini_batch_size
        start = time.time()
        sums = MetricSums(settings.predictor_type, size)
        score = Scorer(model)
        rows = 0
        for part in channel.passes():
            sums.add(score(part.rows), part.labels)
            rows += len(part)
        span = Span(start, time.time())
        batches = -(-rows // size)
        counters = _Counters()
        counters.add(rows, batches)
        log.epoch_stats(channel.path, 0, (start - self._started) * 1000, 1, channel.batch_bytes)
        log.epoch_stats(channel.path, 1, span.milliseconds, batches, channel.size)
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


def _segments(begin: int, end: int, interval: int) -> Iterator[tuple[int, int, bool]]:
    """Cut batches into calls of the kernel: first batch, end, and whether metrics are published then.

    A signal is handled between two calls; a part's rows take well under a second.
    """
    first = begin
    while first < end:
        published = -(-first // interval) * interval
        last = min(published + 1, end)
        yield first, last, last == published + 1
        first = last


def _padded(labels: Float32, size: int) -> Float32:
    if len(labels) == size:
        return labels
    return np.concatenate([labels, np.zeros(size - len(labels), np.float32)])
