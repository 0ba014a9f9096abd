"""Run the Factorization Machines container: `python -m local_cloud.factorization_machines train|serve`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from local_cloud.factorization_machines.serving import serve
from local_cloud.factorization_machines.training import train


def main() -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local_cloud.factorization_machines",
        description="SageMaker's built-in Factorization Machines algorithm, on this machine.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("train", "run one training job"),
        ("serve", "serve the model in ROOT/model over HTTP"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--root", type=Path, default=Path("/opt/ml"), help="default: %(default)s")
        if name == "serve":
            command.add_argument("--host", default="127.0.0.1", help="address to bind, default: %(default)s")
            command.add_argument(
                "--port", type=int, default=8080, help="0 takes a free one, default: %(default)s"
            )
    arguments = parser.parse_args()
    if arguments.command == "train":
        return train(arguments.root, sys.stdout)
    return serve(arguments.root, arguments.host, arguments.port, sys.stdout)


if __name__ == "__main__":
    sys.exit(main())
