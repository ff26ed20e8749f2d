"""The functions called by notebook cells: they record answers by question name and score them.

Invalid answers raise no exception: the learner reads an explanation below the cell, and the grader
gives 0 points. Exceptions mean a broken lesson (an unknown question, or no set-up cell).
"""

from dataclasses import dataclass

import course_lib
from course_lib.quiz import answer_boxes, question_bank, scoring
from course_lib.quiz.answers import AnswerFormat, Key

_NO_ANSWER = "No answer yet."


@dataclass
class _RecordedAnswer:
    answer: object
    message: str  # what the learner reads: "Recorded: AC."


_lesson: str | None = None
_records: dict[str, _RecordedAnswer] = {}


def begin(lesson: str) -> None:
    """Set the notebook's lesson, whose question bank :func:`answer` reads in self-study."""
    global _lesson
    _lesson = lesson


def answer(name: str, answer: object, choose: str | None = None) -> None:
    """Record the answer to a question and show its answer boxes.

    Args:
        name: the question's name.
        answer: the answer as a string, ``"AC"`` or ``"196,608"``; blank for no answer.
        choose: in a classroom release, the answer's format: ``"any of ABCD"`` for one or more of
            these letters, see :class:`course_lib.quiz.answers.AnswerFormat` for the others; no
            question bank is read and no feedback is shown. None in self-study.

    Raises:
        ValueError: for a question that the lesson doesn't have, or a malformed ``choose``.
        RuntimeError: if a self-study notebook's set-up cell was not run.
        FileNotFoundError: if the lesson's question bank is missing.
    """
    question = None
    if choose is not None:
        format = AnswerFormat.from_text(choose)
    elif course_lib.mode() == "grading":
        # The grader's sandbox has no question bank; the answer key has the format.
        _records[name] = _RecordedAnswer(answer, _message_without_format(answer))
        print(_records[name].message)
        return
    else:
        question = _find_question(name)
        format = question.format
    try:
        recorded = format.parse(answer)
        message = f"Recorded: {format.describe(recorded)}." if recorded else _NO_ANSWER
    except ValueError as error:
        recorded, message = "", f"Not recorded: {error}"
    _records[name] = _RecordedAnswer(answer, message)
    if course_lib.mode() == "grading":
        print(message)
    else:
        answer_boxes.show(
            answer_boxes.View(name, format, recorded, message, question, _literal(answer))
        )


def recorded(name: str) -> None:
    """Print the recorded answer to a question, in grading mode only.

    Elsewhere the answer boxes above show what is recorded. They change with every click, so an
    output of this cell could be stale.
    """
    if course_lib.mode() == "grading":
        print(_records[name].message if name in _records else _NO_ANSWER)


def score(
    name: str, right: str, wrong: str, points: float, choose: str = "", tolerance: str = ""
) -> float:
    """Points for the recorded answer, 0 if it is missing or invalid; the other arguments are those
    of :meth:`course_lib.quiz.answers.Key.make`.
    """
    key = Key.make(right, wrong, points, choose, tolerance)
    return key.grade(_records[name].answer) if name in _records else 0.0


def passed(name: str) -> None:
    """Confirm that all visible checks of an exercise passed; the last line of its check cell."""
    print(f"✓ {name}: every check in this cell passed.")


def _message_without_format(answer: object) -> str:
    """The message about an answer whose format is unknown; letters are sorted."""
    try:
        letters = scoring.parse(answer)
    except ValueError as error:
        if isinstance(answer, str) and not answer.isalpha():
            return f"Recorded: {answer.strip()[:60]}."
        return f"Not recorded: {error}"
    return f"Recorded: {letters}." if letters else _NO_ANSWER


def _literal(answer: object) -> str:
    """The answer as typed in the cell, even if invalid, truncated; empty if it is not a string."""
    return answer[:60] if isinstance(answer, str) else ""


def _find_question(name: str) -> question_bank.PackedQuestion:
    if _lesson is None:
        raise RuntimeError("Run the lesson's first code cell (the set-up), then this cell again.")
    questions = question_bank.load(_lesson)
    if name not in questions:
        raise ValueError(
            f"Lesson {_lesson} has no question {name!r}. It has: {', '.join(questions)}."
        )
    return questions[name]
