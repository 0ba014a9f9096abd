import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from ops.review.composition import compose, review_environment
from ops.review.cost import Traffic
from ops.review.json_report import SCHEMA_VERSION, to_json
from ops.review.model import Review
from tests.unit.ops.review.samples import a_quiet_review, a_review
from tests.unit.ops.review.templates import a_resource, an_assembly

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[4] / "docs" / "review.schema.json").read_text(encoding="utf-8")
)


def composed() -> Review:
    before = an_assembly({"B": a_resource("AWS::S3::Bucket", {"BucketName": "a"})})
    after = an_assembly({"B": a_resource("AWS::S3::Bucket", {"BucketName": "b"})})
    environments = [
        review_environment("dev", before, after, traffic=Traffic()),
        review_environment("prod", None, after, traffic=Traffic(), notes=("alone",)),
    ]
    return compose("a", "b", environments, notes=("ä note",))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"] == {
        **SCHEMA["properties"]["schema_version"],
        "const": SCHEMA_VERSION,
    }


@pytest.mark.parametrize(
    "review", [a_review(), a_quiet_review(), composed()], ids=["all", "quiet", "composed"]
)
def test_reports_follow_the_schema(review: Review) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(to_json(review)))


def test_the_schema_describes_every_field() -> None:
    report = json.loads(to_json(a_review()))
    assert set(SCHEMA["required"]) == set(report)
    assert set(SCHEMA["$defs"]["EnvironmentReview"]["required"]) == set(report["environments"][0])


def test_values_are_plain() -> None:
    report = json.loads(to_json(composed()))
    assert report["schema_version"] == SCHEMA_VERSION
    change = report["environments"][0]["changes"][0]
    assert change["grades"] == ["data loss", "replaced"]
    assert change["properties"][0]["after"] == "b"
    assert report["environments"][1]["before"] is None
    assert report["environments"][1]["after"]["stacks"][0]["resources"] == 1
    assert isinstance(report["environments"][0]["cost"]["monthly_after"], str)
    assert "ä note" in to_json(composed())


def test_the_same_review_gives_the_same_bytes() -> None:
    assert to_json(composed()) == to_json(composed())
