"""Execute the lessons with the solutions filled in, and keep the results.

A lesson's page shows what its cells really print and draw, so every cell is run before any page is
written. Questions and hidden checks are left out, so that a page cannot leak them.
"""

import ast
import hashlib
import importlib.metadata
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import nbformat
from course_grading.assign.lesson import CodeCell, Exercise, Lesson, MarkdownCell
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import course_lib
from course_lib.assets.paths import data_path
from course_site.errors import LessonFailedError

PACKAGE = Path(course_lib.__file__).parent

# Libraries whose version can change an output.
_LIBRARIES = ("torch", "torchvision", "numpy", "matplotlib", "scipy", "scikit-image", "pillow")
_FORMAT = 1  # of the cached notebooks: raise it when make_notebook changes


def make_notebook(lesson: Lesson) -> NotebookNode:
    """The notebook that is executed: prose, code, each exercise solved, and its visible check.

    The metadata ``course`` of a cell has its part's number in the lesson (``part``) and its
    ``kind``: prose, code, solution or check. Questions have no cell.
    """
    cells = []
    for number, part in enumerate(lesson.parts):
        match part:
            case MarkdownCell():
                cells.append(_cell("prose", number, part.source))
            case CodeCell():
                cells.append(_cell("code", number, part.source))
            case Exercise():
                cells.append(_cell("solution", number, part.solution))
                cells.append(_cell("check", number, part.visible_check))
    notebook = new_notebook(cells=cells)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def _cell(kind: str, number: int, source: str) -> NotebookNode:
    make = new_markdown_cell if kind == "prose" else new_code_cell
    return make(source, id=f"{kind}-{number}", metadata={"course": {"kind": kind, "part": number}})


def execute(lesson: Lesson, mode: str, cache: Path) -> NotebookNode:
    """The executed notebook of a lesson, from the cache if its dependencies are unchanged.

    Args:
        lesson: the lesson, read from its source.
        mode: ``COURSE_MODE`` of the kernel: grading, quick or full.
        cache: the folder of executed notebooks, which is made if it is missing.

    Raises:
        LessonFailedError: if a cell raises an error; the message names lesson and cell.
    """
    notebook = make_notebook(lesson)
    path = cache / f"{lesson.name}-{digest(notebook, mode)}.ipynb"
    if path.exists():
        return nbformat.read(path, as_version=4)
    _run(notebook, lesson.name, mode)
    cache.mkdir(parents=True, exist_ok=True)
    # Write atomically: another build may read the cache at the same time.
    partial = path.with_suffix(f".{os.getpid()}")
    nbformat.write(notebook, partial)
    partial.replace(path)
    return notebook


def _run(notebook: NotebookNode, name: str, mode: str) -> None:
    """Execute the cells in order, in place."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    current = 0

    def remember(cell: NotebookNode, cell_index: int) -> None:
        nonlocal current
        current = cell_index

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, {"COURSE_MODE": mode}),
    ):
        client = NotebookClient(
            notebook,
            timeout=None,  # training in full mode takes hours
            store_widget_state=False,
            on_cell_start=remember,
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute()
        except CellExecutionError as error:
            message = f"{error.ename}: {error.evalue}"
            raise LessonFailedError(name, _describe(notebook, current), message) from error
        except (CellTimeoutError, DeadKernelError) as error:
            raise LessonFailedError(name, _describe(notebook, current), str(error)) from error


def _describe(notebook: NotebookNode, index: int) -> str:
    """A cell as its author finds it: its number in the notebook and its first line."""
    first_line = next(iter(notebook.cells[index].source.splitlines()), "")
    return f"{index + 1} ({first_line.strip()[:60]!r})"


def digest(notebook: NotebookNode, mode: str) -> str:
    """The cache key of an executed notebook: a hash of its cells, the course's modules that they
    import, the embedded files, the libraries' versions and the mode.
    """
    sources = [cell.source for cell in notebook.cells]
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    hashed = hashlib.sha256()
    versions = [importlib.metadata.version(library) for library in _LIBRARIES]
    hashed.update(json.dumps([_FORMAT, mode, sources, versions]).encode())
    checksums = data_path("checksums.json")
    for path in [*sorted(imported_files(code)), checksums]:
        hashed.update(path.name.encode() + path.read_bytes())
    return hashed.hexdigest()[:16]


def imported_files(code: str) -> set[Path]:
    """The files of ``course_lib`` that a program imports, directly or through others.

    The program may hold IPython's magics. Nothing is imported: the files are parsed.
    """
    lines = (line for line in code.splitlines() if not line.lstrip().startswith(("%", "!")))
    waiting, found = list(_imported(ast.parse("\n".join(lines)))), set[Path]()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(ast.parse(path.read_text(encoding="utf-8")))
    return found


def _imported(tree: ast.AST) -> Iterator[Path]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            package, *parts = name.split(".")
            if package == "course_lib":
                yield from _files(parts)


def _files(parts: list[str]) -> Iterator[Path]:
    """The files that importing ``course_lib.a.b`` runs: each ``__init__.py``, and the module."""
    for count in range(len(parts) + 1):
        path = PACKAGE.joinpath(*parts[:count])
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                yield file
