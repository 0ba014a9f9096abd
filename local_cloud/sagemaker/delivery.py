"""Log lines and metrics on their way to CloudWatch."""

import contextlib
import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.sagemaker.cloud import Cloud
from local_cloud.sagemaker.scope import Scope

logger = logging.getLogger("sagemaker")

_INTERVAL_SECONDS = 0.5
_FLUSH_SECONDS = 30.0
_EVENTS_PER_CALL = 1000
_METRICS_PER_CALL = 500
_VALUES_PER_METRIC = 150


class LogStream:
    """A CloudWatch Logs stream that lines can be written to from any thread."""

    def __init__(self, cloud: Cloud, scope: Scope, group: str, stream: str) -> None:
        self.group = group
        self.stream = stream
        self.arn = scope.log_arn(group, stream)
        self._client = cloud.client("logs", scope)
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._deliver, daemon=True, name=f"logs-{stream}")
        self._thread.start()

    def write(self, line: str) -> None:
        """Append a line, stamped with the present time."""
        # CloudWatch Logs refuses an empty message.
        self._lines.put({"timestamp": time.time_ns() // 1_000_000, "message": line or " "})

    def close(self) -> None:
        """Deliver what is left."""
        self._lines.put(None)
        self._thread.join(timeout=30)

    def _deliver(self) -> None:
        try:
            self._create()
            open_ = True
            while open_:
                events, open_ = self._next_batch()
                for start in range(0, len(events), _EVENTS_PER_CALL):
                    self._client.put_log_events(
                        logGroupName=self.group,
                        logStreamName=self.stream,
                        logEvents=events[start : start + _EVENTS_PER_CALL],
                    )
        except (ClientError, BotoCoreError) as error:
            logger.warning("Log stream %s of %s is incomplete: %s", self.stream, self.group, error)

    def _create(self) -> None:
        with contextlib.suppress(self._client.exceptions.ResourceAlreadyExistsException):
            self._client.create_log_group(logGroupName=self.group)
        with contextlib.suppress(self._client.exceptions.ResourceAlreadyExistsException):
            self._client.create_log_stream(logGroupName=self.group, logStreamName=self.stream)

    def _next_batch(self) -> tuple[list[dict[str, Any]], bool]:
        events = []
        item = self._lines.get()
        deadline = time.monotonic() + _INTERVAL_SECONDS
        while item is not None:
            events.append(item)
            try:
                item = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return events, True
        return events, False


@dataclass(frozen=True)
class Datum:
    """One measurement."""

    namespace: str
    name: str
    value: float
    dimensions: Mapping[str, str]
    unit: str = "None"
    timestamp: datetime | None = None


class Metrics:
    """Sends measurements to CloudWatch twice a second, so that nothing waits for them.

    Values of one metric and second go together: every request to an endpoint makes a dozen measurements.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._data: queue.SimpleQueue[tuple[Scope, Datum] | threading.Event] = queue.SimpleQueue()
        threading.Thread(target=self._deliver, daemon=True, name="sagemaker-metrics").start()

    def put(self, scope: Scope, data: Sequence[Datum]) -> None:
        """Hand over measurements."""
        for datum in data:
            self._data.put((scope, datum))

    def flush(self) -> None:
        """Wait until CloudWatch has what was handed over, or has refused it."""
        delivered = threading.Event()
        self._data.put(delivered)
        delivered.wait(_FLUSH_SECONDS)

    def _deliver(self) -> None:
        while True:
            taken = [self._data.get()]
            time.sleep(_INTERVAL_SECONDS)
            for _ in range(self._data.qsize()):
                taken.append(self._data.get())
            batch = [entry for entry in taken if isinstance(entry, tuple)]
            batch.sort(key=lambda entry: (entry[0].account, entry[0].region, entry[1].namespace))
            for (scope, namespace), entries in groupby(
                batch, key=lambda entry: (entry[0], entry[1].namespace)
            ):
                requests = list(as_requests([datum for _, datum in entries]))
                for start in range(0, len(requests), _METRICS_PER_CALL):
                    self._send(scope, namespace, requests[start : start + _METRICS_PER_CALL])
            for entry in taken:
                if isinstance(entry, threading.Event):
                    entry.set()

    def _send(self, scope: Scope, namespace: str, requests: Sequence[Mapping[str, Any]]) -> None:
        try:
            self._cloud.client("cloudwatch", scope).put_metric_data(Namespace=namespace, MetricData=requests)
        except (ClientError, BotoCoreError) as error:
            logger.warning("%d metrics of %s are lost: %s", len(requests), namespace, error)


def _next_second(moment: datetime) -> datetime:
    """CloudWatch counts in seconds; an earlier one could lie before the start of the job that is measured."""
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole + timedelta(seconds=1)


def as_requests(data: Sequence[Datum]) -> Iterator[dict[str, Any]]:
    """Yield measurements as members of PutMetricData's ``MetricData``: values with their counts."""
    together: dict[tuple[Any, ...], Counter[float]] = {}
    for datum in data:
        moment = None if datum.timestamp is None else _next_second(datum.timestamp)
        key = (datum.name, datum.unit, moment, tuple(datum.dimensions.items()))
        together.setdefault(key, Counter())[datum.value] += 1
    for (name, unit, moment, dimensions), counted in together.items():
        request: dict[str, Any] = {
            "MetricName": name,
            "Unit": unit,
            "Dimensions": [{"Name": dimension, "Value": value} for dimension, value in dimensions],
        }
        if moment is not None:
            request["Timestamp"] = moment
        values = list(counted)
        for start in range(0, len(values), _VALUES_PER_METRIC):
            part = values[start : start + _VALUES_PER_METRIC]
            yield {**request, "Values": part, "Counts": [float(counted[value]) for value in part]}
