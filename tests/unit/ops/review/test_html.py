"""The HTML report: what it says in which order, that it stands alone, and that nothing breaks out of it."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings

from ops.review.html import to_html
from ops.review.presentation.paragraphs import is_long
from ops.review.presentation.wording import value
from tests.unit.ops.review.samples import a_first_review, a_quiet_review, a_review, a_review_with
from tests.unit.ops.review.texts import hostile, like

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[4]
VOID = {"meta", "link", "br", "wbr"}
BY_LENGTH = {"wbr", "ins", "del"}
"""Tags that depend on a value's words."""


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    within: tuple[str, ...]
    folded: bool
    """Whether it is (a part of) a long value."""
    text: str = ""


@dataclass
class Page(HTMLParser):
    """The elements of a document, in order; what is not closed properly is an error."""

    source: str
    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []
        self.feed(self.source)
        self.close()
        assert not self._open, f"not closed: {self._open[-1]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        element = Element(
            tag,
            attributes,
            within=tuple(each.tag for each in self._open),
            folded=attributes.get("class") == "long" or any(each.folded for each in self._open),
        )
        self.elements.append(element)
        if tag not in BY_LENGTH:
            self.handle_data(" ")
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]


@pytest.fixture(scope="module")
def source() -> str:
    return to_html(a_review())


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def section(source: str, name: str) -> str:
    found = re.search(rf'<section [^>]*id="{name}".*?</section>', source, re.DOTALL)
    assert found, name
    return found[0]


def words(source: str) -> str:
    return " ".join(Page(source).elements[0].text.split())


def test_the_verdict_comes_first_a_paragraph_and_a_table(page: Page) -> None:
    titles = [heading.text.strip() for heading in page.all("h2")]

    assert titles == [
        "Danger",
        "Environments",
        "Resources",
        "Permissions",
        "Network and data protection",
        "Cost",
        "Findings",
        "Parity",
        "Picture",
    ]
    main = [element for element in page.elements if "main" in element.within]
    kinds = [element.tag for element in main if element.tag in ("h2", "p", "table")]
    assert kinds[:3] == ["h2", "p", "table"]


def test_the_verdict_says_what_the_review_says(source: str) -> None:
    said = words(section(source, "verdict"))

    assert "dev Data can be lost with movie-recommender-dev-storage/Prepared. The change touches" in said
    assert "data lost 1 movie-recommender-dev-storage/Prepared" in said


def test_a_property_shows_before_and_after_with_the_difference_marked(source: str) -> None:
    resources = section(source, "resources")

    assert '<span class="value">ml.<del>t2.medium</del></span>' in resources
    assert '<span class="value">ml.<ins>m5.large</ins></span>' in resources
    assert "replaces the resource" in resources


def test_the_stack_and_the_resource_with_the_worst_change_come_first(source: str) -> None:
    resources = section(source, "resources")
    summaries = [" ".join(element.text.split()) for element in Page(resources).all("summary")]

    assert summaries[0] == "! data loss ↻ replaced Prepared AWS::S3::Bucket"
    stacks = [element.text.strip() for element in Page(resources).all("h4")]
    assert stacks == [
        "movie-recommender-dev-storage",
        "movie-recommender-dev-serving",
        "movie-recommender-dev-training",
        "movie-recommender-staging-serving",
    ]


def test_what_deserves_attention_is_open_and_noise_is_folded(source: str) -> None:
    dev = section(source, "resources").split("<h3>staging</h3>")[0]
    folds = Page(dev + "</section>").all("details")
    opened = {fold.text.split("AWS::")[0].split()[-1]: "open" in fold.attributes for fold in folds}

    assert opened["Prepared"]
    assert opened["Endpoint/Configuration"]
    assert not opened["Alarm"]
    quiet = [fold for fold in folds if "without effect" in fold.text.split("\n")[0]]
    assert quiet
    assert not any("open" in fold.attributes for fold in quiet)


def test_long_structures_are_compared_line_by_line(source: str) -> None:
    resources = section(source, "resources")

    assert '<span class="line-removed">-       &#34;TimeoutSeconds&#34;: 960,</span>' in resources
    assert '<span class="line-added">+       &#34;TimeoutSeconds&#34;: 1800,</span>' in resources


