"""Fleets: the model servers of an endpoint configuration's production variants."""

import secrets
import shutil
import tarfile
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from local_cloud.sagemaker import images, s3_data
from local_cloud.sagemaker.context import Context
from local_cloud.sagemaker.delivery import LogStream
from local_cloud.sagemaker.models import ServedModel
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.service_model import now
from local_cloud.sagemaker.serving import Answer, ModelServer, NotHealthyError
from local_cloud.sagemaker.table import Record

INVOCATION_TIMEOUT_SECONDS = 60.0
"""How long a model may take to answer (API reference, runtime InvokeEndpoint)."""

_DEFAULT_HEALTH_TIMEOUT_SECONDS = 240
_NO_SHARE = 1e-9
"""Below this a share is what rounding has left of none."""


class NotStartedError(Exception):
    """Why a fleet does not come up, as ``FailureReason`` says it."""


class Variant:
    """One production variant: a model server. One process stands for all of its instances."""

    def __init__(
        self,
        context: Context,
        scope: Scope,
        endpoint: str,
        *,
        config_name: str,
        settings: Mapping[str, Any],
        model: ServedModel,
    ) -> None:
        self.name: str = settings["VariantName"]
        self.config_name = config_name
        self._settings = settings
        self._context = context
        self._scope = scope
        self._model = model
        self._root = context.job_folder(scope, "endpoint", f"{endpoint}/{self.name}-{secrets.token_hex(4)}")
        self._server: ModelServer | None = None
        self._restart = threading.Lock()
        self._requests = 0
        self._idle = threading.Condition()
        self.log = LogStream(
            context.cloud,
            scope,
            f"/aws/sagemaker/Endpoints/{endpoint}",
            f"{self.name}/i-{secrets.token_hex(8)}",
        )
        weight, count = settings.get("InitialVariantWeight", 1.0), settings.get("InitialInstanceCount")
        self.record: Record = {
            "VariantName": self.name,
            "DeployedImages": [
                {
                    "SpecifiedImage": model.image,
                    "ResolvedImage": images.resolved(model.image),
                    "ResolutionTime": now(),
                }
            ],
            "CurrentWeight": weight,
            "DesiredWeight": weight,
            "CurrentInstanceCount": count,
            "DesiredInstanceCount": count,
            "CurrentServerlessConfig": settings.get("ServerlessConfig"),
        }

    @property
    def instances(self) -> int | None:
        """How many instances it has; None when it is serverless."""
        count: int | None = self.record["DesiredInstanceCount"]
        return count

    def pending(self, active: int, status: Mapping[str, Any]) -> Record:
        """Return it as a ``PendingProductionVariantSummary``.

        Args:
            active: how many of its instances serve.
            status: ``VariantStatus``.
        """
        known = {**self.record, "InstanceType": self._settings.get("InstanceType"), "VariantStatus": [status]}
        if self.instances is not None:
            known["CurrentInstanceCount"] = active
        return {name: value for name, value in known.items() if value is not None}

    def start(self, given_up: Callable[[], bool]) -> None:
        """Fetch the model, start its server and wait until it is healthy.

        Raises:
            NotStartedError: it is not, or `given_up` became true.
        """
        s3, url = self._context.cloud.client("s3", self._scope), self._model.model_data
        try:
            s3_data.extract_model(s3, url, self._root / "model")
            self._server = self._start_server(given_up)
        except ClientError as error:
            raise NotStartedError(
                f'Failed to download model data from URL "{url}" ({error}). Please ensure that there is an '
                "object located at the URL and that the role passed to CreateModel has permissions to "
                "download it."
            ) from error
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise NotStartedError(
                f'Failed to extract model data archive from URL "{url}" ({error}). Please ensure that the '
                "object located at the URL is a valid tar.gz archive."
            ) from error
        except NotHealthyError as error:
            raise NotStartedError(
                f"The primary container for production variant {self.name} did not pass the ping health "
                f"check ({error}). Please check CloudWatch logs for this endpoint."
            ) from error

    def _start_server(self, given_up: Callable[[], bool] = lambda: False) -> ModelServer:
        server = ModelServer(
            self._context.containers,
            root=self._root,
            environment={**self._model.environment, "AWS_REGION": self._scope.region},
            on_line=self.log.write,
        )
        timeout = self._settings.get(
            "ContainerStartupHealthCheckTimeoutInSeconds", _DEFAULT_HEALTH_TIMEOUT_SECONDS
        )
        try:
            server.wait_healthy(timeout, given_up)
        except NotHealthyError:
            server.stop()
            raise
        return server

    def enter(self) -> None:
        """Count a request that is on its way to the model: `stop` waits for it."""
        with self._idle:
            self._requests += 1

    def leave(self) -> None:
        """Count a request as answered."""
        with self._idle:
            self._requests -= 1
            self._idle.notify_all()

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Ask the model; a server that has died is started again first, as SageMaker does.

        Raises:
            OSError: it does not answer.
            NotHealthyError: it died and does not come up again.
        """
        server = self._server
        if server is None or not server.alive():
            with self._restart:
                if self._server is server:
                    self._server = self._start_server()
                server = self._server
        assert server is not None  # noqa: S101
        return server.invoke(body, headers, INVOCATION_TIMEOUT_SECONDS)

    def stop(self) -> None:
        """End the server, once the requests on their way to it are answered, and remove its files."""
        with self._idle:
            self._idle.wait_for(lambda: self._requests == 0, INVOCATION_TIMEOUT_SECONDS)
        if self._server is not None:
            self._server.stop()
        self.log.close()
        shutil.rmtree(self._root, ignore_errors=True)


class Fleet:
    """The variants of one endpoint configuration.

    Attributes:
        config_name: the endpoint configuration.
        variants: in the configuration's order.
    """

    def __init__(
        self,
        context: Context,
        scope: Scope,
        endpoint: str,
        *,
        config: Record,
        models: Mapping[str, ServedModel],
        retained: Mapping[str, Record],
    ) -> None:
        """Prepare a fleet.

        Args:
            context: what SageMaker shares.
            scope: account and region.
            endpoint: name of the endpoint that it will serve.
            config: endpoint configuration.
            models: what each variant serves.
            retained: weights and instance counts to carry over, by variant.
        """
        self.config_name: str = config["EndpointConfigName"]
        self.variants: list[Variant] = []
        for settings in config["ProductionVariants"]:
            variant = Variant(
                context,
                scope,
                endpoint,
                config_name=self.config_name,
                settings=settings,
                model=models[settings["VariantName"]],
            )
            variant.record |= retained.get(variant.name, {})
            self.variants.append(variant)

    def start(self, given_up: Callable[[], bool]) -> None:
        """Start every variant.

        Raises:
            NotStartedError: one does not come up, or `given_up` became true.
        """
        for variant in self.variants:
            variant.start(given_up)

    def stop(self) -> None:
        """End every variant's server."""
        for variant in self.variants:
            variant.stop()


Routes = Sequence[tuple[Variant, float]]
"""Who may get a request, with relative weights."""


def routes(old: Fleet | None, new: Fleet | None, active: Mapping[str, int]) -> Routes:
    """Return how requests are shared out while `active` instances of each of the `new` variants serve.

    Within a fleet requests follow the variants' weights; between fleets they follow the instances.
    """
    moved = [
        (variant, weight * active[variant.name] / (variant.instances or 1))
        for variant, weight in _by_weight(new)
    ]
    left = 1 - sum(share for _, share in moved)
    kept = [(variant, weight * left) for variant, weight in _by_weight(old)]
    return [(variant, weight) for variant, weight in moved + kept if weight > _NO_SHARE]


def _by_weight(fleet: Fleet | None) -> list[tuple[Variant, float]]:
    variants = [] if fleet is None else fleet.variants
    total = sum(variant.record["CurrentWeight"] for variant in variants)
    return [(variant, variant.record["CurrentWeight"] / total if total else 0.0) for variant in variants]
