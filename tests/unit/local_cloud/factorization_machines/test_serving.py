import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from local_cloud.factorization_machines import artifact
from local_cloud.factorization_machines.hyperparameters import Hyperparameters
from local_cloud.factorization_machines.model import Model
from local_cloud.factorization_machines.serving import Limits, ModelServer

Encode = Callable[..., bytes]
Answer = tuple[int, str | None, bytes]

ROOT = Path(__file__).parents[4]
SETTINGS = Hyperparameters.parse(
    {"feature_dim": "6", "num_factors": "2", "predictor_type": "binary_classifier"}
)
ONE_HOT = {"data": {"features": {"keys": [0, 3], "shape": [6], "values": [1, 1]}}}
REQUEST = json.dumps({"instances": [ONE_HOT]}).encode()
MODEL = Model(
    "binary_classifier",
    np.array([0.5], np.float32),
    np.array([1, 0, 0, -1, 0, 0], np.float32),
    np.array([[1, 2], [0, 0], [0, 0], [0.5, 0.25], [0, 0], [0, 0]], np.float32),
)
# Bias 0.5, weights 1 and -1, the factors' product 1.
SCORE = float(np.float32(1 / (1 + np.exp(-1.5))))


def started(model: Model, limits: Limits) -> Iterator[ModelServer]:
    with ModelServer(("127.0.0.1", 0), model, limits) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    yield from started(MODEL, Limits())


def ask(server: ModelServer, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read()
    finally:
        connection.close()


def invoke(server: ModelServer, body: bytes, **headers: str) -> Answer:
    return ask(server, "POST", "/invocations", body, **{"Content_Type": "application/json", **headers})


def test_ping(server: ModelServer) -> None:
    status, _, body = ask(server, "GET", "/ping")
    assert (status, body) == (200, b"")


def test_execution_parameters(server: ModelServer) -> None:
    status, _, body = ask(server, "GET", "/execution-parameters")
    assert status == 200
    assert json.loads(body) == {
        "MaxConcurrentTransforms": os.cpu_count(),
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 6,
    }


def test_json(server: ModelServer) -> None:
    status, content_type, body = invoke(server, REQUEST)
    assert (status, content_type) == (200, "application/json")
    (prediction,) = json.loads(body)["predictions"]
    assert prediction["score"] == pytest.approx(SCORE, rel=1e-7)
    assert prediction["predicted_label"] == 1.0


def test_every_format_gives_the_same_scores(server: ModelServer, encode: Encode) -> None:
    requests = {
        "application/json": REQUEST,
        "application/jsonlines": json.dumps(ONE_HOT).encode(),
        "application/x-recordio-protobuf": encode([{0: 1.0, 3: 1.0}], None),
    }
    for content_type, body in requests.items():
        status, answered, answer = invoke(
            server, body, Content_Type=content_type, Accept="application/jsonlines"
        )
        assert (status, answered) == (200, "application/jsonlines")
        assert json.loads(answer)["score"] == pytest.approx(SCORE, rel=1e-7)
    status, answered, answer = invoke(server, REQUEST, Accept="application/x-recordio-protobuf")
    assert (status, answered) == (200, "application/x-recordio-protobuf")
    assert np.float32(SCORE).tobytes() in answer


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"1,1", "text/csv", 415),
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\x00" * 64, "application/x-recordio-protobuf", 400),
    ],
)
def test_errors_are_plain_text(server: ModelServer, body: bytes, content_type: str, status: int) -> None:
    answered, answered_type, text = invoke(server, body, Content_Type=content_type)
    assert answered == status
    assert answered_type == "text/plain; charset=utf-8"
    assert text


def test_connection_is_usable_after_an_error(server: ModelServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    statuses = []
    for path, body in (("/invocations", b"{"), ("/other", REQUEST), ("/invocations", REQUEST)):
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()
    assert statuses == [400, 404, 200]


def test_other_paths_and_methods(server: ModelServer) -> None:
    assert ask(server, "GET", "/")[0] == 404
    assert ask(server, "GET", "/invocations")[0] == 405
    assert ask(server, "PUT", "/invocations", b"")[0] == 501


def test_body_over_the_limit(server: ModelServer) -> None:
    status, _, text = ask(server, "POST", "/invocations", None, Content_Length="6291457")
    assert (status, text) == (413, b"HTTP content length exceeded 6291456 bytes")


def test_body_at_the_limit_is_read(server: ModelServer) -> None:
    assert invoke(server, REQUEST + b" " * (6_291_456 - len(REQUEST)))[0] == 200


@pytest.mark.parametrize("length", ["-1", "many", "²"])
def test_bad_content_length(server: ModelServer, length: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest("POST", "/invocations")
    connection.putheader("Content-Length", length.encode())
    connection.endheaders()
    assert connection.getresponse().status == 411
    connection.close()


def test_limits_of_a_transform_job() -> None:
    assert Limits.from_environment({}) == Limits(6_291_456, "application/json")
    batch = {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "20"}
    assert Limits.from_environment(batch) == Limits(20 * 1024 * 1024, "application/jsonlines")
    assert Limits.from_environment({"SAGEMAKER_BATCH": "true"}).max_body_bytes == 6_291_456


def test_transform_without_accept_writes_json_lines() -> None:
    for server in started(MODEL, Limits.from_environment({"SAGEMAKER_BATCH": "true"})):
        assert invoke(server, REQUEST)[1] == "application/jsonlines"


def test_concurrent_requests_do_not_mix(server: ModelServer) -> None:
    def scores(count: int) -> list[float]:
        instances = [{"features": [value / count, 0, 0, 0, 0, 0]} for value in range(count)]
        _, _, body = invoke(server, json.dumps({"instances": instances}).encode())
        return [prediction["score"] for prediction in json.loads(body)["predictions"]]

    with ThreadPoolExecutor(16) as pool:
        for count, found in zip(range(1, 65), pool.map(scores, range(1, 65)), strict=True):
            expected = 1 / (1 + np.exp(-0.5 - np.arange(count) / count))
            np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_diverged_model_is_an_error_of_the_server() -> None:
    broken = Model("regressor", np.array([np.inf], np.float32), MODEL.linear, MODEL.factors)
    for server in started(broken, Limits()):
        assert invoke(server, REQUEST)[0] == 500


# -- as a process --------------------------------------------------------------------------------------------


def command(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "local_cloud.factorization_machines", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_serves_until_sigterm(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    artifact.write(tmp_path / "model" / "model_algo-1", Model.initial(SETTINGS), SETTINGS)
    process = command("serve", "--root", str(tmp_path), "--port", "0")
    assert process.stdout is not None
    line = ""
    while not line.startswith("Listening on "):
        line = process.stdout.readline()
        assert line, process.communicate()
    host, _, port = line.strip().removeprefix("Listening on http://").partition(":")
    assert host == "127.0.0.1"
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.request("GET", "/ping")
    assert connection.getresponse().status == 200
    second = command("serve", "--root", str(tmp_path), "--port", port)
    _, errors = second.communicate(timeout=30)
    assert (second.returncode, errors.count("\n")) == (1, 1)
    assert f"Cannot listen on 127.0.0.1:{port}" in errors
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    connection.close()
    process.communicate()


def test_does_not_serve_without_a_model(tmp_path: Path) -> None:
    process = command("serve", "--root", str(tmp_path))
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors.startswith(f"{tmp_path}/model must hold one model file")
    assert errors.count("\n") == 1
