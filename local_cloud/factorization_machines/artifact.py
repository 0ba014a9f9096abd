"""The model file that a training job leaves in its model folder, and that serving reads from there.

SageMaker packs the folder into model.tar.gz. The file is called `model_<host>`, and is a ZIP without
compression, of three entries: meta.json (the final configuration), symbol.json (the network) and params (the
arrays). All but the entries' times is byte for byte as in a model that SageMaker trained.
"""

from __future__ import annotations

import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Final

import numpy as np

from local_cloud.factorization_machines import ndarray_list, symbol
from local_cloud.factorization_machines.hyperparameters import Hyperparameters, PredictorType
from local_cloud.factorization_machines.model import Model
from local_cloud.factorization_machines.ndarray_list import NamedArray

_VERSION = 1
# A model that was trained for 50 epochs says 1 as well.
_EPOCH_NUMBER = 1
_LABEL_NAMES = ["out_label"]
# The same job writes the same bytes, so that a model can be known by its digest: no clock here.
_ENTRY_TIME: Final = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_SPARSE_NAMES = ("w0_weight", "w1_weight", "v")
# Public code that reads models trained on dense data gives these names, and v and the weights transposed.
_DENSE_NAMES = ("Linear_Plus_Bias_bias", "Linear_Plus_Bias_weight", "v")


class ArtifactError(Exception):
    """A file is not a model of Factorization Machines; the message names the file and says why."""


def model_path(folder: Path, host: str) -> Path:
    """Name the model file of a host."""
    return folder / f"model_{host}"


def write(path: Path, model: Model, settings: Hyperparameters) -> None:
    """Write a model to `path`, which appears only when it is complete."""
    meta = {
        "version": _VERSION,
        "epoch_number": _EPOCH_NUMBER,
        "training_parameters": {name: str(value) for name, value in settings.configuration.items()},
        "label_names": _LABEL_NAMES,
    }
    params = ndarray_list.dumps(_dense_arrays(model) if model.dense else _sparse_arrays(model))
    content = {
        "meta.json": json.dumps(meta).encode(),
        "symbol.json": symbol.network(settings, dense=model.dense).encode(),
        "params": params,
    }
    unfinished = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            for name, data in content.items():
                entry = zipfile.ZipInfo(name, _ENTRY_TIME)
                entry.create_system = _UNIX
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(entry, data)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _sparse_arrays(model: Model) -> list[NamedArray]:
    return [
        NamedArray("arg:w1_weight", model.linear[:, np.newaxis], row_sparse=True),
        NamedArray("arg:w0_weight", model.bias),
        NamedArray("arg:v", model.factors, row_sparse=True),
    ]


def _dense_arrays(model: Model) -> list[NamedArray]:
    bias, weight, factors = (f"arg:{name}" for name in _DENSE_NAMES)
    return [
        NamedArray(weight, model.linear[np.newaxis, :]),
        NamedArray(bias, model.bias),
        NamedArray(factors, np.ascontiguousarray(model.factors.T)),
    ]


def read(path: Path) -> Model:
    """Read a model that SageMaker or this package wrote, trained on sparse or on dense data.

    Raises ArtifactError.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            content = {name: archive.read(name) for name in ("meta.json", "symbol.json", "params")}
        predictor_type = _predictor_type(json.loads(content["meta.json"]), content["symbol.json"].decode())
        arrays = {
            name.removeprefix("arg:"): array for name, array in ndarray_list.loads(content["params"]).items()
        }
    except (zipfile.BadZipFile, KeyError, ValueError, MemoryError) as error:
        raise ArtifactError(f"{path} is not a Factorization Machines model: {error}") from error
    for names in (_SPARSE_NAMES, _DENSE_NAMES):
        if set(names) <= arrays.keys():
            bias, linear, factors = (arrays[name].astype(np.float32) for name in names)
            dense = names is _DENSE_NAMES
            if dense:
                factors = factors.T
            if factors.ndim != 2 or linear.size != factors.shape[0] or bias.size != 1:
                shapes = ", ".join(f"{name} {arrays[name].shape}" for name in names)
                raise ArtifactError(f"{path}: the parameters' shapes do not fit together: {shapes}")
            factors = np.ascontiguousarray(factors)
            return Model(predictor_type, bias.reshape(1), linear.reshape(-1), factors, dense=dense)
    raise ArtifactError(
        f"{path} has the parameters {sorted(arrays)}: neither {_SPARSE_NAMES} nor {_DENSE_NAMES}"
    )


def find(folder: Path) -> Path:
    """Find the one model file in a model folder. Raises ArtifactError."""
    files = sorted(folder.glob("model_*")) if folder.is_dir() else []
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise ArtifactError(
            f"{folder} must hold one model file, model_algo-1, as in model.tar.gz; found {found}"
        )
    return files[0]


def _predictor_type(meta: object, network: str) -> PredictorType:
    """Take the predictor from the configuration, or, where that does not say, from the output layer."""
    parameters = meta.get("training_parameters") if isinstance(meta, dict) else None
    name = parameters.get("predictor_type") if isinstance(parameters, dict) else None
    if name is None:
        name = next((name for name, layer in symbol.OUTPUTS.items() if f'"{layer}"' in network), None)
    if name == "binary_classifier":
        return "binary_classifier"
    if name == "regressor":
        return "regressor"
    raise ValueError(f"its predictor_type is {name!r}")
