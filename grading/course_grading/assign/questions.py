"""Parse a ``{question}`` directive: its settings, its text and its options.

==================  =============================================================================
``:points: 2``      required
``:kind: number``   or ``order`` (ordering), ``point`` (hotspot); by default a choice question
``:unit: MB``       kind ``number``: the unit, which learners may write after the number
``:tolerance: 1 %`` kind ``number``: relative, or absolute; by default 0.5 %, integers exact
``:figure: e | a``  kind ``point``: a Python expression for the image, and its alt text
``:params: ...``    an assignment that draws or computes values, for ``{{expression:format}}``
``:check: ...``     an expression that must hold for every set of drawn values
``:order: fixed``   the options are not shuffled
``:pool: name k``   one of several questions, of which ``k`` are asked
==================  =============================================================================

The settings from ``:params:`` down are for seeded releases, see :mod:`.variants`.
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
    SourceLine,
)
from course_grading.errors import SourceError
from course_lib.quiz.question import SLUG

# kind -> the syntax of its options, and an example for messages
_OPTIONS = {
    "choice": (r"- \[(?P<mark>[ xX])\] (?P<text>.+)", "'- [ ] text | why' or '- [x] text | why'"),
    "number": (r"- \[(?P<mark>[=~])\] (?P<text>.+)", "'- [=] 12 | why' or '- [~] 24 | mistake'"),
    "order": (r"(?P<mark>\d)\. (?P<text>.+)", "'1. first step | why this step comes here'"),
    "point": (
        r"- \[(?P<mark>[=~])\] (?P<text>.+)",
        "'- [=] x0, y0, x1, y1 | why' or '- [~] x0, y0, x1, y1 | mistake'",
    ),
}
_OPTION_LIKE = re.compile(r"\s*[-*+]\s+\[.?\](\s|$)")
_STEP_LIKE = re.compile(r"\d+[.)](\s|$)")
# The cell of an exercise is named EXERCISE-code, that of an answer QUESTION-answer.
_CELL_SUFFIXES = ("-code", "-answer")
_SETTING = re.compile(r":(?P<key>[a-z]+): *(?P<value>.*)")
_REPEATABLE = ("params", "check")
_SETTINGS = {  # setting -> the kinds that accept it; None: all
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
# A seeded release shuffles the options: a letter or position refers to a different option there.
_LETTER_REFERENCE = re.compile(
    r"\b(?i:options?|answers?|choices?) [A-H]\b"
    r"|\b(?i:(?:first|second|third|last|previous|next) (?:option|answer|choice))\b"
    r"|\b(?i:(?:all|none|both) of the above)\b"
)


def parse_points(path: Path, line: int, value: object, label: str) -> float:
    """The points of a question or an exercise.

    Raises:
        SourceError: if they are missing, or not a number above 0 and below 1000.
    """
    try:
        points = float(str(value))
    except ValueError:
        points = 0.0
    if not 0 < points < 1000:
        raise SourceError(
            path,
            line,
            f"{label} needs points: write ':points: 2' (above 0, below 1000) under its name",
        )
    return int(points) if points == int(points) else points


def check_slug(path: Path, line: int, name: object, label: str) -> str:
    """The name of a question or an exercise.

    Raises:
        SourceError: if it is missing, contains a character that names may not have, or could be
            mistaken for the name of a cell.
    """
    if not isinstance(name, str) or not SLUG.fullmatch(name):
        raise SourceError(
            path, line, f"{label} needs a name of a-z, 0-9 and single hyphens, not {name!r}"
        )
    if name.endswith(_CELL_SUFFIXES):
        raise SourceError(
            path,
            line,
            f"{label} can't be named {name!r}: names that end with "
            f"{' or '.join(_CELL_SUFFIXES)} are those of cells in the notebooks",
        )
    return name


def parse_question(path: Path, name: str, lines: list[str], line: int) -> QuestionPart:
    """Parse a question and render its published variant.

    Args:
        path: the lesson's source.
        name: the text after ``{question}``.
        lines: the lines inside the directive.
        line: the line number of the directive.

    Raises:
        SourceError: for any mistake, including one that appears only with some drawn values.
    """
    name = check_slug(path, line, name, "a question")
    label = f"question {name!r}"
    settings: dict[str, list[SourceLine]] = {}
    text: list[SourceLine] = []
    options: list[OptionTemplate] = []
    kind = "choice"
    for number, content in enumerate(lines, line + 1):
        setting = _SETTING.fullmatch(content)
        if setting and not text and not options:
            settings.setdefault(setting["key"], []).append(SourceLine(setting["value"], number))
            if setting["key"] == "kind":
                kind = _parse_kind(path, number, setting["value"], label)
        elif _OPTION_LIKE.match(content) or (kind == "order" and _STEP_LIKE.match(content)):
            options.append(_parse_option(path, number, content, label, kind))
        elif not options:
            text.append(SourceLine(content, number))
        elif content.startswith(" ") and content.strip():
            last = options[-1]
            explanation = f"{last.explanation} {content.strip()}"
            options[-1] = OptionTemplate(last.text, last.right, explanation, last.line)
        elif content.strip():
            raise SourceError(
                path,
                number,
                f"{label}: text after the options; indent it to continue an explanation",
            )
    _check_settings(path, line, settings, label, kind)
    if kind == "order":
        _check_steps(path, lines, line, label)
    points = settings.get("points", [SourceLine("", line)])[0]
    template = QuestionTemplate(
        name,
        parse_points(path, line, points.source, label),
        _strip_blank_lines(text),
        tuple(options),
        path,
        line,
        params=_check_python(path, settings.get("params", []), label, "exec"),
        checks=_check_python(path, settings.get("check", []), label, "eval"),
        fixed_order=_parse_order(path, settings, label),
        pool=_parse_pool(path, settings, label),
        kind=kind,
        unit=_setting(settings, "unit"),
        tolerance=_setting(settings, "tolerance"),
        figure=_parse_figure(path, settings, label),
    )
    if not template.text:
        raise SourceError(path, line, f"{label} has no text: write it above the options")
    if not template.fixed_order:
        _check_references(template)
    question = variants.published(template)
    variants.check(template)
    return QuestionPart(question, line, template)


def _strip_blank_lines(lines: list[SourceLine]) -> tuple[SourceLine, ...]:
    non_blank = [index for index, line in enumerate(lines) if line.source.strip()]
    return tuple(lines[non_blank[0] : non_blank[-1] + 1]) if non_blank else ()


def _setting(settings: dict[str, list[SourceLine]], key: str) -> str:
    return settings[key][0].source.strip() if key in settings else ""


def _parse_kind(path: Path, line: int, value: str, label: str) -> str:
    if value.strip() not in _OPTIONS:
        raise SourceError(
            path,
            line,
            f"{label}: unknown kind {value.strip()!r}: write number, order or point, or leave "
            "':kind:' out for a choice",
        )
    return value.strip()


def _parse_figure(
    path: Path, settings: dict[str, list[SourceLine]], label: str
) -> FigureTemplate | None:
    """``:figure: expression | alt text``; the expression may contain ``|`` itself."""
    lines = settings.get("figure", [])
    if not lines:
        return None
    expression, _, alt = lines[0].source.rpartition(" | ")
    if not expression.strip() or not alt.strip():
        raise SourceError(
            path,
            lines[0].line,
            f"{label}: write ':figure: expression | alt text'; the alt text says what the "
            "figure shows",
        )
    source = SourceLine(expression.strip(), lines[0].line)
    _check_python(path, [source], label, "eval")
    return FigureTemplate(source, alt.strip())


def _check_steps(path: Path, lines: list[str], line: int, label: str) -> None:
    """Check that the steps of an ordering question are numbered 1, 2, 3..."""
    steps = [
        (number, int(content.split(".")[0]))
        for number, content in enumerate(lines, line + 1)
        if _STEP_LIKE.match(content)
    ]
    for step, (number, written) in enumerate(steps, 1):
        if written != step:
            raise SourceError(
                path,
                number,
                f"{label}: this is step {step}: number the steps 1, 2, 3... in the right order",
            )


def _check_settings(
    path: Path, line: int, settings: dict[str, list[SourceLine]], label: str, kind: str
) -> None:
    unknown = sorted(set(settings) - set(_SETTINGS))
    if unknown:
        known = ", ".join(f":{key}:" for key in _SETTINGS)
        raise SourceError(path, line, f"{label}: unknown setting :{unknown[0]}: (known: {known})")
    for key, lines in settings.items():
        kinds = _SETTINGS[key]
        if kinds and kind not in kinds:
            raise SourceError(
                path,
                lines[0].line,
                f"{label}: :{key}: applies to ':kind: {kinds[0]}' only; delete it",
            )
        if len(lines) > 1 and key not in _REPEATABLE:
            raise SourceError(path, lines[1].line, f"{label}: duplicate :{key}:; keep one")


def _check_python(
    path: Path, lines: list[SourceLine], label: str, mode: str
) -> tuple[SourceLine, ...]:
    """Return settings after checking their Python: ``mode`` is "exec" for assignments."""
    for line in lines:
        try:
            tree = ast.parse(line.source.strip(), mode=mode)
        except SyntaxError as error:
            raise SourceError(path, line.line, f"{label}: invalid Python: {error.msg}") from error
        if isinstance(tree, ast.Module) and not (
            tree.body and all(isinstance(node, ast.Assign) for node in tree.body)
        ):
            raise SourceError(
                path,
                line.line,
                f"{label}: write an assignment: ':params: side = draw(128, 64, 96)'",
            )
    return tuple(lines)


def _parse_order(path: Path, settings: dict[str, list[SourceLine]], label: str) -> bool:
    lines = settings.get("order", [])
    if lines and lines[0].source.strip() != "fixed":
        raise SourceError(
            path, lines[0].line, f"{label}: write ':order: fixed', or leave it out to shuffle"
        )
    return bool(lines)


def _parse_pool(path: Path, settings: dict[str, list[SourceLine]], label: str) -> Pool | None:
    lines = settings.get("pool", [])
    if not lines:
        return None
    name, _, size = lines[0].source.strip().partition(" ")
    if not SLUG.fullmatch(name) or not size.strip().isdecimal() or int(size) < 1:
        raise SourceError(
            path,
            lines[0].line,
            f"{label}: write ':pool: name k', where k is the number of questions asked",
        )
    return Pool(name, int(size))


def _check_references(template: QuestionTemplate) -> None:
    """Check that no text refers to an option by its letter or position."""
    lines = list(template.text)
    for option in template.options:
        lines.append(SourceLine(f"{option.text}\n{option.explanation}", option.line))
    for line in lines:
        if match := _LETTER_REFERENCE.search(line.source):
            raise SourceError(
                template.path,
                line.line,
                f"question {template.name!r}: {match[0]!r} refers to a different option after "
                "shuffling: quote the option's text, or add ':order: fixed'",
            )


def _parse_option(path: Path, line: int, source: str, label: str, kind: str) -> OptionTemplate:
    pattern, example = _OPTIONS[kind]
    match = re.fullmatch(pattern, source)
    if not match:
        raise SourceError(path, line, f"{label}: write an option as {example}")
    text, _, explanation = match["text"].partition(" | ")
    if " | " in explanation:
        raise SourceError(
            path,
            line,
            f"{label}: only one ' | ' separates text and explanation: elsewhere write a|b",
        )
    if not explanation.strip():
        raise SourceError(path, line, f"{label}: an option needs an explanation, as in {example}")
    return OptionTemplate(text.strip(), match["mark"] not in " ~", explanation.strip(), line)
