"""Models and endpoint configurations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_cloud.sagemaker import images, s3_data
from local_cloud.sagemaker.context import Context
from local_cloud.sagemaker.errors import validation
from local_cloud.sagemaker.registry import ModelPackages
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.service_model import now
from local_cloud.sagemaker.table import Listing, Record, Table


@dataclass(frozen=True)
class ServedModel:
    """What it takes to serve a model."""

    image: str
    model_data: str
    environment: Mapping[str, str]


class Models:
    """The model operations."""

    _LISTING = Listing("Models", "ModelName", ("ModelName", "ModelArn", "CreationTime"), {}, ascending=False)

    def __init__(self, context: Context, packages: ModelPackages) -> None:
        self._context = context
        self._packages = packages
        self._models: Table[Record] = Table()

    def create(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """CreateModel."""
        name = parameters["ModelName"]
        arn = scope.arn("model", name)
        taken = validation(f'Cannot create already existing model "{arn}".')
        if self._models.get(scope, name) is not None:
            raise taken
        self._context.require_role(scope, parameters.get("ExecutionRoleArn"))
        served = self._served(scope, parameters)
        for container in [parameters.get("PrimaryContainer", {}), *parameters.get("Containers", [])]:
            if "ModelPackageName" in container:
                self._packages.require_approved(scope, container["ModelPackageName"])
        s3_data.require_object(self._context.cloud.client("s3", scope), served.model_data)
        record = {
            **{key: value for key, value in parameters.items() if key != "Tags"},
            "ModelArn": arn,
            "EnableNetworkIsolation": parameters.get("EnableNetworkIsolation", False),
            "CreationTime": now(),
        }
        self._models.add(scope, name, record, taken=taken)
        return {"ModelArn": arn}

    def _served(self, scope: Scope, parameters: Mapping[str, Any]) -> ServedModel:
        containers = parameters.get("Containers") or []
        if "PrimaryContainer" in parameters:
            containers = [parameters["PrimaryContainer"], *containers]
        if len(containers) != 1:
            raise validation(
                f"The local cloud serves models of one container, this one has {len(containers)}"
                if containers
                else "Either PrimaryContainer or Containers must be provided"
            )
        container = dict(containers[0])
        if "ModelPackageName" in container:
            package = self._packages.container(scope, container["ModelPackageName"])
            container = {**package, "Environment": {**package.get("Environment", {}),
                                                    **container.get("Environment", {})}}  # fmt: skip
        images.require_supported(container.get("Image"), scope.region)
        return ServedModel(container["Image"], _model_data(container), container.get("Environment", {}))

    def served(self, scope: Scope, name: str) -> ServedModel:
        """Return what it takes to serve the model called `name`.

        Raises:
            SageMakerError: there is none, or it can no longer be served.
        """
        return self._served(scope, self._get(scope, name))

    def _get(self, scope: Scope, name: str) -> Record:
        record = self._models.get(scope, name)
        if record is None:
            raise validation(f'Could not find model "{scope.arn("model", name)}".')
        return record

    def describe(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DescribeModel."""
        return self._get(scope, parameters["ModelName"])

    def list(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """ListModels."""
        return self._LISTING.page(self._models.values(scope), parameters)

    def delete(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DeleteModel."""
        record = self._get(scope, parameters["ModelName"])
        self._models.remove(scope, parameters["ModelName"])
        return {"ModelArn": record["ModelArn"]}


def _model_data(container: Mapping[str, Any]) -> str:
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source is not None:
        if source.get("CompressionType") != "Gzip":
            raise validation("The local cloud serves model data of CompressionType Gzip")
        return str(source["S3Uri"])
    if not container.get("ModelDataUrl"):
        raise validation(
            "ModelDataUrl is required: the Factorization Machines image brings no model of its own"
        )
    return str(container["ModelDataUrl"])


class EndpointConfigs:
    """The endpoint configuration operations."""

    _LISTING = Listing(
        "EndpointConfigs",
        "EndpointConfigName",
        ("EndpointConfigName", "EndpointConfigArn", "CreationTime"),
        {},
        ascending=False,
    )

    def __init__(self, models: Models) -> None:
        self._models = models
        self._configs: Table[Record] = Table()

    def create(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """CreateEndpointConfig."""
        name = parameters["EndpointConfigName"]
        arn = scope.arn("endpoint-config", name)
        variants = [{"InitialVariantWeight": 1.0, **variant} for variant in parameters["ProductionVariants"]]
        names = [variant["VariantName"] for variant in variants]
        if len(set(names)) != len(names):
            raise validation(f"Duplicate production variant names: {', '.join(sorted(names))}")
        for variant in variants:
            _require_servable(variant)
            self._models.served(scope, variant["ModelName"])
        record = {
            **{key: value for key, value in parameters.items() if key != "Tags"},
            "ProductionVariants": variants,
            "EndpointConfigArn": arn,
            "EnableNetworkIsolation": parameters.get("EnableNetworkIsolation", False),
            "CreationTime": now(),
        }
        taken = validation(f'Cannot create already existing endpoint configuration "{arn}".')
        self._configs.add(scope, name, record, taken=taken)
        return {"EndpointConfigArn": arn}

    def get(self, scope: Scope, name: str) -> Record:
        """Return the configuration called `name`.

        Raises:
            SageMakerError: there is none.
        """
        record = self._configs.get(scope, name)
        if record is None:
            raise validation(f'Could not find endpoint configuration "{scope.arn("endpoint-config", name)}".')
        return record

    def describe(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DescribeEndpointConfig."""
        return self.get(scope, parameters["EndpointConfigName"])

    def list(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """ListEndpointConfigs."""
        return self._LISTING.page(self._configs.values(scope), parameters)

    def delete(self, scope: Scope, parameters: Mapping[str, Any]) -> Record:
        """DeleteEndpointConfig."""
        record = self.get(scope, parameters["EndpointConfigName"])
        self._configs.remove(scope, parameters["EndpointConfigName"])
        return {"EndpointConfigArn": record["EndpointConfigArn"]}


def _require_servable(variant: Mapping[str, Any]) -> None:
    name = variant["VariantName"]
    if "ModelName" not in variant:
        raise validation(f"Production variant {name}: ModelName is required")
    if "ServerlessConfig" not in variant and not (
        variant.get("InstanceType") and variant.get("InitialInstanceCount")
    ):
        raise validation(
            f"Production variant {name}: InstanceType with InitialInstanceCount, or ServerlessConfig, "
            "is required"
        )
