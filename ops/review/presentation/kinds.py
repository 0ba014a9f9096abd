"""Which resource types a picture shows, and what people call them."""

from typing import Final

from ops.review.model import Resource

_NAMES: Final = {
    "AWS::ApiGateway::ApiKey": "API key",
    "AWS::ApiGateway::Deployment": "Deployment",
    "AWS::ApiGateway::GatewayResponse": "Error response",
    "AWS::ApiGateway::Method": "Method",
    "AWS::ApiGateway::Resource": "Route",
    "AWS::ApiGateway::Stage": "Stage",
    "AWS::ApiGateway::UsagePlan": "Usage plan",
    "AWS::IAM::ManagedPolicy": "Managed policy",
    "AWS::IAM::Policy": "Policy",
    "AWS::IAM::Role": "Role",
    "AWS::KMS::Alias": "Alias",
    "AWS::Lambda::Permission": "Lambda permission",
    "AWS::Lambda::Version": "Version",
    "AWS::Logs::LogGroup": "Log group",
    "AWS::S3::BucketPolicy": "Bucket policy",
    "AWS::ApiGateway::RestApi": "REST API",
    "AWS::ApiGatewayV2::Api": "HTTP API",
    "AWS::AutoScaling::AutoScalingGroup": "Auto Scaling group",
    "AWS::Batch::ComputeEnvironment": "Batch compute",
    "AWS::Batch::JobDefinition": "Batch job",
    "AWS::Batch::JobQueue": "Batch queue",
    "AWS::Budgets::Budget": "Budget",
    "AWS::CloudFormation::Stack": "Nested stack",
    "AWS::CloudFront::Distribution": "CloudFront",
    "AWS::CloudWatch::Alarm": "Alarm",
    "AWS::CloudWatch::Dashboard": "Dashboard",
    "AWS::DynamoDB::GlobalTable": "DynamoDB table",
    "AWS::DynamoDB::Table": "DynamoDB table",
    "AWS::EC2::Instance": "EC2 instance",
    "AWS::EC2::SecurityGroup": "Security group",
    "AWS::EC2::VPC": "VPC",
    "AWS::EC2::VPCEndpoint": "VPC endpoint",
    "AWS::ECR::Repository": "ECR repository",
    "AWS::ECS::Cluster": "ECS cluster",
    "AWS::ECS::Service": "ECS service",
    "AWS::ECS::TaskDefinition": "ECS task",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "Load balancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "Target group",
    "AWS::Events::Rule": "Event rule",
    "AWS::IAM::OIDCProvider": "OIDC provider",
    "AWS::KMS::Key": "KMS key",
    "AWS::Kinesis::Stream": "Kinesis stream",
    "AWS::KinesisFirehose::DeliveryStream": "Firehose",
    "AWS::Lambda::Function": "Lambda function",
    "AWS::RDS::DBCluster": "Database cluster",
    "AWS::RDS::DBInstance": "Database",
    "AWS::S3::Bucket": "S3 bucket",
    "AWS::SNS::Topic": "SNS topic",
    "AWS::SQS::Queue": "SQS queue",
    "AWS::SSM::Parameter": "SSM parameter",
    "AWS::SageMaker::Endpoint": "SageMaker endpoint",
    "AWS::SageMaker::EndpointConfig": "Endpoint config",
    "AWS::SageMaker::Model": "SageMaker model",
    "AWS::SageMaker::ModelPackageGroup": "Model registry",
    "AWS::Scheduler::Schedule": "Schedule",
    "AWS::SecretsManager::Secret": "Secret",
    "AWS::StepFunctions::StateMachine": "State machine",
}

_PARTS: Final = frozenset(
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
        "AWS::ApiGateway::Stage",
        "AWS::ApiGateway::UsagePlan",
        "AWS::ApiGateway::UsagePlanKey",
        "AWS::ApiGatewayV2::Authorizer",
        "AWS::ApiGatewayV2::Deployment",
        "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Route",
        "AWS::ApiGatewayV2::Stage",
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::CDK::Metadata",
        "AWS::CloudFormation::CustomResource",
        "AWS::CloudFormation::WaitCondition",
        "AWS::CloudFormation::WaitConditionHandle",
        "AWS::EC2::EIP",
        "AWS::EC2::InternetGateway",
        "AWS::EC2::NatGateway",
        "AWS::EC2::Route",
        "AWS::EC2::RouteTable",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::Subnet",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::ElasticLoadBalancingV2::Listener",
        "AWS::ElasticLoadBalancingV2::ListenerRule",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::KMS::Alias",
        "AWS::Lambda::Alias",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::Permission",
        "AWS::Lambda::Url",
        "AWS::Lambda::Version",
        "AWS::Logs::LogGroup",
        "AWS::Logs::ResourcePolicy",
        "AWS::Logs::SubscriptionFilter",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
        "AWS::SecretsManager::SecretTargetAttachment",
        "Custom::LogRetention",
        "Custom::S3AutoDeleteObjects",
        "Custom::S3BucketNotifications",
    }
)
"""Types that belong to another resource: a role to its function, a method to its API."""

_FRAMEWORK: Final = (
    "Custom::",
    "LogRetention",
    "AWS679f53fac002430cb0da5b7982bd2287",
    "BucketNotificationsHandler",
)
"""How the ids begin of constructs that the CDK adds to a stack by itself."""


def kind(resource_type: str) -> str:
    """Return what people call a resource of `resource_type`."""
    if resource_type in _NAMES:
        return _NAMES[resource_type]
    if resource_type.startswith("Custom::"):
        return "Custom resource"
    return " ".join(resource_type.removeprefix("AWS::").split("::"))


def is_part(resource: Resource) -> bool:
    """Whether `resource` only serves another one, and is no box of its own."""
    if resource.type in _PARTS:
        return True
    return any(step.startswith(_FRAMEWORK) for step in resource.path.split("/")[1:])
