import math
from collections.abc import Callable

import numpy as np
import pytest

from local_cloud.sagemaker.errors import SageMakerError
from local_cloud.sagemaker.tuning import gaussian_process
from local_cloud.sagemaker.tuning.search import BayesianSearch, GridSearch, RandomSearch, Search, Trial
from local_cloud.sagemaker.tuning.space import Categorical, Numeric, Values

pytestmark = pytest.mark.slow

SPACE = [
    Numeric("factors_lr", 1e-5, 1.0, "Logarithmic", integer=False),
    Numeric("epochs", 1, 50, "Linear", integer=True),
]


def cost(values: Values) -> float:
    return (math.log10(float(values["factors_lr"])) + 2) ** 2 + (int(values["epochs"]) - 30) ** 2 / 400


def run(search: Search, count: int, of: Callable[[Values], float | None] = cost) -> list[Trial]:
    trials: list[Trial] = []
    for _ in range(count):
        values = search.next(trials)
        assert values is not None
        trials.append(Trial(values, of(values), ended=True))
    return trials


def best(trials: list[Trial]) -> float:
    return min(trial.cost for trial in trials if trial.cost is not None)


@pytest.mark.parametrize("strategy", [RandomSearch, BayesianSearch])
def test_the_seed_decides(strategy: type[RandomSearch] | type[BayesianSearch]) -> None:
    one, same, other = (run(strategy(SPACE, seed), 8) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_random_search_does_not_depend_on_results() -> None:
    assert [trial.values for trial in run(RandomSearch(SPACE, 3), 5)] == [
        trial.values for trial in run(RandomSearch(SPACE, 3), 5, lambda _: None)
    ]


def test_grid_is_every_combination_once() -> None:
    space = [Categorical("epochs", ("1", "2")), Categorical("mini_batch_size", ("100", "200", "300"))]
    grid = GridSearch(space)
    found = run(grid, grid.size, lambda _: None)
    assert grid.size == len({tuple(trial.values.items()) for trial in found}) == 6
    assert grid.next(found) is None
    with pytest.raises(SageMakerError, match="'factors_lr' has another range"):
        GridSearch(SPACE)


def test_bayesian_search_finds_better_values_than_random_search() -> None:
    seeds = range(8)
    bayesian = [best(run(BayesianSearch(SPACE, seed), 15)) for seed in seeds]
    random = [best(run(RandomSearch(SPACE, seed), 15)) for seed in seeds]
    assert np.median(bayesian) < 0.2 * np.median(random)


def test_bayesian_search_learns_which_category_is_best() -> None:
    space = [Categorical("mini_batch_size", ("100", "200", "300", "400")), *SPACE]
    trials = run(
        BayesianSearch(space, 0), 25, lambda values: cost(values) + 2 * (values["mini_batch_size"] != "300")
    )
    late = [trial.values["mini_batch_size"] for trial in trials[12:]]
    assert late.count("300") > len(late) / 2


def test_trials_that_run_keep_others_away() -> None:
    search = BayesianSearch(SPACE, 0)
    trials = run(search, 6)
    for _ in range(3):
        values = search.next(trials)
        assert values is not None
        assert values not in [trial.values for trial in trials]
        trials.append(Trial(values, None, ended=False))


def test_failed_trials_are_avoided() -> None:
    trials = run(
        BayesianSearch(SPACE, 5),
        25,
        lambda values: None if float(values["factors_lr"]) < 1e-3 else cost(values),
    )
    assert sum(trial.cost is None for trial in trials[12:]) < 3


def test_bayesian_search_survives_equal_costs_and_small_spaces() -> None:
    space = [Categorical("epochs", ("1", "2"))]
    assert {trial.values["epochs"] for trial in run(BayesianSearch(space, 0), 10, lambda _: 0.5)} == {
        "1",
        "2",
    }


def test_process_interpolates_and_is_less_sure_far_away() -> None:
    points = np.array([[0.0], [0.3], [0.6]])
    process = gaussian_process.fit(points, np.array([1.0, 0.0, 1.0]))
    mean, deviation = process.forecast(np.array([[0.3], [1.0]]))
    assert mean[0] == pytest.approx(0.0, abs=0.1)
    assert deviation[1] > 3 * deviation[0]
    improvement = process.expected_improvement(np.array([[0.3], [1.0]]), 0.0)
    assert (improvement >= 0).all()


def test_expected_improvement_against_sampling() -> None:
    process = gaussian_process.fit(np.array([[0.0], [0.5], [1.0]]), np.array([1.0, 0.2, 0.7]))
    point = np.array([[0.25]])
    (mean,), (deviation,) = process.forecast(point)
    drawn = np.random.default_rng(0).normal(mean, deviation, 400_000)
    expected = np.maximum(0.2 - drawn, 0).mean()
    assert process.expected_improvement(point, 0.2)[0] == pytest.approx(expected, rel=0.02, abs=1e-4)
