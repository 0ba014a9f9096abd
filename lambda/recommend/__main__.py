"""Print the API's OpenAPI description: `PYTHONPATH=.:lambda python -m recommend > docs/openapi.json`."""

import json
import sys

from recommend.api import create_app
from recommend.openapi import describe
from recommend.recommender import Recommender


def _no_recommender() -> Recommender:
    raise NotImplementedError("describing the API needs no model")


sys.stdout.write(json.dumps(describe(create_app(_no_recommender), server_url="/"), indent=2) + "\n")
