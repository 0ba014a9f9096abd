import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.sagemaker.errors import SageMakerError
from local_cloud.sagemaker.tuning.space import Numeric, dimensions, features_of, values_at

SCALINGS = ("Auto", "Linear", "Logarithmic")


def integers(name: str = "epochs", low: str = "1", high: str = "10", **more: str) -> dict[str, Any]:
    return {"IntegerParameterRanges": [{"Name": name, "MinValue": low, "MaxValue": high, **more}]}


def continuous(
    name: str = "factors_lr", low: str = "0.001", high: str = "0.1", **more: str
) -> dict[str, Any]:
    return {"ContinuousParameterRanges": [{"Name": name, "MinValue": low, "MaxValue": high, **more}]}


def categories(name: str = "mini_batch_size", *values: str) -> dict[str, Any]:
    return {"CategoricalParameterRanges": [{"Name": name, "Values": list(values)}]}


@given(
    st.integers(1, 1000), st.integers(0, 1000), st.floats(0, 1, exclude_max=True), st.sampled_from(SCALINGS)
)
def test_integers_stay_in_their_range(low: int, width: int, position: float, scaling: str) -> None:
    space = dimensions(integers(low=str(low), high=str(low + width), ScalingType=scaling), {})
    text = values_at(space, [position])["epochs"]
    assert low <= int(text) <= low + width
    assert all(-1e-9 <= x <= 1 + 1e-9 for x in features_of(space, {"epochs": text}))


@given(st.floats(1e-8, 512), st.floats(1, 1e6), st.floats(0, 1, exclude_max=True), st.sampled_from(SCALINGS))
def test_numbers_stay_in_their_range(low: float, factor: float, position: float, scaling: str) -> None:
    high = low * factor
    space = dimensions(continuous(low=repr(low), high=repr(high), ScalingType=scaling), {})
    text = values_at(space, [position])["factors_lr"]
    assert low <= float(text) <= high


@given(st.floats(0, 1, exclude_max=True))
def test_position_comes_back_as_feature(position: float) -> None:
    for scaling in ("Linear", "Logarithmic", "ReverseLogarithmic"):
        dimension = Numeric("x", 0.001, 0.9, scaling, integer=False)
        assert dimension.features(dimension.at(position))[0] == pytest.approx(position, abs=1e-6)


def test_scales_share_the_range_out_as_they_say() -> None:
    def middle(scaling: str) -> float:
        return float(Numeric("x", 0.0001, 0.99, scaling, integer=False).at(0.5))

    assert middle("Linear") == pytest.approx(0.49505)
    assert middle("Logarithmic") == pytest.approx(math.sqrt(0.0001 * 0.99))
    assert 1 - middle("ReverseLogarithmic") == pytest.approx(math.sqrt(0.9999 * 0.01))


def test_every_integer_has_an_equal_share_of_a_linear_range() -> None:
    dimension = Numeric("x", 1, 4, "Linear", integer=True)
    found = [dimension.at((i + 0.5) / 400) for i in range(400)]
    assert {value: found.count(value) for value in "1234"} == dict.fromkeys("1234", 100)


@pytest.mark.parametrize(("low", "high", "scaling"), [("1", "99", "Linear"), ("1", "100", "Logarithmic")])
def test_auto_is_logarithmic_over_two_orders_of_magnitude(low: str, high: str, scaling: str) -> None:
    (dimension,) = dimensions(continuous(low=low, high=high), {})
    assert isinstance(dimension, Numeric)
    assert dimension.scaling == scaling


def test_categories_are_equally_far_from_each_other() -> None:
    (dimension,) = space = dimensions(categories("mini_batch_size", "100", "200", "1000"), {})
    assert [dimension.at(position) for position in (0.0, 0.34, 0.99)] == ["100", "200", "1000"]
    points = [features_of(space, {"mini_batch_size": value}) for value in ("100", "200", "1000")]
    assert {round(math.dist(one, other), 9) for one in points for other in points if one != other} == {1.0}


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({}, "there is nothing to tune"),
        (
            integers(name="num_factors"),
            "'num_factors' of the Factorization Machines algorithm cannot be tuned",
        ),
        (integers(name="epoch"), "choose from epochs, mini_batch_size, bias_lr"),
        (integers(name="factors_lr"), "belongs into ContinuousParameterRanges"),
        (continuous(name="epochs", low="1", high="2"), "belongs into IntegerParameterRanges"),
        (integers(low="11"), "MinValue 11 is above MaxValue 10"),
        (integers(low="0"), "'0' is not a value of the hyperparameter 'epochs', which is an integer from 1"),
        (integers(low="1.5"), "'1.5' is not a value"),
        (continuous(low="-1"), "a number from 0"),
        (continuous(high="nan"), "'nan' is not a value"),
        (continuous(low="0", ScalingType="Logarithmic"), "cannot be Logarithmic: MinValue 0 is not above 0"),
        (integers(ScalingType="ReverseLogarithmic"), "it is one of integers"),
        (continuous(high="1", ScalingType="ReverseLogarithmic"), "is not within 0<=x<1"),
        (
            continuous(name="bias_init_scale"),
            "only be tuned with bias_init_method 'uniform', and that is 'normal'",
        ),
        (continuous(name="bias_lr"), "has both a range and a static value"),
        (categories("mini_batch_size", "100", "many"), "'many' is not a value"),
        (categories("mini_batch_size", "100", "100"), "more than once"),
        (categories("predictor_type", "regressor"), "cannot be tuned"),
        (integers() | categories("epochs", "1"), "more than one range: epochs"),
        ({"AutoParameters": [{"Name": "epochs", "ValueHint": "1"}]}, "does not offer Autotune"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(ranges: dict[str, Any], message: str) -> None:
    with pytest.raises(SageMakerError) as caught:
        dimensions(ranges, {"bias_lr": "0.1"})
    assert caught.value.code == "ValidationException"
    assert message in caught.value.message


def test_initial_values_follow_the_method_of_their_tensor() -> None:
    ranges = continuous(name="linear_init_scale")
    assert [each.name for each in dimensions(ranges, {"linear_init_method": "uniform"})] == [
        "linear_init_scale"
    ]
    dimensions(continuous(name="factors_init_sigma"), {"linear_init_method": "uniform"})
    dimensions(continuous(name="bias_init_value", low="-1"), {"bias_init_method": "constant"})
