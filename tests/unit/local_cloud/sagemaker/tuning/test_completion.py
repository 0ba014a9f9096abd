import pytest

from local_cloud.sagemaker.tuning.algorithm import Objective
from local_cloud.sagemaker.tuning.completion import Completion

ACCURACY = Objective("test:binary_classification_accuracy", maximize=True)
RMSE = Objective("test:rmse", maximize=False)


def test_best_is_the_first_of_the_best() -> None:
    assert Completion({}, ACCURACY).best([None, 0.5, 0.7, 0.7]) == 2
    assert Completion({}, RMSE).best([1.0, None, 0.9]) == 2
    assert Completion({}, RMSE).best([None]) is None


@pytest.mark.parametrize(
    ("objective", "target", "metrics", "met"),
    [
        (ACCURACY, 0.7, [0.69], False),
        (ACCURACY, 0.7, [0.69, 0.7], True),
        (RMSE, 0.9, [0.91, None], False),
        (RMSE, 0.9, [0.89], True),
        (RMSE, 0.9, [], False),
    ],
)
def test_target(objective: Objective, target: float, metrics: list[float | None], met: bool) -> None:
    assert Completion({"TargetObjectiveMetricValue": target}, objective).met(metrics) is met


def test_no_improvement_by_one_percent() -> None:
    completion = Completion({"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}, RMSE)
    metrics: list[float | None] = [1.0, 0.995, None, 0.98, 0.979, 0.975, 0.99]
    assert [completion.not_improving(metrics[:n]) for n in range(8)] == [0, 0, 1, 1, 0, 1, 2, 3]
    assert not completion.met(metrics[:6])
    assert completion.met(metrics)
