"""Every page of a built site passes axe, fits narrow windows, and works by keyboard.

``COURSE_SITE=FOLDER pytest tests/website/test_accessibility.py`` tests an existing site. Without
it, the site of a small course without models is tested.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support import question_page
from tests.support.small_site import SKIPPED_DOCUMENTS, Built
from tests.website import axe

# Collects elements that the Tab key reaches; a group of radio buttons counts as one.
_COLLECT = """() => {
  window.reached = new Set();
  window.unseen = [];
  document.addEventListener("focusin", ({ target }) => {
    const isGroup = target.type === "radio" && target.name;
    const group = isGroup ? `input[type=radio][name="${target.name}"]` : null;
    const all = group ? (target.form ?? document).querySelectorAll(group) : [target];
    for (const one of all) reached.add(one);
    const shows = (element) => {
      const style = getComputedStyle(element);
      return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0)
        || style.boxShadow !== "none";
    };
    const around = [target, target.closest("li"), target.closest("label"), target.parentElement];
    if (!around.some((element) => element && shows(element))) unseen.push(target.outerHTML);
  });
}"""
_OPERABLE = """() => [...document.querySelectorAll(
  "a[href], button, input, select, textarea, summary, [tabindex='0']")].filter((element) =>
    !element.disabled
    && element.checkVisibility({ visibilityProperty: true })
    && !element.closest("[inert]"))"""
_MISSED = f"() => ({_OPERABLE})().filter((one) => !reached.has(one)).map((one) => one.outerHTML)"
_ANSWER_ALL = """() => {
  for (const form of document.querySelectorAll("form.course-question")) {
    form.querySelector("input").click();
    form.requestSubmit();
  }
}"""
_MOVING = """() => document.getAnimations()
  .filter((one) => one.playState === "running" && one.effect.getComputedTiming().duration > 1)
  .map((one) => one.effect.target.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def addresses(request: pytest.FixtureRequest, serve: Callable[[Path], str]) -> list[str]:
    """The URLs of the tested pages."""
    question_page.skip_without_packages()
    skipped = set[str]()
    if folder := os.environ.get("COURSE_SITE"):
        site = Path(folder).resolve()
    else:
        built: Built = request.getfixturevalue("small_course")
        site, skipped = built.site, SKIPPED_DOCUMENTS
    root = serve(site)
    found = sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)
    pages = [path for path in found if path.relative_to(site).as_posix() not in skipped]
    assert len(pages) == len(found) - len(skipped) > 0, f"{site} lacks pages"
    return [f"{root}/{page.relative_to(site).as_posix()}" for page in pages]


class Problems(dict[str, list[str]]):
    """Problem -> the pages that have it, so that one failure lists each problem once."""

    def add(self, page: Page, lines: list[str]) -> None:
        for line in lines:
            self.setdefault(line, []).append(page.url.rpartition("/")[2])


@pytest.fixture
def problems() -> Iterator[Problems]:
    """Fails the test at its end if problems were added."""
    found = Problems()
    yield found
    lines = [f"{line}\n    on {', '.join(pages)}" for line, pages in found.items()]
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize(
    "size", [(360, 740, 3), (640, 400, 2)], ids=["phone", "1280 pixels at 200 % zoom"]
)
@pytest.mark.extended
def test_pages_do_not_overflow(new_page: Callable[..., Page], addresses, problems, size):
    width, height, density = size
    page = new_page(viewport={"width": width, "height": height}, device_scale_factor=density)
    for address in addresses:
        page.goto(address)
        page.evaluate(_ANSWER_ALL)
        problems.add(page, axe.find_overflow(page))


def show_demos(page: Page) -> None:
    """Scroll to every demo, so that its controls, or its error message, are created."""
    for demo in page.locator("[data-demo]").all():
        demo.scroll_into_view_if_needed()
        expect(demo.locator("button, input, [role=status]").first).to_be_attached()
    page.evaluate("scrollTo(0, 0)")


def use_keyboard(page: Page) -> list[str]:
    """Press Tab through all controls; returns those without focus or without a visible focus."""
    page.evaluate(_COLLECT)
    for _ in range(page.evaluate(f"() => ({_OPERABLE})().length")):
        page.keyboard.press("Tab")
    # Collapsed parts of the page may have opened.
    for _ in range(20):
        if not page.evaluate(_MISSED):
            break
        page.keyboard.press("Tab")
    found = (
        ("not reached", page.evaluate(_MISSED)),
        ("focus not visible", page.evaluate("() => [...new Set(unseen)]")),
    )
    return [f"{words}: {text[:160]}" for words, texts in found for text in texts]


@pytest.mark.extended
def test_axe_motion_and_keyboard(new_page: Callable[..., Page], addresses, problems):
    """Axe finds nothing before and after all questions are answered; nothing is animated; every
    control has a visible keyboard focus.
    """
    page = new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    for address in addresses:
        page.goto(address)
        moving = page.evaluate(_MOVING)
        problems.add(page, [f"moves: {text}" for text in moving])
        if page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") != "auto":
            problems.add(page, ["scrolls smoothly"])
        problems.add(page, axe.violations(page))
        show_demos(page)
        problems.add(page, use_keyboard(page))
        if page.locator("form.course-question").count():
            page.evaluate(_ANSWER_ALL)
            problems.add(page, axe.violations(page))


@pytest.mark.extended
def test_pages_are_readable_without_javascript(new_page: Callable[..., Page], addresses, problems):
    page = new_page(java_script_enabled=False)
    for address in addresses:
        page.goto(address, wait_until="load")
        if address.endswith("/search.html"):
            continue  # it says that it needs JavaScript
        if not page.locator("h1:visible").count():
            problems.add(page, ["no heading"])
        broken = page.evaluate(
            """() => [...document.querySelectorAll("main img")]
              .filter((image) => !image.complete || !image.naturalWidth)
              .map((image) => image.src)"""
        )
        problems.add(page, [f"a picture is missing: {address}" for address in broken])
        for form in page.locator("form.course-question").all():
            name = form.get_attribute("data-question")
            if not form.locator("label").last.is_visible():
                problems.add(page, [f"the options of {name} cannot be read"])
            form.locator("summary").click()
            if not form.locator("details li").last.is_visible():
                problems.add(page, [f"the explanations of {name} cannot be read"])
