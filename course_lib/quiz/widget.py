"""The answer boxes below an answer cell, as self-contained HTML that needs no kernel.

``widget.css`` and ``widget.js`` are part of every output, so saved notebooks need no other files.
When a box is ticked, the script asks the editor by an event to rewrite the literal in the cell (see
``labextension``); if no editor responds, the status line says what to type.
"""

import html
import re
from dataclasses import dataclass
from pathlib import Path

from course_lib.quiz import scoring
from course_lib.quiz.question_bank import PackedQuestion

_FOLDER = Path(__file__).parent
_VERDICTS = {  # (right, selected): symbol and words
    (True, True): ("✓", "Correctly chosen."),
    (True, False): ("✗", "Missed: this option is right."),
    (False, True): ("✗", "Chosen, but this option is wrong."),
    (False, False): ("✓", "Correctly left out."),
}


@dataclass(frozen=True)
class View:
    """The state shown by the boxes.

    ``kind`` is ``"any"`` or ``"one"``, ``selected`` the recorded letters, ``message`` the text
    about what was recorded; ``question`` is None if no feedback may be given.
    """

    name: str
    kind: str
    letters: str
    selected: str
    message: str
    question: PackedQuestion | None = None


def show(view: View) -> None:
    """Display the boxes as the cell's output, with plain text where HTML is not supported."""
    from IPython.display import display

    display({"text/html": render(view), "text/plain": status(view)}, raw=True)


def render(view: View) -> str:
    """The HTML: a form with native inputs, a status line, and feedback if there is an answer."""
    instruction = "select all that apply" if view.kind == "any" else "choose one"
    inputs = "".join(_input(view, index) for index in range(len(view.letters)))
    button = "" if view.question is None else '<button type="submit">Check answer</button>'
    name = html.escape(view.name)
    css = (_FOLDER / "widget.css").read_text(encoding="utf-8")
    script = (_FOLDER / "widget.js").read_text(encoding="utf-8")
    # method="dialog" outside a dialog submits nothing: safe even where scripts are blocked.
    return (
        f'<div class="course-quiz" data-question="{name}" data-kind="{view.kind}"'
        f' data-answer="{view.selected}">'
        f"<style>{css}</style>"
        f'<form method="dialog"><fieldset>'
        f"<legend>Your answer <small>({instruction})</small></legend>"
        f'<div class="course-quiz-row">{inputs}{button}</div></fieldset></form>'
        f'<p role="status" tabindex="-1">{html.escape(status(view))}</p>'
        f"{_feedback(view)}"
        f"<script>{script}</script></div>"
    )


def status(view: View) -> str:
    """The recorded answer and, in self-study, its points or the next step."""
    if view.question is None:
        return view.message
    if not view.selected:
        return f"{view.message} Choose, then check your answer."
    question = view.question
    earned = scoring.score(view.selected, question.right, question.wrong, question.points)
    unit = "point" if question.points == 1 else "points"
    return f"{view.message} {_number(earned)} of {_number(question.points)} {unit}."


def _input(view: View, index: int) -> str:
    letter = view.letters[index]
    kind = "checkbox" if view.kind == "any" else "radio"
    checked = " checked" if letter in view.selected else ""
    # The locked cell above shows the options; here they are accessible names and tooltips.
    text = f": {_plain_text(view.question.options[index])}" if view.question else ""
    name = html.escape(f"{letter}{text}")
    return (
        f'<label title="{name}"><input type="{kind}" name="answer" value="{letter}"'
        f' aria-label="{name}"{checked}><span>{letter}</span></label>'
    )


def _feedback(view: View) -> str:
    """One list entry per option; option texts and explanations are HTML, built from Markdown."""
    if view.question is None or not view.selected:
        return ""
    entries = []
    options, explanations = view.question.options, view.question.explanations
    for letter, option, explanation in zip(view.letters, options, explanations, strict=True):
        right, selected = letter in view.question.right, letter in view.selected
        symbol, words = _VERDICTS[right, selected]
        entries.append(
            f'<li data-good="{str(right == selected).lower()}">'
            f'<span aria-hidden="true">{symbol}</span>'
            f"<div><p><b>{letter}</b> {option}</p><p><b>{words}</b> {explanation}</p></div></li>"
        )
    return f'<ul class="course-quiz-feedback">{"".join(entries)}</ul>'


def _plain_text(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", text))


def _number(points: float) -> str:
    return f"{round(points, 2):g}"
