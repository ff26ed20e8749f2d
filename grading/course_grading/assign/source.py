"""Read a lesson's source: what ``solutions/NN_name.md`` means, part by part, with line numbers.

The source is Jupytext's MyST Markdown. Two things are ours: a ``{question}`` directive inside the
text, and code cells tagged ``exercise`` and ``check``. Every mistake is refused with file and line.
"""

import ast
import re
from pathlib import Path

from course_grading.assign.lesson import Ask, Code, Exercise, Lesson, Part, Prose
from course_lib.quiz.question import SLUG, Option, Question

LESSON_NAME = re.compile(r"\d\d_[a-z0-9_]+")
_NBGRADERS_MARKS = (
    "BEGIN HIDDEN TESTS",
    "END HIDDEN TESTS",
    "BEGIN MARK SCHEME",
    "END MARK SCHEME",
)
_OPTION = re.compile(r"- \[(?P<mark>[ xX])\] (?P<text>.+)")
_SETTING = re.compile(r":(?P<key>[a-z]+): *(?P<value>.*)")


class SourceError(Exception):
    """A mistake in a lesson's source. ``str()`` gives
    ``file:line: what is wrong and how to mend it``.
    """

    def __init__(self, path: Path, line: int, message: str):
        super().__init__(f"{path}:{line}: {message}")


