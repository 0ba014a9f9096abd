"""A model's whole life through boto3, with the real algorithm on a few made-up ratings."""

import io
import json
import tarfile
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from data_prep.recordio import encode_sparse
from tests.local_cloud.conftest import RunningCloud, wait_for

pytestmark = pytest.mark.local_cloud

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/factorization-machines:1"
USERS, MOVIES = 50, 40
FEATURES = USERS + MOVIES


def ratings(rows: int, seed: int) -> tuple[bytes, np.ndarray]:
    """Records of likes that follow a hidden taste: users and movies of like parity go together."""
    random = np.random.default_rng(seed)
    users, movies = random.integers(0, USERS, rows), random.integers(0, MOVIES, rows)
    labels = ((users + movies) % 2 == 0).astype(np.float32)
    keys = np.stack([users, USERS + movies], axis=1).reshape(-1).astype(np.int64)
    indptr = np.arange(0, 2 * rows + 1, 2, dtype=np.int64)
    values = np.ones(2 * rows, dtype=np.float32)
    return b"".join(encode_sparse(labels, indptr, keys, values, FEATURES)), labels


def channel(name: str, uri: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {
        "ChannelName": name,
        "ContentType": "application/x-recordio-protobuf",
        "DataSource": {"S3DataSource": source},
    }


def test_pipe_mode_gives_the_model_that_file_mode_gives(
    cloud: RunningCloud, service_role: Callable[[RunningCloud], str]
) -> None:
    sagemaker, s3 = cloud.client("sagemaker"), cloud.client("s3")
    role, name = service_role(cloud), f"fm-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    for number in range(2):
        s3.put_object(Bucket=name, Key=f"train/{number}.protobuf", Body=ratings(2000, seed=number)[0])
    s3.put_object(Bucket=name, Key="test/test.protobuf", Body=ratings(500, seed=2)[0])

    def trained(mode: str, uri: str) -> dict[str, Any]:
        job = f"{name}-{mode.lower()}-{uuid.uuid4().hex[:4]}"
        sagemaker.create_training_job(
            TrainingJobName=job,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": mode},
            RoleArn=role,
            HyperParameters={
                "feature_dim": str(FEATURES),
                "num_factors": "4",
                "predictor_type": "binary_classifier",
                "epochs": "3",
                "mini_batch_size": "100",
            },
            InputDataConfig=[channel("train", uri), channel("test", f"s3://{name}/test/")],
            OutputDataConfig={"S3OutputPath": f"s3://{name}/models/"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 300},
        )

        def ended() -> bool:
            status: str = sagemaker.describe_training_job(TrainingJobName=job)["TrainingJobStatus"]
            return status in ("Completed", "Failed")

        wait_for(ended)
        return sagemaker.describe_training_job(TrainingJobName=job)

    models = [
        s3.get_object(Bucket=name, Key=f"models/{job['TrainingJobName']}/output/model.tar.gz")["Body"].read()
        for job in (trained("File", f"s3://{name}/train/"), trained("Pipe", f"s3://{name}/train/"))
    ]
    assert models[0] == models[1]
    s3.put_object(Bucket=name, Key="broken/1.protobuf", Body=b"RecordIO?")
    failed = trained("Pipe", f"s3://{name}/broken/")
    assert failed["TrainingJobStatus"] == "Failed"
    assert "channel 'train', pipe train_0" in failed["FailureReason"]


def test_train_register_transform_serve_delete(
    cloud: RunningCloud, service_role: Callable[[RunningCloud], str]
) -> None:
    sagemaker, s3 = cloud.client("sagemaker"), cloud.client("s3")
    role, name = service_role(cloud), f"fm-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    train, _ = ratings(4000, seed=1)
    test, labels = ratings(500, seed=2)
    s3.put_object(Bucket=name, Key="train/train.protobuf", Body=train)
    s3.put_object(Bucket=name, Key="test/test.protobuf", Body=test)

    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=role,
        HyperParameters={
            "feature_dim": str(FEATURES),
            "num_factors": "4",
            "predictor_type": "binary_classifier",
            "epochs": "40",
            "mini_batch_size": "100",
            "factors_lr": "0.05",
            "factors_init_sigma": "0.1",
        },
        InputDataConfig=[channel("train", f"s3://{name}/train/"), channel("test", f"s3://{name}/test/")],
        OutputDataConfig={"S3OutputPath": f"s3://{name}/models/"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
    )
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    job = sagemaker.describe_training_job(TrainingJobName=name)
    metrics = {each["MetricName"]: each["Value"] for each in job["FinalMetricDataList"]}
    assert metrics["train:progress"] == 100
    assert metrics["test:binary_classification_accuracy"] > 0.9
    artifact = job["ModelArtifacts"]["S3ModelArtifacts"]
    archive = s3.get_object(Bucket=name, Key=artifact.removeprefix(f"s3://{name}/"))["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert tar.getnames() == ["model_algo-1"]

    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    package = sagemaker.create_model_package(
        ModelPackageGroupName=name,
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{"Image": IMAGE, "ModelDataUrl": artifact}],
            "SupportedContentTypes": ["application/json", "application/x-recordio-protobuf"],
            "SupportedResponseMIMETypes": ["application/json", "application/jsonlines"],
        },
    )["ModelPackageArn"]
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"ModelPackageName": package}
    )

    sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=name,
        MaxPayloadInMB=6,
        BatchStrategy="MultiRecord",
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{name}/test/"}},
            "ContentType": "application/x-recordio-protobuf",
            "SplitType": "RecordIO",
        },
        TransformOutput={
            "S3OutputPath": f"s3://{name}/scores/",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
        TransformJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    lines = s3.get_object(Bucket=name, Key="scores/test.protobuf.out")["Body"].read().splitlines()
    scored = [json.loads(line) for line in lines]
    assert len(scored) == len(labels)
    predicted = np.array([each["predicted_label"] for each in scored])
    accuracy = float((predicted == labels).mean())
    assert accuracy == pytest.approx(metrics["test:binary_classification_accuracy"], abs=0.005)

    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[variant | {"InitialInstanceCount": 1}]
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    runtime = cloud.client("sagemaker-runtime")
    features = {"keys": [0, USERS], "shape": [FEATURES], "values": [1, 1]}
    answer = runtime.invoke_endpoint(
        EndpointName=name,
        ContentType="application/json",
        Body=json.dumps({"instances": [{"data": {"features": features}}]}),
    )
    assert answer["ContentType"].startswith("application/json")
    (prediction,) = json.loads(answer["Body"].read())["predictions"]
    assert prediction["score"] > 0.5
    assert prediction["predicted_label"] == 1.0
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=b"1,2")
    assert caught.value.response["OriginalStatusCode"] == 415

    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.get_waiter("endpoint_deleted").wait(
        EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    sagemaker.delete_model(ModelName=name)
    sagemaker.delete_model_package(ModelPackageName=package)
    sagemaker.delete_model_package_group(ModelPackageGroupName=name)

    metric = {
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocations",
        "Dimensions": [
            {"Name": "EndpointName", "Value": name},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
    }

    def invocations() -> float:
        points = cloud.client("cloudwatch").get_metric_statistics(
            **metric, StartTime=0, EndTime=4e9, Period=60, Statistics=["Sum"]
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))

    wait_for(lambda: invocations() == 2.0, 10)


def test_bad_hyperparameter_fails_the_job_with_its_reason(
    cloud: RunningCloud, service_role: Callable[[RunningCloud], str]
) -> None:
    sagemaker, s3 = cloud.client("sagemaker"), cloud.client("s3")
    name = f"fm-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="train/train.protobuf", Body=ratings(10, seed=1)[0])
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=service_role(cloud),
        HyperParameters={"feature_dim": "90", "num_factors": "abc", "predictor_type": "regressor"},
        InputDataConfig=[channel("train", f"s3://{name}/train/")],
        OutputDataConfig={"S3OutputPath": f"s3://{name}/models/"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
    )

    def failed() -> Any:
        job = sagemaker.describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] == "Failed" else None

    assert "abc" in wait_for(failed)["FailureReason"]
