"""The SageMaker endpoint that serves the released model."""

from aws_cdk import CfnTag
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.environment import Environment
from infra.log_group import log_group
from infra.permission import allow
from infra.sagemaker_role import sagemaker_role
from infra.storage import MODELS_PREFIX, StorageStack

VARIANT = "AllTraffic"


class ModelEndpoint(Construct):
    """Model, endpoint configuration and endpoint from a model package.

    The endpoint keeps its name; the model and the configuration have none of their own, so that
    CloudFormation can replace them.

    Attributes:
        name: the endpoint's name.
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
        model = sagemaker.CfnModel(
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
        model.node.add_dependency(role)
        configuration = sagemaker.CfnEndpointConfig(
            self,
            "Configuration",
            kms_key_id=storage.key.key_arn,
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT,
                    model_name=model.attr_model_name,
                    instance_type=settings.serving.instance_type,
                    initial_instance_count=settings.serving.instance_count,
                    initial_variant_weight=1,
                )
            ],
        )
        endpoint = sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=self.name,
            endpoint_config_name=configuration.attr_endpoint_config_name,
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
