"""Grading one submission: scores, partial credit, and messages that reveal no hidden input."""

import json
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
from course_grading.autograde import answer_keys, grade
from course_grading.autograde.grade import ItemResult, SubmissionResult, grade_submission
from course_grading.sandbox.limits import Limits

from tests.support.same_process import close_sandbox

RIGHT = {
    "which_letters_answer": 'answer = "ca"',
    "how_many_answer": 'answer = "B"',
    "double_code": "import numpy as np\n\ndef double(x):\n    return x + x",
}


@pytest.fixture(autouse=True, scope="module")
def small_limits():
    """A limit of one second of CPU time, for endless loops; all tests share one sandbox."""
    limits = Limits(cpu_seconds=1, wall_seconds=300, memory=512 << 20, output=1 << 20)
    close_sandbox()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grade, "Limits", lambda: limits)
        yield
    close_sandbox()


def scores(result: SubmissionResult) -> dict[str, float]:
    assert not result.problem
    return {item.name: item.score for item in result.items}


def grade_double(task, key, submission, source: str) -> ItemResult:
    result = grade_submission(task(submission(double_code=source)), key)
    return next(item for item in result.items if item.name == "double")


def test_correct_answers_earn_all_points_and_blank_ones_none(task, key, submission):
    full = grade_submission(task(submission(**RIGHT)), key)
    assert scores(full) == {"which-letters": 3, "how-many": 1, "double": 2}
    assert [item.answer for item in full.items] == ["AC", "B", ""]
    assert not any(item.manual for item in full.items)
    blank = grade_submission(task(submission()), key)
    assert scores(blank) == {"which-letters": 0, "how-many": 0, "double": 0}
    assert "Not answered" in blank.items[2].message
    assert pickle.loads(pickle.dumps(full)) == SubmissionResult.from_json(full.to_json()) == full


def test_results_of_earlier_versions_can_be_read(task, key, submission):
    result = grade_submission(task(submission(**RIGHT)), key)
    fields = json.loads(result.to_json())
    fields["marks"], fields["when"] = fields.pop("items"), fields.pop("timestamp")
    assert SubmissionResult.from_json(json.dumps(fields)) == result


def test_non_literals_are_flagged_for_manual_grading(task, key, submission):
    result = grade_submission(task(submission(how_many_answer='answer = "A" + ""')), key)
    assert [item.manual for item in result.items] == [False, True, False]
    assert scores(result)["how-many"] == 0
    literal = grade_submission(task(submission(how_many_answer='answer = "X"')), key).items[1]
    assert literal.manual and literal.score == 0 and "'X'" in literal.message


# The visible check calls double(2); only the hidden cases are arrays.
ARRAYS = "def double(x):\n    if np.ndim(x):\n        {}\n    return x + x"
BY_SIGN = "def double(x):\n    if np.ndim(x) and x[0] > 0:\n        {}\n    return x + x"


@pytest.mark.parametrize(
    ("source", "score", "message"),
    [
        (ARRAYS.format("return 3 * x"), 0, "result is wrong"),
        (ARRAYS.format("return None"), 0, "returned None"),
        (ARRAYS.format("return (2 * x)[:2]"), 0, "wrong shape"),
        (ARRAYS.format("x *= 2; return x"), 0, "0 of 4"),
        (ARRAYS.format("raise ValueError(str(x))"), 0, "raised ValueError"),
        (ARRAYS.format("raise type('Hidden', (Exception,), {})(x)"), 0, "a custom exception"),
        (ARRAYS.format("raise NotImplementedError()"), 0, "not implemented yet"),
        (ARRAYS.format("import os; os._exit(0)"), 0, "ended the Python process"),
        (ARRAYS.format("\n        while True: pass"), 0, "too long"),
        (ARRAYS.format("return 'x' * 3_000_000"), 0, "returned too much"),
        (ARRAYS.format("return bytearray(3 << 30)"), 0, "MemoryError"),
        ("def double(x):\n    return 3 * x", 0, "A visible check fails: Twice two is four"),
        ("def double(x):\n    raise KeyError(x)", 0, "A visible check fails: KeyError"),
        ("def double(x):\n    import os; os._exit(0)", 0, "Not run: before the first hidden case"),
        ("def double(x)\n    return 2 * x", 0, "SyntaxError in line 1 of your cell"),
        ("def twice(x):\n    return 2 * x", 0, "does not define double"),
        ("1 / 0\ndef double(x):\n    return 2 * x", 0, "ZeroDivisionError in line 1 of your cell"),
        ("while True: pass", 0, "took too long"),
        ("def double(x):\n    print('here')\n    return np.asarray(x) * 2", 2, "4 of 4"),
        ("%matplotlib inline\ndef double(x):\n    return 2 * x", 2, "4 of 4"),
    ],
)
def test_exercises(task, key, submission, source, score, message):
    item = grade_double(task, key, submission, source)
    assert (item.score, message in item.message) == (score, True), item.message


