"""Which resources serve traffic now."""

from ops.review.intrinsics import Readable
from ops.review.model import Assembly, Resource

LIVE_TYPES = frozenset(
    {
        "AWS::ApiGateway::Authorizer",
        "AWS::ApiGateway::BasePathMapping",
        "AWS::ApiGateway::Deployment",
        "AWS::ApiGateway::DomainName",
        "AWS::ApiGateway::Method",
        "AWS::ApiGateway::RestApi",
        "AWS::ApiGateway::Stage",
        "AWS::ApiGateway::UsagePlan",
        "AWS::ApiGatewayV2::Api",
        "AWS::ApiGatewayV2::ApiMapping",
        "AWS::ApiGatewayV2::Authorizer",
        "AWS::ApiGatewayV2::Deployment",
        "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Route",
        "AWS::ApiGatewayV2::Stage",
        "AWS::AppRunner::Service",
        "AWS::AppSync::GraphQLApi",
        "AWS::CloudFront::Distribution",
        "AWS::ECS::Service",
        "AWS::ElasticLoadBalancingV2::Listener",
        "AWS::ElasticLoadBalancingV2::ListenerRule",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        "AWS::Lambda::Url",
        "AWS::SageMaker::Endpoint",
        "AWS::SageMaker::EndpointConfig",
        "AWS::SageMaker::InferenceComponent",
        "AWS::SageMaker::Model",
    }
)

_DOORS = (
    "AWS::ApiGateway::Method",
    "AWS::ApiGatewayV2::Integration",
    "AWS::Lambda::Url",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
)
"""What hands requests to functions."""


def live_functions(assembly: Assembly, readable: Readable) -> frozenset[tuple[str, str]]:
    """Return the stack and logical id of every Lambda function that answers an API's requests."""
    return frozenset(
        (reference.stack, reference.logical_id)
        for door in assembly.resources(*_DOORS)
        for reference in readable.references(dict(door.properties), door.stack)
        if readable.resource(reference).type in ("AWS::Lambda::Function", "AWS::Lambda::Alias")
    )


def is_live(resource: Resource, functions: frozenset[tuple[str, str]]) -> bool:
    """Tell whether `resource` serves traffic; `functions` are those behind an API."""
    return resource.type in LIVE_TYPES or (resource.stack, resource.logical_id) in functions
