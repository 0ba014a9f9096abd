"""Brings the serving stack to the newest approved model package, and back if that package does not serve."""

from datetime import UTC, datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from release_model.messages import BeginRequest, Outcome, RestoreRequest, State, Update
from release_model.parameter import PackageParameter
from release_model.registry import Registry, version
from release_model.serving_stack import Answer, Phase, Serving, ServingStack

PATIENCE = timedelta(hours=3)
"""How long an execution waits for somebody else's deployment before it gives up."""


class Release:
    """The three steps. Doing one again, or in two executions at once, does no harm."""

    def __init__(self, *, registry: Registry, parameter: PackageParameter, stack: ServingStack) -> None:
        self._registry = registry
        self._parameter = parameter
        self._stack = stack

    def begin(self, request: BeginRequest) -> Outcome:
        """Compare what is served with the newest approved package, and start what is missing."""
        serving = self._stack.describe()
        package = self._registry.newest_approved()
        if package is None:
            return self._without_package(serving)
        match serving.phase:
            case Phase.BROKEN:
                return _failed(f"{package} was not released. {serving.remedy}. {_AGAIN}")
            case Phase.BUSY:
                return _waiting(request, serving)
            case Phase.ABSENT:
                self._point_to(package)
                return _released(package, f"The next deployment of {serving.name} serves {package}")
            case Phase.READY if serving.package == package:
                self._point_to(package)
                return _released(package, f"{serving.name} serves {package}")
        return self._update(package, request, serving)

    def _update(self, package: str, request: BeginRequest, serving: Serving) -> Outcome:
        if _out_of_patience(request):
            return _waiting(request, serving)
        self._point_to(package)
        try:
            answer = self._stack.update(serving, token=request.token)
        except (BotoCoreError, ClientError):
            # A deployment would take the package up although this execution fails.
            if serving.package is not None:
                self._parameter.write(serving.package)
            raise
        match answer:
            case Answer.BUSY:
                return _waiting(request, serving)
            case Answer.UNCHANGED:
                return _failed(
                    f"{package} was not released: {serving.name} serves {serving.package}, and its template "
                    "does not follow the SSM parameter. Deploy the environment again"
                )
            case Answer.BEGUN:
                reason = f"{serving.name} is being updated to {package}"
                return Outcome(state=State.UPDATING, reason=reason, package=package, token=request.token)

    def check(self, update: Update) -> Outcome:
        """Look how the stack's update goes; when it was rolled back, leave all as it was before."""
        serving = self._stack.describe()
        match serving.phase:
            case Phase.ABSENT:
                return _again(f"{serving.name} is gone")
            case Phase.BUSY:
                return Outcome(
                    state=State.UPDATING,
                    reason=f"{serving.name} is {serving.status}",
                    package=update.package,
                    token=update.token,
                )
            case Phase.READY if serving.package == update.package:
                return _released(update.package, f"{serving.name} serves {update.package}")
        ending = self._stack.ending(update.token)
        if ending.complete:
            return _again(f"Since {update.package}, {serving.name} was updated again")
        return self._rolled_back(update.package, ending.cause, serving)

    def restore(self, request: RestoreRequest) -> Outcome:
        """After a step that failed for good, let the parameter name what the stack serves.

        A deployment would take up a package that nothing has judged. An update that is under way is waited
        for: it may still bring the package.
        """
        serving = self._stack.describe()
        package = request.package or self._registry.newest_approved()
        if serving.phase is Phase.BUSY:
            reason = f"{serving.name} is {serving.status} ({request.failure})"
            return Outcome(state=State.UPDATING, reason=reason, package=package)
        before = serving.package
        if serving.phase is Phase.READY and package is not None and package == before:
            return _released(package, f"{serving.name} serves {package}")
        if before is not None and self._parameter.read() == package:
            self._parameter.write(before)
        return _failed(f"{package} was not released: {request.failure}. {_AGAIN}")

    def _rolled_back(self, package: str, cause: str | None, serving: Serving) -> Outcome:
        if self._parameter.read() != package:
            # Somebody has set it since, perhaps before the update read it: not this package's doing then.
            return _again("The SSM parameter was changed during the update")
        before = serving.package
        if cause is None:
            verdict = "the update was cancelled; reject the package if it is not to be served"
        elif before is not None and version(package) < version(before):
            # It stood in for a rejected one, and has served before. Rejecting it too would work down the
            # whole registry when the failure is the environment's, such as a quota.
            verdict = f"{cause}. The package stays Approved"
        else:
            self._registry.reject(package, f"Not released: {cause}")
            verdict = f"{cause}. The package is now Rejected"
        if before is not None:
            self._parameter.write(before)
        broken = f". {serving.remedy}" if serving.phase is Phase.BROKEN else ""
        return _failed(f"{package} was not released, {serving.name} serves {before}: {verdict}{broken}")

    def _without_package(self, serving: Serving) -> Outcome:
        """Keep what is served: taking the API down is for people to decide."""
        kept = serving.package or self._parameter.read()
        group = self._registry.group
        if kept is None:
            return Outcome(state=State.RELEASED, reason=f"No package of {group} is approved yet")
        return _failed(
            f"No package of {group} is Approved any more, so {kept} stays released. Approve one: "
            "aws sagemaker update-model-package --model-approval-status Approved --model-package-arn <ARN>"
        )

    def _point_to(self, package: str) -> None:
        if self._parameter.read() != package:
            self._parameter.write(package)


_AGAIN = "Then start this state machine again, with any input"


def _waiting(request: BeginRequest, serving: Serving) -> Outcome:
    """Begin again, unless it has waited long enough."""
    if _out_of_patience(request):
        hours = PATIENCE.total_seconds() / 3600
        return _failed(
            f"{serving.name} could not be updated for {hours:g} hours; it is {serving.status}. {_AGAIN}"
        )
    return _again(f"{serving.name} is {serving.status}")


def _out_of_patience(request: BeginRequest) -> bool:
    return datetime.now(UTC) - request.started > PATIENCE


def _again(reason: str) -> Outcome:
    return Outcome(state=State.WAITING, reason=reason)


def _released(package: str, reason: str) -> Outcome:
    return Outcome(state=State.RELEASED, reason=reason, package=package)


def _failed(reason: str) -> Outcome:
    return Outcome(state=State.FAILED, reason=reason)
