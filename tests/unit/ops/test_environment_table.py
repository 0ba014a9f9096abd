"""The README's table of environments."""

import os
import re
from typing import Any

import pytest

from infra.environment import Environment, load_environment
from ops.environment_table import render
from ops.paths import ROOT
from ops.review.synthesis import chosen_environments

README = ROOT / "README.md"
IN_README = re.compile(r"(?s)(?<=<!-- environments: generated -->\n).*?(?=\n<!-- environments: end -->)")


def test_the_readme_is_fresh() -> None:
    table = render([load_environment(name) for name in chosen_environments(ROOT, [])])
    readme = README.read_text(encoding="utf-8")
    assert IN_README.search(readme), "the README has no place for the environments"
    if os.environ.get("UPDATE_DOCS"):
        readme = IN_README.sub(lambda _: table, readme)
        README.write_text(readme, encoding="utf-8")

    found = IN_README.search(readme)
    assert found
    assert found[0] == table, (
        "README.md is out of date: run UPDATE_DOCS=1 pytest tests/unit/ops/test_environment_table.py"
    )


def _changed(name: str, **tables: dict[str, Any]) -> Environment:
    values = load_environment(name).model_dump(exclude_none=True) | {"name": name}
    for table, change in tables.items():
        values[table] = values[table] | change
    return Environment.model_validate(values)


def _row(environment: Environment, aspect: str) -> str:
    (cells,) = re.findall(rf"^\| {re.escape(aspect)} \| (.*) \|$", render([environment]), re.MULTILINE)
    return str(cells)


@pytest.mark.parametrize(
    ("name", "tables", "aspect", "told"),
    [
        ("dev", {}, "model", "trained here"),
        ("prod", {}, "model", "promoted to it"),
        ("prod", {}, "training", "–"),
        (
            "dev",
            {"training": {"schedule": "rate(7 days)", "approval": "manual"}},
            "training",
            "ml.m5.large, on upload and `rate(7 days)`; somebody approves",
        ),
        ("dev", {"training": {"upload_trigger": False}}, "training", "ml.m5.large, by hand"),
        ("dev", {"serving": {"instance_count": 4}}, "endpoint", "4 × ml.t2.medium"),
        (
            "prod",
            {"serving": {"deployment": {"termination_wait_seconds": 0}}},
            "a new model gets requests",
            "all at once",
        ),
        (
            "prod",
            {"serving": {"deployment": {"termination_wait_seconds": 0}}},
            "the old instances stay",
            "no longer",
        ),
        (
            "prod",
            {
                "serving": {
                    "deployment": {
                        "canary_percent": 50,
                        "canary_wait_seconds": 190,
                        "termination_wait_seconds": 120,
                    }
                }
            },
            "a new model gets requests",
            "50 % for 190 s, then all",
        ),
        ("dev", {"api": {"quota_per_day": 5000}}, "callers of the API", "API key, 5,000 requests a day"),
        ("prod", {}, "callers of the API", "IAM"),
        ("dev", {"logs": {"retention_days": 1}}, "logs are kept", "1 day"),
        ("dev", {"storage": {"retain_data": True}}, "data, when it is destroyed", "stay"),
    ],
)
def test_settings_are_told(name: str, tables: dict[str, dict[str, Any]], aspect: str, told: str) -> None:
    assert _row(_changed(name, **tables), aspect) == told


def test_a_promotion_leaves_the_table_as_it_is() -> None:
    """Or the pull request with the pin would have to regenerate the README."""
    pin = {
        "package_arn": "arn:aws:sagemaker:us-east-1:333333333333:model-package/movie-recommender-prod/7",
        "artifact_sha256": "5c" * 32,
    }
    assert render([_changed("prod", model=pin)]) == render([load_environment("prod")])
