"""Which environments a status has, and in which order."""

from pathlib import Path

from ops.promotion.status import read_statuses


def test_the_order_is_that_of_promotions(tmp_path: Path) -> None:
    for name in ("another", "dev", "prod", "staging"):
        (tmp_path / f"{name}.toml").write_text("not valid")
    names = [status.name for status in read_statuses(config=tmp_path)]
    assert names == ["dev", "staging", "prod", "another"]
