"""README.md and the other documentation: links, images, and the commands and code in them."""

import ast
import functools
import re
import runpy
import shlex
from pathlib import Path

import pytest
from course_grading.assign.build import repository_url
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
CODE_NAME = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?:\(.*\))?")
SOURCE_PATH = re.compile(r"[a-z0-9_./]+\.(?:py|js|css)")
FILE_SUFFIXES = ("csv", "db", "ipynb", "json", "md", "png", "toml", "txt")
OTHER_LIBRARIES = ("ipywidgets",)
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


def test_readme_states_the_total_time_of_the_lessons():
    minutes = re.findall(r"^\| <img .*? \| (\d+) \| ", read("README.md"), re.MULTILINE)
    assert len(minutes) == len(LESSONS)
    (hours,) = re.findall(r"All eight take about (\d+) hours", read("README.md"))
    assert len(LESSONS) == 8 and round(sum(map(int, minutes)) / 60) == int(hours)


def test_readme_has_the_public_address_if_there_is_one():
    """If this fails, run docs/update_readme.py."""
    update = runpy.run_path(str(ROOT / "docs" / "update_readme.py"))
    with_address, readme = update["with_address"], read("README.md")
    assert not re.search(r"^<!--", readme, re.MULTILINE), "it would end the paragraph"
    assert with_address(readme, repository_url(ROOT)) == readme
    published = with_address(readme, "https://github.com/Someone/course.git")
    assert "`git clone https://github.com/Someone/course.git`" in published
    assert "(https://someone.github.io/course/)" in published
    elsewhere = with_address(readme, "https://example.org/course")
    assert "`git clone https://example.org/course`" in elsewhere and "github.io" not in elsewhere
    assert update["website_url"]("https://github.com/a/a.github.io") == "https://a.github.io/"
    with pytest.raises(ValueError, match="must have <!-- clone -->"):
        with_address("", "")


def test_generate_writes_where_the_readme_says():
    command = get_command(app).commands["generate"]
    (out,) = (parameter for parameter in command.params if "--out" in parameter.opts)
    assert f"It is written to `{out.default}` in the current folder" in read("README.md")


def test_animation_is_small_and_has_several_frames():
    path = ROOT / "docs" / "demo.webp"
    assert path.stat().st_size <= 3_000_000
    with Image.open(path) as animation:
        assert animation.n_frames >= 10


@pytest.mark.parametrize("lesson", LESSONS)
def test_readme_lists_every_lesson_with_an_image(lesson):
    rows = [row for row in read("README.md").splitlines() if f"notebooks/{lesson}.ipynb" in row]
    assert len(rows) == 1 and f"docs/lesson_{lesson[:2]}.webp" in rows[0]


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


@functools.cache
def defined_names(path: Path) -> set[str]:
    """The names that a module defines or imports, and ``Class.member``."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names |= bound_names(node)
        if isinstance(node, ast.ClassDef):
            members = set().union(*map(bound_names, node.body))
            names |= {f"{node.name}.{member}" for member in members}
    return names


def bound_names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name) for alias in node.names}
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return {target.id for target in targets if isinstance(target, ast.Name)}


def is_defined(name: str, modules: list[Path]) -> bool:
    """Whether the name is that of a module, of something in a module, or of a class's member."""
    parts = name.split(".")
    for path in modules:
        module = path.with_suffix("").parts
        module = module[:-1] if module[-1] == "__init__" else module
        if any(
            module[len(module) - count :] == tuple(parts[:count])
            and (count == len(parts) or ".".join(parts[count:]) in defined_names(path))
            for count in range(len(parts) + 1)
        ):
            return True
    return False


def test_files_and_code_names_in_the_documentation_exist(tracked):
    """A page may name what is in the folder above its own, or give a path from the root."""
    missing = []
    rooms = [str(path.relative_to(ROOT)) for path in tracked if path.name == "README.md"]
    for page in {*PAGES, *rooms} - {"CHANGELOG.md"}:
        folder = (ROOT / page).parent.parent if "/" in page else ROOT
        files = [path for path in tracked if folder in path.parents]
        modules = [path for path in files if path.suffix == ".py" and "tests" not in path.parts]
        for span in set(re.findall(r"`([^`\n]+)`", without_code(read(page)))):
            if SOURCE_PATH.fullmatch(span):
                end = "/" + span.lstrip("./")
                found = (ROOT / span).exists() or any(str(path).endswith(end) for path in files)
            elif (match := CODE_NAME.fullmatch(span)) and not span.endswith(FILE_SUFFIXES):
                found = match[1].split(".")[0] in OTHER_LIBRARIES or is_defined(match[1], modules)
            else:
                continue
            if not found:
                missing.append((page, span))
    assert not missing, sorted(missing)
