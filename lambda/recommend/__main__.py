"""Print the API's OpenAPI description: `PYTHONPATH=.:lambda python -m recommend > docs/openapi.json`."""

import json
import sys

from recommend.api import create_app
from recommend.openapi import describe
from recommend.served_models import ServedModels


def _no_models() -> ServedModels:
    raise NotImplementedError("describing the API needs no model")


sys.stdout.write(json.dumps(describe(create_app(_no_models), server_url="/"), indent=2) + "\n")
