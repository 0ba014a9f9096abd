"""One endpoint: the fleet that serves it, and how an update replaces that fleet."""

import logging
import random
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from local_cloud.sagemaker.alarms import RollbackAlarms
from local_cloud.sagemaker.context import Context
from local_cloud.sagemaker.deployment import Deployment
from local_cloud.sagemaker.fleet import Fleet, Routes, Variant, routes
from local_cloud.sagemaker.rollout import DeploymentError, Rollout
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.service_model import now
from local_cloud.sagemaker.table import Record

logger = logging.getLogger("sagemaker")

_CHANGING = ("Creating", "Updating", "RollingBack", "Deleting")
_WEIGHT_MEMBERS = ("CurrentWeight", "DesiredWeight", "CurrentInstanceCount", "DesiredInstanceCount")
_EVENT = "SageMaker Endpoint State Change"
_DEPLOYMENT_EVENT = "SageMaker Endpoint Deployment State Change"


class Endpoint:
    """A name, the fleet that serves it, and the deployment that replaces that fleet."""

    def __init__(self, context: Context, scope: Scope, name: str) -> None:
        self.name = name
        self.arn = scope.arn("endpoint", name)
        self._context = context
        self._scope = scope
        self._changed = threading.Condition()
        self._fleet: Fleet | None = None
        self._routes: Routes = ()
        moment = now()
        self._record: Record = {
            "EndpointName": name,
            "EndpointArn": self.arn,
            "CreationTime": moment,
            "LastModifiedTime": moment,
        }

    def describe(self) -> Record:
        """Return the endpoint as DescribeEndpoint does."""
        with self._changed:
            variants = [
                {name: value for name, value in variant.record.items() if value is not None}
                for variant in (self._fleet.variants if self._fleet else [])
            ]
            return {**self._record, **({"ProductionVariants": variants} if variants else {})}

    @property
    def status(self) -> str:
        """EndpointStatus."""
        with self._changed:
            return str(self._record["EndpointStatus"])

    @property
    def changing(self) -> bool:
        """Whether a change is under way."""
        return self._record["EndpointStatus"] in _CHANGING

    def enter(self, status: str, **members: object) -> None:
        """Take on a status."""
        with self._changed:
            self._record |= {"EndpointStatus": status, "LastModifiedTime": now(), **members}
            self._changed.notify_all()
        self._publish(_EVENT)

    def begin(self, status: str, **members: object) -> bool:
        """Take on a status in which a change is under way, unless one is; return whether this happened."""
        with self._changed:
            if self._record.get("EndpointStatus") in _CHANGING:
                return False
            self._record |= {"EndpointStatus": status, "LastModifiedTime": now(), **members}
        self._publish(_EVENT)
        return True

    def _publish(self, event: str) -> None:
        detail = self.describe()
        # Events spell the status IN_SERVICE
        # (https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html).
        detail["EndpointStatus"] = re.sub(r"(?<!^)(?=[A-Z])", "_", detail["EndpointStatus"]).upper()
        self._context.publish(self._scope, event, detail, [self.arn])

    def wait(self, timeout: float) -> str:
        """Wait at most `timeout` seconds for a change to be over; return the status."""
        with self._changed:
            self._changed.wait_for(lambda: not self.changing, timeout)
            return str(self._record["EndpointStatus"])

    def retained(self, excluded: set[str]) -> dict[str, Record]:
        """Return the weights and counts of the present variants, less the `excluded` property types."""
        kept = [
            member
            for member in _WEIGHT_MEMBERS
            if not (member.endswith("Weight") and "DesiredWeight" in excluded)
            and not (member.endswith("InstanceCount") and "DesiredInstanceCount" in excluded)
        ]
        with self._changed:
            return {
                variant.name: {member: variant.record[member] for member in kept}
                for variant in (self._fleet.variants if self._fleet else [])
            }

    # -- requests --------------------------------------------------------------------------------------------

    @contextmanager
    def serving(self, target: str | None) -> Iterator[Variant | None]:
        """Give the variant that answers a request: one at random by weight; None when there is none.

        It is not ended before the block is left, whichever way the endpoint changes meanwhile.

        Args:
            target: the variant's name, when the caller asks for one.
        """
        with self._changed:
            candidates = [
                (variant, weight) for variant, weight in self._routes if target in (None, variant.name)
            ]
            variant = (
                random.choices(*zip(*candidates, strict=True))[0]  # noqa: S311
                if candidates
                else None
            )
            if variant is not None:
                variant.enter()
        try:
            yield variant
        finally:
            if variant is not None:
                variant.leave()

    # -- changes ---------------------------------------------------------------------------------------------

    def deploy(self, fleet: Fleet, deployment: Deployment) -> None:
        """Start `fleet` beside the present one, move the traffic to it as `deployment` says, end the old one.

        When the new fleet does not come up, an alarm rings or the time is over, all of the traffic goes back
        to the old fleet and the new one ends. No request fails in either case.
        """
        rollout = Rollout(
            fleet,
            deployment,
            RollbackAlarms(self._context.cloud, self._scope, deployment.alarms),
            activate=lambda active: self._share_out(fleet, active),
            report=self._report,
        )
        try:
            rollout.run()
        except DeploymentError as error:
            self._roll_back(rollout, str(error))
        except Exception as error:
            logger.exception("Endpoint %s", self.name)
            self._roll_back(rollout, f"InternalServerError: {error}")
        else:
            self._complete(fleet)

    def _share_out(self, new: Fleet, active: Mapping[str, int]) -> None:
        with self._changed:
            self._routes = routes(self._fleet, new, active)

    def _report(self, summary: Record) -> None:
        with self._changed:
            self._record |= {"PendingDeploymentSummary": summary, "LastModifiedTime": now()}
        self._publish(_DEPLOYMENT_EVENT)

    def _complete(self, fleet: Fleet) -> None:
        with self._changed:
            old, self._fleet = self._fleet, fleet
            self._routes = routes(None, fleet, _all_of(fleet))
            self._record["EndpointConfigName"] = fleet.config_name
        self.enter("InService", FailureReason=None, PendingDeploymentSummary=None)
        if old is not None:
            old.stop()

    def _roll_back(self, rollout: Rollout, reason: str) -> None:
        first = self._fleet is None
        with self._changed:
            self._routes = () if self._fleet is None else routes(None, self._fleet, _all_of(self._fleet))
        if not first:
            self.enter("RollingBack", FailureReason=reason)
        rollout.retreat()
        rollout.fleet.stop()
        self.enter("Failed" if first else "InService", FailureReason=reason, PendingDeploymentSummary=None)

    def close(self) -> None:
        """End the fleet."""
        with self._changed:
            old, self._fleet, self._routes = self._fleet, None, ()
        if old is not None:
            old.stop()


def _all_of(fleet: Fleet) -> dict[str, int]:
    return {variant.name: variant.instances or 1 for variant in fleet.variants}
