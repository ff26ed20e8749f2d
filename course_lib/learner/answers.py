"""The points of one answer. Every kind of question is scored in :func:`mark`, and nowhere else in
this package.
"""

from dataclasses import dataclass

from course_lib.quiz import scoring
from course_lib.quiz.question_bank import PackedQuestion


@dataclass(frozen=True)
class Mark:
    """What an answer earns. ``problem`` says why it can't be read, in the words that the answer
    cell uses; empty if it can.
    """

    earned: float
    problem: str = ""


def mark(question: PackedQuestion, answer: str) -> Mark:
    """The points of an answer, by the rule of the notebooks and the grader.

    Args:
        question: the question, from the lesson's question bank.
        answer: the string literal of the answer cell, or the website's answer; not blank.
    """
    right, wrong = question.right, question.wrong
    try:
        scoring.parse(answer, question.letters, multiple=question.kind == "any")
    except ValueError as error:
        return Mark(0.0, str(error))
    return Mark(scoring.grade(answer, right, wrong, question.points))
