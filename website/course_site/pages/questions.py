"""Questions as HTML forms, and the places where the front page shows progress.

``web/quiz/`` scores and records the answers in the page. What it needs is in the form: the letters
and points in attributes, the key and the explanations in a JSON element. As in the question banks,
base64 hides them from a glance only; self-study has no secrets.

Without JavaScript a form reads like a question in a book: options with letters, and the answer in a
closed ``<details>``. It is inside ``<noscript>``, so it does not exist where JavaScript works.
"""

import base64
import html
import json
import re
from collections.abc import Mapping

from course_lib.quiz import question_bank
from course_lib.quiz.question import Question
from course_lib.quiz.question_bank import PackedQuestion


def public_bank(lesson: str) -> dict[str, PackedQuestion]:
    """A lesson's questions from the course's own bank, whatever ``COURSE_BANK`` says.

    A classroom's private bank must never get onto a public page.

    Raises:
        ValueError: for a malformed lesson name.
        FileNotFoundError: if the lesson has no bank.
    """
    return question_bank.load(lesson, question_bank.FOLDER)


def render(lesson: str, name: str, question: Question | PackedQuestion, text_html: str) -> str:
    """A question as a form. It has no blank line, so Markdown takes it for one block of HTML.

    Args:
        lesson: the lesson's name, such as ``"05_unet"``.
        name: the question's name, such as ``"what-skips-do"``.
        question: its options, key, points and explanations.
        text_html: the question's text, already HTML.

    Raises:
        ValueError: for a malformed lesson name, if a :class:`Question` has to be packed.
    """
    if isinstance(question, Question):
        packed = json.loads(question_bank.pack(lesson, [question]))
        question = PackedQuestion(**packed[question.name])
    identifier = html.escape(f"question-{name}")
    instruction = "select all that apply" if question.kind == "any" else "choose one"
    options = "".join(
        _option(identifier, question.kind, letter, text)
        for letter, text in zip(question.letters, question.options, strict=True)
    )
    # Outside a dialog, method="dialog" submits nothing: Enter does not reload the page where the
    # script is missing.
    return _without_blank_lines(
        f'<form class="course-question" id="{identifier}" method="dialog" autocomplete="off"'
        f' data-lesson="{html.escape(lesson)}" data-question="{html.escape(name)}"'
        f' data-kind="{question.kind}" data-points="{question.points:g}">'
        f'<fieldset aria-describedby="{identifier}-text">'
        f"<legend>Question <span>{_points(question.points)} · {instruction}</span></legend>"
        f'<div class="course-question-text" id="{identifier}-text">{text_html}</div>'
        f'<ul class="course-question-options">{options}</ul>'
        f"</fieldset>"
        f'<div class="course-question-check">'
        f'<button type="submit" hidden>Check</button>'
        f'<p role="status"></p></div>'
        f"<noscript>{_printed_answer(question)}</noscript>"
        f'<script type="application/json">{_pack(question)}</script>'
        f"</form>"
    )


def render_progress(lesson: str, points: Mapping[str, float] | None = None) -> str:
    """The place where the page shows "3 of 9 questions, 5 of 12 points" of a lesson.

    It is empty until the script fills it in.

    Args:
        lesson: the lesson's name.
        points: the points of its questions, by name; without it those of the course's own bank.

    Raises:
        ValueError: for a malformed lesson name.
        FileNotFoundError: if the lesson has no bank.
    """
    if points is None:
        points = {name: question.points for name, question in public_bank(lesson).items()}
    return (
        f'<span class="course-progress" data-progress="{html.escape(lesson)}"'
        f' data-questions="{html.escape(json.dumps(points))}"></span>'
    )


def render_progress_panel() -> str:
    """The place for the total with the export, import and reset buttons; hidden without script."""
    return (
        '<section class="course-progress-panel" data-progress-panel aria-label="Your progress"'
        " hidden></section>"
    )


def _option(identifier: str, kind: str, letter: str, text: str) -> str:
    """One option; its explanation is written into the hidden part when the answer is checked."""
    kind = "checkbox" if kind == "any" else "radio"
    return (
        f'<li><label><input type="{kind}" name="answer" value="{letter}">'
        f"<span><b>{letter}</b> {text}</span></label>"
        f'<div class="course-question-feedback" id="{identifier}-{letter}" hidden></div></li>'
    )


def _printed_answer(question: PackedQuestion) -> str:
    """Key and explanations for readers without JavaScript.

    Sphinx's search shows excerpts of pages, where ``<noscript>`` is an element like any other. It
    leaves out what has the class ``headerlink``, so no excerpt gives an answer away.
    """
    explanations = "".join(
        f"<li><b>{letter} · {'right' if letter in question.right else 'wrong'}.</b> {text}</li>"
        for letter, text in zip(question.letters, question.explanations, strict=True)
    )
    return (
        '<details class="course-question-answer headerlink">'
        f"<summary>Answer and explanations</summary><ul>{explanations}</ul></details>"
    )


def _pack(question: PackedQuestion) -> str:
    """Key and explanations as a JSON string in base64."""
    content = {"right": question.right, "explanations": question.explanations}
    return json.dumps(base64.b64encode(json.dumps(content).encode()).decode())


def _points(points: float) -> str:
    return f"{points:g} point{'' if points == 1 else 's'}"


def _without_blank_lines(text: str) -> str:
    """In Markdown a blank line ends a block of HTML; ``&#10;`` keeps it inside ``<pre>``."""
    return re.sub(r"\n(?=[ \t]*\n)", "&#10;", text)
