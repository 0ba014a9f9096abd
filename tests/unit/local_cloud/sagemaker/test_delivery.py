from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from local_cloud.sagemaker.delivery import Datum, as_requests
from local_cloud.sagemaker.endpoint_metrics import Invocation

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def test_values_of_a_metric_and_second_go_together() -> None:
    def datum(value: float, second: int = 5, **dimensions: str) -> Datum:
        moment = MOMENT.replace(second=second)
        return Datum("n", "m", value, {"EndpointName": "e", **dimensions}, "Microseconds", moment)

    data = [datum(1), datum(2), datum(1), datum(1, second=6), datum(1, VariantName="v")]
    first, later, variant = as_requests(data)
    assert first == {
        "MetricName": "m",
        "Unit": "Microseconds",
        "Dimensions": [{"Name": "EndpointName", "Value": "e"}],
        # Not before the moment itself: that could be before the job's start.
        "Timestamp": MOMENT.replace(second=6, microsecond=0),
        "Values": [1, 2],
        "Counts": [2.0, 1.0],
    }
    assert later["Timestamp"].second == 7
    assert variant["Dimensions"][1] == {"Name": "VariantName", "Value": "v"}


@given(values=st.lists(st.integers(0, 400), max_size=600))
def test_no_value_is_lost_and_none_exceeds_the_api(values: list[int]) -> None:
    requests = list(as_requests([Datum("n", "m", value, {}) for value in values]))
    assert all(1 <= len(request["Values"]) <= 150 for request in requests)
    assert all("Timestamp" not in request for request in requests)
    back = [
        value
        for request in requests
        for value, count in zip(request["Values"], request["Counts"], strict=True)
        for _ in range(int(count))
    ]
    assert sorted(back) == sorted(values)


def test_invocation_is_measured_for_the_variant_and_for_its_configuration() -> None:
    data = Invocation("e", "v", "c", 2, 500, 0.25, 0.0015).data()
    variant = {"EndpointName": "e", "VariantName": "v"}
    assert [datum.dimensions for datum in data[::6]] == [variant, {**variant, "EndpointConfigName": "c"}]
    assert {datum.name: (datum.value, datum.unit) for datum in data[:6]} == {
        "Invocations": (1, "None"),
        "InvocationsPerInstance": (0.5, "None"),
        "Invocation4XXErrors": (0, "None"),
        "Invocation5XXErrors": (1, "None"),
        "ModelLatency": (250_000, "Microseconds"),
        "OverheadLatency": (1_500, "Microseconds"),
    }
    assert {datum.namespace for datum in data} == {"AWS/SageMaker"}
    client_error = {datum.name: datum.value for datum in Invocation("e", "v", "c", None, 400, 0, 0).data()}
    assert (client_error["Invocation4XXErrors"], client_error["Invocation5XXErrors"]) == (1, 0)
