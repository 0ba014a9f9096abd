from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.sagemaker.alarms import RollbackAlarms
from local_cloud.sagemaker.scope import Scope

SCOPE = Scope("222222222222", "eu-west-1")


def cloud(describe_alarms: Callable[..., dict[str, Any]]) -> Any:
    class CloudWatch:
        def __init__(self) -> None:
            self.describe_alarms = describe_alarms

    class Cloud:
        def client(self, service: str, scope: Scope) -> CloudWatch:
            assert (service, scope) == ("cloudwatch", SCOPE)
            return CloudWatch()

    return Cloud()


def states(**known: str) -> Callable[..., dict[str, Any]]:
    def describe_alarms(*, AlarmNames: list[str], AlarmTypes: list[str]) -> dict[str, Any]:  # noqa: N803
        assert AlarmTypes == ["MetricAlarm", "CompositeAlarm"]
        found = [{"AlarmName": name, "StateValue": known[name]} for name in AlarmNames if name in known]
        return {"MetricAlarms": found[:1], "CompositeAlarms": found[1:]}

    return describe_alarms


def test_alarms_that_ring_or_do_not_exist() -> None:
    alarms = RollbackAlarms(cloud(states(a="OK", b="ALARM", other="ALARM")), SCOPE, ["a", "b", "c"])
    assert alarms.alarming() == ["b"]
    assert alarms.missing() == ["c"]


def test_no_alarms_are_not_asked_for() -> None:
    def describe_alarms(**_request: object) -> dict[str, Any]:
        pytest.fail("an empty list of names would describe every alarm")

    alarms = RollbackAlarms(cloud(describe_alarms), SCOPE, [])
    assert alarms.alarming() == alarms.missing() == []


def test_silent_cloudwatch_rings_nothing_but_is_no_answer_to_what_exists() -> None:
    def describe_alarms(**_request: object) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": "InternalFailure", "Message": "no"}}, "DescribeAlarms")

    alarms = RollbackAlarms(cloud(describe_alarms), SCOPE, ["a"])
    assert alarms.alarming() == []
    with pytest.raises(ClientError):
        alarms.missing()
