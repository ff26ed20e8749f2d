"""The answer boxes below an answer cell, as self-contained HTML that needs no kernel.

``widget.css`` and ``widget.js`` are part of every output, so saved notebooks need no other files.
When a box is ticked, the script dispatches an event that asks the editor to rewrite the literal in
the cell (see ``labextension``); if no editor responds, the status line says what to type.
"""

import html
from dataclasses import dataclass
from pathlib import Path

from course_lib.quiz import feedback, inputs
from course_lib.quiz.answers import AnswerFormat
from course_lib.quiz.question_bank import PackedQuestion

_FOLDER = Path(__file__).parent
_INSTRUCTIONS = {
    "any": "select all that apply",
    "one": "choose one",
    "number": "a number",
    "order": "tick the steps one after the other, the first one first",
    "point": "click on the place, or move the point with the arrow keys",
}
_NEXT_STEPS = {
    "number": "Write a number",
    "order": "Put the steps in order",
    "point": "Point at the place",
}


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
    button = "" if question is None else '<button type="submit">Check answer</button>'
    css = (_FOLDER / "widget.css").read_text(encoding="utf-8")
    script = (_FOLDER / "widget.js").read_text(encoding="utf-8")
    controls = inputs.render(view.format, view.recorded or view.literal, question, view.recorded)
    # method="dialog" outside a dialog submits nothing: safe even where scripts are blocked.
    return (
        f'<div class="course-quiz" data-question="{html.escape(view.name)}" data-kind="{kind}"'
        f' data-answer="{html.escape(view.recorded)}"'
        f' data-literal="{html.escape(view.literal or view.recorded)}"{_result(view)}>'
        f"<style>{css}</style>"
        f'<form method="dialog"><fieldset>'
        f"<legend>Your answer <small>({_instruction(view)})</small></legend>"
        f"{controls}{button}</fieldset></form>"
        f'<p role="status" tabindex="-1">{html.escape(status(view))}</p>'
        f"{feedback.render(question, view.recorded) if question else ''}"
        f"<script>{script}</script></div>"
    )


def status(view: View) -> str:
    """The recorded answer and, in self-study, its points or the next step."""
    if view.question is None:
        return view.message
    if not view.recorded:
        step = _NEXT_STEPS.get(view.format.kind, "Choose")
        return f"{view.message} {step}, then check your answer."
    earned, points = view.question.key.score(view.recorded), view.question.points
    unit = "point" if points == 1 else "points"
    return f"{view.message} {_number(earned)} of {_number(points)} {unit}."


def _instruction(view: View) -> str:
    text = _INSTRUCTIONS[view.format.kind]
    return html.escape(f"{text} in {view.format.unit}" if view.format.unit else text)


def _result(view: View) -> str:
    if view.question is None or not view.recorded:
        return ""
    earned = view.question.key.score(view.recorded)
    result = "right" if earned >= view.question.points else "partly" if earned else "wrong"
    return f' data-result="{result}"'


def _number(points: float) -> str:
    return f"{round(points, 2):g}"
