"""Decides whether a model package may be deployed."""

from verify_model.errors import VerificationError
from verify_model.events import CheckProperties
from verify_model.object_store import ObjectStore
from verify_model.registry import ModelPackage, Registry


class ModelCheck:
    """The check of one environment's model packages, whose ARNs are `prefix` and a version."""

    def __init__(self, registry: Registry, store: ObjectStore, *, prefix: str) -> None:
        self._registry = registry
        self._store = store
        self._prefix = prefix

    def check(self, wanted: CheckProperties) -> str:
        """Return the artifact's SHA-256, which is what the package records and the environment pins.

        Raises:
            VerificationError: the package may not be deployed.
        """
        arn = wanted.model_package_arn
        if not arn.startswith(self._prefix):
            raise VerificationError(
                f"Model package {arn} is not of this environment's registry, {self._prefix}<version>: "
                "deploy one that is."
            )
        package = self._registry.package(arn)
        _require_approval(package)
        recorded = _recorded_sha256(package, wanted.artifact_sha256)
        found = self._store.sha256(package.artifact_uri)
        if found != recorded:
            raise VerificationError(
                f"{package.artifact_uri}, the artifact of model package {arn}, has SHA-256 {found}, but the "
                f"package records {recorded}: its bytes have changed since. Restore the version of the "
                "object that was registered, or deploy another package."
            )
        return found


def _require_approval(package: ModelPackage) -> None:
    if package.status != "Completed":
        raise VerificationError(
            f"Model package {package.arn} is {package.status}, not Completed: deploy one that is."
        )
    if package.approval != "Approved":
        remark = f' ("{package.remark}")' if package.remark else ""
        raise VerificationError(
            f"Model package {package.arn} is {package.approval}{remark}, not Approved: "
            "approve it, or deploy one that is."
        )


def _recorded_sha256(package: ModelPackage, pinned: str | None) -> str:
    recorded = package.metadata.get("artifact_sha256")
    if recorded is None:
        raise VerificationError(
            f"Model package {package.arn} records no artifact_sha256, so nobody can tell whether its "
            "artifact is what was evaluated: deploy a package that the training workflow or a promotion "
            "registered."
        )
    if pinned is not None and pinned != recorded:
        raise VerificationError(
            f"The pin says that the artifact of model package {package.arn} has SHA-256 {pinned}, but the "
            f"package records {recorded}: correct model.artifact_sha256 or model.package_arn, or promote the "
            "model again."
        )
    return recorded
