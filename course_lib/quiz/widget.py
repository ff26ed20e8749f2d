"""The boxes under an answer cell, as one piece of HTML that a saved notebook shows again without a
kernel.

``widget.css`` and ``widget.js`` travel inside each output, so that nothing has to be loaded.
Ticking a box asks the page's editor, by one event, to rewrite the literal in the cell (see
``labextension``); where no editor listens, the learner reads what to type.
"""

import html
import re
from dataclasses import dataclass
from pathlib import Path

from course_lib.quiz import scoring
from course_lib.quiz.question_bank import PackedQuestion

_HERE = Path(__file__).parent
_WORDS = {  # (right, chosen): good or bad, in a sign and in words
    (True, True): ("✓", "Right, and you chose it."),
    (True, False): ("✗", "Right, but you left it out."),
    (False, True): ("✗", "Wrong, but you chose it."),
    (False, False): ("✓", "Wrong, and you left it out."),
}


@dataclass(frozen=True)
class View:
    """All that the boxes show.

    ``kind`` is ``"any"`` or ``"one"``, ``ticked`` holds the recorded letters, ``line`` says what
    was recorded; ``question`` is None where no feedback may be given.
    """

    name: str
    kind: str
    letters: str
    ticked: str
    line: str
    question: PackedQuestion | None = None


def show(view: View) -> None:
    """Display the boxes as the cell's output (plain text where HTML cannot be shown)."""
    from IPython.display import display

    display({"text/html": render(view), "text/plain": status(view)}, raw=True)


def render(view: View) -> str:
    """The HTML: a form with native inputs, a status line, and feedback once something is ticked."""
    ask = "tick all that are right" if view.kind == "any" else "choose one"
    inputs = "".join(_input(view, index) for index in range(len(view.letters)))
    button = "" if view.question is None else '<button type="submit">Check answer</button>'
    name = html.escape(view.name)
    # method="dialog" outside a dialog submits nowhere: safe even where the script does not run.
    return (
        f'<div class="course-quiz" data-question="{name}" data-kind="{view.kind}" data-answer="{view.ticked}">'
        f"<style>{(_HERE / 'widget.css').read_text(encoding='utf-8')}</style>"
        f'<form method="dialog"><fieldset><legend>Your answer <small>({ask})</small></legend>'
        f'<div class="course-quiz-row">{inputs}{button}</div></fieldset></form>'
        f'<p role="status" tabindex="-1">{html.escape(status(view))}</p>'
        f"{_feedback(view)}"
        f"<script>{(_HERE / 'widget.js').read_text(encoding='utf-8')}</script></div>"
    )


def status(view: View) -> str:
    """What is recorded and, in self-study, what it earns or how to go on."""
    if view.question is None:
        return view.line
    if not view.ticked:
        return f"{view.line} Choose, then check your answer."
    earned = scoring.score(
        view.ticked, view.question.right, view.question.wrong, view.question.points
    )
    unit = "point" if view.question.points == 1 else "points"
    return f"{view.line} {_number(earned)} of {_number(view.question.points)} {unit}."


def _input(view: View, index: int) -> str:
    letter = view.letters[index]
    kind = "checkbox" if view.kind == "any" else "radio"
    checked = " checked" if letter in view.ticked else ""
    # The options stand in the locked cell above; here they are a name to listen to and a tooltip.
    text = f": {_plain(view.question.options[index])}" if view.question else ""
    name = html.escape(f"{letter}{text}")
    return (
        f'<label title="{name}"><input type="{kind}" name="answer" value="{letter}" aria-label="{name}"{checked}>'
        f"<span>{letter}</span></label>"
    )


def _feedback(view: View) -> str:
    """One entry an option; texts and explanations are HTML that the build made from Markdown."""
    if view.question is None or not view.ticked:
        return ""
    entries = []
    options, explanations = view.question.options, view.question.explanations
    for letter, option, explanation in zip(view.letters, options, explanations, strict=True):
        right, ticked = letter in view.question.right, letter in view.ticked
        mark, words = _WORDS[right, ticked]
        entries.append(
            f'<li data-good="{str(right == ticked).lower()}"><span aria-hidden="true">{mark}</span>'
            f"<div><p><b>{letter}</b> {option}</p><p><b>{words}</b> {explanation}</p></div></li>"
        )
    return f'<ul class="course-quiz-feedback">{"".join(entries)}</ul>'


def _plain(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", text))


def _number(points: float) -> str:
    return f"{round(points, 2):g}"
