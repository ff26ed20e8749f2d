"""The answer boxes below an answer cell, and their text: self-contained HTML that needs no kernel.

The controls are native inputs. ``answer_boxes.css`` and ``answer_boxes.js`` are part of every
output, so saved notebooks need no other files. When the answer changes, the script dispatches an
event that asks the editor to rewrite the literal in the cell (see ``labextension``); if no editor
responds, the status line says what to type.

If a question's texts or figure are unknown, as in a classroom release, their elements stay empty:
the JupyterLab extension fills them in from the question's own cell.
"""

import html
from dataclasses import dataclass
from pathlib import Path

from course_lib.quiz import feedback
from course_lib.quiz.answers import AnswerFormat
from course_lib.quiz.question_bank import PackedQuestion

# The text of the boxes, apart from messages about a recorded answer (cells.py), explanations
# (feedback.py) and the status line while the answer changes (answer_boxes.js).
_LEGEND = "Your answer"
_INSTRUCTIONS = {
    "any": "select all that apply",
    "one": "choose one",
    "number": "a number",
    "order": "tick the steps one after the other, the first one first",
    "point": "click on the place, or move the point with the arrow keys",
}
_NUMBER_LABEL, _NUMBER_PLACEHOLDER = "Your number", "e.g. 1,500"
_FIGURE_LABEL = "The figure: arrow keys move the point, with Shift in large steps"
_COORDINATES_NOTE = "pixels of {width} × {height}, from the top left"
_BUTTON = "Check answer"
_NEXT_STEPS = {
    "any": "Choose",
    "one": "Choose",
    "number": "Write a number",
    "order": "Put the steps in order",
    "point": "Point at the place",
}

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class View:
    """The state shown by the boxes.

    ``recorded`` is the recorded answer, ``message`` the text about what was recorded, ``literal``
    the string in the cell, even if invalid; ``question`` is None if no feedback may be given.
    """

    name: str
    format: AnswerFormat
    recorded: str
    message: str
    question: PackedQuestion | None = None
    literal: str = ""


def show(view: View) -> None:
    """Display the boxes as the cell's output, with plain text where HTML is not supported."""
    from IPython.display import display

    display({"text/html": render(view), "text/plain": status(view)}, raw=True)


def render(view: View) -> str:
    """The HTML: a form with native inputs, a status line, and feedback if there is an answer."""
    kind, question = view.format.kind, view.question
    button = "" if question is None else f'<button type="submit">{_BUTTON}</button>'
    css = (_FOLDER / "answer_boxes.css").read_text(encoding="utf-8")
    script = (_FOLDER / "answer_boxes.js").read_text(encoding="utf-8")
    # method="dialog" outside a dialog submits nothing: safe even where scripts are blocked.
    return (
        f'<div class="course-quiz" data-question="{html.escape(view.name)}" data-kind="{kind}"'
        f' data-answer="{html.escape(view.recorded)}"'
        f' data-literal="{html.escape(view.literal or view.recorded)}"{_result(view)}>'
        f"<style>{css}</style>"
        f'<form method="dialog"><fieldset>'
        f"<legend>{_LEGEND} <small>({_instruction(view)})</small></legend>"
        f"{_controls(view)}{button}</fieldset></form>"
        f'<p role="status" tabindex="-1">{html.escape(status(view))}</p>'
        f"{feedback.render(question, view.recorded) if question else ''}"
        f"<script>{script}</script></div>"
    )


def status(view: View) -> str:
    """The recorded answer and, in self-study, its points or the next step."""
    if view.question is None:
        return view.message
    if not view.recorded:
        return f"{view.message} {_NEXT_STEPS[view.format.kind]}, then check your answer."
    earned, points = view.question.key.score(view.recorded), view.question.points
    unit = "point" if points == 1 else "points"
    return f"{view.message} {_format_points(earned)} of {_format_points(points)} {unit}."


def _instruction(view: View) -> str:
    text = _INSTRUCTIONS[view.format.kind]
    return html.escape(f"{text} in {view.format.unit}" if view.format.unit else text)


def _controls(view: View) -> str:
    """The inputs for the answer. The field of a number shows the literal if it could not be parsed;
    the other controls show only a recorded answer.
    """
    if view.format.kind == "number":
        return _number_field(view.format, view.recorded or view.literal)
    if view.format.kind == "point":
        return _point_fields(view.format, view.recorded, view.question)
    return _options(view.format, view.recorded, view.question)


def _number_field(format: AnswerFormat, text: str) -> str:
    unit = f' <span class="course-quiz-unit">{html.escape(format.unit)}</span>'
    label = f"{_NUMBER_LABEL} in {format.unit}" if format.unit else _NUMBER_LABEL
    # type="number" would refuse 1,500 and 3/4 in a way that differs between browsers.
    return (
        '<div class="course-quiz-fields"><input type="text" name="answer" inputmode="decimal"'
        f' autocomplete="off" spellcheck="false" maxlength="60" size="14"'
        f' aria-label="{html.escape(label)}" placeholder="{_NUMBER_PLACEHOLDER}"'
        f' value="{html.escape(text)}">{unit if format.unit else ""}</div>'
    )


def _options(format: AnswerFormat, recorded: str, question: PackedQuestion | None) -> str:
    """One row per option or step: its input, letter and text, and the feedback below it."""
    rows = []
    for index, letter in enumerate(format.letters):
        text = question.options[index] if question else ""
        kind = "radio" if format.kind == "one" else "checkbox"
        checked = " checked" if letter in recorded else ""
        place = ""
        if format.kind == "order":
            number = str(recorded.index(letter) + 1) if letter in recorded else ""
            place = f'<span class="course-quiz-place">{number}</span>'
        below = feedback.option(question, letter, recorded) if question else ""
        rows.append(
            f'<li><label><input type="{kind}" name="answer" value="{letter}"{checked}>{place}'
            f'<b>{letter}</b> <span class="course-quiz-text" data-letter="{letter}">{text}</span>'
            f"</label>{below}</li>"
        )
    return f'<ul class="course-quiz-options">{"".join(rows)}</ul>'


def _point_fields(format: AnswerFormat, recorded: str, question: PackedQuestion | None) -> str:
    """The figure to click on, and a field for each coordinate."""
    width, height = format.size
    alt = question.alt if question else ""
    source = f' src="data:image/png;base64,{question.figure}"' if question else ""
    image = f'<img alt="{html.escape(alt)}" width="{width}" height="{height}"{source}>'
    areas = feedback.areas(question, recorded) if question else ""
    x, y = recorded.split(", ") if recorded else ("", "")
    fields = "".join(
        f'<label>{name} <input type="number" name="{name}" min="0" max="{length - 1}" step="any"'
        f' value="{value}"></label>'
        for name, length, value in (("x", width, x), ("y", height, y))
    )
    hidden = "" if question else " hidden"
    return (
        f'<div class="course-quiz-figure" tabindex="0" role="group" data-width="{width}"'
        f' data-height="{height}" aria-label="{_FIGURE_LABEL}"{hidden}>'
        f'{image}{areas}<span class="course-quiz-pin" hidden></span></div>'
        f'<div class="course-quiz-fields">{fields}'
        f"<span>{_COORDINATES_NOTE.format(width=width, height=height)}</span></div>"
    )


def _result(view: View) -> str:
    if view.question is None or not view.recorded:
        return ""
    earned = view.question.key.score(view.recorded)
    result = "right" if earned >= view.question.points else "partly" if earned else "wrong"
    return f' data-result="{result}"'


def _format_points(points: float) -> str:
    return f"{round(points, 2):g}"
