"""The local Factorization Machines against what SageMaker's printed, stored and answered, and against MXNet.

Three sources of truth:

- the notebook of a regression job, github.com/Raghul-G2002/Recommendation-System-AWS-Factorization-Machines
  (2023, ap-south-1), whose numbers are in `REGRESSION`; its model.tar.gz can be named by SAGEMAKER_FM_MODEL;
- the notebook of a classification job, github.com/linahovanessian/aws-sagemaker-notebooks
  `Recommendation-Machine-Explicit.ipynb` (2021, us-east-1), whose numbers are in `CLASSIFICATION`;
- MXNet itself, run by the interpreter that MXNET_PYTHON names (1.3.1 on Python 3.7, 1.9.1 on Python 3.8).
"""

import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from data_prep.recordio import encode_sparse
from local_cloud.factorization_machines import artifact, kernel, payloads
from local_cloud.factorization_machines.dataset import Dataset
from local_cloud.factorization_machines.hyperparameters import Hyperparameters
from local_cloud.factorization_machines.initialization import MXNetGenerator
from local_cloud.factorization_machines.metrics import MetricSums
from local_cloud.factorization_machines.model import Model, Scorer
from local_cloud.factorization_machines.optimizer import Optimizer
from local_cloud.factorization_machines.training import train

Ratings = npt.NDArray[np.int64]

USERS, MOVIES = 943, 1682

REGRESSION = {
    "epochs": "50",
    "feature_dim": "2625",
    "mini_batch_size": "1000",
    "num_factors": "64",
    "predictor_type": "regressor",
}
REGRESSION_TRAIN_RMSE = {
    0: 1.8169458122088216,
    1: 1.1112681212519286,
    9: 1.0552151826646896,
    19: 1.0115538856533162,
    39: 0.9597590028738527,
    49: 0.9416578732870481,
}

CLASSIFICATION = {
    "feature_dim": "2623",
    "num_factors": "64",
    "predictor_type": "binary_classifier",
    "epochs": "30",
    "mini_batch_size": "200",
}
# Accuracy, cross-entropy and F1.
CLASSIFICATION_TRAIN = {
    0: (0.5513907284768212, 0.6858020927311306, 0.6713511765181531),
    25: (0.7142494481236203, 0.5896183184861611, 0.7606040150541413),
    29: (0.7201876379690949, 0.5827834277963533, 0.7644418840189182),
}
CLASSIFICATION_TEST = (0.6934662706830717, 0.6039596941190905, 0.7624136797106215)
CLASSIFICATION_SCORES = [
    0.5895045399665833,
    0.5774816870689392,
    0.6433746814727783,
    0.6484015583992004,
    0.4518936276435852,
    0.5825338363647461,
    0.6893323659896851,
    0.7296139001846313,
    0.6663004159927368,
    0.6761026382446289,
    0.5885559320449829,
    0.8105983734130859,
    0.7238032221794128,
    0.5005598068237305,
    0.4851500988006592,
    0.5004498958587646,
    0.6151190996170044,
    0.6611725091934204,
    0.5037074089050293,
    0.49629291892051697,
]


def ratings(zip_path: Path, name: str) -> Ratings:
    """The lines of one of MovieLens' files: user, movie, rating and time, int64[n, 4]."""
    with zipfile.ZipFile(zip_path) as archive:
        text = archive.read(f"ml-100k/{name}").decode()
    return np.array([line.split("\t") for line in text.splitlines()], np.int64)


def by_user_and_movie(lines: Ratings) -> Ratings:
    return lines[np.lexsort((lines[:, 1], lines[:, 0]))]


def digest(lines: Ratings) -> str:
    text = "".join("\t".join(map(str, line)) + "\n" for line in lines.tolist())
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def pairs(users: npt.NDArray[np.int64], movies: npt.NDArray[np.int64]) -> kernel.Rows:
    """One-hot rows of users and movies, both counted from 0."""
    keys = np.stack([users, USERS + movies], axis=1).ravel().astype(np.int32)
    return kernel.Rows(np.arange(0, len(keys) + 1, 2), keys, np.ones(len(keys), np.float32))


def recordio(lines: Ratings) -> bytes:
    rows = pairs(lines[:, 0] - 1, lines[:, 1] - 1)
    labels = lines[:, 2].astype(np.float32)
    return b"".join(
        encode_sparse(labels, rows.indptr, rows.keys.astype(np.int64), rows.values, USERS + MOVIES)
    )


# -- the regression job: through the container's own files, log and artifact ---------------------------------


