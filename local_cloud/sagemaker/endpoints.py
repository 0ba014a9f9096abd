"""Endpoints: fleets of model servers behind a name, and the requests to them."""

import json
import logging
import random
import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from typing import Any

from local_cloud.sagemaker import images, s3_data
from local_cloud.sagemaker.context import Context
from local_cloud.sagemaker.delivery import Datum, LogStream
from local_cloud.sagemaker.errors import SageMakerError, validation
from local_cloud.sagemaker.models import EndpointConfigs, Models, ServedModel
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.service_model import now
from local_cloud.sagemaker.serving import Answer, ModelServer, NotHealthyError
from local_cloud.sagemaker.table import Listing, Record, Table

logger = logging.getLogger("sagemaker")

MAX_BODY_BYTES = 6_291_456
"""Largest request of InvokeEndpoint (API reference, runtime InvokeEndpoint)."""
INVOCATION_TIMEOUT_SECONDS = 60.0

_METRIC_NAMESPACE = "AWS/SageMaker"
_DEFAULT_HEALTH_TIMEOUT_SECONDS = 240
_FORWARDED_HEADERS = ("content-type", "accept", "x-amzn-sagemaker-custom-attributes")
_WEIGHT_MEMBERS = ("CurrentWeight", "DesiredWeight", "CurrentInstanceCount", "DesiredInstanceCount")


class Variant:
    """One production variant: a model server. One process stands for all of its instances."""

    def __init__(
        self, context: Context, scope: Scope, endpoint: str, settings: Mapping[str, Any], model: ServedModel
    ) -> None:
        self.name: str = settings["VariantName"]
        self.settings = settings
        self._context = context
        self._model = model
        self._root = context.job_folder(scope, "endpoint", f"{endpoint}/{self.name}-{secrets.token_hex(4)}")
        self._server: ModelServer | None = None
        self._restart = threading.Lock()
        self.log = LogStream(
            context.cloud,
            scope,
            f"/aws/sagemaker/Endpoints/{endpoint}",
            f"{self.name}/i-{secrets.token_hex(8)}",
        )
        self._scope = scope
        self.record: Record = {
            "VariantName": self.name,
            "DeployedImages": [
                {
                    "SpecifiedImage": model.image,
                    "ResolvedImage": images.resolved(model.image),
                    "ResolutionTime": now(),
                }
            ],
            "CurrentWeight": settings.get("InitialVariantWeight", 1.0),
            "DesiredWeight": settings.get("InitialVariantWeight", 1.0),
            "CurrentInstanceCount": settings.get("InitialInstanceCount"),
            "DesiredInstanceCount": settings.get("InitialInstanceCount"),
            "CurrentServerlessConfig": settings.get("ServerlessConfig"),
        }

    def start(self) -> None:
        """Fetch the model, start its server and wait until it is healthy.

        Raises:
            NotHealthyError: it is not.
        """
        s3 = self._context.cloud.client("s3", self._scope)
        s3_data.extract_model(s3, self._model.model_data, self._root / "model")
        self._server = self._start_server()

    def _start_server(self) -> ModelServer:
        server = ModelServer(
            self._context.containers,
            root=self._root,
            environment={**self._model.environment, "AWS_REGION": self._scope.region},
            on_line=self.log.write,
        )
        timeout = self.settings.get(
            "ContainerStartupHealthCheckTimeoutInSeconds", _DEFAULT_HEALTH_TIMEOUT_SECONDS
        )
        try:
            server.wait_healthy(timeout)
        except NotHealthyError:
            server.stop()
            raise
        return server

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
        """End the server and remove its files."""
        if self._server is not None:
            self._server.stop()
        self.log.close()
        shutil.rmtree(self._root, ignore_errors=True)


Fleet = list[Variant]


