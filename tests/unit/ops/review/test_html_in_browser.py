"""The HTML report in Chromium: nothing is requested, nothing fails, and it can be read and operated."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.review.html import to_html
from tests.unit.ops.review.samples import a_review, a_review_with

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="needs Chromium (`apt-get install chromium`), or its path in CHROMIUM"
    ),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(
            executable_path=CHROMIUM,
            # Without a sandbox for containers, whose user is root; the page is our own.
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "review.html"
    file.write_text(to_html(a_review()), encoding="utf-8")
    return file


class Visit:
    """A page that is open, and what went on while it was."""

    def __init__(self, browser: Any, file: Path, viewport: dict[str, int], **options: Any) -> None:
        self.page = browser.new_page(viewport=viewport, **options)
        self.requests: list[str] = []
        self.messages: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.goto(file.as_uri())


@pytest.fixture
def visit(browser: Any, report: Path) -> Iterator[Any]:
    visits: list[Visit] = []

    def open_page(viewport: dict[str, int], file: Path = report, **options: Any) -> Visit:
        visits.append(Visit(browser, file, viewport, **options))
        return visits[-1]

    yield open_page
    for each in visits:
        each.page.close()


@pytest.mark.parametrize(
    ("viewport", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")], ids=["phone", "desktop"]
)
def test_the_content_is_there_and_nothing_is_requested_or_reported(
    visit: Any, report: Path, viewport: dict[str, int], scheme: str
) -> None:
    opened = visit(viewport, color_scheme=scheme)
    page = opened.page

    assert page.get_by_role("heading", level=2, name="Danger").is_visible()
    assert page.get_by_text("Data can be lost with").first.is_visible()
    for name in ("Resources", "Permissions", "Cost", "Findings", "Parity", "Picture"):
        assert page.get_by_role("heading", level=2, name=name).is_visible()
    assert page.get_by_role("img", name="dev: resources and data flow").is_visible()
    assert page.get_by_text("ml.m5.large").first.is_visible()
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    page.wait_for_load_state("networkidle")
    assert [url for url in opened.requests if not url.startswith("data:")] == [report.as_uri()]
    assert opened.messages == []


def test_it_can_be_read_without_javascript(visit: Any) -> None:
    page = visit(DESKTOP, java_script_enabled=False).page

    assert page.get_by_role("heading", level=2, name="Danger").is_visible()
    assert not page.get_by_role("button", name="Open all").is_visible()
    fold = page.get_by_text("2 assumptions behind these amounts").first
    assert not page.get_by_text("1 request a second on average").first.is_visible()
    fold.click()
    assert page.get_by_text("1 request a second on average").first.is_visible()


def test_the_page_never_scrolls_sideways(visit: Any) -> None:
    page = visit(PHONE).page

    for fold in ("Close all", "Open all"):
        page.get_by_role("button", name=fold).click()
        for width in (320, 390, 768, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(CUT_OFF) == [], width


CUT_OFF = """() => [...document.querySelectorAll('td, th, p, li, summary, h1, h2, h3, h4')]
  .filter((element) => !element.closest('.canvas, [role=region], pre, .skip, thead'))
  .filter((element) => element.offsetParent)
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .map((element) => element.textContent.trim().slice(0, 60))"""


def test_long_words_do_not_widen_a_phones_page(visit: Any, tmp_path: Path) -> None:
    file = tmp_path / "long.html"
    file.write_text(to_html(a_review_with("unbreakable" * 12)), encoding="utf-8")
    page = visit(PHONE, file).page
    page.get_by_role("button", name="Open all").click()

    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_folds_open_and_close_with_the_keyboard(visit: Any) -> None:
    page = visit(DESKTOP).page
    fold = page.locator("details.resource:not([open])").first
    fold.evaluate("(element) => element.setAttribute('data-test', 'fold')")
    summary = page.locator("[data-test=fold] > summary")
    summary.focus()

    page.keyboard.press("Enter")
    assert page.locator("[data-test=fold]").get_attribute("open") is not None
    page.keyboard.press("Space")
    assert page.locator("[data-test=fold]").get_attribute("open") is None


def test_the_first_tab_leads_past_the_navigation(visit: Any) -> None:
    page = visit(DESKTOP).page

    page.keyboard.press("Tab")
    link = page.get_by_role("link", name="Skip to the verdict")
    assert link.evaluate("(element) => element === document.activeElement")
    assert link.bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "verdict"


def test_focus_is_seen(visit: Any) -> None:
    page = visit(DESKTOP).page

    for _ in range(15):
        page.keyboard.press("Tab")
        style = page.evaluate(
            "(() => { const style = getComputedStyle(document.activeElement);"
            " return [style.outlineStyle, parseFloat(style.outlineWidth)]; })()"
        )
        assert style[0] != "none"
        assert style[1] >= 2


def test_buttons_open_and_close_everything(visit: Any) -> None:
    page = visit(DESKTOP).page

    page.get_by_role("button", name="Open all").click()
    assert page.locator("details:not([open])").count() == 0
    page.get_by_role("button", name="Close all").click()
    assert page.locator("details[open]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(visit: Any, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1, whatever the size."""
    page = visit(DESKTOP, color_scheme=scheme).page
    page.get_by_role("button", name="Open all").click()

    assert page.evaluate(CONTRASTS) == []


CONTRASTS = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b]
    .map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const parts = numbers(getComputedStyle(each).backgroundColor);
      if (parts.length < 4 || parts[3] > 0) return parts;
    }
    return [255, 255, 255];
  };
  const faults = new Set();
  const check = (element, front, back) => {
    const [light, dark] = [luminance(front), luminance(back)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) faults.add(`${ratio.toFixed(2)} ${element.textContent.trim().slice(0, 40)}`);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest('script, svg, .skip') || !element.offsetParent) continue;
    check(element, numbers(getComputedStyle(element).color), behind(element));
  }
  for (const text of document.querySelectorAll('svg text')) {
    const box = text.parentElement.querySelector('.box') || document.querySelector('svg .lane');
    check(text, numbers(getComputedStyle(text).fill), numbers(getComputedStyle(box).fill));
  }
  return [...faults];
}"""


def test_paper_shows_what_is_folded(visit: Any) -> None:
    page = visit(DESKTOP).page
    page.emulate_media(media="print")

    assert page.locator("nav").is_hidden()
    shown = page.evaluate(
        "[...document.querySelectorAll('details:not([open])')].filter((fold) => fold.lastElementChild"
        ".checkVisibility({ contentVisibilityAuto: true }) && fold.lastElementChild.offsetHeight > 0).length"
    )
    assert shown > 0
    assert shown == page.locator("details:not([open]):visible").count()


def test_a_table_keeps_its_meaning_where_it_becomes_cards(visit: Any) -> None:
    page = visit(PHONE).page

    table = page.get_by_role("table", name="US dollars a month, by environment")
    assert table.is_visible()
    assert table.get_by_role("rowheader", name="dev").is_visible()
    assert table.get_by_role("columnheader").count() == 4
