"""A deployment under way: a new fleet comes up beside the old one and takes its traffic over.

CloudWatch's alarms are watched in the "baking periods", the waits between and after the shifts of traffic:
``WaitIntervalInSeconds`` at the canary or step, ``TerminationWaitInSeconds`` with all traffic moved while the
old fleet is kept
(https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html).
"""

import time
from collections.abc import Callable, Mapping

from local_cloud.sagemaker.alarms import RollbackAlarms
from local_cloud.sagemaker.deployment import Deployment
from local_cloud.sagemaker.fleet import Fleet, NotStartedError
from local_cloud.sagemaker.service_model import now
from local_cloud.sagemaker.table import Record

ALARM_INTERVAL_SECONDS = 1.0
"""How often the alarms are asked."""


class DeploymentError(Exception):
    """Why a deployment must be rolled back: the endpoint's ``FailureReason``."""


class Rollout:
    """Carries out a `Deployment` of a fleet.

    Args:
        fleet: the new one, not started.
        deployment: how its traffic is moved to it.
        alarms: those of the deployment.
        activate: shares out the traffic, given how many instances of each new variant serve.
        report: takes the ``PendingDeploymentSummary`` whenever it has changed.
    """

    def __init__(
        self,
        fleet: Fleet,
        deployment: Deployment,
        alarms: RollbackAlarms,
        *,
        activate: Callable[[Mapping[str, int]], None],
        report: Callable[[Record], None],
    ) -> None:
        self.fleet = fleet
        self._deployment = deployment
        self._alarms = alarms
        self._activate = activate
        self._report = report
        self._started = now()
        self._deadline = time.monotonic() + (deployment.timeout or float("inf"))
        self._totals = {variant.name: variant.instances or 1 for variant in fleet.variants}
        self._active = dict.fromkeys(self._totals, 0)

    def run(self) -> None:
        """Start the fleet and give it all of the traffic, step by step.

        Raises:
            DeploymentError: it did not come up, an alarm rings, or the time is over.
        """
        self._enter("Creating", "Launching {} instance(s).", self._totals)
        try:
            self.fleet.start(self._late)
        except NotStartedError as error:
            self._require_time()
            raise DeploymentError(str(error)) from error
        stages = self._deployment.stages({variant.name: variant.instances for variant in self.fleet.variants})
        for stage in stages[:-1]:
            capacity = "canary" if self._deployment.routing == "CANARY" else "partial"
            self._shift(stage, capacity, "WaitIntervalInSeconds", self._deployment.wait)
        self._shift(stages[-1], "full", "TerminationWaitInSeconds", self._deployment.termination_wait)

    def retreat(self) -> None:
        """Report that the fleet ends."""
        self._enter("Deleting", "Terminating {} instance(s).", self._totals)

    def _shift(self, stage: dict[str, int], capacity: str, member: str, seconds: int) -> None:
        self._active = stage
        self._enter(
            "ActivatingTraffic", f"Activating traffic on {capacity} capacity of {{}} instance(s).", stage
        )
        self._activate(stage)
        if seconds:
            self._enter(
                "Baking",
                f"Baking for {seconds} seconds ({member}) with traffic enabled on {capacity} capacity of "
                "{} instance(s).",
                stage,
            )
            self._bake(seconds)

    def _bake(self, seconds: int) -> None:
        end = time.monotonic() + seconds
        while True:
            self._require_time()
            if alarming := self._alarms.alarming():
                raise DeploymentError(
                    "The deployment was rolled back because of CloudWatch alarms in state ALARM: "
                    f"{', '.join(alarming)}"
                )
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, ALARM_INTERVAL_SECONDS))

    def _require_time(self) -> None:
        if self._late():
            raise DeploymentError(
                "The deployment was rolled back because it exceeded MaximumExecutionTimeoutInSeconds "
                f"({self._deployment.timeout})"
            )

    def _late(self) -> bool:
        return time.monotonic() > self._deadline

    def _enter(self, status: str, message: str, instances: Mapping[str, int]) -> None:
        moment = now()
        self._report(
            {
                "EndpointConfigName": self.fleet.config_name,
                "StartTime": self._started,
                "ProductionVariants": [
                    variant.pending(
                        self._active[variant.name],
                        {
                            "Status": status,
                            "StatusMessage": message.format(instances[variant.name]),
                            "StartTime": moment,
                        },
                    )
                    for variant in self.fleet.variants
                ],
            }
        )
