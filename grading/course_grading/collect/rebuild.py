"""Rebuild a submission from the release: the learner's answers and exercises in the instructor's
notebook.

A cell is found by its grade id, else its cell id, else the marker that the build wrote into its
source (``quiz.answer("name"`` or ``# Exercise: name``). Cells that were copied, split, merged,
moved or turned into text are understood; everything else comes from the release.
"""

import builtins
import contextlib
import json
import re
import symtable
from collections.abc import Iterator

import nbformat

from course_lib.quiz import scoring

_MARKER = {
    "answer": re.compile(r"""^[ \t]*quiz\.answer\(\s*["'](?P<name>[a-z0-9-]+)["']""", re.M),
    "code": re.compile(r"^#+ ?Exercise: (?P<name>[a-z0-9-]+)", re.M),
}
_CHECK = re.compile(r"^# Check: [a-z0-9-]+ \(run this cell\)", re.M)
_ASSIGNED = re.compile(r"^answer\b", re.M)
# no answer in such lines
_EMPTY = re.compile(r"^[ \t]*(#.*|quiz\.answer\((?=[^\n]*\banswer\b)[^\n]*\))$", re.M)
_MAGIC = re.compile(r"^([ \t]*)[%!].*$", re.M)
_READABLE = 20_000  # characters: Python's own parser is not safe on hostile megabytes


