"""The SageMaker endpoint that serves the released model."""

from collections.abc import Iterable
from typing import Final

from aws_cdk import CfnTag, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.arns import alarm_arn
from infra.endpoint_alarms import EndpointAlarms, alarm_names
from infra.environment import DeploymentSettings, Environment
from infra.log_group import log_group
from infra.permission import allow
from infra.sagemaker_role import sagemaker_role
from infra.storage import MODELS_PREFIX, StorageStack

VARIANT: Final = "AllTraffic"

_START_SECONDS: Final = 3600
"""What new instances may take to be in service, on top of the waits of a deployment."""


class ModelEndpoint(Construct):
    """Model, endpoint configuration and endpoint from a model package.

    The endpoint keeps its name; the model and the configuration have none of their own, so that
    CloudFormation can replace them.

    Attributes:
        name: the endpoint's name.
        configuration_name: its configuration's, which changes with everything that needs new instances.
        model: the SageMaker model.
        model_package_arn: the package that it serves.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Environment,
        storage: StorageStack,
        model_package_arn: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self.name = settings.endpoint_name
        self.model_package_arn = model_package_arn
        role = sagemaker_role(
            self,
            "Role",
            description="What the served model may do",
            workloads=("Endpoints",),
            key=storage.key,
        )
        allow(
            role,
            "s3:GetObject",
            on=storage.objects(storage.models, f"{MODELS_PREFIX}*"),
            because="The released package decides which artifact is read",
        )
        allow(
            role,
            "cloudwatch:DescribeAlarms",
            on=[alarm_arn(Stack.of(self), name) for name in alarm_names(settings)],
        )
        self.model = sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=role.role_arn,
            enable_network_isolation=True,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                model_package_name=model_package_arn
            ),
            tags=[CfnTag(key="artifact-sha256", value=settings.model.artifact_sha256)]
            if settings.model.artifact_sha256
            else None,
        )
        # SageMaker checks at once whether the role may read the artifact.
        self.model.node.add_dependency(role)
        configuration = sagemaker.CfnEndpointConfig(
            self,
            "Configuration",
            kms_key_id=storage.key.key_arn,
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT,
                    model_name=self.model.attr_model_name,
                    instance_type=settings.serving.instance_type,
                    initial_instance_count=settings.serving.instance_count,
                    initial_variant_weight=1,
                )
            ],
        )
        self.configuration_name = configuration.attr_endpoint_config_name
        alarms = EndpointAlarms(
            self,
            "Alarms",
            settings=settings,
            endpoint_name=self.name,
            variant=VARIANT,
            configuration_name=self.configuration_name,
        ).alarms
        endpoint = sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=self.name,
            endpoint_config_name=self.configuration_name,
            deployment_config=_deployment(settings.serving.deployment, alarms),
            # An update keeps what a person has set since, except for the number of instances, which is the
            # settings' to say: nothing scales by itself.
            retain_all_variant_properties=True,
            exclude_retained_variant_properties=[
                sagemaker.CfnEndpoint.VariantPropertyProperty(variant_property_type="DesiredInstanceCount")
            ],
        )
        endpoint.node.add_dependency(
            log_group(
                self,
                "Logs",
                name=f"/aws/sagemaker/Endpoints/{self.name}",
                retention_days=settings.logs.retention_days,
            )
        )


def _deployment(
    settings: DeploymentSettings, alarms: Iterable[cloudwatch.Alarm]
) -> sagemaker.CfnEndpoint.DeploymentConfigProperty:
    """Blue/green, with a canary where the settings have one, and back again if one of `alarms` goes off."""
    wait = settings.canary_wait_seconds or 0
    return sagemaker.CfnEndpoint.DeploymentConfigProperty(
        blue_green_update_policy=sagemaker.CfnEndpoint.BlueGreenUpdatePolicyProperty(
            traffic_routing_configuration=sagemaker.CfnEndpoint.TrafficRoutingConfigProperty(
                type="ALL_AT_ONCE" if settings.canary_percent is None else "CANARY",
                canary_size=None
                if settings.canary_percent is None
                else sagemaker.CfnEndpoint.CapacitySizeProperty(
                    type="CAPACITY_PERCENT", value=settings.canary_percent
                ),
                wait_interval_in_seconds=wait,
            ),
            termination_wait_in_seconds=settings.termination_wait_seconds,
            # SageMaker waits at the canary, and for the termination with all traffic moved. Its guide can be
            # read as one more wait for the canary's time between the two; there is room for that:
            # https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green-canary.html
            maximum_execution_timeout_in_seconds=_START_SECONDS
            + 2 * wait
            + settings.termination_wait_seconds,
        ),
        auto_rollback_configuration=sagemaker.CfnEndpoint.AutoRollbackConfigProperty(
            alarms=[sagemaker.CfnEndpoint.AlarmProperty(alarm_name=alarm.alarm_name) for alarm in alarms]
        ),
    )
