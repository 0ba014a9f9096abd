"""A deployment step by step, with a clock of its own and fleets that start nothing."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from local_cloud.sagemaker import rollout
from local_cloud.sagemaker.alarms import RollbackAlarms
from local_cloud.sagemaker.deployment import CapacitySize, Deployment
from local_cloud.sagemaker.fleet import Fleet, NotStartedError, routes
from local_cloud.sagemaker.rollout import DeploymentError, Rollout

HALF = CapacitySize("CAPACITY_PERCENT", 50)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(rollout, "time", fake)
    return fake


class StubVariant:
    def __init__(self, name: str, instances: int | None, weight: float = 1.0) -> None:
        self.name, self.instances = name, instances
        self.record = {"CurrentWeight": weight}

    def pending(self, active: int, status: Mapping[str, Any]) -> dict[str, Any]:
        return {"VariantName": self.name, "CurrentInstanceCount": active, "VariantStatus": [status]}


class StubFleet:
    config_name = "new"

    def __init__(self, *variants: StubVariant, start: Callable[[Callable[[], bool]], None] | None = None):
        self.variants = list(variants)
        self.start = start or (lambda _given_up: None)


class StubAlarms:
    """Rings from `since` seconds on."""

    def __init__(self, clock: Clock, since: float = float("inf")) -> None:
        self._clock, self._since, self.asked = clock, since, 0

    def alarming(self) -> list[str]:
        self.asked += 1
        return ["errors"] if self._clock.seconds >= self._since else []


class Run:
    """A rollout and what it does: (seconds, active instances) and (seconds, status, message)."""

    def __init__(self, clock: Clock, fleet: StubFleet, deployment: Deployment, alarms: StubAlarms) -> None:
        self.shifts: list[tuple[float, dict[str, int]]] = []
        self.reports: list[tuple[float, str, str]] = []

        def report(summary: dict[str, Any]) -> None:
            (status,) = summary["ProductionVariants"][0]["VariantStatus"]
            self.reports.append((clock.seconds, status["Status"], status["StatusMessage"]))

        self.rollout = Rollout(
            cast("Fleet", fleet),
            deployment,
            cast("RollbackAlarms", alarms),
            activate=lambda active: self.shifts.append((clock.seconds, dict(active))),
            report=report,
        )


def test_canary_waits_twice_and_says_so(clock: Clock) -> None:
    alarms = StubAlarms(clock)
    deployment = Deployment("CANARY", HALF, wait=300, termination_wait=120)
    run = Run(clock, StubFleet(StubVariant("v", 4)), deployment, alarms)
    run.rollout.run()
    assert run.shifts == [(0, {"v": 2}), (300, {"v": 4})]
    assert clock.seconds == 420
    assert alarms.asked > 420
    assert run.reports == [
        (0, "Creating", "Launching 4 instance(s)."),
        (0, "ActivatingTraffic", "Activating traffic on canary capacity of 2 instance(s)."),
        (
            0,
            "Baking",
            "Baking for 300 seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity of 2 "
            "instance(s).",
        ),
        (300, "ActivatingTraffic", "Activating traffic on full capacity of 4 instance(s)."),
        (
            300,
            "Baking",
            "Baking for 120 seconds (TerminationWaitInSeconds) with traffic enabled on full capacity of 4 "
            "instance(s).",
        ),
    ]


@pytest.mark.parametrize(
    ("since", "shifts", "ended"), [(0, 1, 0), (100, 1, 100), (299.5, 1, 300), (301, 2, 301), (420, 2, 420)]
)
def test_alarm_in_a_wait_stops_it(clock: Clock, since: float, shifts: int, ended: float) -> None:
    deployment = Deployment("CANARY", HALF, wait=300, termination_wait=120, alarms=("errors",))
    run = Run(clock, StubFleet(StubVariant("v", 4)), deployment, StubAlarms(clock, since))
    with pytest.raises(DeploymentError, match="because of CloudWatch alarms in state ALARM: errors"):
        run.rollout.run()
    assert clock.seconds == ended
    assert len(run.shifts) == shifts


def test_alarm_means_nothing_where_nothing_is_waited_for(clock: Clock) -> None:
    run = Run(clock, StubFleet(StubVariant("v", 4)), Deployment(alarms=("errors",)), StubAlarms(clock, 0))
    run.rollout.run()
    assert run.shifts == [(0, {"v": 4})]


def test_fleet_that_comes_up_too_slowly_exceeds_the_time(clock: Clock) -> None:
    def start(given_up: Callable[[], bool]) -> None:
        while not given_up():
            clock.sleep(1)
        raise NotStartedError("/ping did not answer")

    fleet = StubFleet(StubVariant("v", 4), start=start)
    run = Run(clock, fleet, Deployment(timeout=600), StubAlarms(clock))
    with pytest.raises(DeploymentError, match="exceeded MaximumExecutionTimeoutInSeconds"):
        run.rollout.run()
    assert run.shifts == []


def test_time_limit_is_kept(clock: Clock) -> None:
    def start(_given_up: object) -> None:
        clock.sleep(500)

    deployment = Deployment("CANARY", HALF, wait=300, timeout=600)
    run = Run(clock, StubFleet(StubVariant("v", 2), start=start), deployment, StubAlarms(clock))
    with pytest.raises(DeploymentError, match=r"exceeded MaximumExecutionTimeoutInSeconds \(600\)"):
        run.rollout.run()
    assert 600 <= clock.seconds <= 602
    assert len(run.shifts) == 1


def test_reason_of_a_fleet_that_does_not_come_up_is_its_own(clock: Clock) -> None:
    def start(_given_up: object) -> None:
        raise NotStartedError("the container ended")

    run = Run(clock, StubFleet(StubVariant("v", 2), start=start), Deployment(), StubAlarms(clock))
    with pytest.raises(DeploymentError, match=r"^the container ended$"):
        run.rollout.run()


def shares(old: StubFleet | None, new: StubFleet | None, active: dict[str, int]) -> list[float]:
    found = routes(cast("Fleet | None", old), cast("Fleet | None", new), active)
    return [round(weight, 9) for _, weight in found]


def test_requests_follow_instances_between_fleets_and_weights_within() -> None:
    old = StubFleet(StubVariant("a", 4, weight=3.0), StubVariant("b", 4, weight=1.0))
    new = StubFleet(StubVariant("a", 4))
    assert shares(None, new, {"a": 4}) == [1]
    assert shares(old, new, {"a": 1}) == [0.25, 0.75 * 0.75, 0.25 * 0.75]
    assert shares(old, new, {"a": 4}) == [1]
    assert shares(None, old, {"a": 4, "b": 4}) == [0.75, 0.25]
    assert shares(None, StubFleet(StubVariant("a", None)), {"a": 1}) == [1]
    assert shares(None, StubFleet(StubVariant("a", 2, weight=0.0)), {"a": 2}) == []
