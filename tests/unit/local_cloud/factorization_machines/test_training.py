import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from local_cloud.factorization_machines import artifact, channel
from local_cloud.factorization_machines.training import train

Encode = Callable[..., bytes]

ROOT = Path(__file__).parents[4]
ROWS = [{0: 1.0, 3: 1.0}, {1: 1.0, 4: 1.0}, {2: 1.0, 5: 0.5}, {0: 1.0, 4: 2.0}, {1: 1.0, 3: 1.0}, {2: 1.0}]
LABELS = [1.0, 0.0, 1.0, 0.0, 1.0, 1.0]
GIVEN = {
    "feature_dim": "6",
    "num_factors": "3",
    "predictor_type": "binary_classifier",
    "mini_batch_size": "4",
    "epochs": "2",
}


@dataclass
class Job:
    """The folder of one training job."""

    root: Path

    def configure(
        self,
        hyperparameters: dict[str, str] | None = None,
        channels: dict[str, dict[str, str]] | None = None,
    ) -> None:
        config = self.root / "input" / "config"
        config.mkdir(parents=True, exist_ok=True)
        content = {
            "hyperparameters": GIVEN if hyperparameters is None else hyperparameters,
            "inputdataconfig": {"train": {"TrainingInputMode": "File"}} if channels is None else channels,
            "resourceconfig": {
                "current_host": "algo-1",
                "hosts": ["algo-1"],
                "network_interface_name": "eth0",
            },
        }
        for name, value in content.items():
            (config / f"{name}.json").write_text(json.dumps(value))

    def put(self, channel: str, name: str, content: bytes) -> None:
        path = self.root / "input" / "data" / channel / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    @property
    def failure(self) -> str | None:
        path = self.root / "output" / "failure"
        return path.read_text() if path.exists() else None

    @property
    def model(self) -> Path:
        return self.root / "model" / "model_algo-1"


@pytest.fixture
def job(tmp_path: Path, encode: Encode) -> Job:
    """A job that trains: six rows in one file."""
    made = Job(tmp_path)
    made.configure()
    made.put("train", "train.protobuf", encode(ROWS, LABELS))
    return made


def run(job: Job) -> str:
    """Run a job that must succeed."""
    stream = io.StringIO()
    assert train(job.root, stream) == 0, stream.getvalue()
    assert job.failure is None
    return stream.getvalue()


def failure(job: Job) -> str:
    """Run a job that must fail, cleanly."""
    stream = io.StringIO()
    assert train(job.root, stream) == 1
    reason = job.failure
    assert reason is not None
    assert not job.model.exists()
    assert "Traceback" not in stream.getvalue()
    assert reason.partition(": ")[2][:100] in stream.getvalue()
    return reason


def test_job_leaves_a_model_and_logs_every_epoch(job: Job) -> None:
    log = run(job)
    model = artifact.read(job.model)
    assert model.factors.shape == (6, 3)
    for epoch in (0, 1):
        assert (
            len(re.findall(rf"#quality_metric: host=algo-1, epoch={epoch}, train \S+ <\w+>=\S+\n", log)) == 3
        )
        assert len(re.findall(rf"#quality_metric: host=algo-1, epoch={epoch}, batch=0 train ", log)) == 3
    assert len(re.findall(r"#quality_metric: host=algo-1, train ", log)) == 3
    assert re.findall(r"completed (\S+) % of epochs", log) == ["50.0", "100.0"]
    assert len(re.findall(r"train throughput=[0-9.]+ records/second", log)) == 2
    assert "test" not in re.findall(r"#quality_metric: \S+ (\w+)", log)


