"""One submission, marked: points, partial credit, messages that help and give nothing away."""

import pickle

import pytest
from course_grading.autograde import answer_keys, grade
from course_grading.autograde.grade import Marked, mark
from course_grading.sandbox.host import Limits, Sandbox

RIGHT = {
    "which_letters_answer": 'answer = "ca"',
    "how_many_answer": 'answer = "B"',
    "double_code": "import numpy as np\n\ndef double(x):\n    return x + x",
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Less time for what never ends."""
    monkeypatch.setattr(
        grade, "Limits", lambda: Limits(seconds=2, patience=300, memory=512 << 20, output=1 << 20)
    )
    yield
    held = grade._here.__dict__.pop("sandbox", None)
    if held is not None:
        held.close()


def scores(marked: Marked) -> dict[str, float]:
    assert not marked.problem
    return {m.name: m.score for m in marked.marks}


def exercise(task, key, work, source: str):
    marked = mark(task(work(double_code=source)), key)
    (found,) = [m for m in marked.marks if m.name == "double"]
    return found.score, found.message


def test_right_answers_earn_everything_and_blank_ones_nothing(task, key, work):
    full = mark(task(work(**RIGHT)), key)
    assert scores(full) == {"which-letters": 3, "how-many": 1, "double": 2}
    assert [m.answer for m in full.marks] == ["AC", "B", ""] and not any(
        m.manual for m in full.marks
    )
    blank = mark(task(work()), key)
    assert scores(blank) == {"which-letters": 0, "how-many": 0, "double": 0}
    assert "Not answered" in blank.marks[2].message
    assert pickle.loads(pickle.dumps(full)) == Marked.from_json(full.to_json()) == full


def test_what_is_no_literal_goes_to_a_person(task, key, work):
    marked = mark(task(work(how_many_answer='answer = "A" + ""')), key)
    assert [m.manual for m in marked.marks] == [False, True, False] and scores(marked)[
        "how-many"
    ] == 0
    typed = mark(task(work(how_many_answer='answer = "X"')), key).marks[1]
    assert not typed.manual and typed.score == 0 and "'X'" in typed.message


# The visible check asks for double(2); only the hidden cases are arrays.
ARRAYS = "def double(x):\n    if np.ndim(x):\n        {}\n    return x + x"
BY_SIGN = "def double(x):\n    if np.ndim(x) and x[0] > 0:\n        {}\n    return x + x"


@pytest.mark.parametrize(
    ("source", "earned", "told"),
    [
        (ARRAYS.format("return 3 * x"), 0, "not the right one"),
        (ARRAYS.format("return None"), 0, "returned None"),
        (ARRAYS.format("return (2 * x)[:2]"), 0, "wrong shape"),
        (ARRAYS.format("x *= 2; return x"), 0, "0 of 4"),
        (ARRAYS.format("raise ValueError(str(x))"), 0, "ended in ValueError"),
        (ARRAYS.format("raise type('Hidden', (Exception,), {})(x)"), 0, "an error of its own"),
        (ARRAYS.format("raise NotImplementedError()"), 0, "not written yet"),
        (ARRAYS.format("import os; os._exit(0)"), 0, "ended the Python process"),
        (ARRAYS.format("\n        while True: pass"), 0, "too long"),
        (ARRAYS.format("return 'x' * 3_000_000"), 0, "returned too much"),
        (ARRAYS.format("return bytearray(3 << 30)"), 0, "MemoryError"),
        ("def double(x):\n    return 3 * x", 0, "A visible check fails: Twice two is four"),
        ("def double(x):\n    raise KeyError(x)", 0, "A visible check fails: KeyError"),
        ("def double(x):\n    import os; os._exit(0)", 0, "Not run: before the first hidden case"),
        ("def double(x)\n    return 2 * x", 0, "SyntaxError in its line 1"),
        ("def twice(x):\n    return 2 * x", 0, "does not define double"),
        ("1 / 0\ndef double(x):\n    return 2 * x", 0, "ZeroDivisionError in its line 1"),
        ("while True: pass", 0, "took too long"),
        ("def double(x):\n    print('here')\n    return np.asarray(x) * 2", 2, "4 of 4"),
        ("%matplotlib inline\ndef double(x):\n    return 2 * x", 2, "4 of 4"),
    ],
)
def test_exercises(task, key, work, source, earned, told):
    score, message = exercise(task, key, work, source)
    assert (score, told in message) == (earned, True), message


@pytest.mark.parametrize(
    "does", ["return None", "import os; os._exit(1)", "raise KeyError(str(x))"]
)
def test_part_of_the_cases_earns_its_part_whatever_the_others_do(task, key, work, does):
    score, message = exercise(task, key, work, BY_SIGN.format(does))
    right = sum(case[0] <= 0 for case in hidden(key))
    assert 0 < right < 4 and score == 2 * right / 4 and f"{right} of 4" in message


def hidden(key, student="ada"):
    import numpy as np

    seed = answer_keys.seeds(b"secret", key, student)["double"]
    return list(answer_keys.prepare(key.exercises[0]).cases(np.random.default_rng(seed)))


def test_hidden_inputs_differ_by_student(key):
    assert hidden(key)[0].tolist() == hidden(key)[0].tolist() != hidden(key, "bob")[0].tolist()


def test_no_message_shows_a_hidden_input_or_chosen_text(task, key, work):
    said = ARRAYS.format("raise type(str(x), (Exception,), {})(str(x))")
    told = mark(task(work(double_code=said)), key).to_json()
    for case in hidden(key):
        assert str(case[0])[:6] not in told.replace(said, "")


def test_the_same_submission_gets_the_same_result_to_the_byte(task, key, work):
    chance = "import random\n" + ARRAYS.format(
        "return x + x if random.random() + np.random.rand() > 1 else x"
    )
    assert len({mark(task(work(double_code=chance)), key).to_json() for _ in range(2)}) == 1


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[" * 100_000, b'{"cells": [], "nbformat": 4}', b"\x00\xff"]
)
def test_what_can_not_be_read_is_a_problem(task, key, data):
    marked = mark(task(data), key)
    assert marked.problem and not marked.marks


def test_a_cell_of_a_novels_length_is_a_problem(task, key, work):
    assert "double-code" in mark(task(work(double_code="x" * 300_000)), key).problem


def test_what_a_submission_leaves_behind_is_gone_for_the_next():
    import os

    from course_grading.sandbox.guest.serialize import lines
    from course_grading.sandbox.host import Job

    leave = "import os, time\ndef f():\n    open('left', 'w').close()\n    if not os.fork():\n        time.sleep(99)"
    look = "import os\ndef f():\n    return [os.listdir('.'), [p for p in os.listdir('/proc') if p.isdecimal()]]"
    with Sandbox() as sandbox:
        for source in (leave, look):
            ended = sandbox.run(Job([source], "f", [(0, pickle.dumps(()))]))
        _, line = lines(ended.raw)
        # the first process and this one
        assert line["output"][1] == ["list"] and len(line["output"][2]) == 3
        assert sandbox._process.pid and os.path.exists(f"/proc/{sandbox._process.pid}")


def test_who_ends_every_case_after_a_while_does_not_hold_up_the_class(task, key, work, monkeypatch):
    monkeypatch.setattr(grade, "SLOW", 0)  # so that the first is already late
    slowly = ARRAYS.format("import os, time; time.sleep(1); os._exit(0)")
    score, message = exercise(task, key, work, slowly)
    assert score == 0 and "In 4 cases it took too long" in message, message