def read(path: Path) -> Lesson:
    """Read one lesson.

    Raises:
        SourceError: for any mistake in it, with file and line.
    """
    from jupytext.myst import MystMetadataParsingError, myst_to_notebook

    if not LESSON_NAME.fullmatch(path.stem):
        raise SourceError(
            path, 1, f"a lesson is called NN_name.md, with a-z, 0-9 and _; {path.name!r} is not"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(path, 1, f"it is not saved as UTF-8: {error}") from error
    for number, row in enumerate(text.splitlines(), 1):
        if any(mark in row for mark in _NBGRADERS_MARKS):
            raise SourceError(
                path,
                number,
                "hidden tests are made by the build: write 'def cases(rng)' in the check",
            )
        if re.match(r":tags: *[^\[\s]", row):
            raise SourceError(
                path,
                number,
                f"tags are a list: write ':tags: [{row.removeprefix(':tags:').strip()}]'",
            )
    try:
        notebook = myst_to_notebook(text, add_source_map=True)
    except MystMetadataParsingError as error:
        line = re.search(r"line (\d+)", str(error))
        raise SourceError(
            path, int(line[1]) if line else 1, f"cell options could not be read: {error}"
        ) from error
    lines = [line + 1 for line in notebook.metadata["source_map"]]
    cells = [
        (cell, _true_line(text, line, cell.source))
        for cell, line in zip(notebook.cells, lines, strict=True)
    ]
    parts = _parts(path, cells)
    _check_names(path, parts)
    first = parts[0] if parts else None
    heading = re.match(r"# (.+)", first.source) if isinstance(first, Prose) else None
    if not heading:
        raise SourceError(
            path, 1, "a lesson begins with a Markdown cell whose first line is '# Lesson N · Title'"
        )
    return Lesson(path.stem, heading[1].strip(), path, parts)


def _true_line(text: str, start: int, source: str) -> int:
    """The line on which a cell's first line stands: Jupytext's map may point some blank lines or
    options above it.
    """
    wanted = source.split("\n", 1)[0]
    for number, line in enumerate(text.splitlines()[start - 1 :], start):
        if line == wanted:
            return number
    return start


def _parts(path: Path, cells: list) -> list[Part]:
    parts: list[Part] = []
    waiting = None  # an exercise whose check has not come yet
    for cell, line in cells:
        tags = list(cell.metadata.get("tags", []))
        if waiting and "check" not in tags:
            raise SourceError(
                path, waiting[1], "this exercise has no check: a cell tagged [check] must follow it"
            )
        if cell.cell_type == "markdown":
            parts.extend(_prose(path, cell.source, line))
        elif cell.cell_type != "code":
            raise SourceError(
                path, line, f"a lesson has Markdown and code cells only, not {cell.cell_type!r}"
            )
        elif "exercise" in tags:
            waiting = (cell, line)
        elif "check" in tags:
            if not waiting:
                raise SourceError(
                    path,
                    line,
                    "this check has no exercise: a cell tagged [exercise] must precede it",
                )
            parts.append(_exercise(path, *waiting, cell, line))
            waiting = None
        else:
            if "### BEGIN SOLUTION" in cell.source:
                raise SourceError(
                    path, line, "a solution stands outside an exercise: tag this cell [exercise]"
                )
            parts.append(Code(cell.source, line, tags))
    if waiting:
        raise SourceError(
            path, waiting[1], "this exercise has no check: a cell tagged [check] must follow it"
        )
    return parts


def _prose(path: Path, source: str, line: int) -> list[Part]:
    """Split a Markdown cell at its question directives."""
    from markdown_it import MarkdownIt

    parts: list[Part] = []
    rows = source.split("\n")
    done = 0

    def text_until(end: int) -> None:
        text = "\n".join(rows[done:end])
        if text.strip():
            lead = len(text) - len(text.lstrip("\n"))
            parts.append(Prose(text.strip("\n"), line + done + lead))

    for token in MarkdownIt().parse(source):
        if (
            token.type == "fence"
            and "question" in token.info.lower()
            and not token.info.startswith("{question} ")
        ):
            raise SourceError(
                path, line + token.map[0], f"write ```{{question}} name, not ```{token.info}"
            )
        if token.type == "fence" and token.info.startswith("{question}"):
            start, end = token.map
            text_until(start)
            done = end
            name = token.info.removeprefix("{question}").strip()
            parts.append(_question(path, name, token.content.split("\n"), line + start))
    text_until(len(rows))
    return parts


def _points(path: Path, line: int, value: object, what: str) -> float:
    try:
        points = float(str(value))
    except ValueError:
        points = 0.0
    if not 0 < points < 1000:
        raise SourceError(
            path, line, f"{what} needs points: write ':points: 2' (a number above 0) under its name"
        )
    return int(points) if points == int(points) else points


def _slug(path: Path, line: int, name: object, what: str) -> str:
    if not isinstance(name, str) or not SLUG.fullmatch(name):
        raise SourceError(
            path, line, f"{what} needs a name of a-z, 0-9 and single hyphens, not {name!r}"
        )
    return name


def _question(path: Path, name: str, rows: list[str], line: int) -> Ask:
    what = f"question {name!r}"
    name = _slug(path, line, name, "a question")
    settings, text, options = {}, [], []
    for number, row in enumerate(rows, line + 1):
        setting, option = _SETTING.fullmatch(row), _OPTION.fullmatch(row)
        if setting and not text and not options:
            settings[setting["key"]] = setting["value"]
        elif option:
            text_of, bar, why = option["text"].partition(" | ")
            if " | " in why:
                raise SourceError(
                    path,
                    number,
                    f"{what}: an option has one ' | ' with blanks around it: write a|b inside its text",
                )
            if not bar or not why.strip():
                raise SourceError(
                    path, number, f"{what}: an option needs its explanation: '- [ ] text | why'"
                )
            options.append((option["mark"] != " ", text_of.strip(), why.strip()))
        elif re.match(r"\s*[-*+]\s+\[.?\](\s|$)", row):
            raise SourceError(
                path,
                number,
                f"{what}: an option is written '- [ ] text | why' or '- [x] text | why'",
            )
        elif options and row.startswith(" ") and row.strip():
            right, text_of, why = options[-1]
            options[-1] = (right, text_of, f"{why} {row.strip()}")
        elif options and row.strip():
            raise SourceError(
                path,
                number,
                f"{what}: text after the options; indent it to continue an explanation",
            )
        elif not options:
            text.append(row)
    unknown = set(settings) - {"points"}
    if unknown:
        raise SourceError(
            path, line, f"{what}: unknown setting :{sorted(unknown)[0]}: (there is only :points:)"
        )
    points = _points(path, line, settings.get("points"), what)
    if not "".join(text).strip():
        raise SourceError(path, line, f"{what} has no text: write what is asked above its options")
    try:
        choices = [
            Option(text=text_of, right=right, explanation=why) for right, text_of, why in options
        ]
        return Ask(
            Question(name=name, points=points, text="\n".join(text).strip(), options=choices), line
        )
    except ValueError as error:
        raise SourceError(path, line, f"{what}: {error}") from error


def _exercise(path: Path, cell, line: int, check, check_line: int) -> Exercise:
    name = _slug(path, line, cell.metadata.get("name"), "an exercise")
    what = f"exercise {name!r}"
    points = _points(path, line, cell.metadata.get("points"), what)
    tree = _python(path, line, cell.source, what)
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if not functions:
        raise SourceError(
            path, line, f"{what} defines no function: the check calls its last top-level function"
        )
    if cell.source.count("### BEGIN SOLUTION") != 1 or cell.source.count("### END SOLUTION") != 1:
        raise SourceError(
            path, line, f"{what} needs one ### BEGIN SOLUTION and one ### END SOLUTION"
        )
    visible, hidden, compares = _check(path, check.source, check_line, what)
    return Exercise(name, points, cell.source, functions[-1], visible, hidden, compares, line)


def _check(path: Path, source: str, line: int, what: str) -> tuple[str, str, str]:
    """Split a check cell into what students see and what only the instructor's side holds."""
    tree = _python(path, line, source, f"the check of {what}")
    defines = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            defines[node.name] = node.lineno
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            defines[node.targets[0].id] = node.lineno
    if "cases" not in defines:
        raise SourceError(
            path, line, f"the check of {what} needs 'def cases(rng)', which yields argument tuples"
        )
    compares = [name for name in ("tolerance", "agrees") if name in defines]
    if len(compares) != 1:
        raise SourceError(
            path,
            line,
            f"the check of {what} needs a 'tolerance' or a 'def agrees(...)', one of them",
        )
    asserts = [node for node in tree.body if _asserts(node)]
    visible_until = max((node.end_lineno for node in asserts), default=0)
    if not asserts or defines["cases"] < visible_until or defines[compares[0]] < visible_until:
        raise SourceError(
            path, line, f"the check of {what} needs visible asserts, all of them before 'def cases'"
        )
    for node in asserts:
        if any(isinstance(inner, ast.Assert) and inner.msg is None for inner in ast.walk(node)):
            raise SourceError(
                path,
                line + node.lineno - 1,
                f"{what}: an assert needs a message that helps the learner",
            )
    # What stands between the last assert and ``cases`` helps the cases, so it is hidden too.
    rows = source.split("\n")
    return (
        "\n".join(rows[:visible_until]).strip("\n"),
        "\n".join(rows[visible_until:]).strip("\n"),
        compares[0],
    )


def _asserts(node: ast.stmt) -> bool:
    """A statement that checks something where the student sees it: an assert, alone or in a
    loop.
    """
    return not isinstance(node, ast.FunctionDef) and any(
        isinstance(inner, ast.Assert) for inner in ast.walk(node)
    )


def _python(path: Path, line: int, source: str, what: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise SourceError(
            path, line + (error.lineno or 1) - 1, f"{what} is not Python: {error.msg}"
        ) from error


def _check_names(path: Path, parts: list[Part]) -> None:
    seen: dict[str, int] = {}
    for part in parts:
        if isinstance(part, (Ask, Exercise)):
            name = part.question.name if isinstance(part, Ask) else part.name
            for id in (
                name,
                f"{name}-question",
                f"{name}-answer",
                f"{name}-code",
            ):  # the ids of its cells
                if id in seen or id == "setup":
                    raise SourceError(
                        path,
                        part.line,
                        f"the name {name!r} was used on line {seen.get(id, 0)}: give another",
                    )
                seen[id] = part.line
