"""Questions and a demo work in Debian's Firefox over HTTP and from ``file://``."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from course_site import bundle
from course_site.models import build
from platformdirs import user_cache_path

from tests.support import question_page

WEB = bundle.WEB
PAGES = Path(__file__).parent / "pages"
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
def live_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with the demo text-to-image; its models are cached because exporting takes minutes."""
    folder = tmp_path_factory.mktemp("firefox") / "live"
    bundle.bundle("main.js", folder / "_static" / "course.js")
    cache = user_cache_path("pixels-to-diffusion") / "site" / "models"
    build.build_assets(folder / "_static" / "assets", cache, build.TEXT_TO_IMAGE)
    text = (PAGES / "demos.html").read_text(encoding="utf-8").replace("DEMO", "text-to-image")
    (folder / "demo.html").write_text(text, encoding="utf-8")
    for name in ("demos.css", "quiz.css"):
        shutil.copy(WEB / name, folder / "_static")
    shutil.copy(PAGES / "still.svg", folder)
    return folder / "demo.html"


def visit(firefox: str, **addresses: str) -> None:
    """Run the JavaScript test in Firefox; its output is the failure message."""
    variables = {f"COURSE_{name.upper()}": address for name, address in addresses.items()}
    result = subprocess.run(
        ["node", "--test", TEST],
        env=os.environ | {"COURSE_FIREFOX": firefox} | variables,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "# pass 0" not in result.stdout
    print(result.stdout)


@pytest.mark.slow
def test_question_is_answered(firefox: str, question_site: Path, serve: Callable):
    """One Firefox opens the pages of both, because it starts slowly."""
    roots = (serve(question_site), question_site.as_uri())
    pages = [f"{root}/{name}.html" for root in roots for name in ("index", "lesson")]
    visit(firefox, pages=json.dumps(pages), questions=json.dumps(pages[1::2]))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["http", "file"])
def test_image_is_generated_from_a_sentence(
    firefox: str, live_page: Path, serve: Callable, way: str
):
    folder = live_page.parent
    root = serve(folder) if way == "http" else folder.as_uri()
    visit(firefox, picture=f"{root}/{live_page.name}")
