import io
import json
import re
from pathlib import Path

from local_cloud.factorization_machines.logs import Span, TrainingLog
from local_cloud.factorization_machines.metrics import Metric

PREFIX = r"\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d INFO \d+\] "
RMSE = [Metric("rmse", "loss", 1.8169458122088216)]


def written(call: str, *arguments: object, **keywords: object) -> list[str]:
    stream = io.StringIO()
    getattr(TrainingLog(stream), call)(*arguments, **keywords)
    return stream.getvalue().splitlines()


def assert_record(line: str, text: str) -> None:
    assert re.fullmatch(PREFIX + re.escape(text), line), line


def test_train_quality_of_a_batch_an_epoch_and_the_end() -> None:
    tail = "train rmse <loss>=1.8169458122088216"
    (line,) = written("train_quality", RMSE, 3, 500)
    assert_record(line, f"#quality_metric: host=algo-1, epoch=3, batch=500 {tail}")
    (line,) = written("train_quality", RMSE, 3)
    assert_record(line, f"#quality_metric: host=algo-1, epoch=3, {tail}")
    (line,) = written("train_quality", RMSE)
    assert_record(line, f"#quality_metric: host=algo-1, {tail}")


def test_test_quality_comes_in_two_forms() -> None:
    score, quality = written("test_quality", RMSE)
    assert_record(score, "#test_score (algo-1) : ('rmse', 1.8169458122088216)")
    assert_record(quality, "#quality_metric: host=algo-1, test rmse <loss>=1.8169458122088216")


def test_progress_and_throughput() -> None:
    (line,) = written("progress", 26, 30)
    assert_record(line, "#progress_metric: host=algo-1, completed 86.66666666666667 % of epochs")
    (line,) = written("throughput", 256049.5)
    assert_record(line, "#throughput_metric: host=algo-1, train throughput=256049.5 records/second")


def test_epoch_stats() -> None:
    (line,) = written("epoch_stats", Path("/opt/ml/input/data/train"), 2, 329.4, 80, 5120000)
    assert re.fullmatch(
        r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\] \[tensorio\] \[info\] epoch_stats="
        r'\{"data_pipeline": "/opt/ml/input/data/train", "epoch": 2, "duration": 329, '
        r'"num_examples": 80, "num_bytes": 5120000\}',
        line,
    )


def test_metrics_are_json() -> None:
    (line,) = written("metrics", Span(1.5, 2.0), {"epochs": 50, "update.time": 0.5}, epoch=0, Meta="x")
    assert json.loads(line.removeprefix("#metrics ")) == {
        "StartTime": 1.5,
        "EndTime": 2.0,
        "Dimensions": {
            "Algorithm": "factorization-machines",
            "Host": "algo-1",
            "Operation": "training",
            "epoch": 0,
            "Meta": "x",
        },
        "Metrics": {
            "epochs": {"sum": 50.0, "count": 1, "min": 50, "max": 50},
            "update.time": {"sum": 0.5, "count": 1, "min": 0.5, "max": 0.5},
        },
    }
    assert '"sum": 50.0, "count": 1, "min": 50, "max": 50}' in line
