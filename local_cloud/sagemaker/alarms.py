"""The CloudWatch alarms that roll a deployment back."""

import logging
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.sagemaker.cloud import Cloud
from local_cloud.sagemaker.scope import Scope

logger = logging.getLogger("sagemaker")


class RollbackAlarms:
    """Alarms of one account and region, by name."""

    def __init__(self, cloud: Cloud, scope: Scope, names: Sequence[str]) -> None:
        self._cloud = cloud
        self._scope = scope
        self._names = list(names)

    def missing(self) -> list[str]:
        """Return the names that no alarm has.

        Raises:
            ClientError: CloudWatch refuses to say.
        """
        states = self._states()
        return [name for name in self._names if name not in states]

    def alarming(self) -> list[str]:
        """Return the names of those in state ALARM now.

        When CloudWatch does not answer, none is: the next look, a second later, will tell.
        """
        try:
            states = self._states()
        except (ClientError, BotoCoreError):
            logger.warning("The alarms %s cannot be asked", ", ".join(self._names), exc_info=True)
            return []
        return [name for name in self._names if states.get(name) == "ALARM"]

    def _states(self) -> dict[str, str]:
        if not self._names:
            return {}
        answer = self._cloud.client("cloudwatch", self._scope).describe_alarms(
            AlarmNames=self._names, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        return {
            alarm["AlarmName"]: alarm["StateValue"]
            for alarm in answer["MetricAlarms"] + answer["CompositeAlarms"]
        }
