"""What SageMaker measures of every request to an endpoint.

Names, units and dimensions as in https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html;
``EndpointConfigName`` tells the fleets of an update apart
(https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html).
"""

from dataclasses import dataclass

from local_cloud.sagemaker.delivery import Datum
from local_cloud.sagemaker.service_model import now

NAMESPACE = "AWS/SageMaker"


@dataclass(frozen=True)
class Invocation:
    """One request and its answer.

    Attributes:
        endpoint: name of the endpoint.
        variant: the production variant that answered.
        config: the endpoint configuration that the variant belongs to.
        instances: of the variant; None when it is serverless.
        status: HTTP status of the model's answer.
        model_seconds: what the model took.
        overhead_seconds: what SageMaker took besides.
    """

    endpoint: str
    variant: str
    config: str
    instances: int | None
    status: int
    model_seconds: float
    overhead_seconds: float

    def data(self) -> list[Datum]:
        """Return its measurements, once for the variant and once for the variant of this configuration."""
        moment = now()
        values = (
            ("Invocations", 1.0, "None"),
            ("InvocationsPerInstance", 1.0 / (self.instances or 1), "None"),
            ("Invocation4XXErrors", float(400 <= self.status < 500), "None"),
            ("Invocation5XXErrors", float(self.status >= 500), "None"),
            ("ModelLatency", _microseconds(self.model_seconds), "Microseconds"),
            ("OverheadLatency", _microseconds(self.overhead_seconds), "Microseconds"),
        )
        variant = {"EndpointName": self.endpoint, "VariantName": self.variant}
        return [
            Datum(NAMESPACE, name, value, dimensions, unit, moment)
            for dimensions in (variant, {**variant, "EndpointConfigName": self.config})
            for name, value, unit in values
        ]


def _microseconds(seconds: float) -> float:
    # Three digits are enough for a percentile, and let most values of a second share their place.
    return float(f"{seconds * 1e6:.3g}")
