"""The Markdown report: that it fits a comment, says what it leaves out, and shows every text as it is."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ops.review.markdown import LIMIT, to_markdown
from ops.review.model import Count, Review, Verdict
from ops.review.presentation.budget import Part, Piece, fit, piece
from tests.unit.ops.review.samples import (
    a_first_review,
    a_large_review,
    a_quiet_review,
    a_review,
    a_review_with,
)
from tests.unit.ops.review.texts import hostile, like

pytestmark = pytest.mark.slow

GITHUB = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@pytest.fixture(scope="module")
def report() -> str:
    return to_markdown(a_review())


def test_the_verdict_comes_first_a_paragraph_and_a_table(report: str) -> None:
    lines = [line for line in report.split("\n") if line]

    assert lines[0] == "## Infrastructure review: danger"
    assert lines[1] == "<code>main (1a2b3c4)</code> → <code>working tree</code>"
    assert lines[2].startswith(
        "**dev** Data can be lost with movie-recommender-dev-storage/Prepared. The change"
    )
    assert lines[3] == "| What | How many | Which |"


def test_sections_come_in_the_order_of_the_page(report: str) -> None:
    assert re.findall(r"^### (.*)$", report, re.MULTILINE) == [
        "Resources",
        "Permissions",
        "Protection",
        "Cost",
        "Findings",
        "Parity",
        "Picture",
    ]


def test_a_resource_is_a_fold_with_a_comparison(report: str) -> None:
    assert (
        "<details><summary><b>● live endpoint</b> <b>↻ replaced</b> <code>Endpoint/Configuration</code> "
        "AWS::SageMaker::EndpointConfig</summary>\n"
        "\n"
        "- replaced because ProductionVariants is create-only\n"
        "\n"
        "```diff\n"
        "@@ ProductionVariants[AllTraffic].InstanceType @@ replaces the resource, create-only\n"
        "- ml.t2.medium\n"
        "+ ml.m5.large\n"
    ) in report


def test_the_picture_is_mermaid(report: str) -> None:
    assert "```mermaid\nflowchart LR\n" in report


def test_everything_fits_and_nothing_is_said_to_be_missing(report: str) -> None:
    assert "Left out" not in report
    assert report.endswith("<sub>Made from synthesized templates alone.</sub>\n")


def test_equal_trees_take_few_words() -> None:
    report = to_markdown(a_quiet_review())

    assert "Nothing that runs changes." in report
    assert "### Resources" not in report
    assert len(report) < 1500


def test_without_a_base_costs_have_no_difference() -> None:
    report = to_markdown(a_first_review())

    assert "| <code>dev</code> | — | &#36;121.40 |  |" in report
    assert "The base does not synthesize" in report


# -- the limit ---


@pytest.mark.parametrize("resources", [0, 1, 40, 400, 1500])
@pytest.mark.parametrize("text", ["value", "`|\n<$&*_", "\N{CLAPPER BOARD}"])
def test_it_always_fits_a_comment(resources: int, text: str) -> None:
    assert len(to_markdown(a_large_review(resources, text=text))) < LIMIT


def test_what_does_not_fit_is_counted() -> None:
    resources = 400
    report = to_markdown(a_large_review(resources))

    whole = len(re.findall(r"^<details><summary><b>", report, re.MULTILINE))
    brief = len(re.findall(r"^- <b>", report, re.MULTILINE))
    foot = report[report.index("**Left out, to fit a comment:**") :]
    missing = re.search(r"([\d,]+) resources and the details of ([\d,]+) resources", foot)
    assert missing
    assert brief == int(missing[2])
    assert whole + brief == resources - int(missing[1])
    findings = len(re.findall(r"^- error", report, re.MULTILINE))
    assert f"{resources - findings} findings" in foot
    assert "The HTML report has everything." in foot
    in_place = sum(int(number) for number in re.findall(r"\*Left out here: (\d+) resources", report))
    assert in_place <= int(missing[1])


def test_a_verdict_that_never_ends_is_cut_and_counted() -> None:
    endless = Verdict(
        level="danger",
        sentences=tuple(f"Sentence {number} about <$|{'x' * 400}." for number in range(500)),
        counts=tuple(Count("$" * 90, 3, ("`" * 300,) * 9) for _ in range(500)),
    )
    review = a_review()
    report = to_markdown(
        Review(**{**vars(review), "verdict": endless, "notes": tuple("note" * 50 for _ in range(500))})
    )

    assert len(report) < LIMIT
    assert re.search(r"… and \d+ more sentences in the HTML report\.", report)
    assert re.search(r"… and \d+ more rows in the HTML report\.", report)
    assert re.search(r"… and \d+ more notes in the HTML report\.", report)
    assert "### Resources" in report


def test_many_environments_still_fit() -> None:
    review = a_review()
    dev = review.environments[0]
    many = tuple(replace(dev, name=f"environment-{number}") for number in range(60))
    report = to_markdown(replace(review, environments=many))

    assert len(report) < LIMIT
    assert "… and 52 more environments in the HTML report." in report


pieces = st.lists(
    st.tuples(st.integers(1, 400), st.integers(1, 80)).map(
        lambda sizes: Piece("f" * max(sizes), "b" * min(sizes))
    ),
    max_size=12,
)
parts = st.lists(
    st.builds(
        Part,
        section=st.just("Section"),
        opening=st.integers(0, 60).map(lambda size: "o" * size),
        pieces=pieces.map(tuple),
        closing=st.just(""),
        unit=st.just(("piece", "pieces")),
        weight=st.integers(1, 4),
    ),
    max_size=10,
)


@given(parts, st.integers(0, 6000))
def test_what_is_chosen_fits_and_everything_is_accounted_for(chosen: list[Part], room: int) -> None:
    fitted = fit(chosen, room)

    assert sum(each.size for each in fitted) <= room
    assert [each.part for each in fitted] == chosen
    for each in fitted:
        assert len(each.texts) + each.missing == len(each.part.pieces)
        assert each.missing >= 0
    if sum(part.size for part in chosen) <= room:
        assert all(each.whole for each in fitted)


def test_all_pieces_are_named_before_any_is_told_in_full() -> None:
    part = Part("s", "", (Piece("f" * 100, "b"), Piece("f" * 100, "b"), piece("c")), "", ("x", "xs"))

    (fitted,) = fit([part], part.overhead + 110)

    assert fitted.texts == ("f" * 100, "b", "c")
    assert (fitted.shortened, fitted.missing) == (1, 0)


# -- what texts may do ---


class Structure(HTMLParser):
    """The tags of rendered Markdown with their attributes, and the text."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", ()))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