class Endpoint:
    """A name, the fleet that serves it, and the thread that changes it."""

    def __init__(self, context: Context, scope: Scope, name: str) -> None:
        self.name = name
        self.arn = scope.arn("endpoint", name)
        self._context = context
        self._scope = scope
        self._changed = threading.Condition()
        self._fleet: Fleet = []
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
                for variant in self._fleet
            ]
            return {**self._record, **({"ProductionVariants": variants} if variants else {})}

    @property
    def status(self) -> str:
        """EndpointStatus."""
        with self._changed:
            return str(self._record["EndpointStatus"])

    def enter(self, status: str, **members: object) -> None:
        """Take on a status."""
        with self._changed:
            self._record |= {"EndpointStatus": status, "LastModifiedTime": now(), **members}
            self._changed.notify_all()
        self._context.publish(self._scope, "SageMaker Endpoint State Change", self.describe(), [self.arn])

    def wait(self, timeout: float) -> str:
        """Wait at most `timeout` seconds for a change to be over; return the status."""
        with self._changed:
            self._changed.wait_for(lambda: not self.changing, timeout)
            return str(self._record["EndpointStatus"])

    @property
    def changing(self) -> bool:
        """Whether a change is under way."""
        return self._record["EndpointStatus"] in ("Creating", "Updating", "RollingBack", "Deleting")

    def deploy(
        self, config: Record, models: Mapping[str, ServedModel], retained: Mapping[str, Record]
    ) -> None:
        """Start a fleet for `config`, then switch to it and end the old one; keep the old one on failure.

        Args:
            config: endpoint configuration.
            models: what each variant serves.
            retained: weights and instance counts to carry over, by variant.
        """
        first = not self._fleet
        name = config["EndpointConfigName"]
        fleet: Fleet = []
        reason = None
        try:
            for settings in config["ProductionVariants"]:
                variant = Variant(
                    self._context, self._scope, self.name, settings, models[settings["VariantName"]]
                )
                variant.record |= retained.get(variant.name, {})
                fleet.append(variant)
                variant.start()
        except NotHealthyError as error:
            reason = (
                f"The primary container for production variant {fleet[-1].name} did not pass the ping health "
                f"check ({error}). Please check CloudWatch logs for this endpoint."
            )
        except Exception as error:
            logger.exception("Endpoint %s", self.name)
            reason = f"InternalServerError: {error}"
        if reason is not None:
            if not first:
                self.enter("RollingBack", FailureReason=reason)
            _stop(fleet)
            self.enter("Failed" if first else "InService", FailureReason=reason)
            return
        with self._changed:
            old, self._fleet = self._fleet, fleet
            self._record |= {"EndpointConfigName": name, "FailureReason": None}
        self.enter("InService")
        _stop(old)

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
                variant.name: {member: variant.record[member] for member in kept} for variant in self._fleet
            }

    def pick(self, target: str | None) -> Variant | None:
        """Return the variant called `target`, or one at random by weight; None when there is none."""
        with self._changed:
            fleet = list(self._fleet)
        if target is not None:
            return next((variant for variant in fleet if variant.name == target), None)
        weights = [variant.record["CurrentWeight"] for variant in fleet]
        if not fleet or not any(weights):
            return None
        return random.choices(fleet, weights)[0]  # noqa: S311

    def close(self) -> None:
        """End the fleet."""
        with self._changed:
            old, self._fleet = self._fleet, []
        _stop(old)


def _stop(fleet: Fleet) -> None:
    for variant in fleet:
        variant.stop()


