"""Rebuild a submission: put the learner's answers and exercises into the released notebook.

Everything else comes from the release, so lost metadata, outputs, moved and deleted cells don't
matter. A cell is identified by its grade id, its cell id, or the marker that the build wrote into
its source (``quiz.answer("name"`` or ``# Exercise: name``). Cells that were copied, split, merged,
moved or changed to another type are recognised.
"""

import ast
import builtins
import contextlib
import json
import re
from collections.abc import Iterator

import nbformat

from course_grading.sandbox.guest.dependencies import PARSE_ERRORS, global_names, replace_magics
from course_lib.quiz import scoring

_MARKERS = {
    "answer": re.compile(r"""^[ \t]*quiz\.answer\(\s*["'](?P<name>[a-z0-9-]+)["']""", re.M),
    "code": re.compile(r"^#+ ?Exercise: (?P<name>[a-z0-9-]+)", re.M),
}
_CHECK = re.compile(r"^# Check: [a-z0-9-]+ \(run this cell\)", re.M)
_ASSIGNMENT = re.compile(r"^answer\b", re.M)
# lines of an answer cell that hold no answer
_EMPTY = re.compile(r"^[ \t]*(#.*|quiz\.answer\((?=[^\n]*\banswer\b)[^\n]*\))$", re.M)
_MAX_PARSED = 20_000  # characters: Python's parser is not safe on hostile megabytes


def rebuild(submitted, release):
    """The released notebook with the learner's answer and exercise cells in it.

    A cell that is not found stays as released: blank. Of several copies, the last one with work in
    it counts, as it would in Python. An exercise brings along the cells that the learner added and
    that it needs.

    Returns:
        The rebuilt notebook, and the grade ids of the cells that were not found.

    Raises:
        ValueError: if none of the lesson's cells is found.
    """
    notebook = nbformat.from_dict(release)
    missing = []
    blanks = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    helpers = _HelperCells(submitted.cells, release.cells)
    for blank in blanks:
        grade_id = blank.metadata.nbgrader["grade_id"]
        name, _, kind = grade_id.rpartition("-")
        released = blank.source
        is_present = False
        for cells in _candidates(submitted.cells, grade_id, blank["id"], name, kind):
            is_present = is_present or bool(cells)
            if kind == "answer":
                work = _answer(cells, name, released)
            else:
                work = _exercise(cells, name, released)
                if work is not None:
                    work = helpers.add_to(work, cells, released)
            if work is not None:
                blank.source = work
                break
        if blank.source == released and kind == "code":
            # the exercise may be in a cell that the learner added
            blank.source = helpers.add_to("", [], released) or released
        if not is_present and blank.source == released:
            missing.append(grade_id)
    if len(missing) == len(blanks):
        raise ValueError(
            "none of the lesson's answer or exercise cells is in it: is it another notebook?"
        )
    return notebook, missing


def item_names(notebook) -> set[str]:
    """The names of the questions and exercises that a notebook seems to hold."""
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


def _candidates(cells: list, grade_id: str, id: str, name: str, kind: str) -> Iterator[list]:
    """The cells that may be the one with this grade id, most reliable evidence first."""
    yield [cell for cell in cells if _grade_id(cell) == grade_id]
    yield [cell for cell in cells if id in _cell_ids(cell)]
    with_marker = [cell for cell in cells if name in _MARKERS[kind].findall(cell.source)]
    yield [cell for cell in with_marker if cell.cell_type == "code"]
    yield with_marker


def _answer(cells: list, name: str, released: str) -> str | None:
    """The released answer cell with the learner's literal in it; None if no cell has work in it.

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
    """The last copy with work in it, or None; the parts of a split cell count as one copy."""
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


class _HelperCells:
    """The code cells that a learner added, for exercises that use what they define."""

    def __init__(self, submitted: list, release: list):
        released_ids = {cell["id"] for cell in release} | {_grade_id(cell) for cell in release}
        released_sources = {cell.source.strip() for cell in release}
        markers = [*_MARKERS.values(), _CHECK]
        self._position = {id(cell): position for position, cell in enumerate(submitted)}
        self._released_names = set().union(
            *(_names(cell.source)[0] for cell in release if cell.cell_type == "code")
        )
        self._cells = [
            (position, cell.source, *_names(cell.source))
            for position, cell in enumerate(submitted)
            if cell.cell_type == "code"
            and not (_cell_ids(cell) | {_grade_id(cell)}) & released_ids - {""}
            and cell.source.strip() not in released_sources
            and not any(marker.search(cell.source) for marker in markers)
        ]

    def add_to(self, source: str, cells: list, released: str) -> str:
        """An exercise's source with the added cells that it needs, in the notebook's order.

        Args:
            source: the exercise, empty if none was found.
            cells: the submitted cells that it comes from.
            released: the exercise as released: what it defines is needed.
        """
        defined, used = _names(source)
        wanted = (used - self._released_names) | (_names(released)[0] - defined)
        sources = {max(self._position[id(cell)] for cell in cells): source} if cells else {}
        while wanted:
            name = wanted.pop()
            for position, text, bound, read in reversed(self._cells):
                if name in bound:
                    if position not in sources:
                        sources[position] = text
                        wanted |= read - self._released_names - defined
                    break
        return "\n\n".join(_python(text) for _, text in sorted(sources.items()))


def _python(source: str) -> str:
    """A cell's Python, without magics; unchanged if it is not Python, or too long to parse."""
    if len(source) > _MAX_PARSED:
        return source
    python = replace_magics(source)
    with contextlib.suppress(*PARSE_ERRORS):
        ast.parse(python)
        return python
    return source


def _names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell binds at its top level, and those that it reads without binding them;
    built-ins excluded.
    """
    if len(source) > _MAX_PARSED:
        return set(), set()
    try:
        bound, read = global_names(replace_magics(source))
    except PARSE_ERRORS:
        return set(), set()
    return bound, read - bound - set(dir(builtins))
