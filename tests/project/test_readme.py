"""README.md and the other documentation: links, images, and the commands and code in them."""

import ast
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from typer.main import get_command

from course_lib.cli import app
from tests.support.checkout import LESSONS, ROOT

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "SECURITY.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]
INSTALL = "python3 -m venv .uv && .uv/bin/pip install -q uv && "
FENCE = re.compile(r"^(`{3,})(\w*)\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
MARKDOWN_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
HTML_IMAGE = re.compile(r"<img\b[^>]*>")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)]+)\)")


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return FENCE.sub("", text)


def shell_commands(page: str) -> list[str]:
    """The command lines in a page's shell blocks."""
    blocks = [block for _, language, block in FENCE.findall(read(page)) if language == "sh"]
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub generates them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_has_at_most_200_lines():
    assert len(read("README.md").splitlines()) <= 200


def test_readme_starts_with_the_animation_and_four_commands():
    opening = read("README.md").split("\n## ")[0]
    start, test, site, generate = shell_commands("README.md")
    assert start == f"{INSTALL}.uv/bin/uv run --no-dev --extra lab course lab"
    assert test == f"{INSTALL}.uv/bin/uv run pytest"
    assert generate.startswith(".uv/bin/uv run course generate ")
    assert site == ".uv/bin/uv run course site --open"
    assert all(command in opening for command in (start, test, site, generate))
    assert opening.index("docs/demo.webp") < opening.index(start)


def test_ci_runs_the_test_command_of_the_readme():
    _, test, *_ = shell_commands("README.md")
    assert f"\n{test}\n" in read(".ci/run")


def test_animation_is_small_and_has_several_frames():
    path = ROOT / "docs" / "demo.webp"
    assert path.stat().st_size <= 3_000_000
    with Image.open(path) as animation:
        assert animation.n_frames >= 10


@pytest.mark.parametrize("lesson", LESSONS)
def test_readme_lists_every_lesson_with_an_image(lesson):
    rows = [row for row in read("README.md").splitlines() if f"notebooks/{lesson}.ipynb" in row]
    assert len(rows) == 1 and f"docs/lesson_{lesson[:2]}.png" in rows[0]


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_resolve(page):
    text = without_code(read(page))
    folder = (ROOT / page).parent
    sources = re.findall(r'src="([^"]+)"', text)
    for target in [
        *LINK.findall(text),
        *(url for _, url in MARKDOWN_IMAGE.findall(text)),
        *sources,
    ]:
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = folder / path if path else ROOT / page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES)
def test_images_of_a_page_have_alt_text(page):
    text = without_code(read(page))
    for alt, target in MARKDOWN_IMAGE.findall(text):
        assert len(alt) >= 15, target
    for image in HTML_IMAGE.findall(text):
        assert re.search(r'\balt="[^"]{15,}"', image), image


def course_commands() -> list[tuple[str, list[str]]]:
    """Every ``course`` command in a shell block or in inline code, with its page."""
    found = []
    for page in PAGES:
        spans = re.findall(r"`([^`\n]+)`", without_code(read(page)))
        for text in [*shell_commands(page), *spans]:
            match = re.search(r"(?:^|/|uv run (?:[^|&]*)?|&& |--no-python )course ([a-z].*)", text)
            if match:
                found.append((page, shlex.split(match[1], comments=True)))
    return found


@pytest.mark.parametrize(
    "page, words", course_commands(), ids=[" ".join(words) for _, words in course_commands()]
)
def test_documented_course_commands_and_options_exist(page, words):
    command = get_command(app)
    while hasattr(command, "commands") and words:
        name = words.pop(0)
        assert name in command.commands, f"{page}: course has no command {name!r}"
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    options |= {option for parameter in command.params for option in parameter.secondary_opts}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in options | {"--help"}, f"{page}: {word}"


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_are_valid(page):
    for _, language, block in FENCE.findall(read(page)):
        if language == "python":
            ast.parse(block)
