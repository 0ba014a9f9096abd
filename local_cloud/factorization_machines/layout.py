"""The folders and configuration files that SageMaker gives a training container.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html.
Below the root, `/opt/ml`: `input/config/{hyperparameters,inputdataconfig,resourceconfig}.json`,
`input/data/<channel>/` or, in Pipe mode, FIFOs `input/data/<channel>_<pass>`, `model/`, and `output/failure`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.factorization_machines.errors import ClientError

TRAIN, TEST = "train", "test"
_SINGLE_HOST = "algo-1"
_CONTENT_TYPE = "application/x-recordio-protobuf"
_PIPE = "Pipe"
_INPUT_MODES = ("File", "FastFile", _PIPE)
# What SageMaker shows of the failure file.
_FAILURE_CHARACTERS = 1024


@dataclass(frozen=True)
class Layout:
    """The paths below one root, and what the configuration files say. Every method may raise ClientError."""

    root: Path

    @property
    def model(self) -> Path:
        """The folder whose content becomes model.tar.gz."""
        return self.root / "model"

    @property
    def scratch(self) -> Path:
        """Where rows go that are too many for memory."""
        return self.root / "output"

    @property
    def hyperparameters_file(self) -> Path:
        """The file with the hyperparameters, all strings."""
        return self.root / "input" / "config" / "hyperparameters.json"

    def channel(self, name: str) -> Path:
        """The folder with a channel's files, or what its FIFOs' names begin with."""
        return self.root / "input" / "data" / name

    def hyperparameters(self) -> dict[str, object]:
        """Read what the job was given."""
        return _read_object(self.hyperparameters_file)

    def host(self) -> str:
        """Name this host, which must be the only one; algo-1 where there is no resource configuration."""
        path = self.root / "input" / "config" / "resourceconfig.json"
        resources = _read_object(path) if path.exists() else {}
        host = str(resources.get("current_host", _SINGLE_HOST))
        hosts = resources.get("hosts", [host])
        if hosts != [host]:
            raise ClientError(f"This container trains on one host, but the job has {hosts}: use one instance")
        return host

    def channels(self) -> dict[str, bool]:
        """Name the job's channels, train first, and say which are in Pipe mode."""
        path = self.root / "input" / "config" / "inputdataconfig.json"
        config = _read_object(path)
        if TRAIN not in config:
            given = ", ".join(config) or "none"
            raise ClientError(f"The channel 'train' is required; the job has these channels: {given}")
        for name, channel in config.items():
            if name not in {TRAIN, TEST}:
                raise ClientError(f"Factorization Machines has the channels 'train' and 'test', not {name!r}")
            if not isinstance(channel, dict):
                raise ClientError(f"{path}: channel {name!r} must be a JSON object")
        modes = {name: _input_mode(name, channel) for name, channel in config.items()}
        return {name: modes[name] == _PIPE for name in (TRAIN, TEST) if name in modes}

    def write_failure(self, reason: str) -> None:
        """Leave the reason for which the job failed where SageMaker reads it."""
        path = self.root / "output" / "failure"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(reason[:_FAILURE_CHARACTERS], encoding="utf-8")

    def remove_failure(self) -> None:
        """Remove what an earlier run under the same root left."""
        (self.root / "output" / "failure").unlink(missing_ok=True)


def _input_mode(name: str, channel: Any) -> str:
    """Check a channel's settings and tell its input mode."""
    content_type = channel.get("ContentType")
    if content_type and str(content_type).partition(";")[0].strip() != _CONTENT_TYPE:
        # The text is that of a sibling algorithm: https://github.com/aws/sagemaker-python-sdk/issues/819.
        raise ClientError(f"No iterator has been registered for ContentType (u'{content_type}', '1.0')")
    mode = channel.get("TrainingInputMode", "File")
    if mode not in _INPUT_MODES:
        modes = ", ".join(_INPUT_MODES)
        raise ClientError(f"Channel {name!r} has TrainingInputMode {mode!r}: it is one of {modes}")
    return str(mode)


def _read_object(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ClientError(f"{path} does not exist") from error
    except (ValueError, RecursionError) as error:
        raise ClientError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ClientError(f"{path} must hold a JSON object")
    return content