def test_counters_are_the_containers(job: Job) -> None:
    log = run(job)
    lines = [
        json.loads(line.removeprefix("#metrics ")) for line in log.splitlines() if line.startswith("#metrics")
    ]
    counts = [
        {name: value["sum"] for name, value in line["Metrics"].items()}
        for line in lines
        if line["Dimensions"].get("Meta") == "training_data_iter"
    ]
    assert counts[-1] == {
        "Total Records Seen": 6 * 2 + 4,
        "Total Batches Seen": 2 * 2 + 1,
        "Max Records Seen Between Resets": 6,
        "Max Batches Seen Between Resets": 2,
        "Reset Count": 3,
        "Number of Records Since Last Reset": 6,
        "Number of Batches Since Last Reset": 2,
    }
    stats = [json.loads(text) for text in re.findall(r"epoch_stats=(.*)", log)]
    assert [line["epoch"] for line in stats] == [0, 2, 4]
    files = (job.root / "input/data/train/train.protobuf").stat().st_size
    assert [line["num_bytes"] for line in stats[1:]] == [files] * 2
    assert 0 < stats[0]["num_bytes"] < files


def test_test_channel_is_scored_after_training(job: Job, encode: Encode) -> None:
    job.configure(channels={"train": {}, "test": {}})
    job.put("test", "test.protobuf", encode([{0: 1.0}, {5: 1.0}, {2: 1.0}], [1, 0, 1]))
    log = run(job)
    accuracy = re.search(
        r"#quality_metric: host=algo-1, test binary_classification_accuracy <score>=(\S+)", log
    )
    assert accuracy is not None
    assert float(accuracy[1]) * 3 == pytest.approx(round(float(accuracy[1]) * 3))
    assert len(re.findall(r"#test_score \(algo-1\) : \('", log)) == 3


def test_batches_are_published_at_the_interval(job: Job, encode: Encode) -> None:
    rows = [{index % 6: 1.0} for index in range(100)]
    job.put("train", "train.protobuf", encode(rows, [index % 2 for index in range(100)]))
    job.configure({**GIVEN, "mini_batch_size": "10", "batch_metrics_publish_interval": "3", "epochs": "1"})
    published = re.findall(r"batch=(\d+) train binary_classification_accuracy", run(job))
    assert published == ["0", "3", "6", "9"]


def test_same_job_gives_same_bytes(job: Job) -> None:
    run(job)
    first = job.model.read_bytes()
    run(job)
    assert job.model.read_bytes() == first


def test_files_of_a_channel_are_read_in_sorted_order(job: Job, encode: Encode, tmp_path: Path) -> None:
    rows = [{index % 6: 1.0, (index + 1) % 6: 0.5} for index in range(30)]
    labels = [float(index % 3 == 0) for index in range(30)]
    job.put("train", "train.protobuf", encode(rows, labels))
    run(job)
    whole = job.model.read_bytes()
    (job.root / "input/data/train/train.protobuf").unlink()
    job.put("train", "part-2", encode(rows[20:], labels[20:]))
    job.put("train", "part-1", encode(rows[7:20], labels[7:20]))
    job.put("train", "part-0", encode(rows[:7], labels[:7]))
    job.put("train", "empty", b"")
    run(job)
    assert job.model.read_bytes() == whole


def test_regressor(job: Job, encode: Encode) -> None:
    job.configure({**GIVEN, "predictor_type": "regressor"})
    job.put("train", "train.protobuf", encode([{0: 1.0}] * 4 + [{}] * 4, [5, 4, 3, 2, 1, 1, 1, 1]))
    log = run(job)
    assert re.search(r"epoch=1, train rmse <loss>=\d", log)
    assert artifact.read(job.model).predictor_type == "regressor"


def test_host_names_the_model_and_the_metrics(job: Job) -> None:
    (job.root / "input/config/resourceconfig.json").write_text(
        '{"current_host": "algo-7", "hosts": ["algo-7"]}'
    )
    assert "#quality_metric: host=algo-7, epoch=1, train" in run(job)
    assert (job.root / "model" / "model_algo-7").exists()


def test_final_configuration_is_in_the_model(job: Job) -> None:
    run(job)
    with zipfile.ZipFile(job.model) as archive:
        meta = json.loads(archive.read("meta.json"))
    assert meta["training_parameters"]["mini_batch_size"] == "4"
    assert all(isinstance(value, str) for value in meta["training_parameters"].values())


