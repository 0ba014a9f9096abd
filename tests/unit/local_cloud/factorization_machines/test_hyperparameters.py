import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.factorization_machines.errors import ClientError
from local_cloud.factorization_machines.hyperparameters import DEFAULTS, Hyperparameters, Initializer

REQUIRED = {"feature_dim": "2625", "num_factors": "64", "predictor_type": "regressor"}


def refusal(**changes: object) -> str:
    with pytest.raises(ClientError) as caught:
        Hyperparameters.parse({**REQUIRED, **changes})
    return caught.value.failure_reason


def test_defaults_are_those_that_sagemaker_documents() -> None:
    settings = Hyperparameters.parse(REQUIRED)
    assert (settings.epochs, settings.mini_batch_size) == (1, 1000)
    rates = [(t.learning_rate, t.weight_decay) for t in (settings.bias, settings.linear, settings.factors)]
    assert rates == [(0.1, 0.01), (0.001, 0.001), (0.0001, 0.00001)]
    assert settings.bias.initializer == settings.linear.initializer == Initializer("normal", 0.01)
    assert settings.factors.initializer == Initializer("normal", 0.001)
    assert (settings.eps, settings.clip_gradient, settings.rescale_grad) == (1e-8, None, None)


def test_configuration_keeps_the_containers_order() -> None:
    settings = Hyperparameters.parse({"epochs": "50", **REQUIRED})
    assert list(settings.configuration) == [*DEFAULTS, *REQUIRED]
    assert settings.configuration["epochs"] == "50"


def test_every_public_hyperparameter_is_read() -> None:
    settings = Hyperparameters.parse(
        {
            **REQUIRED,
            "predictor_type": "binary_classifier",
            "epochs": "7",
            "mini_batch_size": "300",
            "bias_lr": "0.5",
            "linear_lr": "1e-3",
            "factors_lr": ".25",
            "bias_wd": "0",
            "linear_wd": "1.",
            "factors_wd": "2",
            "bias_init_method": "constant",
            "bias_init_value": "-3",
            "linear_init_method": "uniform",
            "linear_init_scale": "0.1",
            "factors_init_sigma": "0.03",
            "clip_gradient": "1.5",
            "eps": "1e-6",
            "rescale_grad": "0.01",
            "_tuning_objective_metric": "test:rmse",
        }
    )
    assert settings.predictor_type == "binary_classifier"
    assert (settings.epochs, settings.mini_batch_size) == (7, 300)
    assert (settings.bias.learning_rate, settings.linear.learning_rate, settings.factors.learning_rate) == (
        0.5,
        0.001,
        0.25,
    )
    assert (settings.bias.weight_decay, settings.linear.weight_decay, settings.factors.weight_decay) == (
        0,
        1,
        2,
    )
    assert settings.bias.initializer == Initializer("constant", -3)
    assert settings.linear.initializer == Initializer("uniform", 0.1)
    assert settings.factors.initializer == Initializer("normal", 0.03)
    assert (settings.clip_gradient, settings.eps, settings.rescale_grad) == (1.5, 1e-6, 0.01)


@pytest.mark.parametrize("text", ["0", "-1"])
def test_clipping_from_zero_downwards_is_off(text: str) -> None:
    assert Hyperparameters.parse({**REQUIRED, "clip_gradient": text}).clip_gradient is None


def test_unknown_name() -> None:
    assert refusal(mini_batch_siz="10") == (
        "ClientError: Additional properties are not allowed (u'mini_batch_siz' was unexpected) "
        "(caused by ValidationError)"
    )


def test_several_unknown_names() -> None:
    assert "(u'a', u'b' were unexpected)" in refusal(a="1", b="2")


@pytest.mark.parametrize("missing", REQUIRED)
def test_missing_name(missing: str) -> None:
    with pytest.raises(ClientError) as caught:
        Hyperparameters.parse({name: value for name, value in REQUIRED.items() if name != missing})
    assert caught.value.failure_reason == (
        f"ClientError: No value(s) were specified for '{missing}' which are required hyperparameter(s) "
        "(caused by ValidationError)"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[("epochs", text) for text in ("0", "-1", "1.0", "1e3", "", "abc", "٣")],
        *[("mini_batch_size", text) for text in ("0", "0x10")],
        *[("bias_lr", text) for text in ("-0.1", "nan", "inf", "1e999", "", "1,5")],
        ("factors_init_sigma", "-1"),
        ("eps", "small"),
        ("feature_dim", "2_625"),
    ],
)
def test_value_of_wrong_type_or_range(name: str, text: str) -> None:
    reason = refusal(**{name: text})
    assert reason.startswith(f"ClientError: u{text!r} is not valid under any of the given schemas")
    assert repr(name) in reason


def test_value_that_is_none_of_the_choices() -> None:
    assert refusal(predictor_type="classifier").startswith(
        "ClientError: u'classifier' is not one of [u'binary_classifier', u'regressor']"
    )


@pytest.mark.parametrize(("method", "missing"), [("uniform", "scale"), ("constant", "value")])
def test_init_method_without_its_parameter(method: str, missing: str) -> None:
    assert f"'factors_init_{missing}'" in refusal(factors_init_method=method)


def test_value_that_is_not_a_string() -> None:
    assert "'epochs' is 3" in refusal(epochs=3)


def test_internal_setting_cannot_be_changed() -> None:
    assert "'_optimizer' can only be 'adam'" in refusal(_optimizer="sgd")
    assert Hyperparameters.parse({**REQUIRED, "_optimizer": "adam", "use_bias": "true"})


def test_more_features_than_can_be_numbered() -> None:
    assert "at most 2147483647" in refusal(feature_dim="9999999999")


@given(st.dictionaries(st.sampled_from([*REQUIRED, *DEFAULTS, "eps", "other"]), st.text(max_size=8)))
def test_anything_is_accepted_or_refused_by_client_error(provided: dict[str, str]) -> None:
    try:
        settings = Hyperparameters.parse({**REQUIRED, **provided})
    except ClientError:
        return
    assert settings.feature_dim > 0
    assert settings.epochs > 0
