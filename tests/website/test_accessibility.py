"""Every page of a built site: axe, narrow windows, zoom, keyboard, no motion, no JavaScript.

``COURSE_SITE=FOLDER pytest tests/website/test_accessibility.py`` walks a site that was built
before. Without it, the site of a small course is walked, which has no models.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from course_site import build
from playwright.sync_api import Page, expect

from course_lib.quiz import question_bank
from tests.support import question_page, small_site
from tests.website import axe

# Elements that are reached by the Tab key: one of a group of radio buttons.
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
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site."""
    question_page.skip_without_packages()
    if folder := os.environ.get("COURSE_SITE"):
        return Path(folder).resolve()
    course = small_site.write_course(tmp_path_factory.mktemp("course"))
    out = tmp_path_factory.mktemp("walked") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(question_bank, "FOLDER", small_site.write_bank(course))
        patch.setattr(build, "_write_assets", small_site.write_assets)
        build.build(course, out, "quick", course / "cache", report=lambda sentence: None)
    return out


@pytest.fixture(scope="module")
def addresses(site: Path, serve: Callable[[Path], str]) -> list[str]:
    """Every page of the site over http."""
    root = serve(site)
    pages = sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)
    assert pages, f"{site} has no pages"
    return [f"{root}/{page.relative_to(site).as_posix()}" for page in pages]


class Problems(dict[str, list[str]]):
    """What a walk finds, and on which pages, so that one failure lists everything once."""

    def add(self, page: Page, lines: list[str]) -> None:
        for line in lines:
            self.setdefault(line, []).append(page.url.rpartition("/")[2])


@pytest.fixture
def problems() -> Iterator[Problems]:
    """Fails the test at its end if anything was found."""
    found = Problems()
    yield found
    lines = [f"{line}\n    on {', '.join(pages)}" for line, pages in found.items()]
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize("state", ["closed", "opened"])
def test_axe_finds_nothing(new_page: Callable[..., Page], addresses, problems, state):
    page = new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    for address in addresses:
        page.goto(address)
        if state == "opened":
            if not page.locator("form.course-question").count():
                continue
            page.evaluate(_ANSWER_ALL)
        problems.add(page, axe.violations(page))


@pytest.mark.parametrize(
    "size", [(360, 740, 3), (640, 400, 2)], ids=["phone", "1280 pixels at 200 % zoom"]
)
def test_nothing_sticks_out(new_page: Callable[..., Page], addresses, problems, size):
    width, height, density = size
    page = new_page(viewport={"width": width, "height": height}, device_scale_factor=density)
    for address in addresses:
        page.goto(address)
        page.evaluate(_ANSWER_ALL)
        problems.add(page, axe.find_overflow(page))


def show_demos(page: Page) -> None:
    """Scroll to every demo, so that its controls are there, or the sentence why they are not."""
    for demo in page.locator("[data-demo]").all():
        demo.scroll_into_view_if_needed()
        expect(demo.locator("button, input, [role=status]").first).to_be_attached()
    page.evaluate("scrollTo(0, 0)")


def test_every_control_is_reached_by_keyboard_and_shows_it(
    new_page: Callable[..., Page], addresses, problems
):
    page = new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    for address in addresses:
        page.goto(address)
        show_demos(page)
        page.evaluate(_COLLECT)
        # some more: closed parts of the page may open on the way
        for _ in range(page.evaluate(f"() => ({_OPERABLE})().length") + 20):
            page.keyboard.press("Tab")
        for words, found in (
            ("not reached", page.evaluate(_MISSED)),
            ("focus not visible", page.evaluate("() => [...new Set(unseen)]")),
        ):
            problems.add(page, [f"{words}: {text[:160]}" for text in found])


def test_nothing_moves_if_motion_is_not_wanted(new_page: Callable[..., Page], addresses, problems):
    page = new_page(reduced_motion="reduce")
    for address in addresses:
        page.goto(address)
        problems.add(page, page.evaluate(_MOVING))
        if page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") != "auto":
            problems.add(page, ["scrolls smoothly"])


def test_pages_are_a_book_without_javascript(new_page: Callable[..., Page], addresses, problems):
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
