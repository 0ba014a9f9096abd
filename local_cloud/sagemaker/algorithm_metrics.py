"""The metrics that SageMaker reads from the log of the built-in Factorization Machines algorithm.

Names as in https://docs.aws.amazon.com/sagemaker/latest/dg/fm-tuning.html and in the ``FinalMetricDataList``
of public training jobs; the log writes ``binary_f_1.000`` where the metric is called ``binary_f_beta``.
"""

import re
import struct
from collections.abc import Iterator

_MEASURES = (
    ("rmse", "rmse", "loss"),
    ("mse", "mse", "loss"),
    ("absolute_loss", "absolute_loss", "loss"),
    ("binary_classification_accuracy", "binary_classification_accuracy", "score"),
    ("binary_classification_cross_entropy", "binary_classification_cross_entropy", "loss"),
    ("binary_f_beta", r"binary_f_1\.000", "score"),
)


def _definitions() -> Iterator[tuple[str, str]]:
    yield "train:progress", r"#progress_metric: host=\S+, completed (\S+) %"
    yield "train:throughput", r"#throughput_metric: host=\S+, train throughput=(\S+) records/second"
    for name, text, tag in _MEASURES:
        measure = rf"{text} <{tag}>=(\S+)"
        yield f"train:{name}:batch", rf"#quality_metric: host=\S+, epoch=\S+, batch=\S+ train {measure}"
        yield f"train:{name}:epoch", rf"#quality_metric: host=\S+, epoch=\S+, train {measure}"
        yield f"train:{name}", rf"#quality_metric: host=\S+, train {measure}"
        yield f"test:{name}", rf"#quality_metric: host=\S+, test {measure}"


METRIC_DEFINITIONS = [{"Name": name, "Regex": regex} for name, regex in _definitions()]
"""As DescribeTrainingJob reports them."""

_COMPILED = [(name, re.compile(regex)) for name, regex in _definitions()]


def metrics_in(line: str) -> Iterator[tuple[str, float]]:
    """Yield the metrics of a log line; values are rounded to float32, as SageMaker publishes them."""
    if "_metric: " not in line:
        return
    for name, regex in _COMPILED:
        match = regex.search(line)
        if match is not None:
            try:
                yield name, struct.unpack("<f", struct.pack("<f", float(match[1])))[0]
            except (ValueError, OverflowError):
                continue
