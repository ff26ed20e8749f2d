"""The website in Debian's Firefox: over http and from a folder, a question answered, no error."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import question_page

WEB = question_page.WEB
TEST = WEB / "tests" / "firefox.test.js"


@pytest.fixture(scope="module")
def firefox() -> str:
    """The path of Firefox; the tests are skipped without it, node, or npm's packages."""
    path = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
    if path is None:
        pytest.skip("Firefox is not installed: install the package firefox-esr")
    if shutil.which("node") is None:
        pytest.skip("node is not installed: install the package nodejs")
    question_page.skip_without_packages()
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return question_page.build_site(tmp_path_factory.mktemp("firefox") / "site")


def visit(firefox: str, pages: list[str], questions: str) -> None:
    """Run the test in Firefox; its output is the message of a failure."""
    result = subprocess.run(
        ["node", "--test", TEST],
        env=os.environ
        | {
            "COURSE_FIREFOX": firefox,
            "COURSE_PAGES": json.dumps(pages),
            "COURSE_QUESTIONS": questions,
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "# skipped 0" in result.stdout


@pytest.mark.parametrize("way", ["http", "file"])
def test_a_question_is_answered(firefox: str, site: Path, serve: Callable, way: str):
    root = serve(site) if way == "http" else site.as_uri()
    pages = [f"{root}/index.html", f"{root}/lesson.html"]
    visit(firefox, pages, pages[1])
