"""The hyperparameters of SageMaker's Factorization Machines: names, defaults and what each may be.

Sources: https://docs.aws.amazon.com/sagemaker/latest/dg/fact-machines-hyperparameters.html for the public
ones; the container's default configuration, which it prints when a job starts, for the rest. The wording of a
refusal is from https://docs.aws.amazon.com/sagemaker/latest/dg/common-info-all-sagemaker-models.html ("Logs
for Built-in Algorithms"), JSON Schema's and, where a value is missing, that of
https://github.com/aws/sagemaker-python-sdk/issues/132; what follows the colon is this project's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from local_cloud.factorization_machines.errors import ClientError
from local_cloud.factorization_machines.initialization import InitMethod

PredictorType = Literal["binary_classifier", "regressor"]

DEFAULTS: Final[dict[str, str | int]] = {
    "epochs": 1,
    "mini_batch_size": "1000",
    "use_bias": "true",
    "use_linear": "true",
    "bias_lr": "0.1",
    "linear_lr": "0.001",
    "factors_lr": "0.0001",
    "bias_wd": "0.01",
    "linear_wd": "0.001",
    "factors_wd": "0.00001",
    "bias_init_method": "normal",
    "bias_init_sigma": "0.01",
    "linear_init_method": "normal",
    "linear_init_sigma": "0.01",
    "factors_init_method": "normal",
    "factors_init_sigma": "0.001",
    "batch_metrics_publish_interval": "500",
    "_data_format": "record",
    "_kvstore": "auto",
    "_learning_rate": "1.0",
    "_log_level": "info",
    "_num_gpus": "auto",
    "_num_kv_servers": "auto",
    "_optimizer": "adam",
    "_tuning_objective_metric": "",
    "_use_full_symbolic": "true",
    "_wd": "1.0",
}

_REQUIRED = ("feature_dim", "num_factors", "predictor_type")
_POSITIVE_INTEGERS = frozenset(
    {"feature_dim", "num_factors", "epochs", "mini_batch_size", "batch_metrics_publish_interval"}
)
_TENSORS = ("bias", "linear", "factors")
_NON_NEGATIVE = frozenset(
    f"{tensor}_{suffix}" for tensor in _TENSORS for suffix in ("lr", "wd", "init_sigma", "init_scale")
)
_REAL = frozenset({*(f"{tensor}_init_value" for tensor in _TENSORS), "clip_gradient", "eps", "rescale_grad"})
_CHOICES: dict[str, tuple[str, ...]] = {
    "predictor_type": ("binary_classifier", "regressor"),
    **{f"{tensor}_init_method": ("normal", "uniform", "constant") for tensor in _TENSORS},
}
# Set by SageMaker when a tuning job starts the training job; it changes nothing in the training itself.
_FREE = frozenset({"_tuning_objective_metric"})
_FIXED = frozenset(DEFAULTS) - _POSITIVE_INTEGERS - _NON_NEGATIVE - _CHOICES.keys() - _FREE
_KNOWN = _POSITIVE_INTEGERS | _NON_NEGATIVE | _REAL | _CHOICES.keys() | _FREE | _FIXED

_INTEGER = re.compile(r"[1-9][0-9]*")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_CAUSE = " (caused by ValidationError)"
# Feature numbers are held as int32.
_MOST_FEATURES = 2**31 - 1


@dataclass(frozen=True)
class Initializer:
    """How one tensor's initial values come about; `parameter` is the method's sigma, scale or value."""

    method: InitMethod
    parameter: float


@dataclass(frozen=True)
class TensorSettings:
    """The rates and the initial values of one of the three parameter tensors."""

    learning_rate: float
    weight_decay: float
    initializer: Initializer


@dataclass(frozen=True)
class Hyperparameters:
    """One job's settings, checked.

    `clip_gradient` None means that gradients are not clipped; `rescale_grad` None means 1/mini_batch_size.
    `configuration` is the final configuration as the container prints it and stores it in the model.
    """

    feature_dim: int
    num_factors: int
    predictor_type: PredictorType
    epochs: int
    mini_batch_size: int
    batch_metrics_publish_interval: int
    bias: TensorSettings
    linear: TensorSettings
    factors: TensorSettings
    clip_gradient: float | None
    eps: float
    rescale_grad: float | None
    configuration: dict[str, str | int]

    @classmethod
    def parse(cls, provided: Mapping[str, object]) -> Hyperparameters:
        """Check the hyperparameters of a training job, all strings, and fill in the defaults.

        Raises ClientError for an unknown name, a missing one, and a value of the wrong type or out of range.
        """
        texts = {name: _text(name, value) for name, value in provided.items()}
        unknown = [name for name in texts if name not in _KNOWN]
        if unknown:
            names = ", ".join(f"u{name!r}" for name in unknown)
            verb = "was" if len(unknown) == 1 else "were"
            raise ClientError(f"Additional properties are not allowed ({names} {verb} unexpected){_CAUSE}")
        missing = [name for name in _REQUIRED if name not in texts]
        if missing:
            raise _missing(missing)
        for name, text in texts.items():
            _check(name, text)
        configuration = {**DEFAULTS, **texts}
        value = _Values(configuration)
        clip = value.optional_float("clip_gradient")
        eps = value.optional_float("eps")
        return cls(
            feature_dim=int(texts["feature_dim"]),
            num_factors=int(texts["num_factors"]),
            predictor_type="regressor" if texts["predictor_type"] == "regressor" else "binary_classifier",
            epochs=int(configuration["epochs"]),
            mini_batch_size=int(configuration["mini_batch_size"]),
            batch_metrics_publish_interval=int(configuration["batch_metrics_publish_interval"]),
            bias=value.tensor("bias"),
            linear=value.tensor("linear"),
            factors=value.tensor("factors"),
            # MXNet's optimizer.py does not hand on a clip_gradient of 0, and its kernels ignore one below.
            clip_gradient=clip if clip is not None and clip > 0 else None,
            eps=1e-8 if eps is None else eps,
            rescale_grad=value.optional_float("rescale_grad"),
            configuration=configuration,
        )


class _Values:
    """Typed look-ups in a configuration whose values have been checked."""

    def __init__(self, configuration: Mapping[str, str | int]) -> None:
        self._configuration = configuration

    def optional_float(self, name: str) -> float | None:
        text = self._configuration.get(name)
        return None if text is None else float(text)

    def tensor(self, tensor: str) -> TensorSettings:
        return TensorSettings(
            learning_rate=float(self._configuration[f"{tensor}_lr"]),
            weight_decay=float(self._configuration[f"{tensor}_wd"]),
            initializer=self._initializer(tensor),
        )

    def _initializer(self, tensor: str) -> Initializer:
        method = self._configuration[f"{tensor}_init_method"]
        if method == "normal":
            return Initializer("normal", float(self._configuration[f"{tensor}_init_sigma"]))
        name = f"{tensor}_init_scale" if method == "uniform" else f"{tensor}_init_value"
        parameter = self.optional_float(name)
        if parameter is None:
            raise _missing([name])
        return Initializer("uniform" if method == "uniform" else "constant", parameter)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ClientError(
            f"Hyperparameters are strings, but {name!r} is {value!r}: quote it in hyperparameters.json"
        )
    return value


def _missing(names: list[str]) -> ClientError:
    quoted = ", ".join(repr(name) for name in names)
    return ClientError(
        f"No value(s) were specified for {quoted} which are required hyperparameter(s){_CAUSE}"
    )


def _check(name: str, text: str) -> None:
    if name in _CHOICES:
        if text not in _CHOICES[name]:
            choices = ", ".join(f"u{choice!r}" for choice in _CHOICES[name])
            raise ClientError(f"u{text!r} is not one of [{choices}]: hyperparameter {name!r}{_CAUSE}")
    elif name in _POSITIVE_INTEGERS:
        if not _INTEGER.fullmatch(text):
            raise _invalid(name, text, "an integer above 0")
        if name == "feature_dim" and int(text) > _MOST_FEATURES:
            raise ClientError(
                f"'feature_dim' is {text}: at most {_MOST_FEATURES} features can be trained here"
            )
    elif name in _NON_NEGATIVE:
        if not _FLOAT.fullmatch(text) or not 0 <= float(text) < math.inf:
            raise _invalid(name, text, "a number from 0")
    elif name in _REAL:
        if not _FLOAT.fullmatch(text) or math.isinf(float(text)):
            raise _invalid(name, text, "a number")
    elif name in _FIXED and text != DEFAULTS[name]:
        raise ClientError(
            f"Hyperparameter {name!r} can only be {DEFAULTS[name]!r} here, not {text!r}: leave it out"
        )


def _invalid(name: str, text: str, rule: str) -> ClientError:
    return ClientError(
        f"u{text!r} is not valid under any of the given schemas: "
        f"hyperparameter {name!r} must be {rule}{_CAUSE}"
    )
