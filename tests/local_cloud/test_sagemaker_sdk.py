"""AWS's own client for SageMaker, the Python SDK, works against the local SageMaker unchanged.

Every response that the SDK gets is held against AWS's service model (see `sagemaker_responses`).
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from tests.local_cloud import sagemaker_responses
from tests.local_cloud.conftest import REGION, RunningCloud
from tests.local_cloud.test_sagemaker_jobs import FEATURES, MOVIES, USERS, ratings

pytestmark = [pytest.mark.local_cloud, pytest.mark.fidelity, pytest.mark.filterwarnings("ignore")]

RECORDIO = "application/x-recordio-protobuf"
ROWS = 3000
HYPERPARAMETERS = {
    "num_factors": 4,
    "predictor_type": "binary_classifier",
    "epochs": 30,
    "factors_lr": 0.05,
    "factors_init_sigma": 0.1,
}
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


@dataclass
class Workspace:
    """A session of the SDK with ratings in its bucket."""

    session: Any
    role: str
    data: str
    records: bytes
    labels: np.ndarray
    checked: list[str] = field(default_factory=list)

    def settings(self) -> dict[str, Any]:
        """Arguments that all estimators take."""
        return {
            "role": self.role,
            "instance_count": 1,
            "instance_type": "ml.m5.large",
            "sagemaker_session": self.session,
        }

    def in_service(self, endpoint: str) -> None:
        """Wait for an endpoint; the SDK itself looks twice a minute only."""
        self.session.sagemaker_client.get_waiter("endpoint_in_service").wait(
            EndpointName=endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )

    def lines(self, key: str) -> list[dict[str, Any]]:
        body = self.session.boto_session.client("s3").get_object(
            Bucket=self.session.default_bucket(), Key=key
        )
        return [json.loads(line) for line in body["Body"].read().splitlines()]


@pytest.fixture
def workspace(
    cloud: RunningCloud, service_role: Callable[[RunningCloud], str], environment: None
) -> Workspace:
    import sagemaker

    bucket = f"sdk-{uuid.uuid4().hex[:8]}"
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=bucket)
    data, labels = ratings(ROWS, seed=3)
    s3.put_object(Bucket=bucket, Key="data/ratings.protobuf", Body=data)
    boto_session = boto3.Session(
        aws_access_key_id="111111111111", aws_secret_access_key="local", region_name=REGION
    )
    checked: list[str] = []
    sagemaker_responses.watch(boto_session.events, checked)
    session = sagemaker.Session(boto_session, default_bucket=bucket)
    return Workspace(session, service_role(cloud), f"s3://{bucket}/data/", data, labels, checked)


def estimator_of(workspace: Workspace) -> Any:
    import sagemaker
    from sagemaker.estimator import Estimator

    estimator = Estimator(
        sagemaker.image_uris.retrieve("factorization-machines", REGION), **workspace.settings()
    )
    estimator.set_hyperparameters(feature_dim=FEATURES, mini_batch_size=100, **HYPERPARAMETERS)
    return estimator


def sparse(user: int, movie: int) -> dict[str, Any]:
    features = {"keys": [user, USERS + movie], "shape": [FEATURES], "values": [1, 1]}
    return {"data": {"features": features}}


def deleted(workspace: Workspace, predictor: Any) -> None:
    """Delete what `deploy` made."""
    client = workspace.session.sagemaker_client
    predictor.delete_model()
    predictor.delete_endpoint()
    client.get_waiter("endpoint_deleted").wait(
        EndpointName=predictor.endpoint_name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    name = predictor.endpoint_name
    assert client.list_endpoints(NameContains=name)["Endpoints"] == []
    assert client.list_endpoint_configs(NameContains=name)["EndpointConfigs"] == []


def test_estimator_trains_deploys_predicts_and_transforms(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    from sagemaker.amazon.common import RecordDeserializer
    from sagemaker.deserializers import JSONDeserializer
    from sagemaker.serializers import IdentitySerializer, JSONSerializer

    estimator = estimator_of(workspace)
    estimator.fit({"train": workspace.data, "test": workspace.data}, logs="All")
    assert "#quality_metric: host=algo-1, test binary_classification_accuracy" in capsys.readouterr().out
    metrics = estimator.training_job_analytics.dataframe().set_index("metric_name")["value"]
    accuracy = metrics["test:binary_classification_accuracy"]
    assert accuracy > 0.9

    predictor = estimator.deploy(
        1, "ml.m5.large", serializer=JSONSerializer(), deserializer=JSONDeserializer(), wait=False
    )
    workspace.in_service(predictor.endpoint_name)
    answer = predictor.predict({"instances": [sparse(0, 0), sparse(0, 1)]})["predictions"]
    assert [each["predicted_label"] for each in answer] == [1.0, 0.0]

    predictor.serializer = IdentitySerializer(content_type=RECORDIO)
    predictor.deserializer = RecordDeserializer()
    scored = predictor.predict(workspace.records)
    found = np.array([record.label["predicted_label"].float32_tensor.values[0] for record in scored])
    assert (found == workspace.labels).mean() == pytest.approx(accuracy, abs=0.002)
    deleted(workspace, predictor)

    transformer = estimator.transformer(
        1,
        "ml.m5.large",
        strategy="MultiRecord",
        accept="application/jsonlines",
        assemble_with="Line",
        output_path=f"s3://{workspace.session.default_bucket()}/scores",
    )
    transformer.transform(workspace.data, content_type=RECORDIO, split_type="RecordIO", wait=True, logs=False)
    predicted = np.array([each["predicted_label"] for each in workspace.lines("scores/ratings.protobuf.out")])
    assert (predicted == found).all()
    transformer.delete_model()
    assert {"CreateTrainingJob", "InvokeEndpoint", "DescribeTransformJob"} <= set(workspace.checked)


def test_factorization_machines_class_trains_and_predicts(workspace: Workspace) -> None:
    """The algorithm's own class, with a record set of sparse records."""
    from sagemaker import FactorizationMachines
    from sagemaker.amazon.amazon_estimator import RecordSet
    from sagemaker.amazon.common import RecordDeserializer
    from sagemaker.serializers import IdentitySerializer

    estimator = FactorizationMachines(**workspace.settings(), **HYPERPARAMETERS)
    records = [
        RecordSet(workspace.data, ROWS, FEATURES, s3_data_type="S3Prefix", channel=channel)
        for channel in ("train", "test")
    ]
    estimator.fit(records, mini_batch_size=100)
    metrics = estimator.training_job_analytics.dataframe().set_index("metric_name")["value"]
    assert metrics["test:binary_classification_accuracy"] > 0.9

    predictor = estimator.deploy(
        1,
        "ml.m5.large",
        serializer=IdentitySerializer(content_type=RECORDIO),
        deserializer=RecordDeserializer(),
        wait=False,
    )
    assert type(predictor).__name__ == "FactorizationMachinesPredictor"
    workspace.in_service(predictor.endpoint_name)
    scores = [
        record.label["score"].float32_tensor.values[0] for record in predictor.predict(workspace.records)
    ]
    assert ((np.array(scores) >= 0.5) == workspace.labels).mean() > 0.9
    deleted(workspace, predictor)


