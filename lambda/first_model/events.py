"""What CDK's custom resource provider framework sends.

https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.custom_resources-readme.html#handling-lifecycle-events-onevent
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Properties(BaseModel):
    """The custom resource's properties in the template."""

    model_config = ConfigDict(frozen=True)

    state_machine_arn: str = Field(alias="StateMachineArn")
    release_state_machine_arn: str = Field(alias="ReleaseStateMachineArn")
    raw_bucket: str = Field(alias="RawBucket")
    asset_bucket: str = Field(alias="AssetBucket")
    asset_key: str = Field(alias="AssetKey")
    ratings_key: str = Field(alias="RatingsKey")
    model_package_group: str = Field(alias="ModelPackageGroup")
    parameter_name: str = Field(alias="ParameterName")
    name_prefix: str = Field(alias="NamePrefix", description="What the workflow's runs are named after.")
    wait_minutes: int = Field(
        alias="WaitMinutes", description="How long after its start a creation gives up, and says why."
    )


class LifecycleEvent(BaseModel):
    """One request of CloudFormation; `is_complete` also gets what `on_event` returned."""

    model_config = ConfigDict(frozen=True)

    request_type: Literal["Create", "Update", "Delete"] = Field(alias="RequestType")
    request_id: str = Field(alias="RequestId")
    physical_resource_id: str | None = Field(default=None, alias="PhysicalResourceId")
    properties: Properties = Field(alias="ResourceProperties")
    old_properties: dict[str, Any] = Field(default={}, alias="OldResourceProperties")
    execution_arn: str | None = Field(default=None, alias="ExecutionArn")
