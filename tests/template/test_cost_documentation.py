"""What the shipped environments cost, from their own templates, and the page that says so."""

import os
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from ops.review.assembly import read_assembly
from ops.review.cost import CostReview, parse_traffic, review_cost
from ops.review.cost.documentation import overview, render
from tests.template.assembly import PIN, ROOT, Assembly, changed, define

PAGE = ROOT / "docs" / "cost.md"
README = ROOT / "README.md"
IN_README = re.compile(r"(?s)(?<=<!-- costs: generated -->\n).*?(?=\n<!-- costs: end -->)")

Assemblies = Callable[[str], Assembly]
STAGING_PIN = PIN | {
    "package_arn": "arn:aws:sagemaker:us-east-1:222222222222:model-package/movie-recommender-staging/7"
}


@pytest.fixture(scope="module")
def reviews(
    assemblies: Assemblies, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, CostReview]:
    promoted = tmp_path_factory.mktemp("cdk.out")
    define(changed("staging", model=STAGING_PIN), project=project, folder=promoted).synth()
    folders = {
        "dev": assemblies("dev").folder,
        "staging before its first promotion": assemblies("staging").folder,
        "staging with a promoted model": promoted,
        "prod before its first promotion": assemblies("prod").folder,
        "prod with a promoted model": assemblies("prod with a promoted model").folder,
    }
    return {name: review_cost(None, read_assembly(folder)) for name, folder in folders.items()}


def test_the_page_is_fresh(reviews: dict[str, CostReview]) -> None:
    page = render(reviews)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(page, encoding="utf-8")

    assert PAGE.read_text(encoding="utf-8") == page, (
        "docs/cost.md is out of date: run UPDATE_DOCS=1 pytest tests/template/test_cost_documentation.py"
    )


def test_the_readme_is_fresh(reviews: dict[str, CostReview]) -> None:
    table = overview(reviews)
    readme = README.read_text(encoding="utf-8")
    assert IN_README.search(readme), "the README has no place for the costs"
    if os.environ.get("UPDATE_DOCS"):
        readme = IN_README.sub(lambda _: table, readme)
        README.write_text(readme, encoding="utf-8")

    assert IN_README.search(readme)[0] == table, (
        "README.md is out of date: run UPDATE_DOCS=1 pytest tests/template/test_cost_documentation.py"
    )


def test_everything_of_ours_is_priced(reviews: dict[str, CostReview]) -> None:
    for name, review in reviews.items():
        assert review.unpriced == (), name


@pytest.mark.parametrize(
    ("environment", "instances", "price"),
    [
        ("dev", 1, "0.056"),
        ("staging with a promoted model", 2, "0.115"),
        ("prod with a promoted model", 2, "0.115"),
    ],
)
def test_the_endpoint_runs_all_month(
    reviews: dict[str, CostReview], environment: str, instances: int, price: str
) -> None:
    line = reviews[environment].lines[0]

    assert line.type == "AWS::SageMaker::Endpoint"
    # 730 hours, and 5 GB of volume at 0.14
    assert line.after == (instances * (730 * Decimal(price) + 5 * Decimal("0.14"))).quantize(Decimal("0.01"))


def test_each_part_of_training_is_found(reviews: dict[str, CostReview]) -> None:
    jobs = {line.subject: line for line in reviews["dev"].lines if line.type.startswith("SageMaker ")}

    assert {(subject.rsplit("(", 1)[1], line.type) for subject, line in jobs.items()} == {
        ("Train)", "SageMaker training job"),
        ("ScoreTestRatings)", "SageMaker transform job"),
        ("ScoreRanking)", "SageMaker transform job"),
    }
    # 4 uploads × 10 minutes on one ml.m5.large, and its volume
    assert {line.after for line in jobs.values()} == {Decimal("0.08")}


def test_the_schedule_decides_how_often_training_runs(assemblies: Assemblies) -> None:
    variant = "dev that keeps its data, trains by schedule and waits for approval"
    review = review_cost(
        None,
        read_assembly(assemblies(variant).folder),
        traffic=parse_traffic(["training_minutes=60", "volume_gb=0"]),
    )

    line = next(line for line in review.lines if line.type == "SageMaker training job")
    # 208 Mondays in four years × 0.115, and the job's own 30 GB
    assert line.after == Decimal("0.52")
    assert "cron(0 3 ? * MON *) = 4.33 runs" in line.driver


def test_every_function_has_a_caller(reviews: dict[str, CostReview]) -> None:
    for name, review in reviews.items():
        for line in review.lines:
            assert "by others" not in line.driver, (name, line.subject)


def test_a_region_without_prices_lists_all_that_costs(assemblies: Assemblies, dev: Assembly) -> None:
    elsewhere = review_cost(None, read_assembly(assemblies("dev in GovCloud").folder))
    here = review_cost(None, read_assembly(dev.folder))

    assert elsewhere.monthly_after == 0
    assert len(elsewhere.unpriced) == len({line.subject.split(" (")[0] for line in here.lines})
