"""The alarms that stop a deployment of the endpoint."""

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.environment import Environment

_ERRORS: Final = "errors"
_LATENCY: Final = "latency"


def alarm_names(settings: Environment) -> list[str]:
    """The names of the endpoint's alarms, for whoever is defined before them."""
    return [_alarm_name(settings, kind) for kind in (_ERRORS, _LATENCY)]


def _alarm_name(settings: Environment, kind: str) -> str:
    return f"{settings.prefix}-endpoint-{kind}"


class EndpointAlarms(Construct):
    """An alarm on a fleet's server errors and one on its latency.

    The metrics are those of https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html.
    There are none while nobody asks the endpoint, and that is no alarm.

    The configuration is one of the dimensions, as it tells the fleets of a deployment apart: without it, the
    errors of a model in service would roll the deployment of its successor back
    (https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html). CloudFormation
    changes the alarms before the endpoint that names them, on the way to a new configuration and back.

    Attributes:
        alarms: both.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Environment,
        endpoint_name: str,
        variant: str,
        configuration_name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        limits = settings.serving.alarms
        self._settings = settings
        self._dimensions = {
            "EndpointName": endpoint_name,
            "VariantName": variant,
            "EndpointConfigName": configuration_name,
        }
        self.alarms = (
            self._alarm(
                _ERRORS,
                metric_name="Invocation5XXErrors",
                statistic=cloudwatch.Stats.SUM,
                threshold=limits.max_server_errors,
                description="The model fails too many requests",
            ),
            self._alarm(
                _LATENCY,
                metric_name="ModelLatency",
                statistic=cloudwatch.Stats.percentile(99),
                # The metric is in microseconds.
                threshold=limits.max_latency_ms * 1000,
                description="One in a hundred of the model's answers takes too long",
            ),
        )

    def _alarm(
        self, kind: str, *, metric_name: str, statistic: str, threshold: int, description: str
    ) -> cloudwatch.Alarm:
        metric = cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name=metric_name,
            dimensions_map=self._dimensions,
            statistic=statistic,
            period=Duration.minutes(1),
        )
        return metric.create_alarm(
            self,
            kind.capitalize(),
            alarm_name=_alarm_name(self._settings, kind),
            alarm_description=description,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=self._settings.serving.alarms.evaluation_minutes,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