def test_who_may_do_more_comes_first_with_the_alarms(source: str) -> None:
    permissions = section(source, "permissions")
    principals = [" ".join(heading.text.split()) for heading in Page(permissions).all("h4")]
    said = words(permissions)

    assert principals == [
        "account 999999999999 may do more",
        "movie-recommender-dev-training/PrepareDataRole may do more",
        "movie-recommender-dev-training/Workflow/Role",
    ]
    assert "new actions: all of s3, was s3:GetObject" in said
    assert "public anyone may call it" in said
    assert "staging, prod: no permission changes." in said


def test_cost_by_environment_and_resource_with_what_is_not_priced(source: str) -> None:
    said = words(section(source, "cost"))

    assert "dev $121.40 $167.53 +$46.13 (+38%)" in said
    assert "instances × 730 hours $107.53 $153.66 +$46.13 (+43%)" in said
    assert "1 part costs the same as before: $13.87" in said
    assert "Not priced, and so not in the sums: AWS::SageMaker::ModelPackageGroup: free" in said
    assert "List prices as of 2026-11-20." in said


def test_new_findings_and_suppressions_come_before_old_ones(source: str) -> None:
    said = words(section(source, "findings"))

    order = ["AwsSolutions-APIG4", "The preparation lists and reads", "1 finding from before", "W3011"]
    assert sorted(order, key=said.index) == order


def test_unexplained_differences_between_environments_come_first(source: str) -> None:
    said = words(section(source, "parity"))

    assert said.index("not explained") < said.index("1 difference that the configuration explains")


def test_equal_trees_say_so() -> None:
    said = words(to_html(a_quiet_review()))

    for sentence in (
        "Nothing changes",
        "Nothing that runs changes.",
        "dev: no resource changes.",
        "dev: no permission changes.",
        "dev: no findings and no suppressions.",
    ):
        assert sentence in said
    assert "Parity" not in said


def test_without_a_base_the_environment_is_shown_as_it_is() -> None:
    said = words(to_html(a_first_review()))

    assert "There is nothing to compare with: what follows is the environment as it is" in said
    assert "The base does not synthesize: config/dev.toml:3: unknown key colour." in said
    assert "no change" not in said


def test_the_page_loads_nothing_and_runs_only_its_own_script(source: str, page: Page) -> None:
    links = [
        value
        for element in page.elements
        for name, value in element.attributes.items()
        if name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href")
    ]
    assert all(link.startswith("#") or link == "data:," for link in links)
    assert "url(" not in source
    assert "@import" not in source
    (policy,) = [e.attributes["content"] for e in page.all("meta") if "http-equiv" in e.attributes]
    for tag in ("style", "script"):
        (content,) = [element.text for element in page.all(tag)]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert not [e for e in page.elements if any(name.startswith("on") for name in e.attributes)]
    assert not [e for e in page.elements if "style" in e.attributes]


def test_the_page_is_made_for_screen_readers(page: Page) -> None:
    levels = [int(heading.tag[1]) for heading in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.elements[0].attributes == {"lang": "en"}
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(element.attributes.get("scope") in ("row", "col") for element in page.all("th"))
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(element.attributes.get(name, "").split()) <= set(ids)
        if element.tag == "a":
            assert element.attributes["href"].removeprefix("#") in ids
    first = page.all("a")[0]
    assert (first.attributes["href"], first.text.strip()) == ("#verdict", "Skip to the verdict")


@pytest.mark.parametrize("format_", ["html", "markdown"])
def test_the_same_review_gives_the_same_bytes_in_another_process(format_: str) -> None:
    program = (
        f"from ops.review.{format_} import to_{format_};"
        "from samples import a_review;"
        f"import hashlib; print(hashlib.sha256(to_{format_}(a_review()).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def structure(source: str) -> list[tuple[str, tuple[str, ...]]]:
    """Tags and names of attributes, without those that follow a value's words and length."""
    return [
        (element.tag, tuple(element.attributes))
        for element in Page(source).elements
        if element.tag not in BY_LENGTH and not element.folded and "value" not in element.attributes.values()
    ]


@given(hostile)
@example("<script>alert(1)</script>\x00\x85\r\n<details open>")
@settings(max_examples=30, deadline=None)
def test_no_name_and_no_value_breaks_out_of_the_page(text: str) -> None:
    plain = like(text)
    # Quotes make JSON longer, and what is long is folded.
    assume(is_long(value({text: [text]})) == is_long(value({plain: [plain]})))
    source = to_html(a_review_with(text))

    assert source.encode()
    assert structure(source) == structure(to_html(a_review_with(plain)))
