"""Rebuild a submission: put the learner's answers and exercises into the released notebook.

Everything else comes from the release, so lost metadata, outputs, moved and deleted cells don't
matter. A cell is identified by its grade id, its cell id, or the marker that the build wrote into
its source (``quiz.answer("name"`` or ``# Exercise: name``). Cells that were copied, split, merged,
moved or changed to another type are recognised. Functions, imports and constants that the learner
added are copied with the exercises that use them.
"""

import ast
import builtins
import functools
import json
import re
import time
from collections.abc import Iterator

import nbformat

from course_grading.sandbox.guest.cell_code import (
    PARSE_ERRORS,
    kernel_names,
    parse_valid_statements,
)
from course_grading.sandbox.guest.dependencies import (
    NumberedStatement,
    bound_names,
    global_reads,
    required_statements,
    touched_names,
)
from course_lib.quiz import scoring

_MARKERS = {
    "answer": re.compile(r"""^[ \t]*quiz\.answer\(\s*["'](?P<name>[a-z0-9-]+)["']""", re.M),
    "code": re.compile(r"^#+ ?Exercise: (?P<name>[a-z0-9-]+)", re.M),
}
_CHECK = re.compile(r"^# Check: [a-z0-9-]+ \(run this cell\)", re.M)
_ASSIGNMENT = re.compile(r"^answer\b", re.M)
# lines of an answer cell that contain no answer
_EMPTY = re.compile(r"^[ \t]*(#.*|quiz\.answer\((?=[^\n]*\banswer\b)[^\n]*\))$", re.M)
_MAX_PARSED = 20_000  # characters: hostile megabytes can hang or crash Python's parser
# Limits for reading added cells, in characters and in seconds of CPU time; real notebooks need at
# most a tenth.
_MAX_ADDED = 200_000
_REBUILDING_TIME_LIMIT = 5.0
_BUILTINS = frozenset(dir(builtins)) | frozenset(kernel_names())


def rebuild(submitted, release):
    """The released notebook with the learner's answer and exercise cells in it.

    A cell that is not found stays blank, as released. Of several copies the last one that contains
    work counts, as it would in Python. The cells that the learner added and that an exercise needs
    are copied into it.

    Returns:
        The rebuilt notebook, and the grade ids of the cells that were not found.

    Raises:
        ValueError: if none of the lesson's cells is found.
    """
    notebook = nbformat.from_dict(release)
    missing = []
    blanks = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    added = _AddedCode(submitted.cells, release.cells)
    candidates = _Candidates(submitted.cells)
    for blank in blanks:
        grade_id = blank.metadata.nbgrader["grade_id"]
        name, _, kind = grade_id.rpartition("-")
        released = blank.source
        is_present = False
        for cells in candidates.find(grade_id, blank["id"], name, kind):
            is_present = is_present or bool(cells)
            if kind == "answer":
                work = _answer(cells, name, released)
            else:
                work = _exercise(cells, name, released)
                if work is not None:
                    work = added.add_to(work, cells, released)
            if work is not None:
                blank.source = work
                break
        if blank.source == released and kind == "code":
            # the exercise may be in a cell that the learner added
            blank.source = added.add_to("", [], released) or released
        if not is_present and blank.source == released:
            missing.append(grade_id)
    if len(missing) == len(blanks):
        raise ValueError(
            "it contains none of the lesson's answer or exercise cells: is it the right notebook?"
        )
    return notebook, missing


def item_names(notebook) -> set[str]:
    """The names of the questions and exercises in a notebook, by cell ids and markers."""
    names = {
        name
        for cell in notebook.cells
        for marker in _MARKERS.values()
        for name in marker.findall(cell.source)
    }
    ids = [_grade_id(cell).rpartition("-") for cell in notebook.cells]
    return names | {name for name, _, kind in ids if kind in _MARKERS}


def _grade_id(cell) -> str:
    metadata = cell.metadata.get("nbgrader")
    grade_id = metadata.get("grade_id") if isinstance(metadata, dict) else None
    return grade_id if isinstance(grade_id, str) else ""


