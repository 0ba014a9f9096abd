import re
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")


def test_the_boto3_example_runs(api: Any) -> None:
    [example] = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    variables: dict[str, Any] = {}
    exec(example, variables)

    assert variables["predictions"] == [
        {"score": pytest.approx(0.7), "predicted_label": 1.0},
        {"score": pytest.approx(0.1), "predicted_label": 0.0},
    ]


def test_every_route_and_error_code_is_documented(api: Any) -> None:
    for path, operations in api.get("/openapi.json").body["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in DOCUMENT
    sources = Path(__file__).parents[3].joinpath("lambda", "recommend", "error_responses.py").read_text()
    codes = re.findall(r'HTTPStatus\.\w+,\s+"(\w+)"', sources)
    assert len(codes) == 8
    for code in codes:
        assert f"`{code}`" in DOCUMENT
