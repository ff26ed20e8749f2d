"""Parse a ``{question}`` directive: its settings, its text and its options.

==================  =============================================================================
``:points: 2``      required
``:kind: number``   or ``order``, or ``point``; without it the question is a choice
``:unit: MB``       of a number; learners may write it
``:tolerance: 1 %`` of a number, or an absolute one; by default 0.5 %, exact for an integer
``:figure: e | a``  of a question for a point: a Python expression, and what it shows in words
``:params: ...``    a statement that draws or computes values, for ``{{expression:format}}``
``:check: ...``     an expression that must be true of the values, whatever was drawn
``:order: fixed``   options keep their order
``:pool: name k``   one of several questions, of which ``k`` are asked
==================  =============================================================================

The settings from ``:params:`` on matter in a seeded release, see :mod:`.variants`.
"""

import ast
import re
from pathlib import Path

from course_grading.assign import variants
from course_grading.assign.lesson import (
    FigureTemplate,
    OptionTemplate,
    Pool,
    QuestionPart,
    QuestionTemplate,
    Row,
)
from course_grading.errors import SourceError
from course_lib.quiz.question import SLUG

# How an option of each kind is marked, and an example for messages.
_OPTIONS = {
    "choice": (r"- \[(?P<mark>[ xX])\] (?P<text>.+)", "'- [ ] text | why' or '- [x] text | why'"),
    "number": (r"- \[(?P<mark>[=~])\] (?P<text>.+)", "'- [=] 12 | why' or '- [~] 24 | mistake'"),
    "order": (r"(?P<mark>\d)\. (?P<text>.+)", "'1. first step | why it stands here'"),
    "point": (
        r"- \[(?P<mark>[=~])\] (?P<text>.+)",
        "'- [=] x0, y0, x1, y1 | why' or '- [~] x0, y0, x1, y1 | mistake'",
    ),
}
_OPTION_LIKE = re.compile(r"\s*[-*+]\s+\[.?\](\s|$)")
_STEP_LIKE = re.compile(r"\d+[.)](\s|$)")
_SETTING = re.compile(r":(?P<key>[a-z]+): *(?P<value>.*)")
_REPEATABLE = ("params", "check")
_SETTINGS = {  # and the kinds that have them; None for all
    "points": None,
    "kind": None,
    "unit": ("number",),
    "tolerance": ("number",),
    "figure": ("point",),
    "params": None,
    "check": None,
    "order": ("choice",),
    "pool": None,
}
# A seeded release shuffles the options, so a letter or a position names another one there.
_LETTER_REFERENCE = re.compile(
    r"\b(?i:options?|answers?|choices?) [A-H]\b"
    r"|\b(?i:(?:first|second|third|last|previous|next) (?:option|answer|choice))\b"
    r"|\b(?i:(?:all|none|both) of the above)\b"
)


def parse_points(path: Path, line: int, value: object, what: str) -> float:
    """The points of a question or an exercise.

    Raises:
        SourceError: if there are none, or they are not a number above 0.
    """
    try:
        points = float(str(value))
    except ValueError:
        points = 0.0
    if not 0 < points < 1000:
        raise SourceError(
            path, line, f"{what} needs points: write ':points: 2' (a number above 0) under its name"
        )
    return int(points) if points == int(points) else points


def check_slug(path: Path, line: int, name: object, what: str) -> str:
    """The name of a question or an exercise.

    Raises:
        SourceError: if there is none, or it has other characters than a name may have.
    """
    if not isinstance(name, str) or not SLUG.fullmatch(name):
        raise SourceError(
            path, line, f"{what} needs a name of a-z, 0-9 and single hyphens, not {name!r}"
        )
    return name


def parse_question(path: Path, name: str, rows: list[str], line: int) -> QuestionPart:
    """A question, with the variant that is published.

    Args:
        path: the lesson's source.
        name: what stands after ``{question}``.
        rows: the rows of the directive.
        line: the line of the directive.

    Raises:
        SourceError: for any mistake in it, also one that only a drawn value shows.
    """
    name = check_slug(path, line, name, "a question")
    what = f"question {name!r}"
    settings: dict[str, list[Row]] = {}
    text: list[Row] = []
    options: list[OptionTemplate] = []
    kind = "choice"
    for row_line, row in enumerate(rows, line + 1):
        setting = _SETTING.fullmatch(row)
        if setting and not text and not options:
            settings.setdefault(setting["key"], []).append(Row(setting["value"], row_line))
            if setting["key"] == "kind":
                kind = _parse_kind(path, row_line, setting["value"], what)
        elif _OPTION_LIKE.match(row) or (kind == "order" and _STEP_LIKE.match(row)):
            options.append(_parse_option(path, row_line, row, what, kind))
        elif not options:
            text.append(Row(row, row_line))
        elif row.startswith(" ") and row.strip():
            last = options[-1]
            explanation = f"{last.explanation} {row.strip()}"
            options[-1] = OptionTemplate(last.text, last.right, explanation, last.line)
        elif row.strip():
            raise SourceError(
                path,
                row_line,
                f"{what}: text after the options; indent it to continue an explanation",
            )
    _check_settings(path, line, settings, what, kind)
    if kind == "order":
        _check_steps(path, rows, line, what)
    points = settings.get("points", [Row("", line)])[0]
    template = QuestionTemplate(
        name,
        parse_points(path, line, points.source, what),
        _without_blank_ends(text),
        tuple(options),
        path,
        line,
        params=_parse_rows(path, settings.get("params", []), what, "exec"),
        checks=_parse_rows(path, settings.get("check", []), what, "eval"),
        fixed_order=_parse_order(path, settings, what),
        pool=_parse_pool(path, settings, what),
        kind=kind,
        unit=_setting(settings, "unit"),
        tolerance=_setting(settings, "tolerance"),
        figure=_parse_figure(path, settings, what),
    )
    if not template.text:
        raise SourceError(path, line, f"{what} has no text: write it above the options")
    if not template.fixed_order:
        _check_references(template)
    question = variants.published(template)
    variants.check(template)
    return QuestionPart(question, line, template)