@pytest.fixture(scope="module")
def regression(movielens_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The job run here: its folder and its log."""
    lines = ratings(movielens_zip, "u.data")
    # How GroupLens' mku.sh makes the first of its five splits.
    parts = {"train": by_user_and_movie(lines[20_000:]), "test": by_user_and_movie(lines[:20_000])}
    assert digest(parts["train"]) == "4325f44281c9f8c119a3694662d63fc2"
    assert digest(parts["test"]) == "62d5d837e7c8e36550cc956b09c2ecc8"
    root = tmp_path_factory.mktemp("regression")
    config = root / "input" / "config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps(REGRESSION))
    (config / "inputdataconfig.json").write_text(json.dumps({"train": {}, "test": {}}))
    for name, part in parts.items():
        (root / "input" / "data" / name).mkdir(parents=True)
        (root / "input" / "data" / name / f"{name}.protobuf").write_bytes(recordio(part))
    log = io.StringIO()
    assert train(root, log) == 0, log.getvalue()
    return root, log.getvalue()


def test_regression_prints_sagemakers_metrics(regression: tuple[Path, str]) -> None:
    log = regression[1]
    printed = {
        int(epoch): float(value)
        for epoch, value in re.findall(
            r"#quality_metric: host=algo-1, epoch=(\d+), train rmse <loss>=(\S+)", log
        )
    }
    assert len(printed) == 50
    for epoch, expected in REGRESSION_TRAIN_RMSE.items():
        assert printed[epoch] == pytest.approx(expected, rel=1e-7), epoch
    first = re.search(r"epoch=0, batch=0 train mse <loss>=(\S+)", log)
    assert first is not None
    assert float(first[1]) == pytest.approx(14.7923525390625, rel=1e-7)
    tested = dict(re.findall(r"#test_score \(algo-1\) : \('(\w+)', (\S+)\)", log))
    assert float(tested["rmse"]) == pytest.approx(1.0002629948968227, rel=1e-7)
    assert float(tested["mse"]) == pytest.approx(1.000526058959961, rel=1e-7)
    assert float(tested["absolute_loss"]) == pytest.approx(0.7952481262207032, rel=1e-7)


def test_regression_log_has_sagemakers_counts(regression: tuple[Path, str]) -> None:
    stats = [json.loads(text) for text in re.findall(r"epoch_stats=(.*)", regression[1])]
    seen = [(line["epoch"], line["num_examples"], line["num_bytes"]) for line in stats]
    expected = [(0, 1, 64_000), *((2 * epoch, 80, 5_120_000) for epoch in range(1, 51))]
    assert seen == [*expected, (0, 1, 64_000), (1, 20, 1_280_000)]


def test_regression_ends_at_sagemakers_parameters(regression: tuple[Path, str]) -> None:
    path = regression[0] / "model" / "model_algo-1"
    model = artifact.read(path)
    assert float(model.bias[0]) == pytest.approx(3.439924, abs=1e-6)
    assert path.stat().st_size == 728_987
    # The first of each in the public model.
    np.testing.assert_allclose(model.linear[:3], [0.03414861, 0.0541822, -0.10261885], rtol=5e-6)
    np.testing.assert_allclose(model.factors[0, :3], [-0.0251513, 0.02831023, 0.02758956], rtol=5e-6)


def test_sagemakers_model_file(regression: tuple[Path, str], tmp_path: Path) -> None:
    given = os.environ.get("SAGEMAKER_FM_MODEL")
    if not given:
        pytest.skip("SAGEMAKER_FM_MODEL does not name the regression job's model.tar.gz")
    with tarfile.open(given) as archive:
        archive.extractall(tmp_path, filter="data")
    theirs = artifact.read(artifact.find(tmp_path))
    ours = artifact.read(regression[0] / "model" / "model_algo-1")
    for name in ("bias", "linear", "factors"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=0, atol=1e-6)
    artifact.write(tmp_path / "written", theirs, Hyperparameters.parse(REGRESSION))
    with zipfile.ZipFile(tmp_path / "model_algo-1") as one, zipfile.ZipFile(tmp_path / "written") as other:
        assert one.namelist() == other.namelist()
        for entry in one.namelist():
            assert one.read(entry) == other.read(entry), entry


# -- the classification job: another generation of the container, which drew the parameters in another order -


def test_classification(movielens_zip: Path) -> None:
    base, test = (by_user_and_movie(ratings(movielens_zip, name)) for name in ("ua.base", "ua.test"))
    movies = np.unique(base[:, 1])
    test = test[np.isin(test[:, 1], movies)]
    settings = Hyperparameters.parse(CLASSIFICATION)
    features, factors = settings.feature_dim, settings.num_factors
    generator = MXNetGenerator(0)
    linear, bias = generator.normal(features, 0.01), generator.normal(1, 0.01)
    model = Model(
        "binary_classifier", bias, linear, generator.normal(features * factors, 0.001).reshape(-1, 64)
    )

    def dataset(lines: Ratings) -> Dataset:
        rows = pairs(lines[:, 0] - 1, np.searchsorted(movies, lines[:, 1]))
        return Dataset(rows, (lines[:, 2] >= 4).astype(np.float32))

    data = dataset(base)
    size = settings.mini_batch_size
    batches = -(-len(data) // size)
    labels = np.zeros(batches * size, np.float32)
    labels[: len(data)] = data.labels
    optimizer = Optimizer(model, settings)
    for epoch in range(settings.epochs):
        sums = MetricSums("binary_classifier", size)
        sums.add(optimizer.run(data, 0, batches), labels)
        if epoch in CLASSIFICATION_TRAIN:
            values = [metric.value for metric in sums.metrics()]
            assert values == pytest.approx(CLASSIFICATION_TRAIN[epoch], rel=1e-7), epoch
    held_out = dataset(test)
    scores = Scorer(model)(held_out.rows)
    np.testing.assert_allclose(scores[:20], CLASSIFICATION_SCORES, rtol=5e-7)
    sums = MetricSums("binary_classifier", size)
    sums.add(scores, held_out.labels)
    assert [metric.value for metric in sums.metrics()] == pytest.approx(CLASSIFICATION_TEST, rel=1e-7)


# -- MXNet ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mxnet_python() -> str:
    interpreter = os.environ.get("MXNET_PYTHON")
    if not interpreter:
        pytest.skip("MXNET_PYTHON does not name a Python interpreter that has MXNet 1.3.1 or 1.9.1")
    return interpreter


CASES: list[Mapping[str, str]] = [
    {},
    {"predictor_type": "binary_classifier"},
    {"clip_gradient": "0.05"},
    {"predictor_type": "binary_classifier", "clip_gradient": "0.05", "eps": "0.001"},
    {"eps": "0.01"},
    {"rescale_grad": "0.003"},
    {"factors_init_method": "uniform", "factors_init_scale": "0.2"},
    {"linear_init_method": "constant", "linear_init_value": "0.5", "predictor_type": "binary_classifier"},
    {"bias_wd": "0", "linear_wd": "0", "factors_wd": "0"},
    {"bias_lr": "0"},
]


def mxnet_run(
    interpreter: str, command: str, folder: Path, data: Dataset, settings: Hyperparameters, model: Model
) -> Mapping[str, npt.NDArray[np.float32]]:
    """Let MXNet load the network and the parameters as we store them, and train or score."""
    np.savez(
        folder / "data.npz",
        indptr=data.rows.indptr,
        keys=data.rows.keys,
        values=data.rows.values,
        labels=data.labels,
        batch_size=settings.mini_batch_size,
        epochs=settings.epochs,
        dense=data.dense,
    )
    artifact.write(folder / "model_algo-1", model, settings)
    with zipfile.ZipFile(folder / "model_algo-1") as archive:
        (folder / "model-symbol.json").write_bytes(archive.read("symbol.json"))
        (folder / "model-0000.params").write_bytes(archive.read("params"))
    optional = {"clip_gradient": settings.clip_gradient, "rescale_grad": settings.rescale_grad}
    optimizer = {"learning_rate": 1.0, "wd": 1.0, "epsilon": settings.eps} | {
        name: value for name, value in optional.items() if value is not None
    }
    (folder / "optimizer.json").write_text(json.dumps(optimizer))
    script = Path(__file__).with_name("mxnet_reference.py")
    done = subprocess.run(
        [interpreter, str(script), command, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "result.npz"))


@pytest.mark.fidelity
@pytest.mark.parametrize("number", range(len(CASES)))
def test_training_ends_at_mxnets_parameters(mxnet_python: str, tmp_path: Path, number: int) -> None:
    random = np.random.default_rng(number)
    features, rows, size = (
        int(random.integers(5, 60)),
        int(random.integers(60, 300)),
        int(random.integers(5, 40)),
    )
    settings = Hyperparameters.parse(
        {
            "feature_dim": str(features),
            "num_factors": str(random.integers(1, 70)),
            "predictor_type": "regressor",
            "mini_batch_size": str(size),
            "epochs": str(-(-500 // -(-rows // size))),
            "bias_lr": "0.01",
            "linear_lr": "0.01",
            "factors_lr": "0.01",
            "factors_wd": "0.1",
            "factors_init_sigma": "0.1",
            **CASES[number],
        }
    )
    counts = random.integers(0, min(features, 8), rows)
    keys = [np.sort(random.choice(features, count, replace=False)) for count in counts]
    csr = kernel.Rows(
        np.concatenate([[0], np.cumsum(counts)]),
        np.concatenate(keys).astype(np.int32),
        random.normal(size=counts.sum()).astype(np.float32),
    )
    binary = settings.predictor_type == "binary_classifier"
    labels = random.integers(0, 2, rows) if binary else random.normal(3, 1, rows)
    data = Dataset(csr, labels.astype(np.float32))
    model = Model.initial(settings)
    theirs = mxnet_run(mxnet_python, "train", tmp_path, data, settings, model)
    optimizer = Optimizer(model, settings)
    for _ in range(settings.epochs):
        optimizer.run(data, 0, -(-rows // size))
    # Adam divides by a gradient's size, so that the last bits of a tiny gradient grow.
    np.testing.assert_allclose(model.bias, theirs["bias"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(model.linear, theirs["linear"].ravel(), rtol=0, atol=1e-4)
    np.testing.assert_allclose(model.factors, theirs["factors"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(Scorer(model)(csr), theirs["scores"], rtol=1e-4, atol=1e-4)


@pytest.mark.fidelity
@pytest.mark.parametrize("predictor_type", ["regressor", "binary_classifier"])
def test_dense_training_ends_at_mxnets_parameters(
    mxnet_python: str, tmp_path: Path, predictor_type: str
) -> None:
    random = np.random.default_rng(5)
    features, rows, size = 12, 90, 20
    settings = Hyperparameters.parse(
        {
            "feature_dim": str(features),
            "num_factors": "7",
            "predictor_type": predictor_type,
            "mini_batch_size": str(size),
            "epochs": "100",
            "linear_lr": "0.01",
            "factors_lr": "0.01",
            "factors_wd": "0.1",
            "factors_init_sigma": "0.1",
        }
    )
    csr = kernel.Rows(
        np.arange(0, rows * features + 1, features),
        np.tile(np.arange(features, dtype=np.int32), rows),
        random.normal(size=rows * features).astype(np.float32),
    )
    data = Dataset(csr, random.integers(0, 2, rows).astype(np.float32), dense=True)
    model = Model.initial(settings, dense=True)
    theirs = mxnet_run(mxnet_python, "train", tmp_path, data, settings, model)
    optimizer = Optimizer(model, settings)
    for _ in range(settings.epochs):
        optimizer.run(data, 0, -(-rows // size))
    np.testing.assert_allclose(model.linear, theirs["linear"].ravel(), rtol=0, atol=1e-4)
    np.testing.assert_allclose(model.factors, theirs["factors"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(Scorer(model)(csr), theirs["scores"], rtol=1e-4, atol=1e-4)


@pytest.mark.fidelity
def test_mxnet_loads_the_model_and_scores_alike(
    mxnet_python: str, regression: tuple[Path, str], tmp_path: Path
) -> None:
    model = artifact.read(regression[0] / "model" / "model_algo-1")
    random = np.random.default_rng(0)
    rows = pairs(random.integers(0, USERS, 2000), random.integers(0, MOVIES, 2000))
    data = Dataset(rows, np.zeros(2000, np.float32))
    theirs = mxnet_run(mxnet_python, "score", tmp_path, data, Hyperparameters.parse(REGRESSION), model)
    np.testing.assert_array_equal(theirs["factors"], model.factors)
    np.testing.assert_allclose(Scorer(model)(rows), theirs["scores"], rtol=0, atol=1e-6)


# -- the SageMaker SDK ---------------------------------------------------------------------------------------


@pytest.mark.fidelity
def test_sdk_reads_recordio_answers() -> None:
    common = pytest.importorskip("sagemaker.amazon.common")
    scores = np.array([0.25, 0.75], np.float32)
    body = payloads.encode(scores, binary=True, content_type=payloads.RECORDIO)
    answers = [
        {name: list(value.float32_tensor.values) for name, value in record.label.items()}
        for record in common.read_records(io.BytesIO(body))
    ]
    assert answers == [
        {"score": [0.25], "predicted_label": [0.0]},
        {"score": [0.75], "predicted_label": [1.0]},
    ]
