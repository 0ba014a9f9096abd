import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import ignored_auth

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def python(*arguments: str) -> str:
    """Run Python as documented for regenerating the description."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'lambda'}"}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_committed_description_is_up_to_date() -> None:
    committed = (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")

    assert committed == python("-m", "recommend"), (
        "docs/openapi.json is stale: PYTHONPATH=.:lambda python -m recommend > docs/openapi.json"
    )


def as_wsgi(api: Any) -> Callable[..., Iterable[bytes]]:
    """The function behind WSGI, with API Gateway's translation between the two."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").title(): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or name == "CONTENT_TYPE"
        }
        path = urlsplit(environ["REQUEST_URI"]).path
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        reply = api.call(
            environ["REQUEST_METHOD"],
            path.removeprefix("/dev"),
            query=parse_qs(environ["QUERY_STRING"], keep_blank_values=True),
            body=body.decode(errors="replace") or None,
            headers=headers,
        )
        start_response(f"{reply.status} _", list(reply.headers.items()))
        return [json.dumps(reply.body).encode()]

    return application


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_generated_requests_get_the_answers_that_are_described(api: Any, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", as_wsgi(api))
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) == 3

    for operation in operations:
        if mode == GenerationMode.NEGATIVE and operation.path == "/health":
            continue  # there is nothing to get wrong

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def check(case: Any) -> None:
            # API Gateway authenticates, in front of the function.
            case.call_and_validate(excluded_checks=[ignored_auth])

        check()
