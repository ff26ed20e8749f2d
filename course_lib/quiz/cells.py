"""What happens in the learner's kernel: answers are read from cells, kept by name, and scored.

An answer that cannot be read raises nothing: a learner who mistypes is told so in place, and the
grader gives 0. What raises is a broken lesson (an unknown question, no set-up cell).
"""

import re
from dataclasses import dataclass

import course_lib
from course_lib.quiz import question_bank, scoring, widget

_CHOOSE = re.compile(r"(any|one) of (A[B-H]+)")
_BLANK = "No answer yet."


@dataclass
class _Record:
    typed: object
    line: str  # what the learner is told: "Recorded: AC."


_lesson: str | None = None
_records: dict[str, _Record] = {}


def begin(lesson: str) -> None:
    """Say which lesson this notebook is; its set-up cell does."""
    global _lesson
    _lesson = lesson


def answer(name: str, answer: object, choose: str | None = None) -> None:
    """Record the answer to a question and show its boxes.

    Args:
        name: the question's name.
        answer: the letters, as text: ``"AC"``; blank while there is none.
        choose: in a classroom release the whole description of the question, ``"any of ABCD"`` or
            ``"one of ABCD"``; no bank is opened and no feedback given. In self-study None.

    Raises:
        ValueError: if the lesson has no such question, or ``choose`` has another form.
        RuntimeError: if a self-study notebook's set-up cell has not run.
        FileNotFoundError: if the lesson's bank is missing.
    """
    question = None
    if choose is not None:
        described = _CHOOSE.fullmatch(choose)
        if described is None or not scoring.LETTERS.startswith(described[2]):
            raise ValueError(f"choose must be like 'any of ABCD' or 'one of ABCD': got {choose!r}.")
        kind, letters = described.groups()
    elif (
        course_lib.mode() == "grading"
    ):  # the grader's sandbox has no bank; only its key knows the letters
        kind, letters = "any", scoring.LETTERS
    else:
        question = _find(name)
        kind, letters = question.kind, question.letters
    try:
        ticked = scoring.parse(answer, letters, multiple=kind == "any")
        line = f"Recorded: {ticked}." if ticked else _BLANK
    except ValueError as error:
        ticked, line = "", f"Not recorded: {error}"
    _records[name] = _Record(answer, line)
    if course_lib.mode() == "grading":
        print(line)
    else:
        widget.show(widget.View(name, kind, letters, ticked, line, question))


def recorded(name: str) -> None:
    """Print in one line what is recorded for a question."""
    print(_records[name].line if name in _records else _BLANK)


def score(name: str, right: str, wrong: str, points: float) -> float:
    """Points for what is recorded, by the rule of `scoring.score`; 0 for no answer or an invalid
    one.
    """
    return scoring.grade(_records[name].typed, right, wrong, points) if name in _records else 0.0


def passed(name: str) -> None:
    """Confirm that every visible check of an exercise holds; its check cell ends with this."""
    print(f"✓ {name}: every check in this cell passed.")


def _find(name: str) -> question_bank.PackedQuestion:
    if _lesson is None:
        raise RuntimeError("Run the lesson's first code cell (the set-up), then this cell again.")
    questions = question_bank.load(_lesson)
    if name not in questions:
        raise ValueError(
            f"Lesson {_lesson} has no question {name!r}. It has: {', '.join(questions)}."
        )
    return questions[name]
