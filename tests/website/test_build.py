"""The site of a small course is built, and its pages work in a browser."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag
from course_grading.assign.source import read_lesson
from course_site import build, bundle, execute, formulas
from course_site.errors import LessonFailedError, SiteError
from course_site.pages import demos, documents
from playwright.sync_api import Page, expect

from tests.support import question_page, small_site
from tests.support.checkout import LESSONS, ROOT
from tests.support.small_site import HIDDEN, LESSON, SECRET, SKIPPED_DOCUMENTS


@pytest.fixture(scope="module")
def site(small_course: small_site.Built) -> Path:
    return small_course.site


@pytest.fixture(scope="module")
def page(site: Path) -> BeautifulSoup:
    """The lesson's page."""
    path = site / "lessons" / f"{LESSON}.html"
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def find(soup: BeautifulSoup | Tag, selector: str) -> Tag:
    found = soup.select_one(selector)
    assert found is not None, selector
    return found


# Execution


def test_failing_cell_stops_the_build_and_is_named(tmp_path: Path):
    course = small_site.write_course(tmp_path / "course")
    source = tmp_path / f"{LESSON}.md"
    text = (course / "solutions" / source.name).read_text(encoding="utf-8")
    source.write_text(text.replace("import io\n", "1 / 0\n"), encoding="utf-8")
    with pytest.raises(LessonFailedError, match=rf"{LESSON}, cell 2 \('1 / 0'\): ZeroDivision"):
        execute.execute(read_lesson(source), "quick", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_executed_lesson_is_cached_until_something_changes(
    small_course: small_site.Built, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(execute, "_run", lambda *arguments: pytest.fail("executed again"))
    lesson = read_lesson(small_course.course / "solutions" / f"{LESSON}.md")
    assert execute.execute(lesson, "quick", small_course.cache).cells
    notebook = execute.make_notebook(lesson)
    before = execute.digest(notebook, "quick")
    assert execute.digest(notebook, "full") != before
    notebook.cells[1].source += "\n"
    assert execute.digest(notebook, "quick") != before


def test_transitively_imported_files_are_found():
    files = execute.imported_files("%magic\nfrom course_lib.widgets.convolution import x\n")
    names = {path.relative_to(execute.PACKAGE).as_posix() for path in files}
    assert {"__init__.py", "widgets/convolution.py", "figures/style.py"} <= names
    assert not [name for name in names if name.startswith("commands/")]


# Pages


def test_page_shows_outputs_without_progress_bars(page: BeautifulSoup):
    (output,) = page.select("div.output.stream")
    assert output.get_text().strip() == "visible output"


def test_figures_are_compressed_in_two_densities_with_alt_text(page: BeautifulSoup, site: Path):
    first, *others = page.select("figure img")
    assert first["alt"] == "The first picture, a gradient."
    assert (first["width"], first["height"]) == ("400", "125")
    assert not first.get("loading") and {image["loading"] for image in others} == {"lazy"}
    widths = re.findall(r"(\S+\.(?:webp|avif)) (\d+)w", str(first["srcset"]))
    assert [width for _, width in widths] == ["400", "640"]
    for address, _ in widths:
        assert (site / "lessons" / address).resolve().is_file()
    assert find(page, "figcaption").get_text() == "A caption."


def test_widget_becomes_a_demo_or_a_still(page: BeautifulSoup):
    (section,) = page.select("section.course-demo")
    assert section["data-demo"] == "kernel-editor" and section["aria-label"]
    assert find(section, "figure img")["alt"] == "A still of the demo's place."
    assert "controls are in the notebook" not in section.get_text()
    still = find(page, 'img[alt="A still of another widget."]').find_parent("figure")
    assert still and "controls are in the notebook" in find(still, "figcaption").get_text()
    assert "widget-view" not in str(page) and 'id="still-' not in str(page)


def test_every_demo_is_in_a_lesson():
    shown = {
        demo.name
        for name in LESSONS
        for cell in execute.make_notebook(read_lesson(ROOT / "solutions" / f"{name}.md")).cells
        if (demo := demos.find_demo(cell.source))
    }
    assert shown == {demo.name for demo in demos.DEMOS.values()}


def test_exercise_shows_its_stub_its_checks_and_a_link(page: BeautifulSoup):
    exercise = find(page, "#exercise-double")
    assert "2 points" in exercise.get_text()
    assert find(exercise, "a").get_text() == "Do it in the notebook"
    text = page.get_text()
    assert "Twice ``x``." in text and "raise NotImplementedError" in text
    assert "Twice two is four." in find(page, "details.hide").get_text()


def test_site_contains_no_solutions_or_hidden_checks(site: Path):
    files = [path for path in site.rglob("*") if path.suffix in {".html", ".js", ".txt", ".ipynb"}]
    assert files and not [*site.glob("_sources/**/*.*")]
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace")
        assert SECRET not in text and HIDDEN not in text, path


def test_formulas_are_typeset_in_text_and_in_questions(page: BeautifulSoup):
    assert len(page.select("mjx-container")) == 3
    assert find(page, "form.course-question").select("mjx-container math")
    assert page.select('link[href="../_static/formulas.css"]')


def test_wrong_formula_stops_the_build(tmp_path: Path):
    question_page.skip_without_packages()
    (tmp_path / "_static").mkdir()
    (tmp_path / "index.html").write_text(r'<head></head><span class="math">\(\frac{1\)</span>')
    with pytest.raises(SiteError, match=r"formula '\\\\frac\{1'"):
        formulas.typeset(tmp_path, bundle.WEB)


def test_links_between_documents_lead_to_pages_or_are_removed(site: Path):
    assert not BeautifulSoup((site / "learners.html").read_text(), "html.parser").select(
        'a[href*="README"]'
    )
    licences = BeautifulSoup((site / "licences.html").read_text(), "html.parser")
    assert licences.select('article a[href="learners.html"]')


def test_document_with_a_broken_link_stops_the_build(tmp_path: Path):
    course = small_site.write_course(tmp_path / "course")
    (course / "docs" / "learners.md").write_text("# A\n\n[gone](gone.md)\n")
    (tmp_path / "source").mkdir()
    with pytest.raises(SiteError, match=r"docs/learners.md links gone.md"):
        documents.write(course, tmp_path / "source", "")


def test_other_folders_are_not_replaced(tmp_path: Path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SiteError, match="holds other files"):
        build._replace(tmp_path, tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_front_page_has_the_demo_the_lessons_and_their_minutes(site: Path):
    front = BeautifulSoup((site / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert find(front, "section.course-demo")["data-demo"] == "text-to-image"
    (card,) = front.select(".front-card")
    assert find(card, "h3 a")["href"] == f"lessons/{LESSON}.html"
    assert "5 minutes" in card.get_text() and card.select(f'[data-progress="{LESSON}"]')


@pytest.mark.parametrize("name, root", [("index", "./"), (f"lessons/{LESSON}", "../")])
def test_scripts_find_the_root_of_the_site(site: Path, name: str, root: str):
    soup = BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
    assert find(soup, 'meta[name="course-root"]')["content"] == root
    assert (site / name).parent.joinpath(root, "_static", "assets", "manifest.js").is_file()


# In the browser


@pytest.mark.parametrize("way", [pytest.param("http", marks=pytest.mark.extended), "file"])
def test_pages_send_no_requests_to_other_hosts(
    site: Path, new_page: Callable[..., Page], serve: Callable[[Path], str], way: str
):
    address = serve(site) if way == "http" else site.as_uri()
    page, requests, failed = new_page(), [], []
    page.on("request", lambda request: requests.append(request.url))
    # Opening the next page may abort requests of this one; a missing file has another failure.
    page.on("requestfailed", lambda request: failed.append((request.url, request.failure)))
    for path in sorted(site.rglob("*.html")):
        name = path.relative_to(site).as_posix()
        if name in {"search.html", "genindex.html", *SKIPPED_DOCUMENTS} or name.startswith(
            "_static"
        ):
            continue
        page.goto(f"{address}/{name}")
        page.wait_for_load_state("networkidle")
        width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert width <= 0, name
    assert requests and [url for url, why in failed if why != "net::ERR_ABORTED"] == []
    foreign = [url for url in requests if not url.startswith((address, "data:", "blob:"))]
    assert foreign == []


def test_search_finds_a_lesson_from_a_folder(site: Path, new_page: Callable[..., Page]):
    page = new_page()
    page.goto(f"{site.as_uri()}/search.html?q=gradient")
    expect(page.locator("#search-results")).to_contain_text("A sample")


def test_page_is_readable_without_javascript(site: Path, new_page: Callable[..., Page]):
    page = new_page(java_script_enabled=False)
    page.goto(f"{site.as_uri()}/lessons/{LESSON}.html")
    for text in ("A formula", "a letter?", "A caption.", "Edit it."):
        expect(page.locator("article").get_by_text(text).first).to_be_visible()
    expect(page.locator("div.output.stream")).to_be_visible()
    expect(page.locator("mjx-container svg").first).to_be_visible()


# The whole course


@pytest.mark.slow
def test_whole_site_builds_and_is_small_enough(tmp_path: Path):
    """Executes every lesson that is not in the user's cache: up to 25 minutes."""
    import platformdirs

    cache = platformdirs.user_cache_path("pixels-to-diffusion") / "site"
    sizes = build.build(ROOT, tmp_path / "site", "quick", cache)
    assert sizes["all"] <= build.LIMIT
    for name in LESSONS:
        text = (tmp_path / "site" / "lessons" / f"{name}.html").read_text(encoding="utf-8")
        for exercise in read_lesson(ROOT / "solutions" / f"{name}.md").exercises:
            assert f'id="exercise-{exercise.name}"' in text
    manifest = (tmp_path / "site" / "_static" / "assets" / "manifest.js").read_text()
    assert "unet" in json.loads(manifest[len("courseManifest(") : -2])
