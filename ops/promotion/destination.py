"""The environment that is promoted to: its model bucket, and the package that the model becomes there."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

import boto3

from infra import images
from infra.environment import Environment
from ops.errors import OperationError
from ops.promotion.objects import FetchedFile, S3Object
from ops.promotion.packages import Registration
from ops.promotion.source import ARTIFACT, Model
from ops.stacks import find_stack, output_of

_CARRIED_OVER = (
    "artifact_sha256",
    "dataset_digest",
    "training_job",
    "source_key",
    "accuracy",
    "auc",
    "cross_entropy",
)
_FOLDER_DIGITS = 16
_MAX_METADATA = 256
"""Characters of a value of CustomerMetadataProperties:
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html"""


@dataclass(frozen=True)
class Provenance:
    """Where a promoted package comes from.

    Attributes:
        source: the environment.
        git_commit: of the checkout that promoted, 40 hexadecimal digits, with `-dirty` if it had changes.
        promoted_by: ARN of the caller in the target's account.
        promoted_at: when.
    """

    source: Environment
    git_commit: str
    promoted_by: str
    promoted_at: datetime


def model_bucket(environment: Environment, session: boto3.Session) -> str:
    """Return the name of the environment's model bucket.

    Raises:
        OperationError: it has none yet, or AWS refuses.
    """
    name = environment.stack_name("storage")
    stack = find_stack(session.client("cloudformation"), name)
    bucket = output_of(stack, "ModelBucketName") if stack else None
    if bucket is None:
        state = f"stack {name} is {stack['StackStatus']}" if stack else f"there is no stack {name}"
        raise OperationError(
            f"{environment.name} has no model bucket ({state}): deploy its storage first: "
            f"`npx cdk deploy {name} -c env={environment.name}`"
        )
    return bucket


def place_of(file: FetchedFile, model: Model, bucket: str) -> S3Object:
    """Return where a file of the model belongs: in a folder that is named by the artifact's SHA-256.

    Two packages may have the same artifact and other companions. So these lie in a folder below, which is
    named by their own content: no promotion can change what a package that is registered refers to.
    """
    folder = f"models/{model.package.artifact_sha256}"
    if file.path.name != ARTIFACT:
        content = "\n".join(sorted(f"{each.sha256} {each.path.name}" for each in model.companions))
        folder += f"/{hashlib.sha256(content.encode()).hexdigest()[:_FOLDER_DIGITS]}"
    return S3Object(bucket, f"{folder}/{file.path.name}")


def registration_of(model: Model, environment: Environment, bucket: str, origin: Provenance) -> Registration:
    """Return what to register for `model` in `environment`, with its lineage.

    Raises:
        OperationError: the source's package does not record what belongs to the lineage.
    """
    package = model.package
    uris = {file.path.name: place_of(file, model, bucket).uri for file in model.files}
    lineage = {
        "catalog_uri": uris["catalog.json"],
        "histories_uri": uris["histories.bin"],
        "reference_uri": uris["reference.json"],
        "source_account": origin.source.account,
        "source_package_arn": package.arn,
        "source_environment": origin.source.name,
        "git_commit": origin.git_commit,
        # An IAM name may have a comma, the registry's metadata may not.
        "promoted_by": origin.promoted_by.replace(",", "_")[:_MAX_METADATA],
        "promoted_at": origin.promoted_at.astimezone(UTC).isoformat(timespec="seconds"),
    }
    return Registration(
        group=environment.model_package_group,
        description=f"Promoted from {origin.source.name}: {package.name}",
        image=images.image_uri(environment.region),
        artifact_uri=uris[ARTIFACT],
        evaluation_uri=uris["evaluation.json"],
        content_types=package.content_types,
        response_types=package.response_types,
        metadata={key: package.recorded(key) for key in _CARRIED_OVER} | lineage,
    )