def _cell_ids(cell) -> set[str]:
    # Colab moves the id into the metadata.
    return {id for id in (cell["id"], cell.metadata.get("id")) if isinstance(id, str)}


class _Candidates:
    """The submitted cells, by what identifies them."""

    def __init__(self, cells: list):
        self._cells = cells
        self._by_grade_id: dict[str, list] = {}
        self._by_id: dict[str, list] = {}
        for cell in cells:
            self._by_grade_id.setdefault(_grade_id(cell), []).append(cell)
            for id in _cell_ids(cell):
                self._by_id.setdefault(id, []).append(cell)

    def find(self, grade_id: str, id: str, name: str, kind: str) -> Iterator[list]:
        """Lists of cells that may be the one with this grade id, most reliable evidence first."""
        yield self._by_grade_id.get(grade_id, [])
        yield self._by_id.get(id, [])
        with_marker = [cell for cell in self._cells if name in _MARKERS[kind].findall(cell.source)]
        yield [cell for cell in with_marker if cell.cell_type == "code"]
        yield with_marker


def _answer(cells: list, name: str, released: str) -> str | None:
    """The released answer cell with the learner's literal in it; None if no cell contains work.

    Only the literal is taken, so a lost ``quiz.answer(...)`` line costs nothing. A source without a
    literal is returned as it is, for manual grading.
    """
    no_literal = None
    for cell in reversed(cells):
        source = _before_call(cell.source, name)
        try:
            letters = scoring.extract_answer(source)
        except ValueError:
            if len(_MARKERS["answer"].findall(cell.source)) > 1:  # merged with other answers
                no_literal = no_literal or source
            else:
                has_work = _EMPTY.sub("", cell.source).strip()
                no_literal = no_literal or (cell.source if has_work else None)
            continue
        if letters.strip():
            answer = json.dumps(letters, ensure_ascii=False)
            return released.replace('answer = ""', f"answer = {answer}", 1)
    return no_literal


def _before_call(source: str, name: str) -> str:
    """The part of an answer cell that ``quiz.answer(name, answer)`` sees: from the last assignment
    before it, if there is one.
    """
    markers = _MARKERS["answer"].finditer(source)
    calls = [match.start() for match in markers if match["name"] == name]
    preceding = source[: calls[-1]] if calls else source
    assignments = [match.start() for match in _ASSIGNMENT.finditer(preceding)]
    return preceding[assignments[-1] :] if assignments else preceding


def _exercise(cells: list, name: str, released: str) -> str | None:
    """The last copy that contains work, or None; the parts of a split cell count as one copy."""
    copies: list[str] = []
    for cell in cells:
        source = _own_part(cell.source, name)
        if copies and not _MARKERS["code"].search(source):
            copies[-1] += "\n" + source
        else:
            copies.append(source)
    edited = [source for source in copies if source.strip() != released.strip()]
    return edited[-1] if edited else None


def _own_part(source: str, name: str) -> str:
    """The part of a merged cell that belongs to one exercise."""
    markers = [*_MARKERS["code"].finditer(source)]
    own = [match.start() for match in markers if match["name"] == name]
    others = [match.start() for match in [*markers, *_CHECK.finditer(source)]]
    others = [start for start in others if start not in own]
    begin = own[0] if own and min(others, default=len(source)) < own[0] else 0
    end = min((start for start in others if start > begin), default=len(source))
    return source[begin:end].rstrip("\n")