class Endpoints:
    """The endpoint operations, InvokeEndpoint included."""

    _LISTING = Listing(
        "Endpoints",
        "EndpointName",
        ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus"),
        {"StatusEquals": "EndpointStatus"},
        ascending=False,
    )

    def __init__(self, context: Context, configs: EndpointConfigs, models: Models) -> None:
        self._context = context
        self._configs = configs
        self._models = models
        self._endpoints: Table[Endpoint] = Table()

    def create(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """CreateEndpoint."""
        name = parameters["EndpointName"]
        config = self._configs.get(scope, parameters["EndpointConfigName"])
        models = self._served(scope, config)
        endpoint = Endpoint(self._context, scope, name)
        self._endpoints.add(
            scope,
            name,
            endpoint,
            taken=validation(f'Cannot create already existing endpoint "{endpoint.arn}".'),
        )
        endpoint.enter("Creating", EndpointConfigName=config["EndpointConfigName"])
        self._context.background(f"endpoint-{name}", lambda: endpoint.deploy(config, models, {}))
        return {"EndpointArn": endpoint.arn}

    def _served(self, scope: Scope, config: Record) -> dict[str, ServedModel]:
        return {
            variant["VariantName"]: self._models.served(scope, variant["ModelName"])
            for variant in config["ProductionVariants"]
        }

    def get(self, scope: Scope, name: str) -> Endpoint:
        """Return the endpoint called `name`.

        Raises:
            SageMakerError: there is none.
        """
        endpoint = self._endpoints.get(scope, name)
        if endpoint is None:
            raise validation(f'Could not find endpoint "{scope.arn("endpoint", name)}".')
        return endpoint

    def update(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """UpdateEndpoint: start a new fleet, switch to it, end the old one."""
        endpoint = self.get(scope, parameters["EndpointName"])
        config = self._configs.get(scope, parameters["EndpointConfigName"])
        models = self._served(scope, config)
        if endpoint.changing:
            raise validation(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        retained = {}
        if parameters.get("RetainAllVariantProperties"):
            excluded = parameters.get("ExcludeRetainedVariantProperties", [])
            retained = endpoint.retained({each["VariantPropertyType"] for each in excluded})
        deployment = parameters.get("DeploymentConfig")
        if deployment is None and parameters.get("RetainDeploymentConfig"):
            deployment = endpoint.describe().get("LastDeploymentConfig")
        endpoint.enter("Updating", LastDeploymentConfig=deployment, FailureReason=None)
        self._context.background(
            f"endpoint-{endpoint.name}", lambda: endpoint.deploy(config, models, retained)
        )
        return {"EndpointArn": endpoint.arn}

    def describe(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DescribeEndpoint."""
        return self.get(scope, parameters["EndpointName"]).describe()

    def list(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """ListEndpoints."""
        return self._LISTING.page(
            (endpoint.describe() for endpoint in self._endpoints.values(scope)), parameters
        )

    def delete(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DeleteEndpoint."""
        endpoint = self.get(scope, parameters["EndpointName"])
        if endpoint.changing:
            raise validation(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        endpoint.enter("Deleting")

        def finish() -> None:
            endpoint.close()
            self._endpoints.remove(scope, endpoint.name)

        self._context.background(f"endpoint-{endpoint.name}", finish)
        return {"EndpointArn": endpoint.arn}

    def exists(self, scope: Scope, name: str) -> bool:
        """Return whether there is an endpoint called `name`."""
        return self._endpoints.get(scope, name) is not None

    def invoke(self, scope: Scope, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """InvokeEndpoint: proxy a request to the model.

        Args:
            scope: of the caller.
            name: endpoint.
            headers: of the request, with lower-case names.
            body: of the request.

        Raises:
            SageMakerError: ``ValidationError``, or ``ModelError`` when the model answers with an error.
        """
        endpoint = self._endpoints.get(scope, name)
        if endpoint is None:
            raise _invalid(f"Endpoint {name} of account {scope.account} not found.")
        if len(body) > MAX_BODY_BYTES:
            raise _invalid(
                "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have "
                f"length less than or equal to {MAX_BODY_BYTES}"
            )
        target = headers.get("x-amzn-sagemaker-target-variant")
        variant = endpoint.pick(target)
        if variant is None:
            if target is not None and endpoint.status == "InService":
                raise _invalid(f"Variant {target} of endpoint {name} of account {scope.account} not found.")
            raise _invalid(f"Endpoint {name} of account {scope.account} is not in service.")
        return self._ask(scope, name, variant, headers, body)

    def _ask(
        self, scope: Scope, name: str, variant: Variant, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        forwarded = {header: headers[header] for header in _FORWARDED_HEADERS if header in headers}
        started = time.perf_counter()
        try:
            answer = variant.invoke(body, forwarded)
        except (OSError, NotHealthyError) as error:
            answer = Answer(500, {}, str(error).encode())
        self._measure(scope, name, variant, answer.status, time.perf_counter() - started)
        if answer.status >= 400:
            raise _model_error(scope, variant, name, answer)
        headers_out = {"Content-Type": answer.headers.get("Content-Type", "application/octet-stream")}
        attributes = answer.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        if attributes is not None:
            headers_out["X-Amzn-SageMaker-Custom-Attributes"] = attributes
        headers_out["x-Amzn-Invoked-Production-Variant"] = variant.name
        return Answer(answer.status, headers_out, answer.body)

    def _measure(self, scope: Scope, name: str, variant: Variant, status: int, seconds: float) -> None:
        moment = now()
        values = (
            ("Invocations", 1.0, "None"),
            ("InvocationsPerInstance", 1.0 / (variant.record["CurrentInstanceCount"] or 1), "None"),
            ("Invocation4XXErrors", float(400 <= status < 500), "None"),
            ("Invocation5XXErrors", float(status >= 500), "None"),
            ("ModelLatency", seconds * 1e6, "Microseconds"),
        )
        dimensions = {"EndpointName": name, "VariantName": variant.name}
        self._context.metrics.put(
            scope,
            [
                Datum(_METRIC_NAMESPACE, metric, value, dimensions, unit, moment)
                for metric, value, unit in values
            ],
        )


def _invalid(message: str) -> SageMakerError:
    return SageMakerError("ValidationError", message)


def _model_error(scope: Scope, variant: Variant, endpoint: str, answer: Answer) -> SageMakerError:
    side = "server" if answer.status >= 500 else "client"
    original = answer.body.decode(errors="replace")
    console = (
        f"https://{scope.region}.console.aws.amazon.com/cloudwatch/home?region={scope.region}"
        f"#logEventViewer:group=/aws/sagemaker/Endpoints/{endpoint}"
    )
    return SageMakerError(
        "ModelError",
        f"Received {side} error ({answer.status}) from primary with message {json.dumps(original)}. "
        f"See {console} in account {scope.account} for more information.",
        status=424,
        members={
            "OriginalStatusCode": answer.status,
            "OriginalMessage": original,
            "LogStreamArn": variant.log.arn,
        },
    )