# -- jobs that fail ------------------------------------------------------------------------------------------


def test_unknown_hyperparameter(job: Job) -> None:
    job.configure({**GIVEN, "mini_batch_siz": "1"})
    assert failure(job) == (
        "ClientError: Additional properties are not allowed (u'mini_batch_siz' was unexpected) "
        "(caused by ValidationError)"
    )


def test_missing_feature_dim(job: Job) -> None:
    job.configure({name: value for name, value in GIVEN.items() if name != "feature_dim"})
    assert failure(job) == (
        "ClientError: No value(s) were specified for 'feature_dim' which are required hyperparameter(s) "
        "(caused by ValidationError)"
    )


def test_mini_batch_size_above_the_number_of_rows(job: Job) -> None:
    job.configure({**GIVEN, "mini_batch_size": "7"})
    assert failure(job) == "ClientError: mini_batch_size is 7, but the train channel has 6 records"


@pytest.mark.parametrize("feature_dim", ["5", "7"])
def test_feature_dim_that_is_not_the_datas(job: Job, feature_dim: str) -> None:
    job.configure({**GIVEN, "feature_dim": feature_dim})
    assert failure(job) == (
        "ClientError: The rows of channel 'train', file train.protobuf have 6 features, "
        f"but feature_dim is {feature_dim}: the two must be equal"
    )


def test_empty_channel(job: Job) -> None:
    (job.root / "input/data/train/train.protobuf").write_bytes(b"")
    assert failure(job).startswith("ClientError: Channel 'train' has no data")
    (job.root / "input/data/train/train.protobuf").unlink()
    assert failure(job).startswith("ClientError: Channel 'train' has no data")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-5],
        lambda content: b"user,item,rating\n1,2,3\n" * 9,
        lambda content: content[:20] + b"\xff" * 20 + content[40:],
    ],
    ids=["truncated", "text", "overwritten"],
)
def test_corrupt_recordio(job: Job, damage: Callable[[bytes], bytes]) -> None:
    path = job.root / "input/data/train/train.protobuf"
    path.write_bytes(damage(path.read_bytes()))
    assert failure(job).startswith(
        "ClientError: Unable to read data: channel 'train', file train.protobuf: RecordIO data, record "
    )


def test_no_train_channel(job: Job) -> None:
    job.configure(channels={"test": {}})
    assert failure(job) == "ClientError: The channel 'train' is required; the job has these channels: test"


def test_unknown_channel(job: Job) -> None:
    job.configure(channels={"train": {}, "validation": {}})
    assert "not 'validation'" in failure(job)


def test_wrong_content_type(job: Job) -> None:
    job.configure(channels={"train": {"ContentType": "csv"}})
    assert failure(job) == "ClientError: No iterator has been registered for ContentType (u'csv', '1.0')"


def test_unknown_input_mode(job: Job) -> None:
    job.configure(channels={"train": {"TrainingInputMode": "Tape"}})
    assert "'Tape': it is one of File, FastFile, Pipe" in failure(job)


