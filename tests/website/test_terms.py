"""Links to the glossary show the definition by pointer, by keyboard, and without JavaScript."""

from collections.abc import Callable
from pathlib import Path

import pytest
from course_site import bundle
from course_site.pages import glossary
from playwright.sync_api import Page, expect

from tests.support.checkout import ROOT
from tests.website import axe

DEFINITIONS = {
    "feature-map": "A layer's output: a grid with one number per channel at each position.",
    "kernel": "The grid of weights that a convolution moves over the image.",
}
BODY = """<p>A <a class="reference internal" href="glossary.html#feature-map"><span>feature
map</span></a>, and further on a
<a class="reference internal" href="glossary.html#kernel">kernel</a>.
<a class="reference internal" href="glossary.html#unknown">no term</a></p>"""


def test_links_of_lessons_to_the_glossary_are_rewritten():
    text = "[a](../docs/glossary.md#kernel) and [b](../docs/measured.md#kernel)"
    assert glossary.relink(text) == "[a](../glossary.md#kernel) and [b](../docs/measured.md#kernel)"


def test_definition_is_escaped():
    link = '<a class="reference internal" href="../glossary.html#x">'
    made = glossary.add_definitions(link, {"x": 'a "b" <c>'})
    assert 'title="a &quot;b&quot; &lt;c&gt;"' in made


def test_definitions_are_read_from_the_glossary():
    definitions = glossary.read_definitions(ROOT)
    assert len(definitions) >= 90 and "kernel" in definitions


@pytest.fixture(scope="module")
def address(question_site: Path) -> str:
    """A page with two links to terms, with the site's script and style sheet."""
    page = question_site / "terms.html"
    bundle.bundle("main.css", page.parent / "_static" / "main.css")
    body = glossary.add_definitions(BODY, DEFINITIONS)
    shell = (page.parent / "lesson.html").read_text(encoding="utf-8")
    start, end = shell.index("<h2>"), shell.index("</main>")
    style = '<link rel="stylesheet" href="_static/main.css"></head>'
    text = shell[:start] + body + shell[end:]
    page.write_text(text.replace("</head>", style), encoding="utf-8")
    return page.as_uri()


@pytest.fixture
def page(new_page: Callable[..., Page], address: str) -> Page:
    page = new_page(viewport={"width": 500, "height": 400}, reduced_motion="reduce")
    page.goto(address)
    return page


@pytest.mark.extended
def test_pointer_shows_the_definition_and_can_move_onto_it(page: Page):
    tip = page.get_by_role("tooltip")
    expect(tip).to_have_count(0)
    page.get_by_role("link", name="kernel").hover()
    expect(tip).to_have_text(DEFINITIONS["kernel"])
    tip.hover()
    page.wait_for_timeout(400)
    expect(tip).to_be_visible()
    page.get_by_role("heading").first.hover()
    expect(tip).to_have_count(0)


@pytest.mark.extended
def test_keyboard_shows_and_hides_the_definition(page: Page):
    page.keyboard.press("Tab")
    link = page.get_by_role("link", name="feature map")
    expect(link).to_be_focused()
    expect(link).to_have_accessible_description(DEFINITIONS["feature-map"])
    page.keyboard.press("Escape")
    expect(page.get_by_role("tooltip")).to_have_count(0)
    expect(link).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("tooltip")).to_have_text(DEFINITIONS["kernel"])
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="no term")).to_be_focused()
    expect(page.get_by_role("tooltip")).to_have_count(0)


@pytest.mark.parametrize("width", [320, 1000])
@pytest.mark.extended
def test_shown_definition_is_accessible_and_does_not_overflow(page: Page, width):
    page.set_viewport_size({"width": width, "height": 400})
    page.get_by_role("link", name="kernel").focus()
    tip = page.get_by_role("tooltip")
    box = tip.bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= width
    axe.assert_accessible(page)
    assert not axe.find_overflow(page)


@pytest.mark.extended
def test_definition_is_the_title_of_the_link_without_javascript(
    new_page: Callable[..., Page], address: str
):
    page = new_page(java_script_enabled=False)
    page.goto(address)
    link = page.get_by_role("link", name="kernel")
    expect(link).to_have_attribute("title", DEFINITIONS["kernel"])
    assert page.get_by_role("link", name="no term").get_attribute("title") is None
