"""The lines that SageMaker's container prints while it trains.

Their shapes are those of real jobs' logs, so that the regular expressions which read metrics from SageMaker's
logs read them here. Every line is flushed at once. Times are UTC.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from local_cloud.factorization_machines.metrics import Metric

_ALGORITHM = "factorization-machines"

Number = int | float


@dataclass(frozen=True)
class Span:
    """A stretch of time, in seconds since 1970."""

    start: float
    end: float

    @property
    def milliseconds(self) -> float:
        """Its length."""
        return (self.end - self.start) * 1000


class TrainingLog:
    """Writes one job's log; `host` is the name under which it reports."""

    def __init__(self, stream: TextIO, host: str = "algo-1") -> None:
        self._stream = stream
        self.host = host

    def line(self, text: str) -> None:
        """Write a line as it is."""
        print(text, file=self._stream, flush=True)

    def record(self, message: str, level: str = "INFO") -> None:
        """Write a line with time, level and thread before the message."""
        now = datetime.now(UTC)
        self.line(f"[{now:%m/%d/%Y %H:%M:%S} {level} {threading.get_ident()}] {message}")

    def epoch_stats(self, channel: Path, number: int, milliseconds: float, batches: int, size: int) -> None:
        """Write what one pass over a channel's files read, `size` in bytes."""
        now = datetime.now(UTC)
        stats = {
            "data_pipeline": str(channel),
            "epoch": number,
            "duration": round(milliseconds),
            "num_examples": batches,
            "num_bytes": size,
        }
        stamp = f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d}"
        self.line(f"[{stamp}] [tensorio] [info] epoch_stats={json.dumps(stats)}")

    def train_quality(
        self, metrics: Sequence[Metric], epoch: int | None = None, batch: int | None = None
    ) -> None:
        """Write metrics of the training rows: of one batch, of an epoch, or, without both, the final ones."""
        place = "" if epoch is None else f" epoch={epoch},"
        place += "" if batch is None else f" batch={batch}"
        for metric in metrics:
            quality = f"{metric.name} <{metric.tag}>={metric.value!r}"
            self.record(f"#quality_metric: host={self.host},{place} train {quality}")

    def test_quality(self, metrics: Sequence[Metric]) -> None:
        """Write metrics of the test rows, in both of the forms that the container uses."""
        for metric in metrics:
            self.record(f"#test_score ({self.host}) : {(metric.name, metric.value)}")
        for metric in metrics:
            self.record(
                f"#quality_metric: host={self.host}, test {metric.name} <{metric.tag}>={metric.value!r}"
            )

    def progress(self, epochs_done: int, epochs: int) -> None:
        """Write the share of the epochs that are done."""
        self.record(f"#progress_metric: host={self.host}, completed {epochs_done / epochs * 100} % of epochs")

    def throughput(self, records_per_second: float) -> None:
        """Write how fast the last epoch was."""
        self.record(
            f"#throughput_metric: host={self.host}, train throughput={records_per_second} records/second"
        )

    def metrics(self, span: Span, values: Mapping[str, Number], **dimensions: str | int) -> None:
        """Write a line of JSON with values that were each measured once in `span`."""
        content = {
            "StartTime": span.start,
            "EndTime": span.end,
            "Dimensions": {
                "Algorithm": _ALGORITHM,
                "Host": self.host,
                "Operation": "training",
                **dimensions,
            },
            "Metrics": {
                name: {"sum": float(value), "count": 1, "min": value, "max": value}
                for name, value in values.items()
            },
        }
        self.line(f"#metrics {json.dumps(content)}")
