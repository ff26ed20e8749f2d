"""Questions as HTML forms, and the places where the front page shows progress.

``web/quiz/`` scores and records the answers in the page. What it needs is in the form: the letters
and points in attributes, the key and the explanations in a JSON element. As in the question banks,
base64 only hides them from view; self-study needs no secrecy.

Without JavaScript a form reads like a question in a book: options with letters, and the answer in a
closed ``<details>``. It is inside ``<noscript>``, so it does not exist where JavaScript works.
"""

import base64
import html
import json
import re
from collections.abc import Mapping

from course_lib.quiz import question_bank
from course_lib.quiz.answers import parse_box
from course_lib.quiz.question import Question
from course_lib.quiz.question_bank import PackedQuestion
from course_lib.quiz.scoring import LETTERS


def public_bank(lesson: str) -> dict[str, PackedQuestion]:
    """A lesson's questions from the course's own bank, whatever ``COURSE_BANK`` says.

    A classroom's private bank must never get onto a public page.

    Raises:
        ValueError: for a malformed lesson name.
        FileNotFoundError: if the lesson has no bank.
    """
    return question_bank.load(lesson, question_bank.FOLDER)


_INSTRUCTIONS = {
    "any": "select all that apply",
    "one": "choose one",
    "number": "a number",
    "order": "tick the steps one after the other, the first one first",
    "point": "click on the place",
}


def render(
    lesson: str,
    name: str,
    question: Question | PackedQuestion,
    text_html: str,
    number: int | None = None,
) -> str:
    """A question as a form without blank lines, so that Markdown parses it as one HTML block.

    Args:
        lesson: the lesson's name, such as ``"05_unet"``.
        name: the question's name, such as ``"what-skips-do"``.
        question: its options, key, points and explanations.
        text_html: the question's text, already HTML.
        number: the question's number in its lesson, if it is shown.

    Raises:
        ValueError: for a malformed lesson name, if a :class:`Question` has to be packed.
    """
    if isinstance(question, Question):
        packed = json.loads(question_bank.pack(lesson, [question]))
        question = PackedQuestion(**packed[question.name])
    identifier = html.escape(f"question-{name}")
    instruction = html.escape(_instruction(question))
    heading = "Question" if number is None else f"Question {number}"
    # Outside a dialog, method="dialog" submits nothing: Enter does not reload the page where the
    # script is missing.
    return _without_blank_lines(
        f'<form class="course-question" id="{identifier}" method="dialog" autocomplete="off"'
        f' data-lesson="{html.escape(lesson)}" data-question="{html.escape(name)}"'
        f' data-kind="{question.kind}" data-points="{question.points:g}">'
        f'<fieldset aria-describedby="{identifier}-text">'
        f"<legend>{heading} <span>{_points(question.points)} · {instruction}</span></legend>"
        f'<div class="course-question-text" id="{identifier}-text">{text_html}</div>'
        f"{_controls(identifier, question)}"
        f"</fieldset>"
        f'<div class="course-question-check">'
        f'<button type="submit" hidden>Check</button>'
        f'<p role="status"></p></div>'
        f"<noscript>{_printed_answer(question)}</noscript>"
        f'<script type="application/json">{_pack(question)}</script>'
        f"</form>"
    )


