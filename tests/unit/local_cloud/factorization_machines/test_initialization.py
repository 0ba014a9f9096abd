"""Expected values were drawn by MXNet 1.3.1 and 1.9.1, which agree, after `mx.random.seed(0)`."""

import numpy as np
import numpy.typing as npt
import pytest

from local_cloud.factorization_machines.hyperparameters import Hyperparameters
from local_cloud.factorization_machines.initialization import MXNetGenerator
from local_cloud.factorization_machines.model import Model

Float32 = npt.NDArray[np.float32]


def assert_same(actual: Float32, expected: list[float]) -> None:
    """To one unit in the last place: with glibc all are equal, other C libraries' logf may differ."""
    np.testing.assert_allclose(actual, np.array(expected, np.float32), rtol=1.2e-7, atol=0)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.initial(
        Hyperparameters.parse({"feature_dim": "2625", "num_factors": "64", "predictor_type": "regressor"})
    )


def test_parameters_are_mxnets(model: Model) -> None:
    np.testing.assert_allclose(model.factors[0, :3], [0.00221221, 0.000774, 0.00104344], rtol=5e-6)
    places = [0, 1, 2, 164, 165, 16500, 100000, 167999]
    expected = [
        0.002212206367403269,
        0.0007740038563497365,
        0.001043440424837172,
        0.002307158662006259,
        0.000306399684632197,
        0.001977851614356041,
        0.0010164559353142977,
        -0.000232868900639005,
    ]
    assert_same(model.factors.ravel()[places], expected)
    assert_same(model.bias, [0.0030558560974895954])
    expected = [
        -0.0001646438322495669,
        -0.0022913499269634485,
        0.006758562289178371,
        -0.0003388521436136216,
        0.0025654525961726904,
    ]
    assert_same(model.linear[[0, 1, 2, 63, 2624]], expected)


def test_shapes_and_types(model: Model) -> None:
    assert (model.factors.shape, model.linear.shape, model.bias.shape) == ((2625, 64), (2625,), (1,))
    assert {array.dtype for array in (model.factors, model.linear, model.bias)} == {np.dtype(np.float32)}


def test_engines_go_on_from_draw_to_draw() -> None:
    generator = MXNetGenerator(0)
    uniform = generator.uniform(168_000, 0.3)
    expected = [0.029288113117218018, 0.05570676922798157, -0.04978680610656738, -0.16335292160511017]
    np.testing.assert_array_equal(uniform[[0, 1, 165, 167999]], np.array(expected, np.float32))
    first, second = generator.normal(1000, 0.5), generator.normal(1000, 0.5)
    assert_same(first[[0, 999]], [0.34590083360671997, 0.6259827017784119])
    assert_same(second[[0, 999]], [0.10413677990436554, -0.13531626760959625])


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
def test_any_number_of_values_can_be_drawn(count: int) -> None:
    assert MXNetGenerator(0).normal(count, 1).shape == (count,)
    values = MXNetGenerator(0).uniform(count, 0.1)
    assert values.shape == (count,)
    assert (np.abs(values) <= np.float32(0.1)).all()


def test_normal_values_are_normal() -> None:
    values = MXNetGenerator(3).normal(200_000, 2.0)
    assert abs(float(values.mean())) < 0.03
    assert abs(float(values.std()) - 2.0) < 0.02
    assert len(np.unique(values)) > 190_000


def test_initializers_of_the_other_kinds() -> None:
    model = Model.initial(
        Hyperparameters.parse(
            {
                "feature_dim": "100",
                "num_factors": "2",
                "predictor_type": "regressor",
                "factors_init_method": "uniform",
                "factors_init_scale": "0.2",
                "linear_init_method": "constant",
                "linear_init_value": "0.25",
                "bias_init_method": "constant",
                "bias_init_value": "-1",
            }
        )
    )
    assert (model.linear == 0.25).all()
    assert model.bias.tolist() == [-1]
    assert 0.1 < float(np.abs(model.factors).max()) <= 0.2
    np.testing.assert_array_equal(model.factors.ravel(), MXNetGenerator(0).uniform(200, 0.2))
