"""Write questions in the GIFT format: *Question bank > Import > GIFT format* in Moodle.

GIFT holds neither points nor files: points are written into comments, pictures into the text.
Moodle XML holds both.

Sources: https://docs.moodle.org/405/en/GIFT_format, compared with
``question/format/gift/format.php`` (numerical and matching questions too) of https://github.com/moodle/moodle
"""

import base64
from pathlib import Path

from course_grading.export.questions import (
    Bank,
    Picture,
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
# A blank line would end the question, so line ends are escaped too.
_ESCAPES = str.maketrans({**{c: f"\\{c}" for c in "\\~=#{}:"}, "\n": r"\n"})


def link(picture: Picture) -> str:
    """The source of a picture: the picture itself, as a data URI."""
    return f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode('ascii')}"


def write(banks: list[Bank], folder: Path) -> tuple[Path, list[str]]:
    """Write the file into a folder; returns its path and messages."""
    parts = []
    messages = [
        "GIFT holds no points: Moodle gives every question 1. Set them in the quiz (a comment "
        "above each question states them), or use --questions moodle"
    ]
    for bank in banks:
        parts.append(f"$CATEGORY: {category_path(bank)}\n")
        for question in bank.questions:
            parts.append(_format_question(question))
            messages += inexact_fractions(question)
            messages += differing_orders(question, "GIFT")
            if question.kind == "order":
                messages.append(f"{question.identifier}: GIFT's matching has no explanations")
    path = folder / FILE_NAME
    path.write_text("\n".join(parts), encoding="utf-8", newline="\n")
    return path, messages


def escape(text: str) -> str:
    """Text in which none of GIFT's own characters has its meaning."""
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
    if question.kind == "number":  # value:tolerance; no credit is full credit
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