def render_progress(lesson: str, points: Mapping[str, float] | None = None) -> str:
    """The element that shows a lesson's progress: "3 of 9 questions, 5 of 12 points".

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


def _instruction(question: PackedQuestion) -> str:
    format = question.format
    text = _INSTRUCTIONS[format.kind]
    if format.unit:
        text += f" in {format.unit}"
    tolerance = question.key.tolerance
    return text + (f", to within {tolerance}" if tolerance not in ("", "0") else "")


def _controls(identifier: str, question: PackedQuestion) -> str:
    """The inputs of a kind of question, and the places for its feedback."""
    place = f'<div class="course-question-feedback" id="{identifier}-feedback" hidden></div>'
    if question.kind == "number":
        return _number_field(question) + place
    if question.kind == "point":
        return _figure(question) + place
    options = "".join(
        _option(identifier, question.kind, letter, text)
        for letter, text in zip(question.letters, question.options, strict=True)
    )
    below = place if question.kind == "order" else ""
    return f'<ul class="course-question-options">{options}</ul>{below}'


def _number_field(question: PackedQuestion) -> str:
    unit = html.escape(question.format.unit)
    label = f"Your number in {unit}" if unit else "Your number"
    return (
        '<div class="course-question-fields"><input type="text" name="answer" inputmode="decimal"'
        ' spellcheck="false" maxlength="60" size="14" placeholder="e.g. 1,500"'
        f' aria-label="{label}">'
        f"<span>{unit}</span></div>"
    )


def _figure(question: PackedQuestion) -> str:
    """The figure with a point that clicks and arrow keys move; fields for its coordinates."""
    width, height = question.format.size
    areas = "".join(
        f'<span class="course-question-area" style="{_area_style(text, width, height)}"></span>'
        for text in question.right.split(";")
    )
    fields = "".join(
        f'<label>{name} <input type="number" name="{name}" min="0" max="{length - 1}" step="any">'
        "</label>"
        for name, length in (("x", width), ("y", height))
    )
    return (
        '<div class="course-question-figure" tabindex="0" role="group" aria-label="The figure:'
        f' arrow keys move the point, with Shift in large steps" data-width="{width}"'
        f' data-height="{height}"><img src="data:image/png;base64,{question.figure}"'
        f' alt="{html.escape(question.alt)}" width="{width}" height="{height}">'
        f'<span class="course-question-pin" hidden></span><span hidden>{areas}</span></div>'
        f'<div class="course-question-fields">{fields}'
        f"<span>pixels of {width} × {height}, from the top left</span></div>"
    )


def _area_style(text: str, width: int, height: int) -> str:
    x0, y0, x1, y1 = parse_box(text)
    return (
        f"left:{100 * x0 / width:.3f}%;top:{100 * y0 / height:.3f}%;"
        f"width:{100 * (x1 - x0) / width:.3f}%;height:{100 * (y1 - y0) / height:.3f}%"
    )


def _option(identifier: str, kind: str, letter: str, text: str) -> str:
    """One option; its explanation is written into the hidden part when the answer is checked."""
    place = '<span class="course-question-place"></span>' if kind == "order" else ""
    kind = "radio" if kind == "one" else "checkbox"
    return (
        f'<li><label><input type="{kind}" name="answer" value="{letter}">{place}'
        f"<span><b>{letter}</b> {text}</span></label>"
        f'<div class="course-question-feedback" id="{identifier}-{letter}" hidden></div></li>'
    )


def _printed_answer(question: PackedQuestion) -> str:
    """Key and explanations for readers without JavaScript.

    Sphinx's search excerpts include ``<noscript>`` but leave out elements with the class
    ``headerlink``, so no excerpt reveals an answer.
    """
    if question.kind not in ("any", "one"):
        return _printed_value(question)
    explanations = "".join(
        f"<li><b>{letter} · {'right' if letter in question.right else 'wrong'}.</b> {text}</li>"
        for letter, text in zip(question.letters, question.explanations, strict=True)
    )
    return (
        '<details class="course-question-answer headerlink">'
        f"<summary>Answer and explanations</summary><ul>{explanations}</ul></details>"
    )


def _printed_value(question: PackedQuestion) -> str:
    """The same for a number, an order or a place."""
    texts = question.explanations
    if question.kind == "order":
        order = [question.letters.index(letter) for letter in question.right]
        rows = [f"<b>{LETTERS[i]}</b> {question.options[i]}: {texts[i]}" for i in order]
    else:
        shown = [html.escape(question.format.describe(value)) for value in question.key.values]
        rows = [f"<b>{value}</b>: {text}" for value, text in zip(shown, texts, strict=True)]
    entries = "".join(f"<li>{row}</li>" for row in rows)
    return (
        '<details class="course-question-answer headerlink">'
        f"<summary>Answer and explanations</summary><ol>{entries}</ol></details>"
    )


def _pack(question: PackedQuestion) -> str:
    """Key and explanations as a JSON string in base64.

    A number's value comes with its tolerance, a box as its four edges.
    """
    key = question.key
    content: dict = {"right": question.right, "explanations": question.explanations}
    if question.kind == "number":
        unit = question.format.unit
        content |= {
            "unit": unit,
            "shown": question.format.describe(key.values[0]),
            "values": [[float(value), float(margin)] for value, margin in key.margins],
        }
    if question.kind == "point":
        content |= {
            "rights": question.right.count(";") + 1,
            "values": [parse_box(text) for text in key.values],
        }
    return json.dumps(base64.b64encode(json.dumps(content).encode()).decode())


def _points(points: float) -> str:
    return f"{points:g} point{'' if points == 1 else 's'}"


def _without_blank_lines(text: str) -> str:
    """In Markdown a blank line ends a block of HTML; ``&#10;`` keeps it inside ``<pre>``."""
    return re.sub(r"\n(?=[ \t]*\n)", "&#10;", text)