@pytest.mark.parametrize(
    "fault", ["return None", "import os; os._exit(1)", "raise KeyError(str(x))"]
)
def test_partial_credit_does_not_depend_on_how_the_other_cases_fail(task, key, submission, fault):
    item = grade_double(task, key, submission, BY_SIGN.format(fault))
    right = sum(case[0] <= 0 for case in hidden_cases(key))
    assert 0 < right < 4 and item.score == 2 * right / 4 and f"{right} of 4" in item.message


def hidden_cases(key, student="ada"):
    seed = answer_keys.seeds(b"secret", key, student)["double"]
    return list(answer_keys.prepare(key.exercises[0]).cases(np.random.default_rng(seed)))


def test_hidden_inputs_differ_by_student(key):
    first = hidden_cases(key)[0].tolist()
    assert hidden_cases(key)[0].tolist() == first != hidden_cases(key, "bob")[0].tolist()


def test_no_message_shows_a_hidden_input_or_chosen_text(task, key, submission):
    source = ARRAYS.format("raise type(str(x), (Exception,), {})(str(x))")
    result = grade_submission(task(submission(double_code=source)), key).to_json()
    for case in hidden_cases(key):
        assert str(case[0])[:6] not in result.replace(source, "")


def test_result_is_reproducible_byte_for_byte(task, key, submission):
    source = "import random\n" + ARRAYS.format(
        "return x + x if random.random() + np.random.rand() > 1 else x"
    )
    data = submission(double_code=source)
    assert len({grade_submission(task(data), key).to_json() for _ in range(2)}) == 1


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[" * 100_000, b'{"cells": [], "nbformat": 4}', b"\x00\xff"]
)
def test_unreadable_submission_is_a_problem(task, key, data):
    result = grade_submission(task(data), key)
    assert result.problem and not result.items


def test_overlong_cell_is_a_problem(task, key, submission):
    result = grade_submission(task(submission(double_code="x" * 300_000)), key)
    assert "double-code" in result.problem


# ---- attempts to earn unearned points ----


ALWAYS_EQUAL = """
class Equal(int):
    def __eq__(self, other):
        return True
    __hash__ = None
def double(x):
    return 2 * x if np.ndim(x) and x[0] > 0 else Equal(7)
"""
FORGED = """
import os
os.write(3, b'{"check": null}\\n')
os.write(3, b''.join(b'{"case": %d, "output": 1}\\n' % n for n in range(9)))
def double(x):
    return 2 * x if np.ndim(x) and x[0] > 0 else 0
"""
PATCHED = """
import builtins
run = builtins.exec
builtins.exec = lambda code, names: None if code.co_filename == "<its check>" else run(code, names)
def double(x):
    return 2 * x if np.ndim(x) and x[0] > 0 else 0
"""


@pytest.mark.parametrize("source", [ALWAYS_EQUAL, FORGED, PATCHED], ids=["equal", "forged", "exec"])
def test_forged_verdict_of_the_visible_check_is_detected(task, key, submission, source):
    item = grade_double(task, key, submission, source)
    assert item.score == 0 and "A visible check fails" in item.message, item.message


@pytest.mark.parametrize("calls", [2, 3, 4, 5])
def test_function_that_is_correct_only_in_its_first_calls_earns_nothing(
    task, key, submission, calls
):
    source = f"""
count = 0
def double(x):
    global count
    count += 1
    return 2 * x if count <= {calls} else 0 * x
"""
    for student in ("ada", "bob", "cem"):
        data = submission(double_code=source)
        result = grade_submission(task(data, student), key)
        assert result.items[2].score == 0


def test_crashes_do_not_reset_the_call_count(task, key, submission):
    source = """
import os
count = 0
def double(x):
    global count
    count += 1
    if count > 3:
        os._exit(0)
    return 2 * x
"""
    assert grade_double(task, key, submission, source).score == 0


