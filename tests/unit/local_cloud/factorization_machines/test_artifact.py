import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from local_cloud.factorization_machines import artifact, ndarray_list
from local_cloud.factorization_machines.artifact import ArtifactError
from local_cloud.factorization_machines.hyperparameters import Hyperparameters
from local_cloud.factorization_machines.model import Model
from local_cloud.factorization_machines.ndarray_list import NamedArray

# The job whose model.tar.gz is in github.com/Raghul-G2002/Recommendation-System-AWS-Factorization-Machines.
PUBLIC_JOB = {
    "epochs": "50",
    "feature_dim": "2625",
    "mini_batch_size": "1000",
    "num_factors": "64",
    "predictor_type": "regressor",
}
RANDOM = np.random.default_rng(0)


def small_model() -> tuple[Model, Hyperparameters]:
    settings = Hyperparameters.parse(
        {"feature_dim": "5", "num_factors": "2", "predictor_type": "binary_classifier"}
    )
    return Model.initial(settings), settings


def repack(path: Path, **entries: bytes) -> None:
    """Write the file again with some entries changed."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**content, **entries}.items():
            archive.writestr(name, data)


def test_entries_are_those_of_a_model_that_sagemaker_trained(tmp_path: Path) -> None:
    settings = Hyperparameters.parse(PUBLIC_JOB)
    artifact.write(tmp_path / "model_algo-1", Model.initial(settings), settings)
    with zipfile.ZipFile(tmp_path / "model_algo-1") as archive:
        assert archive.namelist() == ["meta.json", "symbol.json", "params"]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
        meta, symbol, params = (archive.read(name) for name in archive.namelist())
    assert (
        hashlib.sha256(meta).hexdigest() == "2ac44e0ab3b348ae47270445ea6442f88fb3510b85c46ff4c2c6732613c728b4"
    )
    assert (
        hashlib.sha256(symbol).hexdigest()
        == "055ebb5546c4a8231692ef0d16a64bcf033b82f2765f1f671e47d78addaeaa19"
    )
    assert len(params) == 724_775
    assert (tmp_path / "model_algo-1").stat().st_size == 728_987
    assert list(ndarray_list.loads(params)) == ["arg:w1_weight", "arg:w0_weight", "arg:v"]


def test_network_of_a_binary_classifier_ends_in_a_logistic_output(tmp_path: Path) -> None:
    model, settings = small_model()
    artifact.write(tmp_path / "model_algo-1", model, settings)
    with zipfile.ZipFile(tmp_path / "model_algo-1") as archive:
        network = json.loads(archive.read("symbol.json"))
    assert network["nodes"][-1]["op"] == "LogisticRegressionOutput"
    assert [network["nodes"][index]["name"] for index in network["arg_nodes"]] == [
        "data",
        "w1_weight",
        "w0_weight",
        "v",
        "out_label",
    ]


def test_round_trip(tmp_path: Path) -> None:
    model, settings = small_model()
    artifact.write(tmp_path / "model_algo-1", model, settings)
    loaded = artifact.read(artifact.find(tmp_path))
    assert loaded.predictor_type == "binary_classifier"
    np.testing.assert_array_equal(loaded.factors, model.factors)
    np.testing.assert_array_equal(loaded.linear, model.linear)
    np.testing.assert_array_equal(loaded.bias, model.bias)


def test_same_model_gives_same_bytes(tmp_path: Path) -> None:
    model, settings = small_model()
    for name in ("model_one", "model_two"):
        artifact.write(tmp_path / name, model, settings)
    assert (tmp_path / "model_one").read_bytes() == (tmp_path / "model_two").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_model_trained_on_dense_data_is_read(tmp_path: Path) -> None:
    model, settings = small_model()
    path = tmp_path / "model_algo-1"
    artifact.write(path, model, settings)
    params = ndarray_list.dumps(
        [
            NamedArray("arg:Linear_Plus_Bias_weight", model.linear[np.newaxis, :]),
            NamedArray("arg:Linear_Plus_Bias_bias", model.bias),
            NamedArray("arg:v", np.ascontiguousarray(model.factors.T)),
        ]
    )
    repack(path, params=params)
    loaded = artifact.read(path)
    np.testing.assert_array_equal(loaded.factors, model.factors)
    np.testing.assert_array_equal(loaded.linear, model.linear)


def test_predictor_is_told_from_the_network_where_the_configuration_is_silent(tmp_path: Path) -> None:
    model, settings = small_model()
    path = tmp_path / "model_algo-1"
    artifact.write(path, model, settings)
    repack(path, **{"meta.json": b"{}"})
    assert artifact.read(path).predictor_type == "binary_classifier"
    repack(path, **{"symbol.json": b"{}"})
    with pytest.raises(ArtifactError, match="predictor_type"):
        artifact.read(path)


@pytest.mark.parametrize(
    ("entry", "content", "message"),
    [
        ("params", b"\x00" * 40, "0x112"),
        ("params", ndarray_list.dumps([NamedArray("arg:x", np.ones(1, np.float32))]), r"\['x'\]"),
        ("meta.json", b"{", "not a Factorization Machines model"),
        ("meta.json", b'{"training_parameters": {"predictor_type": "other"}}', "'other'"),
    ],
)
def test_broken_model_is_refused(tmp_path: Path, entry: str, content: bytes, message: str) -> None:
    model, settings = small_model()
    path = tmp_path / "model_algo-1"
    artifact.write(path, model, settings)
    repack(path, **{entry: content})
    with pytest.raises(ArtifactError, match=message):
        artifact.read(path)


def test_shapes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model, settings = small_model()
    wrong = Model(model.predictor_type, model.bias, model.linear[:3], model.factors)
    artifact.write(tmp_path / "model_algo-1", wrong, settings)
    with pytest.raises(ArtifactError, match="do not fit together"):
        artifact.read(tmp_path / "model_algo-1")


def test_other_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model_algo-1").write_bytes(b"not a zip")
    with pytest.raises(ArtifactError, match="model_algo-1 is not a Factorization Machines model"):
        artifact.read(tmp_path / "model_algo-1")


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="found none"):
        artifact.find(tmp_path / "nowhere")
