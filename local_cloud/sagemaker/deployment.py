"""How an update moves an endpoint's traffic from the old fleet to the new one: its ``DeploymentConfig``.

As in https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html and in the API reference of
``BlueGreenUpdatePolicy`` and ``RollingUpdatePolicy``. Traffic follows instances: a new fleet of n, of which c
are active, gets c/n of the requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_cloud.sagemaker.errors import validation

InstanceCounts = Mapping[str, int | None]
"""Instances by production variant; None for a serverless one."""

_PERCENT_RANGES = {"CANARY": (1, 50), "LINEAR": (10, 50), "ROLLING": (5, 50)}
_SIZE_MEMBERS = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize", "ROLLING": "MaximumBatchSize"}


@dataclass(frozen=True)
class CapacitySize:
    """A part of a fleet: a number of instances or a percentage of them."""

    unit: str
    value: int

    def instances(self, total: int) -> int:
        """Return how many of `total` instances this is: rounded down, but at least one."""
        return self.value if self.unit == "INSTANCE_COUNT" else max(1, total * self.value // 100)


@dataclass(frozen=True)
class Deployment:
    """A validated ``DeploymentConfig``.

    Attributes:
        routing: ``ALL_AT_ONCE``, ``CANARY``, ``LINEAR`` or ``ROLLING``.
        size: of the first step (``CANARY``) or of each (``LINEAR``, ``ROLLING``); None for ``ALL_AT_ONCE``.
        wait: seconds between two steps.
        termination_wait: seconds between the last step and the end of the old fleet.
        timeout: seconds that the whole deployment may take, or None.
        alarms: names of the CloudWatch alarms that roll it back.
    """

    routing: str = "ALL_AT_ONCE"
    size: CapacitySize | None = None
    wait: int = 0
    termination_wait: int = 0
    timeout: int | None = None
    alarms: tuple[str, ...] = ()

    def stages(self, counts: InstanceCounts) -> list[dict[str, int]]:
        """Return, for each shift of traffic, how many of a variant's new instances are then active."""
        totals = {name: total or 1 for name, total in counts.items()}
        if self.size is None:
            return [totals]
        steps = {name: self.size.instances(total) for name, total in totals.items()}
        if self.routing == "CANARY":
            return [steps, totals]
        number = max(-(-totals[name] // steps[name]) for name in totals)
        return [
            {name: min(totals[name], stage * steps[name]) for name in totals}
            for stage in range(1, number + 1)
        ]

    def require_possible(self, counts: InstanceCounts) -> None:
        """Check that fleets of these sizes can be updated so.

        Raises:
            SageMakerError: ``ValidationException``.
        """
        if self.size is not None:
            for variant, total in counts.items():
                self._require_size(self.size, variant, total)
        waits = self.wait * (len(self.stages(counts)) - 1) + self.termination_wait
        if self.timeout is not None and self.timeout <= waits:
            raise validation(
                f"MaximumExecutionTimeoutInSeconds ({self.timeout}) must be larger than the total waiting "
                f"time of WaitIntervalInSeconds and TerminationWaitInSeconds ({waits})"
            )

    def _require_size(self, size: CapacitySize, variant: str, total: int | None) -> None:
        member = _SIZE_MEMBERS[self.routing]
        if total is None:
            raise validation(
                f"{member} needs instances: production variant {variant} is serverless, to which deployment "
                "guardrails do not apply"
            )
        low, high = _PERCENT_RANGES[self.routing]
        instances = size.instances(total)
        # A percentage is in range already, and rounded; one instance of one is all of them.
        if instances > total * high / 100:
            raise validation(
                f"{member} must be less than or equal to {high}% of the variant's total instance count: "
                f"{instances} of {total} instance(s) of production variant {variant}"
            )
        if size.unit == "INSTANCE_COUNT" and instances < total * low / 100:
            raise validation(
                f"{member} must be at least {low}% of the variant's total instance count: {instances} of "
                f"{total} instance(s) of production variant {variant}"
            )


def parse(config: Mapping[str, Any] | None) -> Deployment:
    """Return a ``DeploymentConfig``, whose types and bounds have been checked, as a `Deployment`.

    Raises:
        SageMakerError: ``ValidationException``: its parts contradict each other.
    """
    if config is None:
        return Deployment()
    alarms = tuple(
        alarm["AlarmName"] for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    )
    if "BlueGreenUpdatePolicy" in config and "RollingUpdatePolicy" in config:
        raise validation("Only one of BlueGreenUpdatePolicy and RollingUpdatePolicy can be specified")
    if "RollingUpdatePolicy" in config:
        policy = config["RollingUpdatePolicy"]
        return Deployment(
            routing="ROLLING",
            size=_size("ROLLING", policy),
            wait=policy["WaitIntervalInSeconds"],
            # Every batch is watched, the last one too.
            termination_wait=policy["WaitIntervalInSeconds"],
            timeout=policy.get("MaximumExecutionTimeoutInSeconds"),
            alarms=alarms,
        )
    policy = config.get("BlueGreenUpdatePolicy")
    if policy is None:
        return Deployment(alarms=alarms)
    routing = policy["TrafficRoutingConfiguration"]
    return Deployment(
        routing=routing["Type"],
        size=_size(routing["Type"], routing),
        wait=routing["WaitIntervalInSeconds"],
        termination_wait=policy.get("TerminationWaitInSeconds", 0),
        timeout=policy.get("MaximumExecutionTimeoutInSeconds"),
        alarms=alarms,
    )


def _size(routing: str, members: Mapping[str, Any]) -> CapacitySize | None:
    own = _SIZE_MEMBERS.get(routing)
    for member in ("CanarySize", "LinearStepSize"):
        if member in members and member != own:
            raise validation(f"{member} cannot be specified for traffic routing type {routing}")
    if own is None:
        return None
    if own not in members:
        raise validation(f"{own} is required for traffic routing type {routing}")
    size = CapacitySize(members[own]["Type"], members[own]["Value"])
    low, high = _PERCENT_RANGES[routing]
    if size.unit == "CAPACITY_PERCENT" and not low <= size.value <= high:
        raise validation(f"{own} must be between {low}% and {high}% of the fleet, not {size.value}%")
    return size