def feed(job: Job, channel: str, passes: list[bytes]) -> threading.Thread:
    """Serve a channel as SageMaker does in Pipe mode: one FIFO after the other, until the job is over."""
    folder = job.root / "input" / "data"
    folder.mkdir(parents=True, exist_ok=True)

    def write() -> None:
        for number, content in enumerate(passes):
            pipe = folder / f"{channel}_{number}"
            os.mkfifo(pipe)
            pipe.write_bytes(content)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def test_pipe_mode_trains_as_file_mode_does(job: Job, encode: Encode) -> None:
    given = {**GIVEN, "epochs": "3"}
    job.put("test", "test.protobuf", encode(ROWS[:3], LABELS[:3]))
    job.configure(given, {"train": {}, "test": {}})
    file_log = run(job)
    expected = artifact.read(job.model)
    job.model.unlink()

    content = encode(ROWS, LABELS)
    job.configure(given, {name: {"TrainingInputMode": "Pipe"} for name in ("train", "test")})
    threads = [feed(job, "train", [content] * 3), feed(job, "test", [encode(ROWS[:3], LABELS[:3])])]
    log = run(job)
    for thread in threads:
        thread.join(timeout=10)
    np.testing.assert_array_equal(artifact.read(job.model).factors, expected.factors)
    pattern = r"#(?:quality_metric|test_score).*"
    assert re.findall(pattern, log) == re.findall(pattern, file_log)
    sizes = [json.loads(text)["num_bytes"] for text in re.findall(r"epoch_stats=(.*)", log)]
    assert sizes == [json.loads(text)["num_bytes"] for text in re.findall(r"epoch_stats=(.*)", file_log)]


def test_pipes_may_bring_rows_in_another_order_each_pass(job: Job, encode: Encode) -> None:
    job.configure(channels={"train": {"TrainingInputMode": "Pipe"}})
    feed(job, "train", [encode(ROWS, LABELS), encode(ROWS[::-1], LABELS[::-1])])
    run(job)
    shuffled = artifact.read(job.model).factors
    job.configure()
    run(job)
    assert (artifact.read(job.model).factors != shuffled).any()


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ([b""], "nothing came out of the pipe"),
        ([b"RecordIO?"], "channel 'train', pipe train_0: RecordIO data, record 1"),
        ([], "no pipe .*train_0 has appeared"),
    ],
)
def test_pipes_that_bring_nothing(
    job: Job, monkeypatch: pytest.MonkeyPatch, passes: list[bytes], message: str
) -> None:
    monkeypatch.setattr(channel, "PIPE_WAIT_SECONDS", 0.5)
    job.configure(channels={"train": {"TrainingInputMode": "Pipe"}})
    feed(job, "train", passes)
    assert re.search(message, failure(job))


def test_pipe_with_fewer_rows_than_a_batch(job: Job, encode: Encode) -> None:
    job.configure(channels={"train": {"TrainingInputMode": "Pipe"}})
    feed(job, "train", [encode(ROWS[:3], LABELS[:3])])
    assert "mini_batch_size is 4, but the train channel has 3 records" in failure(job)


def encode_dense(rows: list[dict[int, float]], labels: list[float]) -> bytes:
    """Records as the SDK's write_numpy_to_dense_tensor lays them out: all six values, no keys, no shape."""
    frames = b""
    for row, label in zip(rows, labels, strict=True):
        values = np.array([row.get(key, 0) for key in range(6)], "<f4").tobytes()
        tensor = bytes.fromhex("0a18") + values
        entry = bytes.fromhex("0a06") + b"values" + bytes.fromhex("121c 121a") + tensor
        number = np.array([label], "<f4").tobytes()
        payload = bytes([0x0A, len(entry)]) + entry
        payload += bytes.fromhex("1212 0a06") + b"values" + bytes.fromhex("1208 1206 0a04") + number
        size = len(payload).to_bytes(4, "little")
        frames += bytes.fromhex("0a23d7ce") + size + payload + bytes(-len(payload) % 4)
    return frames


def test_dense_rows_train_a_dense_network(job: Job, encode: Encode) -> None:
    given = {**GIVEN, "epochs": "40", "factors_lr": "0.05", "linear_lr": "0.05"}
    job.put("train", "train.protobuf", encode_dense(ROWS, LABELS))
    job.put("test", "test.protobuf", encode(ROWS, LABELS))
    job.configure(given, {"train": {}, "test": {}})
    log = run(job)
    assert "[Dense network] Building a dense network." in log
    model = artifact.read(job.model)
    assert model.dense
    with zipfile.ZipFile(job.model) as archive:
        names = [node["name"] for node in json.loads(archive.read("symbol.json"))["nodes"]]
    assert {"Linear_Plus_Bias_weight", "Linear_Plus_Bias_bias", "v"} <= set(names)
    found = re.search(r"#test_score .*\('binary_classification_accuracy', ([\d.]+)\)", log)
    assert found
    assert float(found[1]) == 1