def _without_blank_ends(rows: list[Row]) -> tuple[Row, ...]:
    written = [number for number, row in enumerate(rows) if row.source.strip()]
    return tuple(rows[written[0] : written[-1] + 1]) if written else ()


def _setting(settings: dict[str, list[Row]], key: str) -> str:
    return settings[key][0].source.strip() if key in settings else ""


def _parse_kind(path: Path, line: int, value: str, what: str) -> str:
    if value.strip() not in _OPTIONS:
        raise SourceError(
            path,
            line,
            f"{what}: there is no kind {value.strip()!r}: write number, order or point, or leave "
            "':kind:' out for a choice",
        )
    return value.strip()


def _parse_figure(path: Path, settings: dict[str, list[Row]], what: str) -> FigureTemplate | None:
    """``:figure: expression | alt text``; the expression may contain ``|`` itself."""
    rows = settings.get("figure", [])
    if not rows:
        return None
    expression, _, alt = rows[0].source.rpartition(" | ")
    if not expression.strip() or not alt.strip():
        raise SourceError(
            path,
            rows[0].line,
            f"{what}: write ':figure: expression | what the figure shows', for those who can't "
            "see it",
        )
    row = Row(expression.strip(), rows[0].line)
    _parse_rows(path, [row], what, "eval")
    return FigureTemplate(row, alt.strip())


def _check_steps(path: Path, rows: list[str], line: int, what: str) -> None:
    """Check that the steps of an order are numbered 1, 2, 3..."""
    steps = [
        (row_line, int(row.split(".")[0]))
        for row_line, row in enumerate(rows, line + 1)
        if _STEP_LIKE.match(row)
    ]
    for number, (row_line, written) in enumerate(steps, 1):
        if written != number:
            raise SourceError(
                path,
                row_line,
                f"{what}: this step is the {number}. one, in the right order: write '{number}. '",
            )


def _check_settings(
    path: Path, line: int, settings: dict[str, list[Row]], what: str, kind: str
) -> None:
    unknown = sorted(set(settings) - set(_SETTINGS))
    if unknown:
        known = ", ".join(f":{key}:" for key in _SETTINGS)
        raise SourceError(path, line, f"{what}: unknown setting :{unknown[0]}: (there are {known})")
    for key, rows in settings.items():
        kinds = _SETTINGS[key]
        if kinds and kind not in kinds:
            raise SourceError(
                path, rows[0].line, f"{what}: :{key}: belongs to ':kind: {kinds[0]}', delete it"
            )
        if len(rows) > 1 and key not in _REPEATABLE:
            raise SourceError(path, rows[1].line, f"{what}: a second :{key}:, leave one of them")


def _parse_rows(path: Path, rows: list[Row], what: str, mode: str) -> tuple[Row, ...]:
    """Check the Python of ``:params:`` (assignments) or of ``:check:`` (expressions)."""
    for row in rows:
        try:
            tree = ast.parse(row.source.strip(), mode=mode)
        except SyntaxError as error:
            raise SourceError(path, row.line, f"{what}: not Python: {error.msg}") from error
        if isinstance(tree, ast.Module) and not (
            tree.body and all(isinstance(node, ast.Assign) for node in tree.body)
        ):
            raise SourceError(
                path, row.line, f"{what}: write assignments, ':params: side = draw(128, 64, 96)'"
            )
    return tuple(rows)


def _parse_order(path: Path, settings: dict[str, list[Row]], what: str) -> bool:
    rows = settings.get("order", [])
    if rows and rows[0].source.strip() != "fixed":
        raise SourceError(
            path, rows[0].line, f"{what}: write ':order: fixed', or leave it out to shuffle"
        )
    return bool(rows)


def _parse_pool(path: Path, settings: dict[str, list[Row]], what: str) -> Pool | None:
    rows = settings.get("pool", [])
    if not rows:
        return None
    name, _, size = rows[0].source.strip().partition(" ")
    if not SLUG.fullmatch(name) or not size.strip().isdecimal() or int(size) < 1:
        raise SourceError(
            path, rows[0].line, f"{what}: write ':pool: name k', with the number k that is asked"
        )
    return Pool(name, int(size))


def _check_references(template: QuestionTemplate) -> None:
    """Check that no text refers to an option by its letter or position."""
    rows = list(template.text)
    for option in template.options:
        rows.append(Row(f"{option.text}\n{option.explanation}", option.line))
    for row in rows:
        if match := _LETTER_REFERENCE.search(row.source):
            raise SourceError(
                template.path,
                row.line,
                f"question {template.name!r}: {match[0]!r} is another one when the options are "
                "shuffled: say it in words, or add ':order: fixed'",
            )


def _parse_option(path: Path, line: int, row: str, what: str, kind: str) -> OptionTemplate:
    pattern, example = _OPTIONS[kind]
    match = re.fullmatch(pattern, row)
    if not match:
        raise SourceError(path, line, f"{what}: an option is written {example}")
    text, _, explanation = match["text"].partition(" | ")
    if " | " in explanation:
        raise SourceError(
            path,
            line,
            f"{what}: an option has one ' | ' with spaces around it: write a|b inside its text",
        )
    if not explanation.strip():
        raise SourceError(path, line, f"{what}: an option needs its explanation, as in {example}")
    return OptionTemplate(text.strip(), match["mark"] not in " ~", explanation.strip(), line)