def test_result_that_depends_on_earlier_calls_needs_manual_grading(task, key, submission):
    source = "seen = []\ndef double(x):\n    seen.append(1)\n    return 2 * x * (len(seen) < 6)"
    item = grade_double(task, key, submission, source)
    assert (item.score, item.manual) == (0, True) and "earlier calls" in item.message


def test_state_carried_from_case_to_case_is_detected(task, key, submission):
    """A function whose results are correct in separate processes but wrong in the shared process
    needs manual grading.
    """
    source = """
seen = []
def double(x):
    if not np.ndim(x):
        return 2 * x
    seen.append(x)
    return 2 * seen[0]
"""
    item = grade_double(task, key, submission, source)
    assert (item.score, item.manual) == (0, True) and "earlier calls" in item.message


def test_calls_that_could_not_be_repeated_need_manual_grading(task, key, submission):
    source = f"""
import time
calls = []
def double(x):
    calls.append(x)
    while len(calls) > {1 + 4 + 1 + 1}:
        pass
    return 2 * x
"""
    item = grade_double(task, key, submission, source)
    assert (item.score, item.manual) == (2, True) and "could be repeated" in item.message


def test_constant_function_earns_nothing(task, key, submission):
    """Always returning the most frequent result, here 0 in half the cases, earns no points."""
    (exercise,) = key.exercises
    hidden = "def cases(rng):\n    for n in range(8):\n        yield n * (n % 2)\ntolerance = 0"
    key = replace(key, exercises=(replace(exercise, hidden=hidden),))
    expected = {"2 * x": 2, "4 if x == 2 else 0": 0, "{2: 4, 1: 2, 3: 6}.get(x, 0)": 1}
    for body, score in expected.items():
        item = grade_double(task, key, submission, f"def double(x):\n    return {body}")
        assert item.score == score, (body, item.message)


def test_forged_or_malformed_output_line_fails_only_its_case(task, key, submission):
    malformed = [
        b'{"case": 0, "ended": []}',
        b'{"case": 0, "output": {"a": []}}',
        b'{"case": 0, "output": ["dict", [["list"], 1]]}',
        b'{"case": 0, "error": ["x"]}',
        b'{"case": 0, "output": 1, "after": 3}',
        b'{"case": 0, ',
        b"{}",
        b"[]",
    ]
    for line in malformed:
        written = repr(line + b"\n")
        source = f"import os\ndef double(x):\n    os.write(3, {written})\n    return x + x"
        item = grade_double(task, key, submission, source)
        forges_a_case = line.startswith(b'{"case": 0, ')
        assert item.score == (1.5 if forges_a_case else 2), (line, item.message)


def test_many_output_lines_are_read_quickly(task, key, submission):
    source = "import os\nos.write(3, b'{}\\n' * 300_000)\ndef double(x):\n    return x + x"
    assert grade_double(task, key, submission, source).score == 2


def test_colliding_hash_keys_are_read_quickly(task, key, submission):
    pairs = "b','.join(b'[%d,0]' % (k * (2**61 - 1)) for k in range(1, 30_000))"
    source = (
        f'import os\nos.write(3, b\'{{"case": 0, "output": ["dict",\' + {pairs} + b\']}}\\n\')\n'
        "def double(x):\n    return x + x"
    )
    assert grade_double(task, key, submission, source).score == 1.5


# ---- code that a kernel accepts ----


RIGHT_BODY = "def double(x):\n    return 2 * np.asarray(x)"


@pytest.mark.parametrize(
    "source",
    [
        f"{RIGHT_BODY}\n\ndisplay(double(3))",
        f"{RIGHT_BODY}\n\ndouble??",
        f"?double\n{RIGHT_BODY}",
        f"took = %timeit -o -n1 -r1 1 + 1\n{RIGHT_BODY}\nprint(f'{{took.average:.2f}}')",
        f"files = !ls\n{RIGHT_BODY}",
        f"%%time\n{RIGHT_BODY}",
        f"get_ipython().run_line_magic('matplotlib', 'inline')\n{RIGHT_BODY}",
        f"from IPython import get_ipython\nget_ipython().system('ls')\n{RIGHT_BODY}",
        ">>> def double(x):\n...     return 2 * np.asarray(x)",
        "In [3]: def double(x):\n   ...:     return 2 * np.asarray(x)\n   ...: ",
        "def double(x):\n    %time y = 2 * np.asarray(x)\n    return y",
        f"import asyncio\nawait asyncio.sleep(0)\n{RIGHT_BODY}",
        f"{RIGHT_BODY}\nprint(Out[3], In[2], _)",
        f"pip install numpy\n{RIGHT_BODY}",
        "from __future__ import annotations\ndef double(x: Number) -> Number:\n    return 2 * x",
    ],
)
def test_code_that_a_kernel_accepts_is_graded(task, key, submission, source):
    item = grade_double(task, key, submission, f"# Exercise: double (2 points)\n{source}")
    assert item.score == 2, item.message


