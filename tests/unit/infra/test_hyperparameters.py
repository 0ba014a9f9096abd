"""Factorization Machines' hyperparameters."""

import pytest
from pydantic import ValidationError

from infra.hyperparameters import Hyperparameters
from local_cloud.factorization_machines.hyperparameters import Hyperparameters as Algorithm

REQUIRED = {"num_factors": 64, "epochs": 52, "mini_batch_size": 500}


def test_only_what_is_set_is_sent_as_strings() -> None:
    hyperparameters = Hyperparameters(**REQUIRED, linear_wd=1.6e-5, bias_wd=0, factors_init_method="normal")

    assert hyperparameters.as_strings() == {
        "num_factors": "64",
        "epochs": "52",
        "mini_batch_size": "500",
        "linear_wd": "1.6e-05",
        "bias_wd": "0.0",
        "factors_init_method": "normal",
    }


def test_a_string_is_the_number_again() -> None:
    value = 0.1 + 0.2

    assert float(Hyperparameters(**REQUIRED, factors_lr=value).as_strings()["factors_lr"]) == value


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_factors": 0},
        {"epochs": 1.5},
        {"mini_batch_size": True},
        {"factors_lr": -1e-9},
        {"factors_wd": float("nan")},
        {"bias_init_method": "gaussian"},
        {"feature_dim": 2625},
        {"predictor_type": "regressor"},
    ],
)
def test_what_the_algorithm_refuses_is_refused_before(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Hyperparameters.model_validate(REQUIRED | wrong)


@pytest.mark.parametrize("method", ["normal", "uniform", "constant"])
def test_what_is_sent_is_what_the_algorithm_takes(method: str) -> None:
    """The local algorithm refuses unknown names and malformed values, as SageMaker's does."""
    values: dict[str, object] = {}
    for name in Hyperparameters.model_fields.keys() - REQUIRED.keys():
        values[name] = method if name.endswith("_init_method") else 1.5e-7
    sent = Hyperparameters.model_validate(REQUIRED | values).as_strings()

    assert sent.keys() == Hyperparameters.model_fields.keys()
    Algorithm.parse({"feature_dim": "2625", "predictor_type": "binary_classifier", **sent})
