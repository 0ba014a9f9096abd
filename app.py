"""The CDK app: one environment's settings in, its stacks out. `cdk <command> -c env=<name>` chooses it."""

import sys
from pathlib import Path

from aws_cdk import App

from infra.application import build_app
from infra.environment import load_environment
from infra.errors import ConfigurationError

app = App()
try:
    build_app(
        app,
        load_environment(app.node.try_get_context("env") or "dev"),
        project=Path(__file__).resolve().parent,
    )
except ConfigurationError as error:
    sys.exit(str(error))
app.synth()
