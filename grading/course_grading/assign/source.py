"""Parse a lesson's source, ``solutions/NN_name.md``, into parts with line numbers.

The format is Jupytext's MyST Markdown with two additions: a ``{question}`` directive in the text,
and code cells tagged ``exercise`` and ``check``. Every mistake is reported with file and line.
"""

import ast
import re
from pathlib import Path

from course_grading.assign.lesson import (
    CodeCell,
    Exercise,
    Lesson,
    MarkdownCell,
    Part,
    QuestionPart,
)
from course_grading.assign.questions import check_slug, parse_points, parse_question
from course_grading.errors import SourceError

LESSON_NAME = re.compile(r"\d\d_[a-z0-9_]+")
_NBGRADER_MARKERS = (
    "BEGIN HIDDEN TESTS",
    "END HIDDEN TESTS",
    "BEGIN MARK SCHEME",
    "END MARK SCHEME",
)
_SIGNATURE = re.compile(r"[A-Za-z_]\w*(\((\w+(, *\w+)*)?\))?")


def read_lesson(path: Path) -> Lesson:
    """Read one lesson.

    Raises:
        SourceError: for any mistake in it, with file and line.
    """
    from jupytext.myst import MystMetadataParsingError, myst_to_notebook

    if not LESSON_NAME.fullmatch(path.stem):
        raise SourceError(
            path, 1, f"name a lesson NN_name.md, with a-z, 0-9 and _, not {path.name!r}"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(path, 1, f"the file is not UTF-8: {error}") from error
    _check_lines(path, text)
    try:
        notebook = myst_to_notebook(text, add_source_map=True)
    except MystMetadataParsingError as error:
        match = re.search(r"line (\d+)", str(error))
        line = int(match[1]) if match else 1
        raise SourceError(path, line, f"cell options could not be read: {error}") from error
    cells = [
        (cell, _first_line(text, line + 1, cell.source))
        for cell, line in zip(notebook.cells, notebook.metadata["source_map"], strict=True)
    ]
    parts = _parse_parts(path, cells)
    _check_names(path, parts)
    first = parts[0] if parts else None
    heading = re.match(r"# (.+)", first.source) if isinstance(first, MarkdownCell) else None
    if not heading:
        raise SourceError(
            path, 1, "a lesson begins with a Markdown cell whose first line is '# Lesson N · Title'"
        )
    return Lesson(path.stem, heading[1].strip(), path, parts)


def _check_lines(path: Path, text: str) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        if any(marker in line for marker in _NBGRADER_MARKERS):
            raise SourceError(
                path,
                number,
                "the build adds nbgrader's markers: delete it, and write 'def cases(rng)' in a "
                "check",
            )
        if re.match(r":tags: *[^\[\s]", line):
            tags = line.removeprefix(":tags:").strip()
            raise SourceError(path, number, f"tags are a list: write ':tags: [{tags}]'")


def _first_line(text: str, start: int, source: str) -> int:
    """The line number where a cell's source begins; Jupytext's source map may point above it, at
    blank lines or cell options.
    """
    first_line = source.split("\n", 1)[0]
    for number, line in enumerate(text.splitlines()[start - 1 :], start):
        if line == first_line:
            return number
    return start


def _parse_parts(path: Path, cells: list) -> list[Part]:
    parts: list[Part] = []
    exercise = None  # an exercise cell and its line number, until its check is read
    for cell, line in cells:
        tags = list(cell.metadata.get("tags", []))
        if exercise and "check" not in tags:
            raise _missing_check(path, exercise[1])
        if cell.cell_type == "markdown":
            parts.extend(_parse_markdown(path, cell.source, line))
        elif cell.cell_type != "code":
            raise SourceError(
                path, line, f"a lesson has only Markdown and code cells, not {cell.cell_type!r}"
            )
        elif "exercise" in tags:
            exercise = (cell, line)
        elif "check" in tags:
            if not exercise:
                raise SourceError(
                    path, line, "this check has no exercise: put a cell tagged [exercise] before it"
                )
            parts.append(_parse_exercise(path, *exercise, cell, line))
            exercise = None
        else:
            if "### BEGIN SOLUTION" in cell.source:
                raise SourceError(
                    path, line, "a solution is outside an exercise: tag this cell [exercise]"
                )
            parts.append(CodeCell(cell.source, line, tags))
    if exercise:
        raise _missing_check(path, exercise[1])
    return parts


def _missing_check(path: Path, line: int) -> SourceError:
    return SourceError(
        path, line, "this exercise has no check: a cell tagged [check] must follow it"
    )


def _parse_markdown(path: Path, source: str, line: int) -> list[Part]:
    """Split a Markdown cell at its question directives."""
    from markdown_it import MarkdownIt

    parts: list[Part] = []
    lines = source.split("\n")
    text_start = 0

    def add_prose(end: int) -> None:
        text = "\n".join(lines[text_start:end])
        if text.strip():
            blank_lines = len(text) - len(text.lstrip("\n"))
            parts.append(MarkdownCell(text.strip("\n"), line + text_start + blank_lines))

    for token in MarkdownIt().parse(source):
        if token.type != "fence":
            continue
        assert token.map is not None  # as for every block token
        start, end = token.map
        if "question" in token.info.lower() and not token.info.startswith("{question} "):
            raise SourceError(
                path, line + start, f"write ```{{question}} name, not ```{token.info}"
            )
        if token.info.startswith("{question}"):
            add_prose(start)
            text_start = end
            name = token.info.removeprefix("{question}").strip()
            parts.append(parse_question(path, name, token.content.split("\n"), line + start))
    add_prose(len(lines))
    return parts


def _parse_exercise(path: Path, cell, line: int, check, check_line: int) -> Exercise:
    name = check_slug(path, line, cell.metadata.get("name"), "an exercise")
    label = f"exercise {name!r}"
    points = parse_points(path, line, cell.metadata.get("points"), label)
    tree = _parse_python(path, line, cell.source, label)
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if not functions:
        raise SourceError(
            path, line, f"{label} defines no function: the check calls its last top-level function"
        )
    if cell.source.count("### BEGIN SOLUTION") != 1 or cell.source.count("### END SOLUTION") != 1:
        raise SourceError(
            path, line, f"{label} needs one ### BEGIN SOLUTION and one ### END SOLUTION"
        )
    formerly = cell.metadata.get("formerly", "")
    if formerly and not (isinstance(formerly, str) and _SIGNATURE.fullmatch(formerly)):
        raise SourceError(
            path,
            line,
            f"{label}: ':formerly:' takes the function's earlier signature, name or name(a, b), "
            f"not {formerly!r}",
        )
    visible, hidden, comparison = _split_check(path, check.source, check_line, label)
    return Exercise(
        name, points, cell.source, functions[-1], visible, hidden, comparison, line, formerly
    )


def _split_check(path: Path, source: str, line: int, label: str) -> tuple[str, str, str]:
    """Split a check cell into the visible part and the hidden part; the third value is the name
    of the comparison, ``tolerance`` or ``agrees``.
    """
    tree = _parse_python(path, line, source, f"the check of {label}")
    definitions = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            definitions[node.name] = node.lineno
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            definitions[node.targets[0].id] = node.lineno
    if "cases" not in definitions:
        raise SourceError(
            path, line, f"the check of {label} needs 'def cases(rng)', which yields argument tuples"
        )
    comparisons = [name for name in ("tolerance", "agrees") if name in definitions]
    if len(comparisons) != 1:
        raise SourceError(
            path,
            line,
            f"the check of {label} needs 'tolerance = ...' or 'def agrees(...)': exactly one of "
            "them",
        )
    comparison = comparisons[0]
    asserts = [node for node in tree.body if _contains_assert(node)]
    visible_end = max((node.end_lineno or node.lineno for node in asserts), default=0)
    hidden_start = min(definitions["cases"], definitions[comparison])
    if not asserts or hidden_start < visible_end:
        raise SourceError(
            path,
            line,
            f"the check of {label} needs visible asserts, all of them before 'def cases'",
        )
    for node in asserts:
        if any(isinstance(inner, ast.Assert) and inner.msg is None for inner in ast.walk(node)):
            raise SourceError(
                path,
                line + node.lineno - 1,
                f"{label}: an assert needs a message that helps the learner",
            )
    # Code between the last assert and ``cases`` belongs to the cases, so it is hidden too.
    lines = source.split("\n")
    visible = "\n".join(lines[:visible_end]).strip("\n")
    hidden = "\n".join(lines[visible_end:]).strip("\n")
    return visible, hidden, comparison


def _contains_assert(node: ast.stmt) -> bool:
    """Whether a statement is an assert, or contains one, for example in a loop."""
    return not isinstance(node, ast.FunctionDef) and any(
        isinstance(inner, ast.Assert) for inner in ast.walk(node)
    )


def _parse_python(path: Path, line: int, source: str, label: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        error_line = line + (error.lineno or 1) - 1
        raise SourceError(path, error_line, f"{label} is invalid Python: {error.msg}") from error


def _check_names(path: Path, parts: list[Part]) -> None:
    """Check that no two cells would have the same id, in any variant."""
    names = {}
    for part in parts:
        if isinstance(part, QuestionPart):
            names[part.line] = part.question.name
        elif isinstance(part, Exercise):
            names[part.line] = part.name
    lines: dict[str, int] = {}
    for line, name in names.items():
        for id in (name, f"{name}-question", f"{name}-answer", f"{name}-code"):
            if id in lines or id == "setup":
                user = f"line {lines[id]}" if id in lines else "the set-up cell"
                raise SourceError(
                    path, line, f"the name {name!r} is used by {user} already: choose another"
                )
            lines[id] = line
    for slot, line in _check_pools(path, parts).items():
        for id in (slot, f"{slot}-question", f"{slot}-answer", f"{slot}-code"):
            if id in lines:
                raise SourceError(
                    path,
                    line,
                    f"the pool's questions get the name {slot!r}, which line {lines[id]} uses: "
                    "rename the pool",
                )
            lines[id] = line


def _check_pools(path: Path, parts: list[Part]) -> dict[str, int]:
    """The names of each pool's questions in a seeded release, ``name-1`` to ``name-k``,
    with the line of the pool's first question.
    """
    pools: dict[str, list[QuestionPart]] = {}
    for part in parts:
        if isinstance(part, QuestionPart) and part.template.pool:
            pools.setdefault(part.template.pool.name, []).append(part)
    slots: dict[str, int] = {}
    for name, questions in pools.items():
        first = questions[0]
        pool = first.template.pool
        assert pool is not None  # as collected above
        for part in questions[1:]:
            if (part.template.pool, part.question.points) != (pool, first.question.points):
                raise SourceError(
                    path,
                    part.line,
                    f"the questions of pool {name!r} must have the same points and the same "
                    f"':pool:': line {first.line} has {first.question.points:g} points and "
                    f"':pool: {name} {pool.size}'",
                )
        if pool.size > len(questions):
            raise SourceError(
                path,
                first.line,
                f"pool {name!r} has {len(questions)} questions, fewer than the {pool.size} to ask: "
                "add questions, or ask fewer",
            )
        slots |= {f"{name}-{number}": first.line for number in range(1, pool.size + 1)}
    return slots
