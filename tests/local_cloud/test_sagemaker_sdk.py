"""AWS's own client for SageMaker, the Python SDK, works against the local SageMaker unchanged."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import boto3
import numpy as np
import pytest

from tests.local_cloud.conftest import REGION, RunningCloud
from tests.local_cloud.test_sagemaker_jobs import FEATURES, USERS, ratings

pytestmark = [pytest.mark.local_cloud, pytest.mark.fidelity]

NO_TELEMETRY = """
SchemaVersion: "1.0"
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
"""


@pytest.fixture(autouse=True)
def environment(cloud: RunningCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(NO_TELEMETRY)
    monkeypatch.setenv("SAGEMAKER_USER_CONFIG_OVERRIDE", str(config))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{cloud.port}")
    monkeypatch.setenv("SAGEMAKER_SUPPRESS_V2_WARNING", "1")


@pytest.mark.filterwarnings("ignore")
def test_estimator_trains_deploys_predicts_and_transforms(
    cloud: RunningCloud,
    service_role: Callable[[RunningCloud], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    import sagemaker
    from sagemaker.deserializers import JSONDeserializer
    from sagemaker.estimator import Estimator
    from sagemaker.serializers import JSONSerializer

    bucket = f"sdk-{uuid.uuid4().hex[:8]}"
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=bucket)
    data, labels = ratings(3000, seed=3)
    s3.put_object(Bucket=bucket, Key="data/ratings.protobuf", Body=data)
    session = sagemaker.Session(
        boto3.Session(aws_access_key_id="111111111111", aws_secret_access_key="local", region_name=REGION),
        default_bucket=bucket,
    )
    estimator = Estimator(
        sagemaker.image_uris.retrieve("factorization-machines", REGION),
        service_role(cloud),
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=session,
    )
    estimator.set_hyperparameters(
        feature_dim=FEATURES,
        num_factors=4,
        predictor_type="binary_classifier",
        epochs=30,
        mini_batch_size=100,
        factors_lr=0.05,
        factors_init_sigma=0.1,
    )
    source = f"s3://{bucket}/data/"
    estimator.fit({"train": source, "test": source}, logs="All")
    assert "#quality_metric: host=algo-1, test binary_classification_accuracy" in capsys.readouterr().out
    metrics = estimator.training_job_analytics.dataframe().set_index("metric_name")["value"]
    assert metrics["test:binary_classification_accuracy"] > 0.9

    predictor = estimator.deploy(
        1,
        "ml.m5.large",
        serializer=JSONSerializer(),
        deserializer=JSONDeserializer(),
        wait=False,
    )
    cloud.client("sagemaker").get_waiter("endpoint_in_service").wait(
        EndpointName=predictor.endpoint_name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    features = {"keys": [0, USERS], "shape": [FEATURES], "values": [1, 1]}
    answer = predictor.predict({"instances": [{"data": {"features": features}}]})
    assert answer["predictions"][0]["predicted_label"] == 1.0
    predictor.delete_model()
    predictor.delete_endpoint()

    transformer = estimator.transformer(
        1,
        "ml.m5.large",
        strategy="MultiRecord",
        accept="application/jsonlines",
        assemble_with="Line",
        output_path=f"s3://{bucket}/scores",
    )
    transformer.transform(source, content_type="application/x-recordio-protobuf", split_type="RecordIO",
                          wait=True, logs=False)  # fmt: skip
    lines = s3.get_object(Bucket=bucket, Key="scores/ratings.protobuf.out")["Body"].read().splitlines()
    predicted = np.array([json.loads(line)["predicted_label"] for line in lines])
    assert (predicted == labels).mean() == pytest.approx(
        metrics["test:binary_classification_accuracy"], abs=0.002
    )
