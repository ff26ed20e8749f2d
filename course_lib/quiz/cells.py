"""The functions called by notebook cells: they record answers by question name and score them.

Invalid answers raise no exception: the learner reads an explanation below the cell, and the grader
gives 0 points. Exceptions mean a broken lesson (an unknown question, or no set-up cell).
"""

import re
from dataclasses import dataclass

import course_lib
from course_lib.quiz import question_bank, scoring, widget

_CHOOSE = re.compile(r"(any|one) of (A[B-H]+)")
_NO_ANSWER = "No answer yet."


@dataclass
class _RecordedAnswer:
    answer: object
    message: str  # what the learner reads: "Recorded: AC."


_lesson: str | None = None
_records: dict[str, _RecordedAnswer] = {}


def begin(lesson: str) -> None:
    """Set the lesson of this notebook."""
    global _lesson
    _lesson = lesson


def answer(name: str, answer: object, choose: str | None = None) -> None:
    """Record the answer to a question and show its boxes.

    Args:
        name: the question's name.
        answer: the letters as a string, ``"AC"``; blank for no answer.
        choose: in a classroom release, ``"any of ABCD"`` or ``"one of ABCD"``; no question bank is
            read and no feedback is shown. None in self-study.

    Raises:
        ValueError: for a question that the lesson doesn't have, or a malformed ``choose``.
        RuntimeError: if a self-study notebook's set-up cell was not run.
        FileNotFoundError: if the lesson's question bank is missing.
    """
    question = None
    if choose is not None:
        match = _CHOOSE.fullmatch(choose)
        if match is None or not scoring.LETTERS.startswith(match[2]):
            raise ValueError(f"choose must be like 'any of ABCD' or 'one of ABCD': got {choose!r}.")
        kind, letters = match.groups()
    elif course_lib.mode() == "grading":
        # The grader's sandbox has no question bank; the answer key has the letters.
        kind, letters = "any", scoring.LETTERS
    else:
        question = _find_question(name)
        kind, letters = question.kind, question.letters
    try:
        selected = scoring.parse(answer, letters, multiple=kind == "any")
        message = f"Recorded: {selected}." if selected else _NO_ANSWER
    except ValueError as error:
        selected, message = "", f"Not recorded: {error}"
    _records[name] = _RecordedAnswer(answer, message)
    if course_lib.mode() == "grading":
        print(message)
    else:
        widget.show(widget.View(name, kind, letters, selected, message, question))


def recorded(name: str) -> None:
    """Print the recorded answer to a question."""
    print(_records[name].message if name in _records else _NO_ANSWER)


def score(name: str, right: str, wrong: str, points: float) -> float:
    """Points for the recorded answer, see :func:`scoring.score`; 0 if it is missing or invalid."""
    return scoring.grade(_records[name].answer, right, wrong, points) if name in _records else 0.0


def passed(name: str) -> None:
    """Confirm that all visible checks of an exercise passed; the last line of its check cell."""
    print(f"✓ {name}: every check in this cell passed.")


def _find_question(name: str) -> question_bank.PackedQuestion:
    if _lesson is None:
        raise RuntimeError("Run the lesson's first code cell (the set-up), then this cell again.")
    questions = question_bank.load(_lesson)
    if name not in questions:
        raise ValueError(
            f"Lesson {_lesson} has no question {name!r}. It has: {', '.join(questions)}."
        )
    return questions[name]
