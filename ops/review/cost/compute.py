"""Cost of Lambda functions and Step Functions workflows."""

from collections.abc import Iterator
from decimal import Decimal

from ops.review.cost import sagemaker
from ops.review.cost.estimate import Context, Estimate, Unpriced
from ops.review.cost.prices import UnpricedError
from ops.review.cost.traffic import readable
from ops.review.model import Resource


def function(resource: Resource, context: Context) -> Iterator[Estimate | Unpriced]:
    """Price a Lambda function by memory × duration × invocations, and its requests."""
    architecture = "arm64" if context.value(resource, "Architectures") == ["arm64"] else "x86_64"
    second = context.prices[f"lambda_{architecture}"]
    memory = context.number(resource, "MemorySize", default=128) / 1024
    amount, drivers = Decimal(0), []
    for calls in context.usage.invocations(resource):
        seconds = calls.seconds or Decimal(0)
        amount += context.prices["lambda_request"].of(calls.number)
        amount += second.of(calls.number * seconds * memory)
        drivers.append(f"{calls.driver} × {readable(seconds)} s")
    yield Estimate(amount, f"{' + '.join(drivers)} × {readable(memory)} GB, {architecture}")
    if context.number(resource, "EphemeralStorage", "Size", default=512) > 512:
        yield Unpriced("no price for ephemeral storage above 512 MB", part="ephemeral storage")
    if context.value(resource, "SnapStart", "ApplyOn") == "PublishedVersions":
        yield Unpriced("no price for SnapStart", part="SnapStart")


def function_version(resource: Resource, context: Context) -> Iterator[Estimate | Unpriced]:
    """Price a version or alias: nothing of its own, but provisioned concurrency."""
    if context.value(resource, "ProvisionedConcurrencyConfig"):
        yield Unpriced("no price for provisioned concurrency")
    else:
        yield Estimate(Decimal(0), "priced with its function")


def state_machine(resource: Resource, context: Context) -> Iterator[Estimate | Unpriced]:
    """Price a standard workflow by its transitions, and the SageMaker jobs that it starts."""
    if context.value(resource, "StateMachineType") == "EXPRESS":
        raise UnpricedError("no price for Express workflows")
    workflow = context.usage.workflow(resource)
    runs = context.usage.runs(resource)
    transitions = runs.number * workflow.transitions
    yield Estimate(
        context.prices["state_transition"].of(transitions),
        f"{_transitions(workflow.transitions)} × {readable(round(runs.number, 2))} runs ({runs.driver})",
    )
    for entry in workflow.jobs:
        try:
            yield sagemaker.job(entry, runs, context)
        except UnpricedError as error:
            yield Unpriced(str(error), part=entry.state)
    for other in workflow.other:
        state, _, integration = other.partition(": ")
        yield Unpriced(f"no price for {integration}", part=state)


def _transitions(number: int) -> str:
    return "1 transition" if number == 1 else f"{number} transitions"