@given(hostile)
@example("````\n")
@settings(max_examples=80, deadline=None)
def test_no_name_and_no_value_breaks_out_of_the_report(text: str) -> None:
    report = to_markdown(a_review_with(text))
    rendered, plain = (
        Structure(GITHUB.render(each)) for each in (report, to_markdown(a_review_with(like(text))))
    )

    assert report.encode()
    assert rendered.tags == plain.tags


@pytest.mark.parametrize(
    "text",
    [
        "s3:* on ${Raw}/*",
        "a|b",
        "`code`",
        "<b>",
        "*x*",
        "_y_",
        "[z](w)",
        "1. one",
        "- item",
        "&amp;",
        "a\\|b",
        "#1",
    ],
)
def test_texts_show_as_they_are(text: str) -> None:
    shown = Structure(GITHUB.render(to_markdown(a_review_with(text)))).text

    # In the verdict's sentence, in its table, in a comparison, in a suppression's reason.
    assert shown.count(text) >= 15


def test_nobody_is_mentioned(report: str) -> None:
    mentioned = to_markdown(a_review_with("@octocat"))

    outside_code = re.sub(r"<code>.*?</code>|```.*?```", "", mentioned, flags=re.DOTALL)
    assert "@octocat" not in outside_code
    assert "@\u200boctocat" in outside_code
