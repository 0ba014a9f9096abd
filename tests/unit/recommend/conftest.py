"""A recommender over AWS clients that are real but for the network: botocore checks every call and answer."""

import io
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from recommend import handler

GROUP = "arn:aws:sagemaker:us-east-1:111111111111:model-package/movie-recommender-dev"
PACKAGE = f"{GROUP}/1"
ENDPOINT = "movie-recommender-dev"
USERS = ["1", "2", "10"]
MOVIES: list[dict[str, Any]] = [
    {"id": "1", "title": "Toy Story (1995)", "genres": ["Animation", "Comedy"], "year": 1995},
    {"id": "2", "title": "GoldenEye (1995)", "genres": ["Action"], "year": 1995},
    {"id": "5", "title": "Copycat (1995)", "genres": ["Crime"], "year": 1995},
    {"id": "50", "title": "Star Wars (1977)", "genres": ["Sci-Fi"], "year": 1977},
    {"id": "267", "title": "unknown", "genres": [], "year": None},
]
RATED = {"1": [0, 3], "2": [], "10": [0, 1, 2, 3, 4]}


class _Raw(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.getvalue()


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def asked(request: AWSPreparedRequest) -> Any:
    """The content of a request's JSON body."""
    assert isinstance(request.body, bytes)
    return json.loads(request.body)


def answer(**content: Any) -> Answer:
    """A success with JSON content."""
    return Answer(200, json.dumps(content).encode())


def aws_error(status: int, code: str, message: str = "", **more: Any) -> Answer:
    body = json.dumps({"__type": code, "Message": message, "message": message, **more}).encode()
    return Answer(status, body, {"x-amzn-ErrorType": code})


def score(keys: list[int]) -> float:
    """How the model of most tests scores: later movies higher, and for user 2 lower."""
    movie = keys[-1] - len(USERS)
    return 0.9 - 0.1 * movie if keys[0] == 1 else 0.1 + 0.2 * movie


@dataclass(frozen=True)
class Model:
    """A package in the registry, and what its model makes of a request."""

    version: int = 1
    users: list[str] = field(default_factory=lambda: USERS)
    movies: list[dict[str, Any]] = field(default_factory=lambda: MOVIES)
    score: Callable[[list[int]], float] = score

    @property
    def package(self) -> str:
        return f"{GROUP}/{self.version}"

    @property
    def metadata(self) -> dict[str, str]:
        folder = f"s3://models/models/job-{self.version}"
        return {
            "catalog_uri": f"{folder}/catalog.json",
            "histories_uri": f"{folder}/histories.bin",
            "reference_uri": f"{folder}/reference.json",
        }

    @property
    def objects(self) -> dict[str, bytes]:
        contents = (self._catalog(), self._histories(), self._reference())
        keys = [uri.removeprefix("s3://") for uri in self.metadata.values()]
        return dict(zip(keys, contents, strict=True))

    @property
    def feature_dim(self) -> int:
        return len(self.users) + len(self.movies)

    @property
    def known(self) -> list[dict[str, Any]]:
        """The rows of its reference scores."""
        rows = [[0, len(self.users)], [1, self.feature_dim - 1]]
        return [{"keys": keys, "values": [1.0, 1.0], "score": self.score(keys)} for keys in rows]

    def answer(self, request: AWSPreparedRequest) -> Answer:
        predictions = []
        for instance in asked(request)["instances"]:
            features = instance["data"]["features"]
            if features["shape"] != [self.feature_dim]:
                message = f"shape is {features['shape']}, the model has {self.feature_dim} features"
                return aws_error(424, "ModelError", message, OriginalStatusCode=400)
            assert features["values"] == [1] * len(features["keys"])
            assert features["keys"] == sorted(features["keys"])
            value = self.score(features["keys"])
            predictions.append({"score": value, "predicted_label": float(value >= 0.5)})
        return answer(predictions=predictions)

    def _catalog(self) -> bytes:
        content = {
            "format_version": 1,
            "dataset": "ml-100k",
            "feature_dim": self.feature_dim,
            "groups": [
                {"name": "user", "offset": 0, "size": len(self.users)},
                {"name": "movie", "offset": len(self.users), "size": len(self.movies)},
            ],
            "users": self.users,
            "movies": [movie | {"ratings": 3, "likes": 1} for movie in self.movies],
        }
        return json.dumps(content).encode()

    def _histories(self) -> bytes:
        ends = [0]
        for user in self.users:
            ends.append(ends[-1] + len(RATED.get(user, [])))
        rated = [movie for user in self.users for movie in RATED.get(user, [])]
        return struct.pack(f"<8sQ{len(ends)}Q{len(rated)}I", b"MRHIST01", len(self.users), *ends, *rated)

    def _reference(self) -> bytes:
        return json.dumps({"feature_dim": self.feature_dim, "user": "1", "rows": self.known}).encode()


@dataclass
class Cloud:
    """What the fake AWS holds, and what it was asked."""

    objects: dict[str, bytes]
    metadata: dict[str, str]
    invoke: Callable[[AWSPreparedRequest], Answer] = Model().answer
    describe: Callable[[AWSPreparedRequest], Answer] | None = None
    answers: dict[str, Callable[[AWSPreparedRequest], Answer]] = field(default_factory=dict)
    """What is answered to an operation instead of what is here."""
    operations: list[str] = field(default_factory=list)
    invocations: list[AWSPreparedRequest] = field(default_factory=list)
    reads: list[tuple[str, str | None]] = field(default_factory=list)

    def model_answers(self, body: bytes) -> None:
        self.invoke = lambda _: Answer(200, body)

    def model_gives(self, scores: list[Any]) -> None:
        """Let the model give the rows that are asked about, after those of its reference, these scores."""
        known = [row["score"] for row in Model().known]
        predictions = [{"score": score, "predicted_label": 1.0} for score in known + scores]
        self.model_answers(json.dumps({"predictions": predictions}).encode())

    def endpoint_fails(self, status: int, code: str, message: str = "", **more: Any) -> None:
        self.invoke = lambda _: aws_error(status, code, message, **more)

    def registry_fails(self, status: int, code: str, message: str = "") -> None:
        self.describe = lambda _: aws_error(status, code, message)

    def send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        operation = event_name.split(".")[2]
        self.operations.append(operation)
        answered = {
            "DescribeEndpoint": self._describe_endpoint,
            "DescribeEndpointConfig": self._describe_endpoint_config,
            "DescribeModel": self._describe_model,
            "DescribeModelPackage": self._describe,
            "GetObject": self._get_object,
            "InvokeEndpoint": self._invoke,
            **self.answers,
        }[operation](request)
        return AWSResponse(
            request.url, answered.status, HTTPHeaders.from_dict(answered.headers), _Raw(answered.body)
        )

    def _describe(self, request: AWSPreparedRequest) -> Answer:
        if self.describe:
            return self.describe(request)
        assert asked(request) == {"ModelPackageName": PACKAGE}
        return answer(CustomerMetadataProperties=self.metadata)

    def _describe_endpoint(self, request: AWSPreparedRequest) -> Answer:
        assert asked(request) == {"EndpointName": ENDPOINT}
        return answer(EndpointConfigName="Configuration-1")

    def _describe_endpoint_config(self, request: AWSPreparedRequest) -> Answer:
        assert asked(request) == {"EndpointConfigName": "Configuration-1"}
        return answer(ProductionVariants=[{"VariantName": "AllTraffic", "ModelName": "Model-1"}])

    def _describe_model(self, request: AWSPreparedRequest) -> Answer:
        assert asked(request) == {"ModelName": "Model-1"}
        return answer(PrimaryContainer={"ModelPackageName": PACKAGE})

    def _get_object(self, request: AWSPreparedRequest) -> Answer:
        parts = urlsplit(request.url)
        key = f"{parts.netloc.split('.')[0]}{unquote(parts.path)}"
        header = request.headers.get("Range")
        wanted = header.decode() if isinstance(header, bytes) else header
        self.reads.append((key, wanted))
        if key not in self.objects:
            return Answer(404, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>")
        body = self.objects[key]
        if wanted:
            first, last = wanted.removeprefix("bytes=").split("-")
            body = body[int(first) : int(last) + 1]
        return Answer(206 if wanted else 200, body, {"Content-Length": str(len(body))})

    def _invoke(self, request: AWSPreparedRequest) -> Answer:
        assert urlsplit(request.url).path == f"/endpoints/{ENDPOINT}/invocations"
        self.invocations.append(request)
        return self.invoke(request)


@dataclass
class Context:
    function_name: str = "recommend"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:111111111111:function:recommend"
    aws_request_id: str = "52fdfc07-2182-154f-163f-5f0f9a621d72"


def proxy_event(
    method: str,
    path: str,
    *,
    query: dict[str, list[str]] | None = None,
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """A REST API's proxy event, as API Gateway documents it: absent parts are null, not missing."""
    headers = {"Accept": "*/*", "Host": "abc123.execute-api.us-east-1.amazonaws.com", **(headers or {})}
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in query.items()} if query else None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": {"proxy": path.removeprefix("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": "111111111111",
            "apiId": "abc123",
            "domainName": "abc123.execute-api.us-east-1.amazonaws.com",
            "extendedRequestId": "JKJaXmPLvHcESHA=",
            "httpMethod": method,
            "identity": {"apiKey": "key", "sourceIp": "10.0.0.1", "userAgent": "curl"},
            "path": f"/dev{path}",
            "protocol": "HTTP/1.1",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "requestTimeEpoch": 1583349317135,
            "resourceId": "123456",
            "resourcePath": "/{proxy+}",
            "stage": "dev",
        },
        "body": body,
        "isBase64Encoded": False,
    }


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, Any]
    body: Any


