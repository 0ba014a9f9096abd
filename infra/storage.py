"""What keeps data: the key, the buckets, the model registry."""

from aws_cdk import CfnOutput, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.auto_delete import own_auto_delete_logs
from infra.environment import Environment
from infra.environment_stack import EnvironmentStack
from infra.permission import allow

RATINGS_PREFIX = "ratings/"
SCORES_PREFIX = "scores/"
MODELS_PREFIX = "models/"
PROMOTIONS_PREFIX = "promotions/"


class StorageStack(EnvironmentStack):
    """The buckets for raw ratings, prepared data and models, their key, and the model registry.

    Attributes:
        key: encrypts the buckets and SageMaker's volumes.
        raw: ratings as they came, under `ratings/`; versioned; tells EventBridge about new objects.
        prepared: training data under its digest, and scores; everything expires.
        models: artifacts, evaluations and catalogues under `models/<training job>/`; versioned.
    """

    def __init__(self, scope: Construct, *, settings: Environment) -> None:
        super().__init__(
            scope,
            "storage",
            settings=settings,
            description="Movie recommender: key, buckets and model registry",
        )
        self._settings = settings
        retain = settings.storage.retain_data
        self._removal = RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY
        self.key = kms.Key(
            self,
            "Key",
            alias=f"alias/{settings.prefix}",
            description=f"Data of {settings.prefix}",
            enable_key_rotation=True,
            removal_policy=self._removal,
            pending_window=Duration.days(7),
        )
        self._access_logs = self._access_log_bucket()
        self.raw = self._bucket("Raw", versioned=True, event_bridge=True)
        self.prepared = self._bucket(
            "Prepared", versioned=False, expiry_days=settings.storage.prepared_expiry_days
        )
        self.models = self._bucket("Models", versioned=True)
        if not retain:
            own_auto_delete_logs(self, settings.prefix, retention_days=settings.logs.retention_days)
        self._model_registry()
        CfnOutput(self, "RawBucketName", value=self.raw.bucket_name)
        CfnOutput(self, "PreparedBucketName", value=self.prepared.bucket_name)
        CfnOutput(self, "ModelBucketName", value=self.models.bucket_name)

    def objects(self, bucket: s3.IBucket, pattern: str) -> str:
        """Return the ARN of the objects of `bucket` that `pattern` names, for another stack's permissions."""
        return f"{self.export_value(bucket.bucket_arn)}/{pattern}"

    def allow_to_read_ratings(self, role: iam.Role) -> None:
        """Let `role` list and read the ratings that were uploaded."""
        allow(role, "s3:ListBucket", on=self.raw.bucket_arn)
        allow(
            role,
            "s3:GetObject",
            on=self.objects(self.raw, f"{RATINGS_PREFIX}*"),
            because="Whoever uploads ratings names them",
        )
        allow(role, "kms:Decrypt", on=self.key.key_arn)

    def _access_log_bucket(self) -> s3.Bucket:
        return s3.Bucket(
            self,
            "AccessLogs",
            # Amazon S3 delivers access logs only to buckets that it encrypts with its own key:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=Duration.days(self._settings.storage.access_log_expiry_days),
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                )
            ],
            removal_policy=self._removal,
            auto_delete_objects=self._removal is RemovalPolicy.DESTROY,
        )

    def _bucket(
        self,
        construct_id: str,
        *,
        versioned: bool,
        expiry_days: int | None = None,
        event_bridge: bool = False,
    ) -> s3.Bucket:
        noncurrent = Duration.days(self._settings.storage.noncurrent_expiry_days)
        bucket = s3.Bucket(
            self,
            construct_id,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=versioned,
            server_access_logs_bucket=self._access_logs,
            server_access_logs_prefix=f"{construct_id.lower()}/",
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=Duration.days(expiry_days) if expiry_days else None,
                    noncurrent_version_expiration=noncurrent if versioned else None,
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                )
            ],
            removal_policy=self._removal,
            auto_delete_objects=self._removal is RemovalPolicy.DESTROY,
        )
        if event_bridge:
            # The bucket construct would do this through a custom resource with its own function;
            # CloudFormation has had the property since 2021.
            resource = bucket.node.default_child
            assert isinstance(resource, s3.CfnBucket)  # noqa: S101
            resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
                event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(
                    event_bridge_enabled=True
                )
            )
        return bucket

    def _model_registry(self) -> None:
        group = sagemaker.CfnModelPackageGroup(
            self,
            "ModelRegistry",
            model_package_group_name=self._settings.model_package_group,
            model_package_group_description=f"Models of {self._settings.prefix}, each with its evaluation",
        )
        # Trained packages go with the training stack, which empties the group; promoted ones are data.
        promoted = self._settings.training is None
        group.apply_removal_policy(self._removal if promoted else RemovalPolicy.DESTROY)
