"""Assemblies of one stack from a few resources, and their cost."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ops.review.cost import CostReview, Traffic, review_cost
from ops.review.model import Assembly, Resource, Stack

Resources = Mapping[str, Mapping[str, Any]]
MakeAssembly = Callable[..., Assembly]
Cost = Callable[..., CostReview]


def _assembly(resources: Resources, *, region: str = "us-east-1") -> Assembly:
    stack = Stack(
        id="app",
        name="app",
        account="111111111111",
        region=region,
        template={"Resources": resources},
        resources={
            name: Resource(
                stack="app",
                logical_id=name,
                path=f"app/{name}",
                type=definition["Type"],
                properties=definition.get("Properties", {}),
                definition=definition,
            )
            for name, definition in resources.items()
        },
    )
    return Assembly(directory=Path("cdk.out"), stacks={"app": stack})


@pytest.fixture(scope="session")
def assembly() -> MakeAssembly:
    return _assembly


@pytest.fixture
def cost() -> Cost:
    """The cost of `resources`, with amounts of the traffic given as keywords."""

    def price(resources: Resources, *, region: str = "us-east-1", **traffic: int | str) -> CostReview:
        amounts = {key: Decimal(value) for key, value in traffic.items()}
        return review_cost(None, _assembly(resources, region=region), traffic=Traffic(**amounts))

    return price


@pytest.fixture
def amounts(cost: Cost) -> Callable[..., dict[str, Decimal | None]]:
    """Subject, without the stack, to amount."""

    def by_subject(resources: Resources, **arguments: Any) -> dict[str, Decimal | None]:
        return {line.subject.removeprefix("app/"): line.after for line in cost(resources, **arguments).lines}

    return by_subject
