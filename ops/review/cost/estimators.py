"""Which function prices which type of resource, and which types cost nothing."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ops.review.cost import compute, sagemaker, services
from ops.review.cost.estimate import Context, Estimate, Unpriced
from ops.review.model import Resource

Estimator = Callable[[Resource, Context], Iterable[Estimate | Unpriced]]
"""Raises UnpricedError if the whole resource cannot be priced."""

ESTIMATORS: Final[Mapping[str, Estimator]] = {
    "AWS::ApiGateway::RestApi": services.rest_api,
    "AWS::ApiGateway::Stage": services.rest_stage,
    "AWS::ApplicationAutoScaling::ScalingPolicy": services.scaling_policy,
    "AWS::CloudWatch::Alarm": services.alarm,
    "AWS::CloudWatch::Dashboard": services.dashboard,
    "AWS::KMS::Key": services.key,
    "AWS::Lambda::Alias": compute.function_version,
    "AWS::Lambda::Function": compute.function,
    "AWS::Lambda::Version": compute.function_version,
    "AWS::Logs::LogGroup": services.log_group,
    "AWS::S3::Bucket": services.bucket,
    "AWS::SageMaker::Endpoint": sagemaker.endpoint,
    "AWS::StepFunctions::StateMachine": compute.state_machine,
}

_FREE: Final = frozenset(
    {
        "AWS::ApiGateway::Account",
        "AWS::ApiGateway::ApiKey",
        "AWS::ApiGateway::Authorizer",
        "AWS::ApiGateway::Deployment",
        "AWS::ApiGateway::GatewayResponse",
        "AWS::ApiGateway::Method",
        "AWS::ApiGateway::Model",
        "AWS::ApiGateway::RequestValidator",
        "AWS::ApiGateway::Resource",
        "AWS::ApiGateway::UsagePlan",
        "AWS::ApiGateway::UsagePlanKey",
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::CDK::Metadata",
        "AWS::CloudFormation::CustomResource",
        "AWS::CloudFormation::Stack",
        "AWS::CloudFormation::WaitConditionHandle",
        "AWS::Events::EventBus",
        "AWS::Events::EventBusPolicy",
        "AWS::Events::Rule",
        "AWS::KMS::Alias",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::Permission",
        "AWS::Logs::LogStream",
        "AWS::Logs::MetricFilter",
        "AWS::Logs::ResourcePolicy",
        "AWS::Logs::SubscriptionFilter",
        "AWS::S3::BucketPolicy",
        "AWS::SageMaker::EndpointConfig",
        "AWS::SageMaker::Model",
        "AWS::SageMaker::ModelPackageGroup",
        "AWS::Scheduler::Schedule",
        "AWS::Scheduler::ScheduleGroup",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
    }
)
"""Types that AWS does not charge for, or only by what they make happen elsewhere, which is priced there.

The first 14 million invocations of schedules in a month are free.
"""

_FREE_FAMILIES: Final = ("AWS::IAM::", "Custom::")


def is_free(resource: Resource) -> bool:
    """Whether a resource of this type costs nothing itself."""
    if resource.type == "AWS::SSM::Parameter":
        return bool(resource.properties.get("Tier", "Standard") == "Standard")
    return resource.type in _FREE or resource.type.startswith(_FREE_FAMILIES)