def test_record_set_of_an_array_trains_a_dense_network(workspace: Workspace) -> None:
    from sagemaker import FactorizationMachines

    estimator = FactorizationMachines(
        **workspace.settings(),
        **HYPERPARAMETERS,
        linear_lr=0.05,
        data_location=f"s3://{workspace.session.default_bucket()}/arrays/",
    )
    random = np.random.default_rng(0)
    array = random.normal(size=(600, 5)).astype(np.float32)
    labels = (array[:, 0] + array[:, 1] > 0).astype(np.float32)
    estimator.fit(
        [estimator.record_set(array, labels), estimator.record_set(array, labels, channel="test")],
        mini_batch_size=100,
    )
    metrics = estimator.training_job_analytics.dataframe().set_index("metric_name")["value"]
    assert metrics["test:binary_classification_accuracy"] > 0.9

    predictor = estimator.deploy(1, "ml.m5.large", wait=False)
    workspace.in_service(predictor.endpoint_name)
    answers = predictor.predict(array)
    scores = np.array([record.label["score"].float32_tensor.values[0] for record in answers])
    assert ((scores >= 0.5) == labels).mean() > 0.9
    deleted(workspace, predictor)


def test_tuner_finds_deploys_and_transforms_with_the_best(workspace: Workspace) -> None:
    from sagemaker.deserializers import JSONDeserializer
    from sagemaker.parameter import ContinuousParameter, IntegerParameter
    from sagemaker.serializers import JSONSerializer
    from sagemaker.tuner import HyperparameterTuner

    objective = "test:binary_classification_accuracy"
    tuner = HyperparameterTuner(
        estimator_of(workspace),
        objective,
        {
            "epochs": IntegerParameter(5, 40),
            "factors_lr": ContinuousParameter(0.001, 0.1, scaling_type="Logarithmic"),
        },
        objective_type="Maximize",
        max_jobs=3,
        max_parallel_jobs=2,
        strategy="Bayesian",
        early_stopping_type="Auto",
        random_seed=1,
        base_tuning_job_name="fm",
        tags=[{"Key": "project", "Value": "recommender"}],
    )
    tuner.fit({"train": workspace.data, "test": workspace.data}, include_cls_metadata=False)
    name = tuner.latest_tuning_job.name
    description = tuner.describe()
    assert description["HyperParameterTuningJobStatus"] == "Completed"
    assert description["TrainingJobStatusCounters"]["Completed"] == 3

    table = tuner.analytics().dataframe()
    assert len(table) == 3
    assert table["TrainingJobName"].str.fullmatch(rf"{name}-00[123]-[0-9a-f]{{8}}").all()
    assert table["factors_lr"].between(0.001, 0.1).all()
    best = table.loc[table["FinalObjectiveValue"].idxmax(), "TrainingJobName"]
    assert tuner.best_training_job() == best
    client = workspace.session.sagemaker_client
    child = client.describe_training_job(TrainingJobName=best)
    assert child["TuningJobArn"] == description["HyperParameterTuningJobArn"]
    assert child["HyperParameters"]["_tuning_objective_metric"] == objective
    tags = client.list_tags(ResourceArn=child["TrainingJobArn"])["Tags"]
    assert {"Key": "project", "Value": "recommender"} in tags

    attached = HyperparameterTuner.attach(name, sagemaker_session=workspace.session)
    assert attached.best_training_job() == best

    predictor = tuner.deploy(
        1, "ml.m5.large", serializer=JSONSerializer(), deserializer=JSONDeserializer(), wait=False
    )
    workspace.in_service(predictor.endpoint_name)
    pairs = [(user, movie) for user in range(10) for movie in range(MOVIES)]
    answer = predictor.predict({"instances": [sparse(*pair) for pair in pairs]})["predictions"]
    right = [each["predicted_label"] == float(sum(pair) % 2 == 0)
             for each, pair in zip(answer, pairs, strict=True)]  # fmt: skip
    assert np.mean(right) > 0.9
    deleted(workspace, predictor)

    transformer = tuner.best_estimator().transformer(
        1,
        "ml.m5.large",
        strategy="MultiRecord",
        accept="application/jsonlines",
        assemble_with="Line",
        output_path=f"s3://{workspace.session.default_bucket()}/best",
    )
    transformer.transform(workspace.data, content_type=RECORDIO, split_type="RecordIO", wait=True, logs=False)
    assert len(workspace.lines("best/ratings.protobuf.out")) == ROWS
    transformer.delete_model()
    client.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    with pytest.raises(client.exceptions.ResourceNotFound):
        tuner.describe()