@dataclass(frozen=True)
class Api:
    """Calls the function as API Gateway does."""

    cloud: Cloud

    def call(self, method: str, path: str, *, content: Any = None, **more: Any) -> Reply:
        if content is not None:
            more["body"] = json.dumps(content)
            more.setdefault("headers", {"Content-Type": "application/json"})
        result = handler.handler(proxy_event(method, path, **more), Context())  # type: ignore[arg-type]
        headers = {name: values[0] for name, values in result["multiValueHeaders"].items()}
        assert headers["Content-Type"] == "application/json"
        return Reply(result["statusCode"], headers, json.loads(result["body"]))

    def get(self, path: str, **query: str) -> Reply:
        return self.call("GET", path, query={name: [value] for name, value in query.items()})

    def error(self, status: int, method: str, path: str, **more: Any) -> dict[str, str]:
        """The error that a request gives; its form is checked."""
        reply = self.call(method, path, **more)
        assert reply.status == status, reply
        assert list(reply.body) == ["error"]
        error: dict[str, str] = reply.body["error"]
        assert sorted(error) == ["code", "message", "request_id"]
        assert error["request_id"] == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
        return error


@pytest.fixture(scope="session")
def clients() -> dict[str, Any]:
    session = boto3.Session("x", "x", region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1})
    return {name: session.client(name, config=config) for name in ("sagemaker", "s3", "sagemaker-runtime")}


@pytest.fixture
def api(clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    cloud = Cloud(objects=Model().objects, metadata=Model().metadata)
    monkeypatch.setenv("ENDPOINT_NAME", ENDPOINT)
    monkeypatch.setenv("MODEL_PACKAGE_ARN", PACKAGE)
    monkeypatch.setattr(boto3, "client", lambda name, **_: clients[name])
    for client in clients.values():
        client.meta.events.register("before-send", cloud.send, unique_id="fake")
    handler._models.cache_clear()
    yield Api(cloud)
    handler._models.cache_clear()
    for client in clients.values():
        client.meta.events.unregister("before-send", unique_id="fake")
