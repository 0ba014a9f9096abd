"""An endpoint's statuses, events and requests while fleets that start nothing replace each other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from local_cloud.sagemaker.context import Context
from local_cloud.sagemaker.deployment import Deployment
from local_cloud.sagemaker.endpoint import Endpoint
from local_cloud.sagemaker.fleet import Fleet, NotStartedError
from local_cloud.sagemaker.scope import Scope

SCOPE = Scope("111111111111", "us-east-1")


class StubVariant:
    name = "v"
    instances = 2

    def __init__(self) -> None:
        self.requests = 0
        self.record: dict[str, Any] = {"VariantName": "v", "CurrentWeight": 1.0, "CurrentInstanceCount": 2}

    def enter(self) -> None:
        self.requests += 1

    def leave(self) -> None:
        self.requests -= 1

    def pending(self, active: int, status: dict[str, Any]) -> dict[str, Any]:
        return {"VariantName": self.name, "CurrentInstanceCount": active, "VariantStatus": [status]}


class StubFleet:
    def __init__(self, config_name: str, start: Callable[[], None] = lambda: None) -> None:
        self.config_name, self._start, self.stopped = config_name, start, False
        self.variants = [StubVariant()]

    def start(self, _given_up: object) -> None:
        self._start()

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def endpoint(cloud: Any, tmp_path: Path) -> Endpoint:
    endpoint = Endpoint(Context(cloud, tmp_path), SCOPE, "e")
    endpoint.begin("Creating", EndpointConfigName="first")
    return endpoint


def deploy(endpoint: Endpoint, fleet: StubFleet) -> StubFleet:
    endpoint.deploy(cast("Fleet", fleet), Deployment())
    return fleet


def broken() -> None:
    raise NotStartedError("the container ended")


def statuses(cloud: Any) -> list[str]:
    return [
        detail["EndpointStatus"]
        for kind, detail, _ in cloud.events
        if kind == "SageMaker Endpoint State Change"
    ]


def test_broken_fleet_is_rolled_back(endpoint: Endpoint, cloud: Any) -> None:
    first = deploy(endpoint, StubFleet("first"))
    assert endpoint.begin("Updating")
    seen: list[dict[str, Any]] = []

    def look_and_break() -> None:
        seen.append(endpoint.describe())
        broken()

    second = deploy(endpoint, StubFleet("second", look_and_break))
    (during,) = seen
    assert (during["EndpointStatus"], during["EndpointConfigName"]) == ("Updating", "first")
    assert during["PendingDeploymentSummary"]["EndpointConfigName"] == "second"
    after = endpoint.describe()
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "first")
    assert after["FailureReason"] == "the container ended"
    assert after["PendingDeploymentSummary"] is None
    assert (first.stopped, second.stopped) == (False, True)
    assert statuses(cloud) == ["CREATING", "IN_SERVICE", "UPDATING", "ROLLING_BACK", "IN_SERVICE"]
    with endpoint.serving(None) as variant:
        assert cast("object", variant) is first.variants[0]


def test_broken_first_fleet_fails_the_endpoint(endpoint: Endpoint, cloud: Any) -> None:
    assert deploy(endpoint, StubFleet("first", broken)).stopped
    assert statuses(cloud) == ["CREATING", "FAILED"]
    with endpoint.serving(None) as variant:
        assert variant is None


def test_success_ends_the_old_fleet_and_forgets_the_failure(endpoint: Endpoint) -> None:
    first = deploy(endpoint, StubFleet("first"))
    endpoint.begin("Updating")
    deploy(endpoint, StubFleet("second", broken))
    endpoint.begin("Updating")
    third = deploy(endpoint, StubFleet("third"))
    after = endpoint.describe()
    assert (after["EndpointConfigName"], after["FailureReason"]) == ("third", None)
    assert (first.stopped, third.stopped) == (True, False)


def test_one_change_at_a_time(endpoint: Endpoint) -> None:
    assert not endpoint.begin("Updating")
    deploy(endpoint, StubFleet("first"))
    assert endpoint.begin("Deleting")
    assert not endpoint.begin("Updating")


def test_request_is_counted_until_it_is_answered(endpoint: Endpoint) -> None:
    fleet = deploy(endpoint, StubFleet("first"))
    with endpoint.serving("v") as variant:
        assert cast("object", variant) is fleet.variants[0]
        assert fleet.variants[0].requests == 1
    assert fleet.variants[0].requests == 0
    with endpoint.serving("absent") as absent:
        assert absent is None
    endpoint.close()
    assert fleet.stopped
    with endpoint.serving("v") as none:
        assert none is None
