"""The endpoint operations: deployments of fleets behind a name, and the requests to them."""

import json
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from local_cloud.sagemaker import deployment
from local_cloud.sagemaker.alarms import RollbackAlarms
from local_cloud.sagemaker.context import Context
from local_cloud.sagemaker.endpoint import Endpoint
from local_cloud.sagemaker.endpoint_metrics import Invocation
from local_cloud.sagemaker.errors import SageMakerError, validation
from local_cloud.sagemaker.fleet import Fleet, Variant
from local_cloud.sagemaker.models import EndpointConfigs, Models, ServedModel
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.serving import Answer, NotHealthyError
from local_cloud.sagemaker.table import Listing, Record, Table

MAX_BODY_BYTES = 6_291_456
"""Largest request of InvokeEndpoint (API reference, runtime InvokeEndpoint)."""

_FORWARDED_HEADERS = ("content-type", "accept", "x-amzn-sagemaker-custom-attributes")


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
        """CreateEndpoint. Its ``DeploymentConfig`` is only kept, for updates that retain it."""
        name = parameters["EndpointName"]
        config = self._configs.get(scope, parameters["EndpointConfigName"])
        models = self._served(scope, config)
        kept = parameters.get("DeploymentConfig")
        deployment.parse(kept).require_possible(_instance_counts(config, {}))
        taken = validation(f'Cannot create already existing endpoint "{scope.arn("endpoint", name)}".')
        if self.exists(scope, name):
            raise taken
        endpoint = Endpoint(self._context, scope, name)
        endpoint.begin("Creating", EndpointConfigName=config["EndpointConfigName"], LastDeploymentConfig=kept)
        self._endpoints.add(scope, name, endpoint, taken=taken)
        self._context.background(
            f"endpoint-{name}",
            lambda: endpoint.deploy(
                Fleet(self._context, scope, name, config=config, models=models, retained={}),
                deployment.Deployment(),
            ),
        )
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
        """UpdateEndpoint: replace the fleet, as the ``DeploymentConfig`` says."""
        endpoint = self.get(scope, parameters["EndpointName"])
        config = self._configs.get(scope, parameters["EndpointConfigName"])
        models = self._served(scope, config)
        retained = {}
        if parameters.get("RetainAllVariantProperties"):
            excluded = parameters.get("ExcludeRetainedVariantProperties", [])
            retained = endpoint.retained({each["VariantPropertyType"] for each in excluded})
        settings = parameters.get("DeploymentConfig")
        if settings is None and parameters.get("RetainDeploymentConfig"):
            settings = endpoint.describe().get("LastDeploymentConfig")
        plan = deployment.parse(settings)
        plan.require_possible(_instance_counts(config, retained))
        self._require_alarms(scope, plan)
        if not endpoint.begin("Updating", LastDeploymentConfig=settings, FailureReason=None):
            raise validation(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        self._context.background(
            f"endpoint-{endpoint.name}",
            lambda: endpoint.deploy(
                Fleet(self._context, scope, endpoint.name, config=config, models=models, retained=retained),
                plan,
            ),
        )
        return {"EndpointArn": endpoint.arn}

    def _require_alarms(self, scope: Scope, plan: deployment.Deployment) -> None:
        try:
            missing = RollbackAlarms(self._context.cloud, scope, plan.alarms).missing()
        except ClientError as error:
            raise validation(
                f"The alarms of AutoRollbackConfiguration cannot be described: {error}"
            ) from error
        if missing:
            raise validation(
                f"Could not find CloudWatch alarm(s) {', '.join(missing)} of AutoRollbackConfiguration in "
                f"account {scope.account}, region {scope.region}"
            )

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
        if not endpoint.begin("Deleting"):
            raise validation(f'Cannot update in-progress endpoint "{endpoint.arn}".')

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
        received = time.perf_counter()
        endpoint = self._endpoints.get(scope, name)
        if endpoint is None:
            raise _invalid(f"Endpoint {name} of account {scope.account} not found.")
        if len(body) > MAX_BODY_BYTES:
            raise _invalid(
                "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have "
                f"length less than or equal to {MAX_BODY_BYTES}"
            )
        target = headers.get("x-amzn-sagemaker-target-variant")
        with endpoint.serving(target) as variant:
            if variant is None:
                if target is not None and endpoint.status == "InService":
                    raise _invalid(
                        f"Variant {target} of endpoint {name} of account {scope.account} not found."
                    )
                raise _invalid(f"Endpoint {name} of account {scope.account} is not in service.")
            started = time.perf_counter()
            answer = _ask(variant, headers, body)
            ended = time.perf_counter()
        headers_out = _headers(variant, answer)
        invocation = Invocation(
            endpoint=name,
            variant=variant.name,
            config=variant.config_name,
            instances=variant.instances,
            status=answer.status,
            model_seconds=ended - started,
            overhead_seconds=started - received + time.perf_counter() - ended,
        )
        self._context.metrics.put(scope, invocation.data())
        if answer.status >= 400:
            raise _model_error(scope, variant, name, answer)
        return Answer(answer.status, headers_out, answer.body)


def _ask(variant: Variant, headers: Mapping[str, str], body: bytes) -> Answer:
    forwarded = {header: headers[header] for header in _FORWARDED_HEADERS if header in headers}
    try:
        return variant.invoke(body, forwarded)
    except (OSError, NotHealthyError) as error:
        return Answer(500, {}, str(error).encode())


def _headers(variant: Variant, answer: Answer) -> dict[str, str]:
    headers = {"Content-Type": answer.headers.get("Content-Type", "application/octet-stream")}
    attributes = answer.headers.get("X-Amzn-SageMaker-Custom-Attributes")
    if attributes is not None:
        headers["X-Amzn-SageMaker-Custom-Attributes"] = attributes
    headers["x-Amzn-Invoked-Production-Variant"] = variant.name
    return headers


def _instance_counts(config: Record, retained: Mapping[str, Record]) -> dict[str, int | None]:
    return {
        variant["VariantName"]: retained.get(variant["VariantName"], {}).get(
            "DesiredInstanceCount", variant.get("InitialInstanceCount")
        )
        for variant in config["ProductionVariants"]
    }


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
