"""DeploymentConfig: what is refused, and how the traffic moves."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.sagemaker import deployment
from local_cloud.sagemaker.errors import SageMakerError


def blue_green(routing: dict[str, Any], **policy: Any) -> dict[str, Any]:
    configuration = {"WaitIntervalInSeconds": 60, **routing}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": configuration, **policy}}


def canary(value: int, unit: str = "CAPACITY_PERCENT", **policy: Any) -> dict[str, Any]:
    return blue_green({"Type": "CANARY", "CanarySize": {"Type": unit, "Value": value}}, **policy)


def linear(value: int, unit: str = "CAPACITY_PERCENT", **policy: Any) -> dict[str, Any]:
    return blue_green({"Type": "LINEAR", "LinearStepSize": {"Type": unit, "Value": value}}, **policy)


def rolling(value: int, unit: str = "CAPACITY_PERCENT") -> dict[str, Any]:
    size = {"Type": unit, "Value": value}
    return {"RollingUpdatePolicy": {"MaximumBatchSize": size, "WaitIntervalInSeconds": 60}}


def stages(config: dict[str, Any] | None, instances: int) -> list[int]:
    plan = deployment.parse(config)
    plan.require_possible({"v": instances})
    return [stage["v"] for stage in plan.stages({"v": instances})]


@pytest.mark.parametrize(
    ("config", "instances", "active"),
    [
        (None, 3, [3]),
        ({}, 1, [1]),
        (blue_green({"Type": "ALL_AT_ONCE"}), 4, [4]),
        (canary(50), 2, [1, 2]),
        (canary(10), 2, [1, 2]),
        (canary(30), 10, [3, 10]),
        (canary(50), 3, [1, 3]),
        (canary(2, "INSTANCE_COUNT"), 4, [2, 4]),
        (linear(20), 10, [2, 4, 6, 8, 10]),
        (linear(40), 10, [4, 8, 10]),
        (linear(1, "INSTANCE_COUNT"), 2, [1, 2]),
        (rolling(5), 4, [1, 2, 3, 4]),
    ],
)
def test_traffic_moves_in_stages(config: dict[str, Any] | None, instances: int, active: list[int]) -> None:
    assert stages(config, instances) == active


@given(instances=st.integers(2, 100), percent=st.integers(10, 50))
def test_steps_grow_to_the_whole_fleet(instances: int, percent: int) -> None:
    for config in (canary(percent), linear(percent)):
        active = stages(config, instances)
        assert active == sorted(set(active))
        assert active[0] <= instances / 2
        assert active[-1] == instances


def test_waits_between_stages_and_after_the_last() -> None:
    alarms = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}, {"AlarmName": "b"}]}}
    plan = deployment.parse(
        canary(50, TerminationWaitInSeconds=120, MaximumExecutionTimeoutInSeconds=600) | alarms
    )
    assert (plan.wait, plan.termination_wait, plan.timeout, plan.alarms) == (60, 120, 600, ("a", "b"))
    assert deployment.parse(rolling(50)).termination_wait == 60


@pytest.mark.parametrize(
    ("config", "instances", "message"),
    [
        (canary(51), 4, "CanarySize must be between 1% and 50% of the fleet, not 51%"),
        (linear(9), 10, "LinearStepSize must be between 10% and 50% of the fleet, not 9%"),
        (rolling(4), 10, "MaximumBatchSize must be between 5% and 50% of the fleet, not 4%"),
        (
            canary(50),
            1,
            "CanarySize must be less than or equal to 50% of the variant's total instance count: 1 of 1 "
            "instance(s) of production variant v",
        ),
        (canary(3, "INSTANCE_COUNT"), 4, "CanarySize must be less than or equal to 50%"),
        (linear(1, "INSTANCE_COUNT"), 11, "LinearStepSize must be at least 10% of"),
        (rolling(2, "INSTANCE_COUNT"), 3, "MaximumBatchSize must be less than or equal to 50%"),
        (blue_green({"Type": "CANARY"}), 2, "CanarySize is required for traffic routing type CANARY"),
        (blue_green({"Type": "LINEAR"}), 2, "LinearStepSize is required for traffic routing type LINEAR"),
        (
            blue_green({"Type": "ALL_AT_ONCE", "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1}}),
            2,
            "CanarySize cannot be specified for traffic routing type ALL_AT_ONCE",
        ),
        (canary(50) | rolling(50), 2, "Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy"),
        (
            canary(50, TerminationWaitInSeconds=540, MaximumExecutionTimeoutInSeconds=600),
            2,
            "MaximumExecutionTimeoutInSeconds (600) must be larger than the total waiting time of "
            "WaitIntervalInSeconds and TerminationWaitInSeconds (600)",
        ),
    ],
)
def test_contradictions_are_refused(config: dict[str, Any], instances: int, message: str) -> None:
    with pytest.raises(SageMakerError) as caught:
        stages(config, instances)
    assert caught.value.code == "ValidationException"
    assert caught.value.message.startswith(message)


def test_serverless_variant_has_no_canary() -> None:
    with pytest.raises(SageMakerError, match="production variant v is serverless"):
        deployment.parse(canary(50)).require_possible({"v": None})
    deployment.parse(blue_green({"Type": "ALL_AT_ONCE"})).require_possible({"v": None})
