from pathlib import Path
from typing import Any

import pytest

from ops.errors import OperationError
from ops.review.model import Assembly
from ops.review.parity import ABSENT, ParityReview, ParityRow, read_settings, review_parity
from tests.unit.ops.review.templates import a_policy, a_resource, a_role, allow, an_assembly

Settings = dict[str, Any]


def environment(name: str, account: str, **resources: Any) -> Assembly:
    return an_assembly(resources, account=account, stack=f"app-{name}-main")


def review(dev: Any, prod: Any, settings: dict[str, Settings] | None = None) -> ParityReview:
    return review_parity(
        {
            "dev": environment("dev", "111111111111", **dev),
            "prod": environment("prod", "333333333333", **prod),
        },
        settings,
    )


def row(found: ParityReview, key: str) -> ParityRow:
    (matching,) = [row for row in found.rows if row.key == key]
    return matching


def log(days: int, **definition: Any) -> dict[str, Any]:
    return a_resource("AWS::Logs::LogGroup", {"RetentionInDays": days}, **definition)


DAYS = "app-{env}-main/Log: RetentionInDays"


def test_names_and_accounts_are_no_difference() -> None:
    def of(name: str, account: str) -> Any:
        return {
            "Role": a_role(),
            "Policy": a_policy(allow("sqs:SendMessage", f"arn:aws:sqs:us-east-1:{account}:app-{name}-queue")),
            "Log": a_resource("AWS::Logs::LogGroup", {"LogGroupName": f"/app/{name}"}),
        }

    found = review(of("dev", "111111111111"), of("prod", "333333333333"))
    assert not any(row.differs for row in found.rows)
    assert [row.key for row in found.rows] == [
        "stack app-{env}-main",
        "number of AWS::IAM::Policy",
        "number of AWS::IAM::Role",
        "number of AWS::Logs::LogGroup",
    ]


@pytest.mark.parametrize(
    ("dev", "prod", "explanation"),
    [
        ({"logs": {"retention_days": 30}}, {"logs": {"retention_days": 365}}, "logs.retention_days"),
        ({"keep": 30}, {"keep": 365}, "keep"),
        ({"logs": {"retention": "short"}}, {"logs": {"retention": "long"}}, "logs.retention"),
        (
            {"keep": "short"},
            {"keep": "long"},
            "no setting says so (keep differ in the same way)",
        ),
        ({"keep": 30}, {"keep": 30}, "no setting says so"),
        (None, None, "there are no settings"),
    ],
)
def test_what_explains_a_property(dev: Any, prod: Any, explanation: str) -> None:
    settings = {"dev": dev, "prod": prod} if dev else None
    found = row(review({"Log": log(30)}, {"Log": log(365)}, settings), DAYS)
    assert dict(found.values) == {"dev": "30", "prod": "365"}
    assert (found.differs, found.explanation) == (True, explanation)
    assert found.explained == (not explanation.startswith(("no setting", "there are")))


def test_a_setting_that_agrees_explains_no_difference() -> None:
    """Of three environments, two with the same setting differ."""
    settings = {name: {"logs": {"retention_days": days}} for name, days in (("a", 1), ("b", 30), ("c", 30))}
    environments = {
        name: environment(name, "1" * 12, Log=log(days)) for name, days in (("a", 1), ("b", 30), ("c", 365))
    }
    found = row(review_parity(environments, settings), DAYS)
    assert not found.explained
    assert found.explanation == "no setting says so"


def test_a_deletion_policy_follows_from_keeping_the_data() -> None:
    settings = {name: {"storage": {"retain_data": name == "prod"}} for name in ("dev", "prod")}
    found = review(
        {"Log": log(1, DeletionPolicy="Delete")}, {"Log": log(1, DeletionPolicy="Retain")}, settings
    )
    assert row(found, "app-{env}-main/Log: DeletionPolicy").explanation == "storage.retain_data"


def test_a_resource_that_one_lacks_is_one_difference_and_explains_the_count() -> None:
    bucket = a_resource("AWS::S3::Bucket", {"AccessControl": "Private"})
    found = review({"Log": log(1)}, {"Log": log(1), "Data": bucket}, {"dev": {}, "prod": {}})
    differing = [row for row in found.rows if row.differs]
    assert [row.key for row in differing] == [
        "app-{env}-main/Data (AWS::S3::Bucket)",
        "number of AWS::S3::Bucket",
    ]
    assert dict(differing[1].values) == {"dev": ABSENT, "prod": "1"}
    assert found.unexplained == tuple(differing)


def test_a_stack_that_one_lacks_is_one_difference() -> None:
    dev = environment("dev", "1" * 12, Log=log(1))
    training = an_assembly({"Job": a_role()}, account="1" * 12, stack="app-dev-training")
    both = Assembly(dev.directory, {**dev.stacks, **training.stacks})
    prod = environment("prod", "3" * 12, Log=log(1))
    settings: dict[str, Settings] = {"dev": {"training": {"epochs": 3}}, "prod": {}}
    found = review_parity({"dev": both, "prod": prod}, settings)
    assert row(found, "stack app-{env}-training").explanation == "training"
    assert row(found, "number of AWS::IAM::Role").explanation == "training"
    assert found.unexplained == ()
    assert dict(row(found, "training").values) == {"dev": "a table", "prod": ABSENT}


def test_permissions_are_compared_by_statement() -> None:
    def of(*actions: str) -> Any:
        return {"Role": a_role(), "Policy": a_policy(*(allow(action, "*") for action in actions))}

    found = review(of("s3:GetObject", "s3:PutObject"), of("s3:PutObject"))
    (differing,) = found.unexplained
    assert differing.key == "app-{env}-main/Policy: Allow app-{env}-main/Role: s3:GetObject"
    assert dict(differing.values) == {"dev": "on *", "prod": ABSENT}


def test_settings_are_listed_with_their_values() -> None:
    settings = {"dev": {"a": True, "b": {"c": 1}}, "prod": {"a": False, "b": {"c": 1}}}
    found = review({}, {}, settings)
    assert [(row.key, dict(row.values), row.differs, row.explained) for row in found.rows[:2]] == [
        ("a", {"dev": "true", "prod": "false"}, True, True),
        ("b.c", {"dev": "1", "prod": "1"}, False, True),
    ]


def test_one_environment_has_nothing_to_compare() -> None:
    assert review_parity({"dev": environment("dev", "1" * 12, Log=log(1))}).rows == ()


def test_reading_settings(tmp_path: Path) -> None:
    assert read_settings(tmp_path) is None
    (tmp_path / "dev.toml").write_text("[logs]\nretention_days = 30\n")
    assert read_settings(tmp_path) == {"dev": {"logs": {"retention_days": 30}}}
    (tmp_path / "prod.toml").write_text("logs = [")
    with pytest.raises(OperationError, match=r"/prod\.toml: not TOML: "):
        read_settings(tmp_path)