@pytest.mark.parametrize("dense_first", [True, False])
def test_dense_and_sparse_rows_do_not_mix(job: Job, encode: Encode, dense_first: bool) -> None:
    contents = [encode_dense(ROWS, LABELS), encode(ROWS, LABELS)]
    for number, content in enumerate(contents if dense_first else reversed(contents)):
        job.put("train", f"part-{number}.protobuf", content)
    # The fixture's own file comes last.
    assert "Some rows are sparse, with keys, and some dense" in failure(job)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([2.0] * 6, "Row 1 of channel 'train', file train.protobuf has the label 2"),
        (None, "Row 1 .* has no label"),
    ],
)
def test_labels_that_do_not_fit(job: Job, encode: Encode, labels: list[float] | None, message: str) -> None:
    job.put("train", "train.protobuf", encode([{0: 1.0}] * 6, labels))
    assert re.match(f"ClientError: {message}", failure(job))


def test_value_that_is_not_a_number(job: Job, encode: Encode) -> None:
    rows = [{0: 1.0}, {}, {1: 2.0, 3: float("nan")}, {0: 1.0}]
    job.put("train", "train.protobuf", encode(rows, [0] * 4))
    assert failure(job).startswith("ClientError: Row 3 of channel 'train'")


def test_several_hosts(job: Job) -> None:
    (job.root / "input/config/resourceconfig.json").write_text(
        '{"current_host": "algo-1", "hosts": ["algo-1", "algo-2"]}'
    )
    assert "one host" in failure(job)


@pytest.mark.parametrize("content", ["", "[1]", "{", "[" * 100_000])
def test_configuration_that_is_not_a_json_object(job: Job, content: str) -> None:
    (job.root / "input/config/hyperparameters.json").write_text(content)
    assert failure(job).startswith("ClientError: ")


def test_missing_configuration(job: Job) -> None:
    (job.root / "input/config/inputdataconfig.json").unlink()
    assert failure(job).endswith("inputdataconfig.json does not exist")


def test_failure_is_cut_at_what_sagemaker_shows(job: Job) -> None:
    job.configure({**GIVEN, "x" * 3000: "1"})
    assert len(failure(job)) == 1024


def test_failure_of_an_earlier_run_is_removed(job: Job) -> None:
    job.configure({})
    failure(job)
    job.configure(GIVEN)
    run(job)


def test_unexpected_error_is_the_algorithms(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifact, "write", full_disk)
    stream = io.StringIO()
    assert train(job.root, stream) == 1
    assert job.failure == "AlgorithmError: OSError: [Errno 28] No space left on device"
    assert "Traceback" in stream.getvalue()


def test_out_of_memory_is_said(job: Job, encode: Encode) -> None:
    job.configure({**GIVEN, "feature_dim": str(2**31 - 1), "num_factors": str(10**9)})
    job.put("train", "train.protobuf", encode([{0: 1.0}] * 6, [0] * 6, 2**31 - 1))
    assert failure(job).startswith("AlgorithmError: Out of memory")


def test_sigterm_in_mid_training(job: Job) -> None:
    job.configure({**GIVEN, "epochs": "100000000"})
    process = subprocess.Popen(
        [sys.executable, "-m", "local_cloud.factorization_machines", "train", "--root", str(job.root)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch=3, train" in line:
            break
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    assert process.wait(timeout=30) == 1
    assert job.failure == (
        "AlgorithmError: Training was stopped by SIGTERM before it was complete; no model was saved"
    )
    assert not job.model.exists()


def test_rows_without_any_feature_train(job: Job, encode: Encode) -> None:
    job.put("train", "train.protobuf", encode([{}] * 8, [1] * 8))
    run(job)
    assert np.isfinite(artifact.read(job.model).bias).all()
