"""The controls of the answer boxes, for each kind of answer; all of them are native inputs.

If the texts or the figure are unknown, as in a classroom release, their elements stay empty: the
JupyterLab extension fills them in from the question's own cell.
"""

import html

from course_lib.quiz import feedback
from course_lib.quiz.answers import AnswerFormat
from course_lib.quiz.question_bank import PackedQuestion


def render(format: AnswerFormat, shown: str, question: PackedQuestion | None, recorded: str) -> str:
    """The HTML of the controls.

    Args:
        format: the answer's format.
        shown: what the controls show: the recorded answer, or a text that could not be parsed.
        question: texts and figure; None if they are not known here.
        recorded: the recorded answer, to which feedback is given; empty for none.
    """
    if format.kind == "number":
        return _number(format, shown)
    if format.kind == "point":
        return _point(format, recorded, question)
    return _options(format, recorded, question)


def _number(format: AnswerFormat, shown: str) -> str:
    unit = f' <span class="course-quiz-unit">{html.escape(format.unit)}</span>'
    label = f"Your number in {format.unit}" if format.unit else "Your number"
    # type="number" would refuse 1,500 and 3/4 in a way that differs between browsers.
    return (
        '<div class="course-quiz-fields"><input type="text" name="answer" inputmode="decimal"'
        f' autocomplete="off" spellcheck="false" maxlength="60" size="14"'
        f' aria-label="{html.escape(label)}" placeholder="e.g. 1,500"'
        f' value="{html.escape(shown)}">{unit if format.unit else ""}</div>'
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


def _point(format: AnswerFormat, recorded: str, question: PackedQuestion | None) -> str:
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
        f' data-height="{height}" aria-label="The figure: arrow keys move the point, with Shift in'
        f' large steps"{hidden}>{image}{areas}<span class="course-quiz-pin" hidden></span></div>'
        f'<div class="course-quiz-fields">{fields}'
        f"<span>pixels of {width} × {height}, from the top left</span></div>"
    )
