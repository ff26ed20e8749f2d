"""Write questions in the GIFT format: *Question bank > Import > GIFT format* in Moodle.

GIFT supports neither points nor files, unlike Moodle XML: points are written into comments, and
images are embedded as data URIs.

Sources: https://docs.moodle.org/405/en/GIFT_format, compared with
``question/format/gift/format.php`` (numerical and matching questions too) of https://github.com/moodle/moodle
"""

import base64
from pathlib import Path

from course_grading.export.questions import (
    Bank,
    Image,
    QuizOption,
    QuizQuestion,
    RichText,
    decimal,
    differing_orders,
)
from course_grading.export.questions_moodle import (
    category_path,
    inexact_fractions,
    nearest_fraction,
)

FILE_NAME = "questions-gift.txt"
# A blank line would end the question, so newlines are escaped too.
_ESCAPES = str.maketrans({**{c: f"\\{c}" for c in "\\~=#{}:"}, "\n": r"\n"})


def link(image: Image) -> str:
    """The ``src`` of an image: a data URI."""
    return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode('ascii')}"


def write(banks: list[Bank], folder: Path) -> tuple[Path, list[str]]:
    """Write the file into a folder; returns its path and messages."""
    parts = []
    messages = [
        "GIFT has no points: in Moodle every question gets 1. Set them in the quiz (a comment "
        "above each question states them), or use --questions moodle"
    ]
    for bank in banks:
        parts.append(f"$CATEGORY: {category_path(bank)}\n")
        for question in bank.questions:
            parts.append(_format_question(question))
            messages += inexact_fractions(question)
            messages += differing_orders(question, "GIFT")
            if question.kind == "order":
                messages.append(
                    f"{question.identifier}: matching questions in GIFT have no explanations"
                )
    path = folder / FILE_NAME
    path.write_text("\n".join(parts), encoding="utf-8", newline="\n")
    return path, messages


def escape(text: str) -> str:
    """Escape GIFT's special characters."""
    return text.translate(_ESCAPES)


def _format_question(question: QuizQuestion) -> str:
    lines = [
        # Moodle reads the ID number from the comment.
        f"// [id:{question.identifier}] points: {question.points:g}",
        f"::{escape(question.title)}::{_format_text(question.text)}{{",
        *_format_answers(question),
        "}",
    ]
    if question.kind == "number":
        lines[1] += "#"
    return "\n".join(lines) + "\n"


def _format_answers(question: QuizQuestion) -> list[str]:
    if question.kind == "number":  # value:tolerance; without %0% it gets full credit
        return [
            f"\t={'' if value.right else '%0%'}{decimal(value.value)}:{decimal(value.margin)}"
            f"#{_format_text(value.feedback)}"
            for value in question.values
        ]
    if question.kind == "order":
        return [
            f"\t={_format_text(option.text)} -> {question.sequence.index(option.letter) + 1}"
            for option in question.options
        ]
    return [_format_option(question, option) for option in question.options]


def _format_option(question: QuizQuestion, option: QuizOption) -> str:
    if question.multiple:
        mark = f"~%{nearest_fraction(question.credit(option))}%"
    else:
        mark = "=" if option.right else "~"
    return f"\t{mark}{_format_text(option.text)}#{_format_text(option.feedback)}"


def _format_text(text: RichText) -> str:
    return f"[html]{escape(text.html)}"
