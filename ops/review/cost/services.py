"""Cost of API Gateway, S3, KMS and CloudWatch."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from ops.review.cost.estimate import Context, Estimate, Unpriced, known_number
from ops.review.cost.prices import UnpricedError
from ops.review.cost.traffic import readable
from ops.review.model import Resource

_KB_PER_GB: Final = 1_000_000
_MB_PER_GB: Final = 1_000
_DAYS_PER_MONTH: Final = Decimal(365) / 12
_UNLIMITED_DAYS: Final = 365
"""Of logs, that are priced where a group keeps them forever."""

_DETAILED_METRICS: Final = ("4XXError", "5XXError", "Count", "IntegrationLatency", "Latency")
"""Of each method; the two of the cache come with a cache only.
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html"""

_TARGET_TRACKING_ALARMS: Final = 2
"""https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking.html"""


def rest_api(resource: Resource, context: Context) -> Iterator[Estimate]:
    """Price a REST API by requests and by what it sends to the internet."""
    del resource
    requests, kilobytes = context.traffic.requests_per_month, context.traffic.response_kb
    amount = context.prices["rest_request"].of(requests)
    amount += context.prices["internet_out"].of(requests * kilobytes / _KB_PER_GB)
    yield Estimate(amount, f"{readable(requests)} requests, {readable(kilobytes)} KB out each")


def rest_stage(resource: Resource, context: Context) -> Iterator[Estimate | Unpriced]:
    """Price a stage by its detailed metrics, of which every method has its own."""
    settings = [each for each in context.tables(resource, "MethodSettings") if each.get("MetricsEnabled")]
    metered = _metered_methods(resource, settings, context)
    number = metered * len(_DETAILED_METRICS)
    amount = context.prices["metric"].of(number) if number else Decimal(0)
    driver = f"{metered} methods × {len(_DETAILED_METRICS)} detailed metrics, if each is called every hour"
    yield Estimate(amount, driver if number else "no detailed metrics")
    if context.value(resource, "CacheClusterEnabled"):
        yield Unpriced("no price for a cache", part="cache")


def _metered_methods(stage: Resource, settings: list[Mapping[str, Any]], context: Context) -> int:
    if any(each.get("ResourcePath") == "/*" for each in settings):
        api = context.readable.reference(stage.properties.get("RestApiId"), stage.stack)
        return 0 if api is None else len(context.usage.methods(context.readable.resource(api)))
    return len(settings)


def bucket(resource: Resource, context: Context) -> Iterator[Estimate | Unpriced]:
    """Price a bucket by what it holds, by requests, and by the events that it sends to EventBridge."""
    traffic, prices = context.traffic, context.prices
    amount = prices["s3_storage"].of(traffic.bucket_gb)
    amount += prices["s3_write"].of(traffic.bucket_writes) + prices["s3_read"].of(traffic.bucket_reads)
    driver = (
        f"{readable(traffic.bucket_gb)} GB, {readable(traffic.bucket_writes)} writes,"
        f" {readable(traffic.bucket_reads)} reads"
    )
    events = context.value(resource, "NotificationConfiguration", "EventBridgeConfiguration")
    if isinstance(events, Mapping) and events.get("EventBridgeEnabled", True):
        try:
            amount += prices["event"].of(traffic.bucket_writes)
            driver += f", {readable(traffic.bucket_writes)} events"
        except UnpricedError as error:
            yield Unpriced(str(error), part="events")
    yield Estimate(amount, driver)


def key(resource: Resource, context: Context) -> Iterator[Estimate]:
    """Price a customer-managed key and requests to it; a rotation adds a key that is kept."""
    requests = context.traffic.key_requests
    amount = context.prices["kms_key"].of(1) + context.prices["kms_request"].of(requests)
    rotated = " until its first rotation" if context.value(resource, "EnableKeyRotation") is True else ""
    yield Estimate(amount, f"1 key{rotated}, {readable(requests)} requests")


def log_group(resource: Resource, context: Context) -> Iterator[Estimate]:
    """Price a log group by what is written to it and by what its retention keeps, uncompressed."""
    if context.value(resource, "LogGroupClass") not in (None, "STANDARD"):
        raise UnpricedError("no price for log groups of infrequent access")
    gigabytes, driver = _written(resource, context)
    days = context.number(resource, "RetentionInDays", default=0)
    kept = f"kept {readable(days)} days" if days else "kept forever, of which a year is priced"
    amount = context.prices["log_ingestion"].of(gigabytes)
    amount += context.prices["log_storage"].of(gigabytes * (days or _UNLIMITED_DAYS) / _DAYS_PER_MONTH)
    yield Estimate(amount, f"{driver}, {kept}")


def _written(group: Resource, context: Context) -> tuple[Decimal, str]:
    traffic = context.traffic
    records = Decimal(0)
    writers = False
    for function in context.assembly.resources("AWS::Lambda::Function"):
        if context.refers_to(function.properties.get("LoggingConfig"), function, group):
            writers = True
            records += sum((calls.number for calls in context.usage.invocations(function)), Decimal(0))
    for stage in context.assembly.resources("AWS::ApiGateway::Stage"):
        if context.refers_to(stage.properties.get("AccessLogSetting"), stage, group):
            writers = True
            records += traffic.requests_per_month
    if writers:
        driver = f"{readable(round(records, 2))} records × {readable(traffic.log_kb)} KB"
        return records * traffic.log_kb / _KB_PER_GB, driver
    return traffic.log_mb / _MB_PER_GB, f"{readable(traffic.log_mb)} MB"


def alarm(resource: Resource, context: Context) -> Iterator[Estimate]:
    """Price an alarm by the metrics that it watches."""
    queries = context.tables(resource, "Metrics")
    statistics = [query["MetricStat"] for query in queries if "MetricStat" in query]
    periods = [context.number(resource, "Period", default=60)]
    periods += [known_number(statistic.get("Period", 60), "Period") for statistic in statistics]
    if min(periods) < 60:
        raise UnpricedError("no price for high-resolution alarms")
    number = max(len(statistics), 1)
    yield Estimate(context.prices["alarm"].of(number), f"{number} alarm metrics" if number > 1 else "1 alarm")


def scaling_policy(resource: Resource, context: Context) -> Iterator[Estimate]:
    """Price a scaling policy: one that tracks a target makes alarms of its own."""
    if context.value(resource, "PolicyType") == "TargetTrackingScaling":
        amount = context.prices["alarm"].of(_TARGET_TRACKING_ALARMS)
        yield Estimate(amount, f"{_TARGET_TRACKING_ALARMS} alarms that target tracking makes")
    else:
        yield Estimate(Decimal(0), "its alarms are resources of their own")


def dashboard(resource: Resource, context: Context) -> Iterator[Estimate]:
    """Price a dashboard."""
    del resource
    yield Estimate(context.prices["dashboard"].of(1), "1 dashboard")
