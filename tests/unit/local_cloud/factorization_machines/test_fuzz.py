"""Requests of every kind, whole and broken, at a server: it answers each, with 200 or with a client's error.

FM_FUZZ_REQUESTS sets how many requests; the record in docs/fidelity.md is of 20,000.
"""

import http.client
import json
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from local_cloud.factorization_machines.model import Model
from local_cloud.factorization_machines.serving import Limits, ModelServer

Encode = Callable[..., bytes]

FEATURES = 6
REQUESTS = int(os.environ.get("FM_FUZZ_REQUESTS", "1500"))
CONTENT_TYPES = ["application/json", "application/jsonlines", "application/x-recordio-protobuf"]
NUMBERS: list[Any] = [
    0,
    1,
    -1,
    2.5,
    1e-40,
    1e39,
    -1e300,
    10**40,
    float("nan"),
    float("inf"),
    True,
    None,
    "1",
    [1],
    {},
]


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    generator = np.random.default_rng(0)
    factors = generator.normal(size=(FEATURES, 3)).astype(np.float32)
    model = Model("binary_classifier", np.zeros(1, np.float32), np.zeros(FEATURES, np.float32), factors)
    with ModelServer(("127.0.0.1", 0), model, Limits()) as started:
        thread = threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield started
        started.shutdown()
        thread.join()


class Fuzzer:
    """Draws requests from a seed; half of the bodies follow the schema."""

    def __init__(self, seed: int, encode: Encode) -> None:
        self._random = random.Random(seed)
        self._encode = encode

    def request(self) -> tuple[bytes, dict[str, str], bool]:
        """A body, its headers, and whether it must be answered with predictions."""
        draw = self._random
        content_type = draw.choice(CONTENT_TYPES)
        good = draw.random() < 0.5
        body = self._recordio(good) if content_type == CONTENT_TYPES[2] else self._json(content_type, good)
        if not good and draw.random() < 0.5:
            body = self._damage(body)
        headers = {"Content-Type": content_type}
        if not good and draw.random() < 0.1:
            headers["Content-Type"] = draw.choice(
                ["text/csv", "", ";", "application/json;charset", *CONTENT_TYPES]
            )
        if draw.random() < 0.7:
            headers["Accept"] = draw.choice([*CONTENT_TYPES, "*/*", "text/csv", ",;", "a, application/json"])
        return body, headers, good

    def _json(self, content_type: str, good: bool) -> bytes:
        instances = [self._instance(good) for _ in range(self._random.randint(1, 4))]
        if content_type == CONTENT_TYPES[1]:
            return "\n".join(map(json.dumps, instances)).encode()
        wrapped: Any = {"instances": instances}
        if not good:
            wrapped = self._random.choice(
                [wrapped, wrapped, instances, {"instances": self._value()}, self._value()]
            )
        return json.dumps(wrapped).encode()

    def _instance(self, good: bool) -> Any:
        draw = self._random
        if not good and draw.random() < 0.2:
            return self._value()
        if draw.random() < 0.3:
            return {"features": self._values(FEATURES, good)}
        features: dict[str, Any] = {"values": self._values(FEATURES, good)}
        if draw.random() < 0.7:
            count = draw.randint(0, 4)
            keys = [draw.randrange(FEATURES) for _ in range(count)]
            features = {"keys": keys, "shape": [FEATURES], "values": self._values(count, good)}
        if not good:
            for name in [*features]:
                if draw.random() < 0.2:
                    features[name] = self._value()
                elif draw.random() < 0.1:
                    del features[name]
        return {"data": {"features": features}}

    def _values(self, count: int, good: bool) -> list[Any]:
        draw = self._random
        if good:
            return [draw.choice([0, 1, 0.5, -3, draw.uniform(-5, 5)]) for _ in range(count)]
        return [draw.choice(NUMBERS) for _ in range(max(0, count + draw.choice([0, 0, 0, -1, 1])))]

    def _value(self, depth: int = 0) -> Any:
        draw = self._random
        if depth > 2 or draw.random() < 0.6:
            return draw.choice(NUMBERS)
        if draw.random() < 0.5:
            return [self._value(depth + 1) for _ in range(draw.randint(0, 3))]
        names = ["instances", "data", "features", "keys", "values", "shape", ""]
        return {draw.choice(names): self._value(depth + 1) for _ in range(draw.randint(0, 3))}

    def _recordio(self, good: bool) -> bytes:
        draw = self._random
        features = FEATURES if good else draw.choice([FEATURES, FEATURES, 1, 7, 2**40])
        rows = [
            {key: draw.choice([1.0, 0.5]) if good else draw.choice([1.0, float("nan"), float("inf")])}
            for key in (draw.randrange(min(features, FEATURES)) for _ in range(draw.randint(1, 4)))
        ]
        labels = [1.0] * len(rows) if draw.random() < 0.5 else None
        return self._encode(rows, labels, features)

    def _damage(self, body: bytes) -> bytes:
        draw = self._random
        damaged = bytearray(body)
        for _ in range(draw.randint(1, 6)):
            if not damaged:
                break
            place = draw.randrange(len(damaged))
            kind = draw.randrange(4)
            if kind == 0:
                damaged[place] = draw.randrange(256)
            elif kind == 1:
                del damaged[place:]
            elif kind == 2:
                del damaged[place : place + draw.randint(1, 8)]
            else:
                damaged[place:place] = draw.randbytes(draw.randint(1, 8))
        return bytes(damaged)


def test_every_request_is_answered(server: ModelServer, encode: Encode) -> None:
    fuzzer = Fuzzer(20_000, encode)
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    statuses: Counter[int] = Counter()
    for number in range(REQUESTS):
        body, headers, good = fuzzer.request()
        connection.request("POST", "/invocations", body, headers)
        response = connection.getresponse()
        answer = response.read()
        statuses[response.status] += 1
        told = f"request {number}: {headers} {body!r} was answered {response.status} {answer!r}"
        assert response.status in ({200} if good else {200, 400, 415}), told
        if response.status == 200 and response.headers["Content-Type"] == "application/json":
            assert all(0 <= one["score"] <= 1 for one in json.loads(answer)["predictions"]), told
        elif response.status != 200:
            assert answer, told
    connection.request("GET", "/ping")
    assert connection.getresponse().status == 200
    connection.close()
    assert min(statuses[200], statuses[400], statuses[415]) > REQUESTS // 200
