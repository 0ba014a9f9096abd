"""A small AWS behind real clients: botocore checks every call and answer."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from recommend.api import create_app
from recommend.schemas import Recommendation, Recommendations
from verify_model import handler

PREFIX = "arn:aws:sagemaker:us-east-1:222222222222:model-package/movie-recommender-staging/"
PACKAGE = f"{PREFIX}3"
STACK = "arn:aws:cloudformation:us-east-1:222222222222:stack/movie-recommender-staging-serving/5f1c"
ENDPOINT = "movie-recommender-staging"
FUNCTION = "movie-recommender-staging-serving-ApiRecommend-1A2B"
FOLDER = "s3://models/models/abc"
ARTIFACT = f"{FOLDER}/model.tar.gz"
REFERENCE = f"{FOLDER}/reference.json"
CONTENT = b"model" * 100_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SCORES = [0.1234567, 0.5, 1.0]
USER = "a/b c"
"""An id that a URL cannot hold as it is."""

Reply = tuple[int, dict[str, str], bytes]


class _Raw(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.getvalue()


def reply(content: Any, headers: dict[str, str] | None = None) -> Reply:
    return 200, headers or {}, json.dumps(content).encode()


def refusal(code: str, message: str, status: int = 400, **members: Any) -> Reply:
    headers = {"x-amzn-ErrorType": code}
    return (
        status,
        headers,
        json.dumps({"__type": code, "message": message, "Message": message} | members).encode(),
    )


def scores_of(*scores: Any) -> Reply:
    return reply({"predictions": [{"score": score, "predicted_label": 1.0} for score in scores]})


@dataclass
class Context:
    function_name: str = "verify-model"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:222222222222:function:verify-model"
    aws_request_id: str = "52fdfc07-2182-154f-163f-5f0f9a621d72"


class _Recommender:
    """Recommends one movie to the user of the reference, and none to others."""

    def ask(self, question: Callable[["_Recommender"], Recommendations]) -> Recommendations:
        return question(self)

    def recommend(self, user: str, *, count: int, minimum_score: float) -> Recommendations:
        movie = Recommendation(rank=1, movie="1", title="T", year=None, genres=[], score=0.75)
        recommendations = [movie] if user == USER else []
        return Recommendations(
            user=user, known_user=True, model_package=PACKAGE, recommendations=recommendations, note=None
        )


def api(event: dict[str, Any]) -> Reply:
    """What the function behind the API answers, with its own routes and errors."""
    app = create_app(_Recommender)  # type: ignore[arg-type]
    return reply(app.resolve(event, Context()))  # type: ignore[arg-type]


@dataclass
class Cloud:
    """What AWS holds and answers; tests change it."""

    objects: dict[str, bytes]
    package: dict[str, Any]
    stack_status: str = "UPDATE_IN_PROGRESS"
    invoke_endpoint: Reply = field(default_factory=lambda: scores_of(*SCORES))
    other_instances: list[Reply] = field(default_factory=list)
    """What answers before `invoke_endpoint` does, each once."""
    invoke_function: Callable[[dict[str, Any]], Reply] = api
    describe_package: Reply | None = None
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        operation = event_name.split(".")[2]
        status, headers, body = getattr(self, f"_{operation}")(request)
        return AWSResponse(
            request.url,
            status,
            HTTPHeaders.from_dict({"Content-Length": str(len(body))} | headers),
            _Raw(body),
        )

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.asked]

    def _DescribeModelPackage(self, request: AWSPreparedRequest) -> Reply:
        self.asked.append(("DescribeModelPackage", json.loads(request.body)["ModelPackageName"]))  # type: ignore[arg-type]
        return self.describe_package or reply(self.package)

    def _GetObject(self, request: AWSPreparedRequest) -> Reply:
        parts = urlsplit(request.url)
        uri = f"s3://{parts.netloc.split('.')[0]}{unquote(parts.path)}"
        self.asked.append(("GetObject", uri))
        if uri not in self.objects:
            return 404, {}, b"<Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>"
        return 200, {}, self.objects[uri]

    def _DescribeStacks(self, request: AWSPreparedRequest) -> Reply:
        self.asked.append(("DescribeStacks", request.body))
        stack = (
            f"<StackName>s</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime>"
            f"<StackStatus>{self.stack_status}</StackStatus>"
        )
        answer = f"<DescribeStacksResponse><DescribeStacksResult><Stacks><member>{stack}</member></Stacks>"
        return 200, {}, f"{answer}</DescribeStacksResult></DescribeStacksResponse>".encode()

    def _InvokeEndpoint(self, request: AWSPreparedRequest) -> Reply:
        assert urlsplit(request.url).path == f"/endpoints/{ENDPOINT}/invocations"
        assert request.body is not None
        self.asked.append(("InvokeEndpoint", json.loads(request.body)))  # type: ignore[arg-type]
        return self.other_instances.pop(0) if self.other_instances else self.invoke_endpoint

    def _Invoke(self, request: AWSPreparedRequest) -> Reply:
        assert urlsplit(request.url).path == f"/2015-03-31/functions/{FUNCTION}/invocations"
        assert request.body is not None
        event = json.loads(request.body)  # type: ignore[arg-type]
        self.asked.append(("Invoke", event))
        return self.invoke_function(event)


@pytest.fixture(scope="session")
def clients() -> dict[str, Any]:
    session = boto3.Session("x", "x", region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1})
    names = ("s3", "sagemaker", "sagemaker-runtime", "lambda", "cloudformation")
    return {name: session.client(name, config=config) for name in names}  # type: ignore[call-overload]


@pytest.fixture
def cloud(clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    reference = {
        "format_version": 1,
        "feature_dim": 4,
        "user": USER,
        "rows": [
            {"keys": [0, 1 + row], "values": [1.0, 0.5], "score": score} for row, score in enumerate(SCORES)
        ],
    }
    fake = Cloud(
        objects={ARTIFACT: CONTENT, REFERENCE: json.dumps(reference).encode()},
        package={
            "ModelPackageArn": PACKAGE,
            "ModelPackageStatus": "Completed",
            "ModelApprovalStatus": "Approved",
            "InferenceSpecification": {"Containers": [{"Image": "i", "ModelDataUrl": ARTIFACT}]},
            "CustomerMetadataProperties": {"artifact_sha256": SHA256, "reference_uri": REFERENCE},
        },
    )
    monkeypatch.setattr(boto3, "client", lambda name, **_: clients[name])
    for client in clients.values():
        client.meta.events.register("before-send", fake.send, unique_id="fake")
    for made in (handler._check, handler._smoke_test):
        made.cache_clear()
    monkeypatch.setenv("MODEL_PACKAGE_ARN_PREFIX", PREFIX)
    monkeypatch.setenv("ENDPOINT_NAME", ENDPOINT)
    monkeypatch.setenv("RECOMMEND_FUNCTION", FUNCTION)
    monkeypatch.setenv("INSTANCE_COUNT", "1")
    yield fake
    for client in clients.values():
        client.meta.events.unregister("before-send", unique_id="fake")


def event(request_type: str = "Create", **properties: str) -> dict[str, Any]:
    """What the framework sends."""
    sent: dict[str, Any] = {
        "RequestType": request_type,
        "RequestId": "c1d2",
        "ResponseURL": "...",
        "StackId": STACK,
        "ResourceType": "Custom::Anything",
        "LogicalResourceId": "Anything",
        "ResourceProperties": {"ServiceToken": "arn", "ServiceTimeout": "720"} | properties,
    }
    if request_type != "Create":
        sent |= {"PhysicalResourceId": "c1d2", "OldResourceProperties": {}}
    return sent
