"""A container that does what its hyperparameters or environment say, to test the control plane's failures.

``train`` obeys the hyperparameters ``fail``, ``exit_code``, ``sleep``, ``ignore_sigterm`` and ``log``;
``serve`` obeys the environment variables ``STAND_IN_EXIT``, ``STAND_IN_STATUS`` and ``STAND_IN_SLEEP``
(seconds per request), and answers every request with one line of JSON; the request ``fail`` fails.
"""

import argparse
import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def train(root: Path) -> int:
    hyperparameters = json.loads((root / "input/config/hyperparameters.json").read_text())
    for line in hyperparameters.get("log", "").split("|"):
        print(line)
    if "ignore_sigterm" in hyperparameters:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(float(hyperparameters.get("sleep", 0)))
    if "fail" in hyperparameters:
        (root / "output/failure").write_text(hyperparameters["fail"])
        return 1
    files = sorted(str(p.relative_to(root)) for p in (root / "input/data").rglob("*") if p.is_file())
    config = {p.name: json.loads(p.read_text()) for p in (root / "input/config").iterdir()}
    environment = {name: os.environ.get(name) for name in ("TRAINING_JOB_NAME", "TRAINING_JOB_ARN", "CUSTOM")}
    (root / "model/model.json").write_text(
        json.dumps({"files": files, "config": config, "environment": environment})
    )
    return int(hyperparameters.get("exit_code", 0))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path

    def do_GET(self) -> None:
        self._answer(200, "text/plain", b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(float(os.environ.get("STAND_IN_SLEEP", "0")))
        status = 500 if body == b"fail" else int(os.environ.get("STAND_IN_STATUS", "200"))
        seen = {
            "bytes": len(body),
            "content_type": self.headers.get("Content-Type"),
            "accept": self.headers.get("Accept"),
            "model": sorted(p.name for p in (self.root / "model").iterdir()),
            "tag": os.environ.get("STAND_IN_TAG"),
            "batch": os.environ.get("SAGEMAKER_BATCH"),
            "pid": os.getpid(),
        }
        self._answer(status, "application/jsonlines", json.dumps(seen).encode())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(root: Path, port: int) -> int:
    if "STAND_IN_EXIT" in os.environ:
        print("refusing to serve")
        return int(os.environ["STAND_IN_EXIT"])
    Handler.root = root
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["train", "serve"])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    if arguments.command == "train":
        sys.exit(train(arguments.root))
    sys.exit(serve(arguments.root, arguments.port))
