"""Every kind of question earns the same score as in the answer cell and in the grader."""

import base64
import json

import pytest

from course_lib.learner.answers import mark
from course_lib.quiz.question_bank import PackedQuestion


def question(choose: str, right: str, wrong: str, tolerance: str = "") -> PackedQuestion:
    key = {"right": right, "wrong": wrong, "tolerance": tolerance}
    encoded = base64.b64encode(json.dumps(key).encode()).decode()
    return PackedQuestion(choose.split()[0], 2, [], [], "", "", choose, encoded)


NUMBER = question("number in MB", "400", "0.04; 100", "1 %")


@pytest.mark.parametrize("text, earned", [("400", 2), ("402 MB", 2), ("100", 0), ("0.5", 0)])
def test_number_question(text, earned):
    assert mark(NUMBER, text).earned == earned == NUMBER.key.grade(text)
    assert not mark(NUMBER, text).problem


def test_unreadable_answer_earns_nothing_and_gives_the_reason():
    unread = mark(NUMBER, "many")
    assert unread.earned == 0 and unread.problem and unread.recorded == "many"


def test_letters_of_an_ordering_question_are_not_sorted():
    steps = question("order of ABC", "CAB", "")
    assert mark(steps, "c a b").earned == 2
    assert mark(steps, "ABC").earned < 2
    assert mark(steps, "c, a, b").recorded == "CAB"
