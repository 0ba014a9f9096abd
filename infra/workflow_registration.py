"""The state of the training workflow that registers a model."""

from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra import images
from infra.environment import Environment, TrainingSettings
from infra.workflow_jobs import JSON_LINES, RECORDIO, RUN_NAME, retry_service_errors


def register_model(
    workflow: Construct, *, settings: Environment, training: TrainingSettings
) -> sfn.IChainable:
    """Register the model with its evaluation and its origin, approved if no person has to do that.

    The approval is what releases it: infra/release.py.
    """
    register = tasks.CallAwsService(
        workflow,
        "Register",
        service="sagemaker",
        action="createModelPackage",
        parameters={
            "ModelPackageGroupName": settings.model_package_group,
            "ModelPackageDescription": sfn.JsonPath.format(
                "Factorization Machines trained on {}", sfn.JsonPath.string_at("$.prepared.source_key")
            ),
            "ModelApprovalStatus": "Approved"
            if training.approval == "automatic"
            else "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [
                    {
                        "Image": images.image_uri(settings.region),
                        "ModelDataUrl": sfn.JsonPath.string_at("$.training.artifact"),
                    }
                ],
                "SupportedContentTypes": ["application/json", RECORDIO, JSON_LINES],
                "SupportedResponseMIMETypes": ["application/json", RECORDIO, JSON_LINES],
            },
            "ModelMetrics": {
                "ModelQuality": {
                    "Statistics": {
                        "ContentType": "application/json",
                        "S3Uri": sfn.JsonPath.string_at("$.evaluation.evaluation_uri"),
                    }
                }
            },
            "CustomerMetadataProperties": {
                "artifact_sha256": sfn.JsonPath.string_at("$.evaluation.artifact_sha256"),
                "dataset_digest": sfn.JsonPath.string_at("$.prepared.digest"),
                "catalog_uri": sfn.JsonPath.string_at("$.evaluation.catalog_uri"),
                "histories_uri": sfn.JsonPath.string_at("$.evaluation.histories_uri"),
                "reference_uri": sfn.JsonPath.string_at("$.evaluation.reference_uri"),
                "training_job": RUN_NAME,
                "source_key": sfn.JsonPath.string_at("$.prepared.source_key"),
                # The registry keeps strings; these are read by people and by `recommender status`.
                **{
                    name: sfn.JsonPath.format("{}", sfn.JsonPath.string_at(f"$.evaluation.metrics.{name}"))
                    for name in ("accuracy", "auc", "cross_entropy")
                },
            },
            # A retry after an answer that was lost must not register the model twice.
            "ClientToken": sfn.JsonPath.hash(sfn.JsonPath.execution_id, "MD5"),
        },
        iam_resources=[],
        result_selector={"arn": sfn.JsonPath.string_at("$.ModelPackageArn")},
        result_path="$.package",
    )
    retry_service_errors(register)
    return register
