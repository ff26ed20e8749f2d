"""Import rules between modules, and the maximum size of the library. The rules are checked on
syntax trees; nothing is imported.
"""

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout import FINAL_QUIZ, ROOT

PACKAGES = {
    "course_lib": ROOT,
    "course_grading": ROOT / "grading",
    "course_site": ROOT / "website",
}
# 8,000 before published weights, the learner's commands, flows, LoRA and DiT; 11,800 before
# sentences with styles, sizes, places and two objects; 12,500 before the trainings of lesson 8
MAX_LINES = 13_300
CODE_CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CELL_OPTION = re.compile(r"^(:|---).*$", re.MULTILINE)
MAGIC = re.compile(r"^\s*[%!].*$", re.MULTILINE)


def module_files() -> dict[str, Path]:
    """Module name -> file, for all packages."""
    files = {}
    for package, folder in PACKAGES.items():
        for path in (folder / package).rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            files[".".join(parts).removesuffix(".__init__")] = path
    return files


FILES = module_files()


def imported_names(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Every import, including those inside functions: ``(module, None)`` or ``(module, name)``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            yield from ((node.module, alias.name) for alias in node.names)


def imported_modules(path: Path) -> set[str]:
    """The project's modules that a file imports."""
    names = imported_names(ast.parse(path.read_text(encoding="utf-8")))
    modules = {
        f"{module}.{name}" if f"{module}.{name}" in FILES else module for module, name in names
    }
    return modules & FILES.keys()


@functools.cache
def import_graph() -> dict[str, set[str]]:
    """Module -> the modules that it imports."""
    return {module: imported_modules(path) for module, path in FILES.items()}


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """An import cycle, or an empty list."""
    finished: set[str] = set()

    def visit(module: str, chain: list[str]) -> list[str]:
        if module in chain:
            return [*chain[chain.index(module) :], module]
        if module in finished:
            return []
        for imported in sorted(graph[module]):
            if cycle := visit(imported, [*chain, module]):
                return cycle
        finished.add(module)
        return []

    for module in graph:
        if cycle := visit(module, []):
            return cycle
    return []


def test_there_is_no_import_cycle():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    assert " -> ".join(find_cycle(import_graph())) == ""


def importers(package: str) -> set[str]:
    """The modules of other packages that import this package."""
    return {
        module
        for module, imported in import_graph().items()
        if not module.startswith(package) and any(name.startswith(package) for name in imported)
    }


def test_only_the_command_line_imports_the_grader():
    library = {module for module in importers("course_grading") if module.startswith("course_lib")}
    assert "course_lib.cli" in library
    assert {m for m in library if not m.startswith("course_lib.commands.")} == {"course_lib.cli"}


def test_only_the_command_line_imports_the_website():
    assert importers("course_site") == {"course_lib.cli"}


def test_course_lib_sd_imports_only_itself_and_assets_paths():
    for module, imported in import_graph().items():
        if module.startswith("course_lib.sd"):
            others = {name for name in imported if not name.startswith("course_lib.sd")}
            assert others <= {"course_lib.assets.paths"}, module


@pytest.mark.parametrize("path", sorted((ROOT / "solutions").glob("*.md")), ids=lambda p: p.stem)
def test_lessons_import_no_private_names(path):
    cells = CODE_CELL.findall(path.read_text(encoding="utf-8"))
    assert len(cells) > 10 or path.stem == FINAL_QUIZ
    course_names = set()
    trees = [ast.parse(MAGIC.sub("", CELL_OPTION.sub("", cell))) for cell in cells]
    for tree in trees:
        for module, name in imported_names(tree):
            if module.startswith("course_lib"):
                parts = [*module.split("."), *([name] if name else [])]
                assert not [part for part in parts if part.startswith("_")], parts
                course_names.add(parts[-1])
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                private = node.attr.startswith("_") and not node.attr.startswith("__")
                assert not (private and node.value.id in course_names), ast.unparse(node)


def count_code_lines(source: str) -> int:
    """The number of code lines, without blank lines, comments and docstrings."""
    lines = set()
    ignored = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in ignored and token.type != tokenize.ENDMARKER:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_library_stays_small():
    assert count_code_lines('"""Text."""\n\nx = 1  # a\n# b\ndef f():\n    """T."""\n') == 2
    counts = {
        module: count_code_lines(path.read_text(encoding="utf-8"))
        for module, path in FILES.items()
        if module.startswith("course_lib")
        and not module.startswith(("course_lib.figures", "course_lib.widgets"))
    }
    assert sum(counts.values()) <= MAX_LINES
