"""The alarms that stop a deployment of the endpoint."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.environment import Environment


class EndpointAlarms(Construct):
    """An alarm on the model's server errors and one on its latency, over all requests to a variant.

    The metrics are those of https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html.
    There are none while nobody asks the endpoint, and that is no alarm.

    Attributes:
        alarms: both.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Environment, endpoint_name: str, variant: str
    ) -> None:
        super().__init__(scope, construct_id)
        limits = settings.serving.alarms
        self._settings = settings
        self._dimensions = {"EndpointName": endpoint_name, "VariantName": variant}
        self.alarms = (
            self._alarm(
                "errors",
                metric_name="Invocation5XXErrors",
                statistic=cloudwatch.Stats.SUM,
                threshold=limits.max_server_errors,
                description="The model fails too many requests",
            ),
            self._alarm(
                "latency",
                metric_name="ModelLatency",
                statistic=cloudwatch.Stats.percentile(99),
                # The metric is in microseconds.
                threshold=limits.max_latency_ms * 1000,
                description="One in a hundred of the model's answers takes too long",
            ),
        )

    def _alarm(
        self, name: str, *, metric_name: str, statistic: str, threshold: int, description: str
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
            name.capitalize(),
            alarm_name=f"{self._settings.prefix}-endpoint-{name}",
            alarm_description=description,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=self._settings.serving.alarms.evaluation_minutes,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