class _AddedCode:
    """The code that a learner added to a notebook and exercises may use: all statements of added
    cells, and the definitions added to cells of the lesson.
    """

    def __init__(self, submitted: list, release: list):
        self._position = {id(cell): position for position, cell in enumerate(submitted)}
        self._released_names = set().union(
            *(_released_names(cell.source) for cell in release if cell.cell_type == "code")
        )
        released_ids = {cell["id"] for cell in release} | {_grade_id(cell) for cell in release}
        released_ids.discard("")
        released_sources = {cell.source.strip() for cell in release}
        self._cells: list[tuple[int, ast.Module]] = []
        free = _MAX_ADDED
        deadline = time.process_time() + _REBUILDING_TIME_LIMIT
        for position, cell in enumerate(submitted):
            source = cell.source
            if cell.cell_type != "code" or source.strip() in released_sources:
                continue
            ids = _cell_ids(cell) | {_grade_id(cell)}
            if _is_solution(ids & released_ids, source) or len(source) > _MAX_PARSED:
                continue
            free -= len(source)
            if free < 0 or time.process_time() > deadline:
                break
            tree = _parse(source)
            if ids & released_ids or _CHECK.search(source):
                tree = ast.Module([node for node in tree.body if _only_defines(node)], [])
            self._cells.append((position, tree))

    def add_to(self, source: str, cells: list, released: str) -> str:
        """The source of an exercise with the added code that it needs, in the notebook's order.

        Args:
            source: the source of the exercise; empty if its cell was not found.
            cells: the submitted cells that contain it.
            released: the released source of the exercise, which binds the names that are needed.
        """
        try:
            exercise = _parse(source) if len(source) <= _MAX_PARSED else ast.Module([], [])
            needed = self._needed(exercise, _released_names(released))
            position = max((self._position[id(cell)] for cell in cells), default=0)
            before = [ast.unparse(node) for place, node in needed if place <= position]
            after = [ast.unparse(node) for place, node in needed if place > position]
        except PARSE_ERRORS:
            return source
        if needed and source and exercise.body and not _is_plain(source):
            source = ast.unparse(exercise)  # cell magics are valid only in the first line
        return "\n\n".join(part for part in (*before, source, *after) if part)

    def _needed(self, exercise: ast.Module, wanted: frozenset[str]) -> list[NumberedStatement]:
        """The added statements that an exercise needs so that it defines ``wanted``."""
        defined = {name for node in exercise.body for name in bound_names(node)}
        missing = wanted - defined
        # keep the release's bindings, and the exercise's own
        kept = (self._released_names | defined) - missing
        cells, futures, star_imports = [], [], []
        for position, tree in self._cells:
            body = []
            for node in tree.body:
                names = touched_names(node)
                if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                    futures.append((position, node))
                elif "*" in names:
                    star_imports.append((position, node))
                elif not names <= kept:
                    body.append(node)
            cells.append(ast.Module(body, []))
        reads = [ast.Expr(ast.Name(name, ast.Load())) for name in sorted(missing)]
        target = ast.Module([*exercise.body, *reads], [])
        needed = [
            (self._cells[number][0], node) for number, node in required_statements(cells, target)
        ]
        if not exercise.body and not any(missing & set(bound_names(node)) for _, node in needed):
            return []
        if star_imports:
            statements = [*exercise.body, *(node for _, node in needed)]
            bound = {name for node in statements for name in bound_names(node)}
            read = {name for node in statements for name in global_reads(node)}
            if not read <= self._released_names | bound | _BUILTINS:
                needed += star_imports
        return sorted([*needed, *futures], key=lambda item: (item[0], item[1].lineno))


def _is_solution(ids: set[str], source: str) -> bool:
    """Whether a submitted cell is an answer cell or an exercise cell."""
    if ids:
        return any(id.endswith(("-answer", "-code")) for id in ids)
    return any(marker.search(source) for marker in _MARKERS.values())


def _only_defines(node: ast.stmt) -> bool:
    """Whether a statement is a definition, an import or a constant, the only statements that a
    learner can add to a cell of the lesson.
    """
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return all(isinstance(target, ast.Name) for target in targets) and not any(
            isinstance(part, ast.Call | ast.Await | ast.NamedExpr) for part in ast.walk(node)
        )
    return isinstance(
        node,
        ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom,
    )


def _is_plain(source: str) -> bool:
    try:
        ast.parse(source)
    except PARSE_ERRORS:
        return False
    return True


def _parse(source: str) -> ast.Module:
    """A cell's syntax tree without invalid statements; empty if it can't be parsed at all."""
    try:
        return parse_valid_statements(source)
    except PARSE_ERRORS:
        return ast.Module([], [])


@functools.lru_cache(maxsize=2048)
def _released_names(source: str) -> frozenset[str]:
    """The names that a released cell binds at its top level."""
    return frozenset(name for node in _parse(source).body for name in bound_names(node))
