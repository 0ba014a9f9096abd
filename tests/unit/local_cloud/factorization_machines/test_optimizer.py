"""The compiled trainer against one written for clarity: dense float64 arrays, gradients by differences."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.factorization_machines import kernel
from local_cloud.factorization_machines.dataset import Dataset
from local_cloud.factorization_machines.hyperparameters import Hyperparameters
from local_cloud.factorization_machines.model import Model, Scorer
from local_cloud.factorization_machines.optimizer import Optimizer

Vector = npt.NDArray[np.float64]


@dataclass
class Case:
    """A data set, as sparse rows and as a matrix, and how to train on it."""

    matrix: Vector
    data: Dataset
    settings: Hyperparameters


def make_case(seed: int, **hyperparameters: str) -> Case:
    random = np.random.default_rng(seed)
    features, factors = int(random.integers(3, 30)), int(random.integers(1, 40))
    rows, size = int(random.integers(20, 90)), int(random.integers(3, 15))
    counts = random.integers(0, min(features, 6) + 1, rows)
    keys = [np.sort(random.choice(features, count, replace=False)) for count in counts]
    values = random.normal(size=counts.sum()).astype(np.float32)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    matrix = np.zeros((rows, features))
    for row, chosen in enumerate(keys):
        matrix[row, chosen] = values[indptr[row] : indptr[row + 1]]
    binary = hyperparameters.get("predictor_type") == "binary_classifier"
    labels = random.integers(0, 2, rows) if binary else random.normal(3, 1, rows)
    parsed = Hyperparameters.parse(
        {
            "feature_dim": str(features),
            "num_factors": str(factors),
            "predictor_type": "regressor",
            "mini_batch_size": str(size),
            "bias_lr": "0.02",
            "linear_lr": "0.01",
            "factors_lr": "0.005",
            "factors_wd": "0.1",
            "factors_init_sigma": "0.2",
            **hyperparameters,
        }
    )
    csr = kernel.Rows(indptr, np.concatenate(keys).astype(np.int32), values)
    return Case(matrix, Dataset(csr, labels.astype(np.float32)), parsed)


def scores(parameters: Sequence[Vector], matrix: Vector, *, logistic: bool) -> Vector:
    bias, linear, factors = parameters
    pairs = ((matrix @ factors) ** 2 - matrix**2 @ factors**2).sum(axis=1) / 2
    raw = bias[0] + matrix @ linear + pairs
    return np.asarray(1 / (1 + np.exp(-raw)) if logistic else raw)


def loss(parameters: Sequence[Vector], matrix: Vector, labels: Vector, *, logistic: bool) -> float:
    predicted = scores(parameters, matrix, logistic=logistic)
    if logistic:
        return float(-(labels * np.log(predicted) + (1 - labels) * np.log(1 - predicted)).sum())
    return float(((predicted - labels) ** 2).sum() / 2)


def gradient(parameters: Sequence[Vector], matrix: Vector, labels: Vector, *, logistic: bool) -> list[Vector]:
    """Central differences, each parameter in turn."""
    step = 1e-5
    result = []
    for index, parameter in enumerate(parameters):
        slopes = np.zeros_like(parameter)
        for place in np.ndindex(parameter.shape):
            ends = []
            for move in (step, -step):
                moved = [array.copy() for array in parameters]
                moved[index][place] += move
                ends.append(loss(moved, matrix, labels, logistic=logistic))
            slopes[place] = (ends[0] - ends[1]) / (2 * step)
        result.append(slopes)
    return result


def train_plainly(case: Case, start: Sequence[Vector], batches: int) -> list[Vector]:
    """Lazy Adam by its definition: the batch's zero rows included, only features that occur are updated."""
    chosen = case.settings
    logistic = chosen.predictor_type == "binary_classifier"
    size = chosen.mini_batch_size
    parameters = [array.copy() for array in start]
    means = [np.zeros_like(array) for array in parameters]
    variances = [np.zeros_like(array) for array in parameters]
    per_epoch = -(-len(case.data) // size)
    for step in range(1, batches + 1):
        first = (step - 1) % per_epoch * size
        matrix = np.zeros((size, case.matrix.shape[1]))
        labels = np.zeros(size)
        part = case.matrix[first : first + size]
        matrix[: len(part)] = part
        labels[: len(part)] = case.data.labels[first : first + size]
        slopes = gradient(parameters, matrix, labels, logistic=logistic)
        occurring = (matrix != 0).any(axis=0)
        correction = np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        for index, tensor in enumerate((chosen.bias, chosen.linear, chosen.factors)):
            scale = 1 / size if chosen.rescale_grad is None else chosen.rescale_grad
            slope = slopes[index] * scale + tensor.weight_decay * parameters[index]
            if chosen.clip_gradient is not None:
                slope = np.clip(slope, -chosen.clip_gradient, chosen.clip_gradient)
            mean = 0.9 * means[index] + 0.1 * slope
            variance = 0.999 * variances[index] + 0.001 * slope**2
            rate = tensor.learning_rate * correction
            updated = parameters[index] - rate * mean / (np.sqrt(variance) + chosen.eps)
            rows = np.array([True]) if index == 0 else occurring
            for old, new in (
                (means[index], mean),
                (variances[index], variance),
                (parameters[index], updated),
            ):
                old[rows] = new[rows]
    return parameters


def parameters_of(model: Model) -> list[Vector]:
    return [array.astype(np.float64) for array in (model.bias, model.linear, model.factors)]


@pytest.mark.parametrize(
    "hyperparameters",
    [
        {},
        {"predictor_type": "binary_classifier"},
        {"clip_gradient": "0.05", "predictor_type": "binary_classifier"},
        {"clip_gradient": "0.3", "eps": "0.01"},
        {"rescale_grad": "0.5"},
    ],
)
def test_training_follows_the_definition(hyperparameters: dict[str, str]) -> None:
    case = make_case(3, **hyperparameters)
    model = Model.initial(case.settings)
    start = parameters_of(model)
    optimizer = Optimizer(model, case.settings)
    batches = -(-len(case.data) // case.settings.mini_batch_size)
    for _ in range(2):
        optimizer.run(case.data, 0, batches)
    for ours, plain in zip(parameters_of(model), train_plainly(case, start, 2 * batches), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=0, atol=3e-4)


@pytest.mark.parametrize("predictor", ["regressor", "binary_classifier"])
def test_scores_are_those_before_each_batchs_update(predictor: str) -> None:
    case = make_case(5, predictor_type=predictor)
    size = case.settings.mini_batch_size
    batches = -(-len(case.data) // size)
    model = Model.initial(case.settings)
    optimizer = Optimizer(model, case.settings)
    logistic = predictor == "binary_classifier"
    for batch in range(batches):
        matrix = np.zeros((size, case.matrix.shape[1]))
        part = case.matrix[batch * size : (batch + 1) * size]
        matrix[: len(part)] = part
        expected = scores(parameters_of(model), matrix, logistic=logistic)
        np.testing.assert_allclose(optimizer.run(case.data, batch, batch + 1), expected, rtol=2e-5, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.sets(st.integers(1, 10)))
def test_how_an_epoch_is_cut_into_calls_changes_no_bit(seed: int, cuts: set[int]) -> None:
    case = make_case(seed)
    batches = -(-len(case.data) // case.settings.mini_batch_size)
    bounds = [0, *sorted(cut for cut in cuts if cut < batches), batches]
    results = []
    for plan in ([(0, batches)], list(pairwise(bounds))):
        model = Model.initial(case.settings)
        optimizer = Optimizer(model, case.settings)
        seen = [optimizer.run(case.data, first, last) for _ in range(2) for first, last in plan]
        results.append((np.concatenate(seen).tobytes(), model.factors.tobytes(), model.linear.tobytes()))
    assert results[0] == results[1]


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    threads=st.integers(2, 9),
    predictor=st.sampled_from(["regressor", "binary_classifier"]),
)
def test_the_number_of_threads_changes_no_bit(seed: int, threads: int, predictor: str) -> None:
    case = make_case(seed, predictor_type=predictor)
    batches = -(-len(case.data) // case.settings.mini_batch_size)
    results = []
    for count in (1, threads):
        model = Model.initial(case.settings)
        optimizer = Optimizer(model, case.settings, threads=count)
        seen = [optimizer.run(case.data, 0, batches) for _ in range(2)]
        results.append(
            (np.concatenate(seen).tobytes(), model.factors.tobytes(), model.linear.tobytes(), model.bias)
        )
    assert results[0] == results[1]


def test_two_jobs_in_one_process_take_turns() -> None:
    case = make_case(2)
    batches = -(-len(case.data) // case.settings.mini_batch_size)

    def run(_: int) -> bytes:
        model = Model.initial(case.settings)
        optimizer = Optimizer(model, case.settings)
        for _ in range(20):
            optimizer.run(case.data, 0, batches)
        return model.factors.tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(run, range(4)))) == 1


def test_features_that_do_not_occur_keep_their_values(make_dataset: Callable[..., Dataset]) -> None:
    case = make_case(1)
    model = Model.initial(case.settings)
    before = model.factors.copy(), model.linear.copy()
    Optimizer(model, case.settings).run(make_dataset([{0: 1.0}, {2: 1.0}], [1.0, 0.0]), 0, 1)
    changed = (model.factors != before[0]).any(axis=1)
    assert np.flatnonzero(changed).tolist() == [0, 2]
    assert np.flatnonzero(model.linear != before[1]).tolist() == [0, 2]


def test_a_key_given_twice_in_a_row_counts_twice(make_dataset: Callable[..., Dataset]) -> None:
    """MXNet's CSR does not forbid it; the pair of the two is a pair like any other."""
    model = Model(
        "regressor",
        np.zeros(1, np.float32),
        np.array([1.0, 0.0], np.float32),
        np.array([[1.0, 2.0], [0.0, 0.0]], np.float32),
    )
    rows = kernel.Rows(np.array([0, 2]), np.array([0, 0], np.int32), np.array([2.0, 3.0], np.float32))
    assert Scorer(model)(rows).tolist() == [2 + 3 + 2 * 3 * (1 + 4)]


def test_rows_that_fill_up_the_last_batch_pull_the_bias_to_label_0(
    make_dataset: Callable[..., Dataset],
) -> None:
    settings_ = Hyperparameters.parse(
        {
            "feature_dim": "2",
            "num_factors": "1",
            "predictor_type": "regressor",
            "mini_batch_size": "10",
            "bias_init_method": "constant",
            "bias_init_value": "1",
            "bias_wd": "0",
        }
    )
    data = make_dataset([{}], [1.0])
    model = Model.initial(settings_)
    full = replace(settings_, mini_batch_size=1)
    Optimizer(model, full).run(data, 0, 1)
    assert model.bias.tolist() == [1.0]
    seen = Optimizer(model, settings_).run(data, 0, 1)
    assert seen.tolist() == [1.0] * 10
    assert model.bias[0] < 1
