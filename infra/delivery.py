"""What GitHub Actions may do in the environment's account: one role for each purpose, without stored keys."""

from collections.abc import Iterable
from typing import Final

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra import images
from infra.arns import model_package_arns, parameter_arn, stack_arns
from infra.environment import DeliverySettings, Environment
from infra.environment_stack import EnvironmentStack
from infra.permission import allow
from infra.served_model import allow_to_see_the_served_model
from infra.storage import MODELS_PREFIX, PROMOTIONS_PREFIX, StorageStack

ISSUER: Final = "token.actions.githubusercontent.com"
AUDIENCE: Final = "sts.amazonaws.com"
"""What https://github.com/aws-actions/configure-aws-credentials asks for by itself, in every partition."""

PROMOTION_ENVIRONMENT: Final = "model-promotion"
"""The GitHub environment of promotions. No environment of config/ can be called so: it has a hyphen."""

_BOOTSTRAP_ROLES: Final = ("deploy", "file-publishing", "image-publishing", "lookup")
"""https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html#bootstrapping-env-roles"""

_HOUR: Final = Duration.hours(1)
_DEPLOYMENT: Final = Duration.hours(2)
"""The first one trains for up to 50 minutes; an endpoint's change waits for new instances and the canary."""

_PACKAGES: Final = "SageMaker numbers the packages of the registry"
_MODELS: Final = "A model lies under its training job's name or its artifact's SHA-256"
_STACK_ID: Final = "CloudFormation ends a stack's ARN with an id of its own choice"


class DeliveryStack(EnvironmentStack):
    """The roles that workflows of one GitHub repository take on by its tokens (OpenID Connect).

    - deploy: to take on the roles of the CDK's bootstrap in this account and region, and nothing else.
      Trusts the GitHub environment that is called as this one.
    - read: to see what this environment serves, and the model behind it. Trusts the same, and promotions.
    - promote: to add a model, in an environment that serves promoted ones. Trusts promotions alone.
    """

    def __init__(
        self, scope: Construct, *, settings: Environment, delivery: DeliverySettings, storage: StorageStack
    ) -> None:
        super().__init__(
            scope,
            "delivery",
            settings=settings,
            description="Movie recommender: what GitHub Actions may do here",
        )
        self._settings = settings
        self._storage = storage
        self._repository = delivery.repository
        self._provider_arn = self._provider(delivery)
        self._deploy()
        self._read()
        if settings.training is None:
            self._promote()

    def _provider(self, delivery: DeliverySettings) -> str:
        if delivery.oidc_provider == "existing":
            return self.format_arn(service="iam", region="", resource="oidc-provider", resource_name=ISSUER)
        return iam.OidcProviderNative(
            self, "GitHub", url=f"https://{ISSUER}", client_ids=[AUDIENCE]
        ).oidc_provider_arn

    def _role(
        self,
        construct_id: str,
        description: str,
        environments: Iterable[str],
        *,
        longest_session: Duration = _HOUR,
    ) -> iam.Role:
        """A role for the jobs of `environments` (GitHub's) of the repository.

        https://docs.github.com/en/actions/reference/security/oidc
        """
        subjects = [f"repo:{self._repository}:environment:{name}" for name in environments]
        role = iam.Role(
            self,
            construct_id,
            description=description,
            assumed_by=iam.WebIdentityPrincipal(
                self._provider_arn,
                {"StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subjects}},
            ),
            max_session_duration=longest_session,
        )
        CfnOutput(self, f"{construct_id}RoleArn", value=role.role_arn)
        return role

    def _deploy(self) -> None:
        role = self._role(
            "Deploy",
            f"GitHub Actions: deploy {self._settings.prefix}",
            [self._settings.name],
            longest_session=_DEPLOYMENT,
        )
        allow(role, "sts:AssumeRole", on=[self._bootstrap_role_arn(purpose) for purpose in _BOOTSTRAP_ROLES])

    def _bootstrap_role_arn(self, purpose: str) -> str:
        qualifier = self.synthesizer.bootstrap_qualifier
        name = f"cdk-{qualifier}-{purpose}-role-{self.account}-{self.region}"
        return self.format_arn(service="iam", region="", resource="role", resource_name=name)

    def _read(self) -> None:
        settings = self._settings
        role = self._role(
            "Read",
            f"GitHub Actions: see what {settings.prefix} serves",
            [settings.name, PROMOTION_ENVIRONMENT],
        )
        self._allow_to_read_models(role)
        allow_to_see_the_served_model(role, settings)
        if settings.training is not None:
            allow(role, "ssm:GetParameter", on=parameter_arn(self, settings.model_package_parameter))
        for part, actions in (
            ("storage", ["cloudformation:DescribeStacks"]),
            ("serving", ["cloudformation:DescribeStacks", "cloudformation:DescribeStackResources"]),
        ):
            allow(role, *actions, on=stack_arns(self, settings.stack_name(part)), because=_STACK_ID)

    def _promote(self) -> None:
        settings = self._settings
        role = self._role(
            "Promote", f"GitHub Actions: promote models to {settings.prefix}", [PROMOTION_ENVIRONMENT]
        )
        self._allow_to_read_models(role)
        allow(
            role,
            "sagemaker:CreateModelPackage",
            on=model_package_arns(self, settings.model_package_group),
            because=_PACKAGES,
        )
        # Registering looks at the image with the caller's permissions:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/security-iam-awsmanpol-model-registry.html
        allow(
            role,
            *("ecr:BatchGetImage", "ecr:DescribeImages"),
            on=images.repository_arn(Stack.of(role).region),
        )
        models = self._storage.models
        allow(role, "s3:PutObject", on=self._storage.objects(models, f"{MODELS_PREFIX}*"), because=_MODELS)
        allow(
            role,
            *("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
            on=self._storage.objects(models, f"{PROMOTIONS_PREFIX}lock.json"),
        )
        allow(role, "kms:GenerateDataKey", on=self._storage.key.key_arn)
        allow(
            role,
            "cloudformation:DescribeStacks",
            on=stack_arns(self, settings.stack_name("storage")),
            because=_STACK_ID,
        )

    def _allow_to_read_models(self, role: iam.Role) -> None:
        allow(
            role,
            *("sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"),
            on=model_package_arns(self, self._settings.model_package_group),
            because=_PACKAGES,
        )
        models = self._storage.models
        # Without it Amazon S3 does not say that there is no such object, but denies access:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        allow(role, "s3:ListBucket", on=self._storage.export_value(models.bucket_arn))
        allow(role, "s3:GetObject", on=self._storage.objects(models, f"{MODELS_PREFIX}*"), because=_MODELS)
        allow(role, "kms:Decrypt", on=self._storage.key.key_arn)
