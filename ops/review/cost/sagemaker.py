"""Cost of SageMaker: endpoints, and the jobs that workflows start."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ops.review.cost.estimate import Context, Estimate, Unpriced, known_number
from ops.review.cost.prices import UnpricedError
from ops.review.cost.schedule import HOURS_PER_MONTH
from ops.review.cost.traffic import readable
from ops.review.cost.usage import Calls
from ops.review.cost.workflow import Job
from ops.review.model import Resource

_KB_PER_GB: Final = 1_000_000
_SCALED: Final = "sagemaker:variant:DesiredInstanceCount"


@dataclass(frozen=True)
class _Instances:
    usual: Decimal
    floor: Decimal | None = None
    ceiling: Decimal | None = None


def endpoint(resource: Resource, context: Context) -> Iterator[Estimate | Unpriced]:
    """Price an endpoint by its variants: by instances that run all month, or serverless by request."""
    reference = context.readable.reference(resource.properties.get("EndpointConfigName"), resource.stack)
    configuration = None if reference is None else context.readable.resource(reference)
    if configuration is None or configuration.type != "AWS::SageMaker::EndpointConfig":
        yield Unpriced("its endpoint configuration is not in the templates")
        return
    for key in ("ProductionVariants", "ShadowProductionVariants"):
        for variant in context.tables(configuration, key):
            name = str(variant.get("VariantName", "variant"))
            try:
                yield _variant(resource, name, variant, context)
            except UnpricedError as error:
                yield Unpriced(str(error), part=name)
    traffic = context.traffic
    gigabytes = traffic.requests_per_month * traffic.endpoint_kb / _KB_PER_GB
    try:
        yield Estimate(
            context.prices["sagemaker_data"].of(gigabytes),
            f"{readable(traffic.requests_per_month)} requests × {readable(traffic.endpoint_kb)} KB",
            part="data",
        )
    except UnpricedError as error:
        yield Unpriced(str(error), part="data")


def _variant(endpoint: Resource, name: str, variant: Mapping[str, Any], context: Context) -> Estimate:
    serverless = variant.get("ServerlessConfig")
    if isinstance(serverless, Mapping):
        return _serverless(name, serverless, context)
    instance_type = str(variant.get("InstanceType", "an instance type that is not in the template"))
    hour = context.prices.instance_hour(instance_type)
    size = known_number(variant.get("VolumeSizeInGB", context.traffic.volume_gb), "VolumeSizeInGB")
    volume = context.prices["sagemaker_volume"].of(size)
    each = hour.of(HOURS_PER_MONTH) + volume
    instances = _instances(endpoint, name, variant, context)
    driver = f"{readable(instances.usual)} × {instance_type} × {HOURS_PER_MONTH} h"
    if instances.ceiling is not None:
        driver += f", autoscaling {readable(instances.floor or 0)} to {readable(instances.ceiling)}"
    return Estimate(
        each * instances.usual,
        f"{driver}, {readable(size)} GB volume each",
        part=name,
        floor=None if instances.floor is None else each * instances.floor,
        ceiling=None if instances.ceiling is None else each * instances.ceiling,
    )


def _serverless(name: str, config: Mapping[str, Any], context: Context) -> Estimate:
    if config.get("ProvisionedConcurrency"):
        raise UnpricedError("no price for provisioned concurrency of a serverless endpoint")
    traffic = context.traffic
    memory = known_number(config.get("MemorySizeInMB"), "MemorySizeInMB") / 1024
    amount = context.prices["sagemaker_serverless"].of(
        traffic.requests_per_month * traffic.endpoint_seconds * memory
    )
    driver = (
        f"{readable(traffic.requests_per_month)} requests × {readable(traffic.endpoint_seconds)} s"
        f" × {readable(memory)} GB"
    )
    return Estimate(amount, driver, part=name)


def _instances(endpoint: Resource, name: str, variant: Mapping[str, Any], context: Context) -> _Instances:
    usual = known_number(variant.get("InitialInstanceCount", 1), "InitialInstanceCount")
    managed = variant.get("ManagedInstanceScaling")
    if isinstance(managed, Mapping) and managed.get("Status") == "ENABLED":
        return _between(usual, managed.get("MinInstanceCount", usual), managed.get("MaxInstanceCount", usual))
    for target in context.assembly.resources("AWS::ApplicationAutoScaling::ScalableTarget"):
        if context.value(target, "ScalableDimension") == _SCALED and _scales(target, endpoint, name, context):
            return _between(usual, context.value(target, "MinCapacity"), context.value(target, "MaxCapacity"))
    return _Instances(usual)


def _between(usual: Decimal, least: Any, most: Any) -> _Instances:
    floor, ceiling = known_number(least, "the least capacity"), known_number(most, "the most capacity")
    return _Instances(min(max(usual, floor), ceiling), floor, ceiling)


def _scales(target: Resource, endpoint: Resource, variant: str, context: Context) -> bool:
    identity = target.properties.get("ResourceId")
    text = context.readable.text(identity, target.stack)
    named = context.value(endpoint, "EndpointName")
    return text.endswith(f"/variant/{variant}") and (
        context.refers_to(identity, target, endpoint) or text == f"endpoint/{named}/variant/{variant}"
    )


def job(entry: Job, runs: Calls, context: Context) -> Estimate:
    """Price the jobs that one step of a workflow starts in a month; raise UnpricedError if it cannot be."""
    traffic = context.traffic
    minutes = traffic.transform_minutes if entry.kind == "transform" else traffic.training_minutes
    hours = runs.number * entry.jobs * entry.instances * minutes / 60
    size = traffic.volume_gb if entry.volume_gb is None else Decimal(entry.volume_gb)
    amount = context.prices.instance_hour(entry.instance_type).of(hours)
    amount += context.prices["sagemaker_volume"].of(size * hours / HOURS_PER_MONTH)
    jobs = f" × {entry.jobs} jobs" if entry.jobs > 1 else ""
    driver = (
        f"{readable(entry.instances)} × {entry.instance_type} × {readable(minutes)} min{jobs}"
        f" × {readable(round(runs.number, 2))} runs ({runs.driver}), {readable(size)} GB volume each"
    )
    return Estimate(amount, driver, part=entry.state, kind=f"SageMaker {entry.kind} job")
