"""Find out what an environment has deployed and serves."""

from typing import TYPE_CHECKING

import boto3

from infra.environment import Environment
from ops.promotion.drift import Facts, ServingStack
from ops.promotion.live import live_endpoint, released_package
from ops.promotion.objects import S3Object, StoredObject, find_object
from ops.promotion.packages import ModelPackage, approved_packages, find_package
from ops.promotion.pin import pin_of
from ops.refusals import refusals_told
from ops.stacks import find_stack, output_of

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient


def read_facts(environment: Environment, session: boto3.Session) -> Facts:
    """Ask CloudFormation, SageMaker, Systems Manager and S3 about the environment.

    Raises:
        OperationError: AWS refuses.
    """
    cloudformation, sagemaker = session.client("cloudformation"), session.client("sagemaker")
    has_storage = find_stack(cloudformation, environment.stack_name("storage")) is not None
    endpoint = live_endpoint(sagemaker, environment.endpoint_name)
    served = endpoint.package_arn if endpoint else None
    live = find_package(sagemaker, served) if served else None
    parameter = newest = None
    if environment.training is not None and has_storage:
        parameter = released_package(session.client("ssm"), environment)
        newest = next(iter(approved_packages(sagemaker, environment)), None)
    pin = pin_of(environment)
    return Facts(
        environment=environment,
        has_storage=has_storage,
        parameter=parameter,
        newest_approved=newest,
        stack=_serving_stack(cloudformation, environment.stack_name("serving")),
        endpoint=endpoint,
        live=live,
        pinned=find_package(sagemaker, pin.package_arn) if pin else None,
        artifact=_artifact(session, live) if live else None,
    )


def _serving_stack(cloudformation: "CloudFormationClient", name: str) -> ServingStack | None:
    stack = find_stack(cloudformation, name)
    if stack is None:
        return None
    with refusals_told(f"The resources of stack {name} cannot be read"):
        resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    configurations = (
        resource.get("PhysicalResourceId", "")
        for resource in resources
        if resource["ResourceType"] == "AWS::SageMaker::EndpointConfig"
    )
    arn = next(configurations, "")
    return ServingStack(
        name=name,
        status=stack["StackStatus"],
        package_arn=output_of(stack, "ModelPackageArn"),
        configuration=arn.rpartition("/")[2] or None,
    )


def _artifact(session: boto3.Session, package: ModelPackage) -> StoredObject | None:
    return find_object(session.client("s3"), S3Object.parse(package.artifact_uri))