def rebuild(submitted, release):
    """The release with the learner's answer and exercise cells in it.

    What is not found stays as released: blank. Of several copies the last one that was worked in
    counts, as it would in Python. An exercise brings along what it needs of cells that the learner
    added.

    Returns:
        The rebuilt notebook, and the grade ids of the cells that were not found.

    Raises:
        ValueError: if not one of the lesson's cells is in it.
    """
    result, missing = nbformat.from_dict(release), []
    places = [cell for cell in result.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    helpers = _Helpers(submitted.cells, release.cells)
    for cell in places:
        grade_id = cell.metadata.nbgrader["grade_id"]
        name, _, kind = grade_id.rpartition("-")
        found, before = False, cell.source
        for cells in _claims(submitted.cells, grade_id, cell["id"], name, kind):
            found = found or bool(cells)
            worked = (
                _answer(cells, name, cell.source)
                if kind == "answer"
                else _exercise(cells, name, cell.source)
            )
            if worked is not None:
                cell.source = worked if kind == "answer" else helpers.around(worked, cells, before)
                break
        if (
            cell.source == before and kind == "code"
        ):  # perhaps it was written in a cell of the learner's own
            cell.source = helpers.around("", [], before) or before
        if not found and cell.source == before:
            missing.append(grade_id)
    if len(missing) == len(places):
        raise ValueError(
            "none of the lesson's answer or exercise cells is in it: is it another notebook?"
        )
    return result, missing


def items(notebook) -> set[str]:
    """The names of the questions and exercises that a notebook seems to hold."""
    found = {
        name
        for cell in notebook.cells
        for mark in _MARKER.values()
        for name in mark.findall(cell.source)
    }
    ids = [_grade_id(cell).rpartition("-") for cell in notebook.cells]
    return found | {name for name, _, kind in ids if kind in _MARKER}


def _grade_id(cell) -> str:
    about = cell.metadata.get("nbgrader")
    grade_id = about.get("grade_id") if isinstance(about, dict) else None
    return grade_id if isinstance(grade_id, str) else ""


def _ids(cell) -> set[str]:
    # Colab moves it
    return {given for given in (cell["id"], cell.metadata.get("id")) if isinstance(given, str)}


def _claims(cells: list, grade_id: str, id: str, name: str, kind: str) -> Iterator[list]:
    """The cells that may be the one looked for, the surest way of knowing first."""
    yield [cell for cell in cells if _grade_id(cell) == grade_id]
    yield [cell for cell in cells if id in _ids(cell)]
    marked = [cell for cell in cells if name in _MARKER[kind].findall(cell.source)]
    yield [cell for cell in marked if cell.cell_type == "code"]
    yield marked


def _answer(cells: list, name: str, released: str) -> str | None:
    """The released answer cell with the learner's literal in it; None if none of the cells was
    worked in.

    Only the literal is taken, so that a lost ``quiz.answer(...)`` line loses nothing. What holds no
    literal is
    returned as it is: a person has to look at it.
    """
    odd = None
    for cell in reversed(cells):
        source = _before_call(cell.source, name)
        try:
            letters = scoring.literal(source)
        except ValueError:
            own = len(_MARKER["answer"].findall(cell.source)) < 2
            odd = odd or (
                source if not own else cell.source if _EMPTY.sub("", cell.source).strip() else None
            )
            continue
        if letters.strip():
            return released.replace(
                'answer = ""', f"answer = {json.dumps(letters, ensure_ascii=False)}", 1
            )
    return odd


def _before_call(source: str, name: str) -> str:
    """Of an answer cell what its ``quiz.answer(name, answer)`` sees: the last assignment before it,
    if there is one.
    """
    calls = [mark.start() for mark in _MARKER["answer"].finditer(source) if mark["name"] == name]
    upto = source[: calls[-1]] if calls else source
    assigned = [mark.start() for mark in _ASSIGNED.finditer(upto)]
    return upto[assigned[-1] :] if assigned else upto


def _exercise(cells: list, name: str, released: str) -> str | None:
    """The last of the copies that was worked in; None if there is none. The parts of a split cell
    are one copy.
    """
    copies: list[str] = []
    for cell in cells:
        source = _own_part(cell.source, name)
        if copies and not _MARKER["code"].search(source):
            copies[-1] += "\n" + source
        else:
            copies.append(source)
    worked = [source for source in copies if source.strip() != released.strip()]
    return worked[-1] if worked else None


def _own_part(source: str, name: str) -> str:
    """Of a cell into which others were merged, the part that belongs to one exercise."""
    marks = [*_MARKER["code"].finditer(source)]
    own = [mark.start() for mark in marks if mark["name"] == name]
    others = [
        mark.start() for mark in [*marks, *_CHECK.finditer(source)] if mark.start() not in own
    ]
    first = own[0] if own and min(others, default=len(source)) < own[0] else 0
    return source[
        first : min((place for place in others if place > first), default=len(source))
    ].rstrip("\n")


class _Helpers:
    """The code cells that a learner added, for exercises that use what they define."""

    def __init__(self, submitted: list, release: list):
        known = {cell["id"] for cell in release} | {_grade_id(cell) for cell in release}
        said = {cell.source.strip() for cell in release}
        self._order = {id(cell): place for place, cell in enumerate(submitted)}
        self._there = set().union(
            *(_names(cell.source)[0] for cell in release if cell.cell_type == "code")
        )
        self._cells = [
            (place, cell.source, _names(cell.source))
            for place, cell in enumerate(submitted)
            if cell.cell_type == "code"
            and not (_ids(cell) | {_grade_id(cell)}) & known - {""}
            and cell.source.strip() not in said
            and not any(mark.search(cell.source) for mark in [*_MARKER.values(), _CHECK])
        ]

    def around(self, source: str, cells: list, released: str) -> str:
        """The exercise with the added cells that it needs, in the order of the notebook."""
        defined, used = _names(source)
        wanted = (used - self._there) | (_names(released)[0] - defined)
        taken = {max(self._order[id(cell)] for cell in cells): source} if cells else {}
        while wanted:
            name = wanted.pop()
            for place, text, (defines, uses) in reversed(self._cells):
                if name in defines:
                    if place not in taken:
                        taken[place] = text
                        wanted |= uses - self._there - defined
                    break
        return "\n\n".join(
            _python(text) if len(text) <= _READABLE else text for _, text in sorted(taken.items())
        )


def _python(source: str) -> str:
    """A cell's Python, IPython's magics and shell commands taken out if it is none with them."""
    for text in (source, _MAGIC.sub(r"\1pass", source)):
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            symtable.symtable(text, "cell", "exec")
            return text
    return source


def _names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell defines at its top level, and those that it uses without defining them;
    nothing runs.
    """
    if len(source) > _READABLE:
        return set(), set()
    try:
        top = symtable.symtable(_python(source), "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(), set()
    defined = {
        s.get_name()
        for s in top.get_symbols()
        if s.is_assigned() or s.is_imported() or s.is_namespace()
    }
    used, tables = set(), [top]
    while tables:
        table = tables.pop()
        used |= {s.get_name() for s in table.get_symbols() if s.is_referenced() and s.is_global()}
        tables += table.get_children()
    return defined, used - defined - set(dir(builtins))
