"""What CDK's custom resource provider framework sends.

https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.custom_resources-readme.html#handling-lifecycle-events-onevent
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Message(BaseModel):
    """Base: fields that are unknown here are for others."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


class LifecycleEvent(Message):
    """One request of CloudFormation, without the properties."""

    request_type: Literal["Create", "Update", "Delete"] = Field(alias="RequestType")
    stack_id: str = Field(alias="StackId", description="The stack's ARN.")


class CheckProperties(Message):
    """CheckModel's properties in the template."""

    model_package_arn: str = Field(alias="ModelPackageArn")
    artifact_sha256: str | None = Field(
        default=None, alias="ArtifactSha256", description="What the environment pins; absent if it trains."
    )


class CheckEvent(LifecycleEvent):
    """A request to check a model package."""

    properties: CheckProperties = Field(alias="ResourceProperties")


class SmokeTestProperties(Message):
    """SmokeTest's properties in the template."""

    model_package_arn: str = Field(alias="ModelPackageArn")


class SmokeTestEvent(LifecycleEvent):
    """A request to test what serves a model package."""

    properties: SmokeTestProperties = Field(alias="ResourceProperties")
