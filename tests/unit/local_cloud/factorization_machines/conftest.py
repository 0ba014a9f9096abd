"""Small training jobs, laid out as SageMaker lays them out."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from data_prep.recordio import encode_sparse
from local_cloud.factorization_machines import kernel
from local_cloud.factorization_machines.dataset import Dataset

FEATURES = 6
HYPERPARAMETERS = {
    "feature_dim": str(FEATURES),
    "num_factors": "3",
    "predictor_type": "binary_classifier",
    "mini_batch_size": "4",
    "epochs": "2",
}


def records(rows: Sequence[dict[int, float]], labels: Sequence[float] | None, shape: int = FEATURES) -> bytes:
    """Encode rows, each a map from feature to value."""
    return b"".join(
        encode_sparse(
            None if labels is None else np.array(labels, np.float32),
            np.cumsum([0, *map(len, rows)]),
            np.array([key for row in rows for key in row], np.int64),
            np.array([value for row in rows for value in row.values()], np.float32),
            shape,
        )
    )


def dataset(rows: Sequence[dict[int, float]], labels: Sequence[float]) -> Dataset:
    """The same rows as the trainer holds them."""
    csr = kernel.Rows(
        np.cumsum([0, *map(len, rows)]),
        np.array([key for row in rows for key in row], np.int32),
        np.array([value for row in rows for value in row.values()], np.float32),
    )
    return Dataset(csr, np.array(labels, np.float32), 0)


ROWS = [{0: 1.0, 3: 1.0}, {1: 1.0, 4: 1.0}, {2: 1.0, 5: 0.5}, {0: 1.0, 4: 2.0}, {1: 1.0, 3: 1.0}, {2: 1.0}]
LABELS = [1.0, 0.0, 1.0, 0.0, 1.0, 1.0]


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
            "hyperparameters": HYPERPARAMETERS if hyperparameters is None else hyperparameters,
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
def job(tmp_path: Path) -> Job:
    """A job that trains: six rows in one file."""
    made = Job(tmp_path)
    made.configure()
    made.put("train", "train.protobuf", records(ROWS, LABELS))
    return made


@pytest.fixture
def encode() -> Callable[..., bytes]:
    return records


@pytest.fixture
def make_dataset() -> Callable[..., Dataset]:
    return dataset
