from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.sagemaker.errors import SageMakerError
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.table import Listing, Record, Table

START = datetime(2026, 1, 1, tzinfo=UTC)
LISTING = Listing("Items", "Name", ("Name", "ItemStatus", "Absent"), {"StatusEquals": "ItemStatus"})


def records(count: int) -> list[Record]:
    return [
        {
            "Name": f"item-{i}",
            "ItemStatus": "Odd" if i % 2 else "Even",
            "CreationTime": START + timedelta(hours=i),
            "Secret": 1,
        }
        for i in range(count)
    ]


def names(answer: Record) -> list[str]:
    return [item["Name"] for item in answer["Items"]]


@given(st.integers(0, 25), st.integers(1, 10))
def test_pages_cover_everything_once(count: int, size: int) -> None:
    seen: list[str] = []
    request: Record = {"MaxResults": size}
    while True:
        answer = LISTING.page(records(count), request)
        assert len(answer["Items"]) <= size
        seen += names(answer)
        if "NextToken" not in answer:
            break
        request["NextToken"] = answer["NextToken"]
    assert seen == [f"item-{i}" for i in range(count)]


def test_summary_has_the_summary_members_only() -> None:
    assert LISTING.page(records(1), {}) == {"Items": [{"Name": "item-0", "ItemStatus": "Even"}]}


def test_selection_and_order() -> None:
    assert names(LISTING.page(records(4), {"StatusEquals": "Odd"})) == ["item-1", "item-3"]
    assert names(LISTING.page(records(4), {"NameContains": "M-2"})) == ["item-2"]
    late = {"CreationTimeAfter": START + timedelta(hours=1), "CreationTimeBefore": START + timedelta(hours=3)}
    assert names(LISTING.page(records(5), late)) == ["item-2"]
    assert names(LISTING.page(records(3), {"SortOrder": "Descending"})) == ["item-2", "item-1", "item-0"]
    by_status = {"SortBy": "Status", "SortOrder": "Ascending"}
    assert names(LISTING.page(records(3), by_status)) == ["item-0", "item-2", "item-1"]
    assert names(LISTING.page(records(12), {"SortBy": "Name"}))[:3] == ["item-0", "item-1", "item-10"]


def test_foreign_token_is_refused() -> None:
    with pytest.raises(SageMakerError, match="NextToken 'nonsense!'"):
        LISTING.page(records(1), {"NextToken": "nonsense!"})


def test_table_separates_scopes() -> None:
    table: Table[int] = Table()
    one, two = Scope("1" * 12, "us-east-1"), Scope("1" * 12, "eu-west-1")
    table.add(one, "x", 1, taken=KeyError("x"))
    table.add(two, "x", 2, taken=KeyError("x"))
    with pytest.raises(KeyError):
        table.add(one, "x", 3, taken=KeyError("x"))
    assert (table.get(one, "x"), table.values(two), sorted(table)) == (1, [2], [1, 2])
    assert table.remove(one, "x") == 1
    assert table.get(one, "x") is None
    assert table.remove(one, "x") is None
