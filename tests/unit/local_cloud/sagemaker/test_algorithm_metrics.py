import pytest

from local_cloud.sagemaker.algorithm_metrics import METRIC_DEFINITIONS, metrics_in

PREFIX = "[11/24/2026 10:00:00 INFO 140254] "


@pytest.mark.parametrize(
    ("line", "metrics"),
    [
        (
            "#quality_metric: host=algo-1, epoch=0, batch=0 train rmse <loss>=3.846082752497988",
            {"train:rmse:batch": 3.846082752497988},
        ),
        (
            "#quality_metric: host=algo-1, epoch=0, train rmse <loss>=1.8169458122088216",
            {"train:rmse:epoch": 1.8169458122088216},
        ),
        ("#quality_metric: host=algo-1, train mse <loss>=3.3", {"train:mse": 3.3}),
        ("#quality_metric: host=algo-1, test absolute_loss <loss>=0.5", {"test:absolute_loss": 0.5}),
        (
            "#quality_metric: host=algo-1, epoch=9, train binary_f_1.000 <score>=0.74",
            {"train:binary_f_beta:epoch": 0.74},
        ),
        (
            "#quality_metric: host=algo-1, test binary_classification_cross_entropy <loss>=0.57",
            {"test:binary_classification_cross_entropy": 0.57},
        ),
        ("#progress_metric: host=algo-1, completed 2.0 % of epochs", {"train:progress": 2.0}),
        (
            "#throughput_metric: host=algo-1, train throughput=256049.6 records/second",
            {"train:throughput": 256049.6},
        ),
        ("#test_score (algo-1) : ('rmse', 68.74431145296938)", {}),
        ('#metrics {"Metrics": {}}', {}),
        ("#quality_metric: host=algo-1, test rmse <loss>=abc", {}),
    ],
)
def test_log_lines_give_their_metrics(line: str, metrics: dict[str, float]) -> None:
    found = dict(metrics_in(PREFIX + line))
    assert found == pytest.approx(metrics, rel=1e-7)


def test_values_are_float32() -> None:
    ((_, value),) = metrics_in("#quality_metric: host=algo-1, test rmse <loss>=0.1")
    assert value == 0.10000000149011612


def test_definitions_are_within_the_limit_of_a_training_job() -> None:
    assert len(METRIC_DEFINITIONS) <= 40
    assert len({each["Name"] for each in METRIC_DEFINITIONS}) == len(METRIC_DEFINITIONS)
