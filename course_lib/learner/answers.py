"""The points of one answer. Every kind of question is scored in :func:`mark`, and nowhere else in
this package.
"""

from dataclasses import dataclass

from course_lib.quiz.question_bank import PackedQuestion


@dataclass(frozen=True)
class Mark:
    """The score of an answer. ``recorded`` is its normalised form, the same for equivalent answers.
    ``problem`` is the answer cell's message about an answer that can't be read; empty if it can.
    """

    earned: float
    recorded: str
    problem: str = ""


def mark(question: PackedQuestion, answer: str) -> Mark:
    """The points of an answer, scored as in the notebooks and the grader.

    Args:
        question: the question, from the lesson's question bank.
        answer: the string literal of the answer cell, or the website's answer; not blank.
    """
    try:
        recorded = question.format.parse(answer)
    except ValueError as error:
        return Mark(0.0, answer.strip(), str(error))
    return Mark(question.key.score(recorded), recorded)
