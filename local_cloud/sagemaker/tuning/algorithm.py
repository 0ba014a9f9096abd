"""What of Factorization Machines can be tuned, and for what.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/fm-tuning.html. That page calls the hyperparameter
``epoch``; the one that the algorithm has, and that public tuning jobs tune, is ``epochs``. It ties every
initial value to ``bias_init_method``; here each tensor's follow the method of that tensor.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from local_cloud.sagemaker.errors import validation

_OBJECTIVES = {
    "test:rmse": ("Minimize", "regressor"),
    "test:binary_classification_accuracy": ("Maximize", "binary_classifier"),
    "test:binary_classification_cross_entropy": ("Minimize", "binary_classifier"),
    "test:binary_f_beta": ("Maximize", "binary_classifier"),
}
_OBJECTIVE_CHANNEL = "test"

_TENSORS = ("bias", "linear", "factors")
_INIT_PARAMETERS = {"sigma": "normal", "scale": "uniform", "value": "constant"}
_INTEGERS = ("epochs", "mini_batch_size")
_CONTINUOUS = tuple(
    f"{tensor}_{suffix}"
    for tensor in _TENSORS
    for suffix in ("lr", "wd", *(f"init_{parameter}" for parameter in _INIT_PARAMETERS))
)
_INIT_PARAMETER = re.compile(r"(?P<tensor>bias|linear|factors)_init_(?P<parameter>sigma|scale|value)")

OBJECTIVE_HYPERPARAMETER = "_tuning_objective_metric"
"""The hyperparameter by which a tuning job tells the algorithm its objective
(https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-define-metrics-variables.html)."""


@dataclass(frozen=True)
class Objective:
    """The metric that a tuning job optimizes."""

    metric: str
    maximize: bool

    def better(self, one: float, other: float) -> bool:
        """Return whether the value `one` is better than `other`."""
        return one > other if self.maximize else one < other


def objective(request: Mapping[str, str] | None, static: Mapping[str, str], channels: set[str]) -> Objective:
    """Return the objective that a tuning job asks for.

    Args:
        request: its ``HyperParameterTuningJobObjective``.
        static: hyperparameters that all training jobs have in common.
        channels: names of the input channels.

    Raises:
        SageMakerError: the algorithm does not report such a metric, or not to these training jobs.
    """
    if request is None:
        raise validation("HyperParameterTuningJobConfig.HyperParameterTuningJobObjective is required")
    name, direction = request["MetricName"], request["Type"]
    if name not in _OBJECTIVES:
        raise validation(
            f"The objective metric {name!r} is not one of the Factorization Machines algorithm: choose "
            f"one of {', '.join(_OBJECTIVES)}"
        )
    expected, predictor = _OBJECTIVES[name]
    if direction != expected:
        raise validation(f"The objective metric {name!r} must be of type {expected}, not {direction}")
    if static.get("predictor_type", predictor) != predictor:
        raise validation(
            f"The objective metric {name!r} needs the hyperparameter predictor_type {predictor!r}, not "
            f"{static['predictor_type']!r}"
        )
    if _OBJECTIVE_CHANNEL not in channels:
        raise validation(
            f"The objective metric {name!r} is computed on the channel {_OBJECTIVE_CHANNEL!r}, which "
            "TrainingJobDefinition.InputDataConfig does not have"
        )
    return Objective(name, direction == "Maximize")


def is_integer(name: str, static: Mapping[str, str]) -> bool:
    """Return whether a tunable hyperparameter is an integer; otherwise it is continuous.

    Args:
        name: hyperparameter.
        static: hyperparameters that are not tuned, which decide what initial values there are.

    Raises:
        SageMakerError: it cannot be tuned, or not together with `static`.
    """
    if name not in _INTEGERS and name not in _CONTINUOUS:
        raise validation(
            f"The hyperparameter {name!r} of the Factorization Machines algorithm cannot be tuned: choose "
            f"from {', '.join((*_INTEGERS, *_CONTINUOUS))}"
        )
    match = _INIT_PARAMETER.fullmatch(name)
    if match is not None:
        needed = _INIT_PARAMETERS[match["parameter"]]
        method = f"{match['tensor']}_init_method"
        if static.get(method, "normal") != needed:
            raise validation(
                f"The hyperparameter {name!r} can only be tuned with {method} {needed!r}, and that is "
                f"{static.get(method, 'normal')!r}"
            )
    if name in static:
        raise validation(f"The hyperparameter {name!r} has both a range and a static value: leave out one")
    return name in _INTEGERS


def lower_bound(name: str) -> float | None:
    """Return the least value that the algorithm accepts for a tunable hyperparameter, or None."""
    if name in _INTEGERS:
        return 1
    return None if name.endswith("_init_value") else 0
