"""nbgrader's formgrader, started in ``grading/``, works with the course's gradebook."""

import json
import shutil
import urllib.request
from pathlib import Path

import pytest
from course_grading.batch import grade_batch
from course_grading.gradebook import formgrader, scores
from course_grading.gradebook.nbgrader_api import open_api
from playwright.sync_api import Browser, expect

from tests.support.gradebook import NAME, submit
from tests.support.live_jupyter import serve

pytestmark = pytest.mark.browser

TIMEOUT = 30_000  # ms
# a stub with the parts of MathJax that formgrader uses
MATHJAX_STUB = """
const signal = {Interest: (tell) => setTimeout(() => tell("End"), 100)};
const Hub = {Config() {}, Queue() {}, Typeset() {}, Startup: {signal}};
window.MathJax = {Hub};
"""


@pytest.mark.extended
def test_formgrader_lists_the_lesson(built: Path, root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "grading" / "nbgrader_config.py", built / "grading")
    with serve(tmp_path / "jupyter", folder=built / "grading") as jupyter:
        with urllib.request.urlopen(
            f"{jupyter.url}/formgrader/api/assignments", timeout=60
        ) as reply:
            (assignment,) = json.load(reply)
        assert assignment["name"] == "01_sample" and assignment["status"] == "draft"
        assert assignment["max_score"] == 6
        with urllib.request.urlopen(f"{jupyter.url}/formgrader/", timeout=60) as reply:
            page = reply.read().decode()
        assert "is not a subdirectory" not in page and "formgrader" in page


@pytest.mark.slow
def test_formgrader_shows_scores_and_saves_a_manual_score(
    built: Path, root: Path, tmp_path: Path, chromium: Browser
) -> None:
    workspace = built / "grading" / "workspace"
    submit(
        workspace,
        "ada",
        {"which-letters": "AC", "how-many": "B"},
        "def double(x):\n    return x + x",
    )
    submit(workspace, "bob", {"which-letters": "A"}, "def double(x):\n    return x")
    assert grade_batch(workspace / "submitted", workspace).problems == []
    shutil.copy(root / "grading" / "nbgrader_config.py", built / "grading")
    with serve(tmp_path / "jupyter", folder=built / "grading") as jupyter:
        context = chromium.new_context(viewport={"width": 1100, "height": 900})
        context.set_default_timeout(TIMEOUT)
        expect.set_options(timeout=TIMEOUT)
        page = context.new_page()

        page.goto(f"{jupyter.url}/formgrader/manage_students")
        rows = page.locator("#main-table tr")
        expect(rows).to_have_count(2)
        for student, score in (("ada", "6 / 6"), ("bob", "1.5 / 6")):
            expect(rows.filter(has_text=student).locator(".score")).to_have_text(score)

        page.goto(f"{jupyter.url}/formgrader/gradebook/{NAME}/{NAME}")
        expect(rows).to_have_count(2)
        bob = rows.filter(has_text="bob")
        expect(bob.locator(".score")).to_have_text("1.5 / 6")
        expect(bob.locator(".needs-manual-grade .glyphicon")).to_have_count(0)

        page.goto(jupyter.url + str(bob.locator("a.name-shown").get_attribute("href")))
        expect(page.locator("body")).to_contain_text("Exercise: double")
        notebook = page.url.split("/submissions/")[1].split("/")[0]
        box = page.locator("input.score#double")
        expect(box).to_have_attribute("placeholder", "0")
        with page.expect_response(
            lambda r: "/formgrader/api/grade/" in r.url and r.request.method == "PUT"
        ) as saved:
            box.fill("1.25")
            box.press("Tab")
        assert saved.value.ok

        page.goto(f"{jupyter.url}/formgrader/manage_students")
        expect(rows.filter(has_text="bob").locator(".score")).to_have_text("2.75 / 6")

        # the links of needs_manual.csv; formgrader waits for MathJax, which is unreachable offline
        context.route("**/mathjax/**", lambda route: route.fulfill(body=MATHJAX_STUB))
        for item, place in formgrader.read_places(workspace, NAME).items():
            page.goto(
                formgrader.link(notebook, place).replace("http://localhost:8888", jupyter.url)
            )
            expect(page.locator(f"[id^={item}-][id$=-comment]")).to_be_focused()
        context.close()
    with open_api(workspace).gradebook as book:
        assert {total.student: total.score for total in scores.totals(book)} == {
            "ada": 6.0,
            "bob": 2.75,
        }