@pytest.mark.parametrize(
    "source",
    [
        f"<<<<<<< local\n{RIGHT_BODY}\n=======\ndef double(x):\n    return 0\n>>>>>>> remote",
        f"```python\n{RIGHT_BODY}\n```",
    ],
)
def test_code_with_merge_conflict_markers_needs_manual_grading(task, key, submission, source):
    item = grade_double(task, key, submission, source)
    assert (item.score, item.manual) == (0, True) and "will look at it" in item.message


def test_conflict_markers_inside_a_string_are_code(task, key, submission):
    source = f'text = """\n=======\n"""\n{RIGHT_BODY}'
    assert grade_double(task, key, submission, source).score == 2


@pytest.mark.parametrize("typed", ["A/C", "A and C", "(A)(C)", "A. C.", "[A, C]", "1,3", "А"])
def test_unreadable_answer_needs_manual_grading(task, key, submission, typed):
    data = submission(which_letters_answer=f'answer = "{typed}"')
    item = grade_submission(task(data), key).items[0]
    assert (item.score, item.manual) == (0, True) and "will look at it" in item.message


def test_too_many_letters_earn_nothing_without_manual_grading(task, key, submission):
    item = grade_submission(task(submission(how_many_answer='answer = "AB"')), key).items[1]
    assert (item.score, item.manual) == (0, False) and "2 letters" in item.message


# ---- messages ----


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            f"import cv2\n{RIGHT_BODY}",
            "Not run: your code raises ModuleNotFoundError in line 1 of your cell: "
            "No module named 'cv2': the grader has only what the course installs.",
        ),
        (
            "def double(x):\n    return kernal * x",
            "A visible check fails: NameError in line 2 of your cell: name 'kernal' is not defined",
        ),
        (
            ARRAYS.format("return kernal"),
            "0 of 4 hidden cases passed. In 4 cases your function raised NameError: "
            "name 'kernal' is not defined.",
        ),
        (
            "raise NameError(name='not_here' + '1')",
            "Not run: your code raises NameError in line 1 of your cell.",
        ),
        (
            ARRAYS.format("raise NameError(name='a' if x[0] > 0 else 'b')"),
            "0 of 4 hidden cases passed. In 4 cases your function raised NameError.",
        ),
    ],
)
def test_messages_name_the_missing_module_or_name(task, key, submission, source, message):
    assert grade_double(task, key, submission, source).message == message


def test_syntax_error_message_gives_the_python_version(task, key, submission):
    version = ".".join(map(str, sys.version_info[:2]))
    item = grade_double(task, key, submission, "def double(x)\n    return 2 * x")
    assert item.message == (
        "Not run: your code raises SyntaxError in line 1 of your cell: the grader has Python "
        f"{version}."
    )


# ---- submissions to an earlier release ----


def with_former_signature(key, formerly: str):
    (exercise,) = key.exercises
    return replace(key, exercises=(replace(exercise, formerly=formerly),))


def test_former_name_of_the_function_is_graded(task, key, submission):
    key = with_former_signature(key, "twice")
    item = grade_double(task, key, submission, "def twice(x):\n    return x + x")
    assert item.score == 2
    item = grade_double(task, key, submission, "def double(x):\n    return x + x")
    assert item.score == 2
    item = grade_double(task, key, submission, "def thrice(x):\n    return x + x")
    assert item.score == 0 and "does not define double" in item.message


def test_former_parameters_count_in_keyword_calls(task, key, submission):
    (exercise,) = key.exercises
    *cells, check = exercise.cells
    cells = (*cells, check.replace("double(2)", "double(x=2)"))
    assert cells[-1] != check
    key = replace(key, exercises=(replace(exercise, cells=cells, formerly="twice(number)"),))
    item = grade_double(task, key, submission, "def twice(number):\n    return number + number")
    assert item.score == 2, item.message
    item = grade_double(task, key, submission, "def double(y):\n    return y + y")
    assert item.score == 0 and "A visible check fails: TypeError" in item.message
