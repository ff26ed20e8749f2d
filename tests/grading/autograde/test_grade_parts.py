"""The steps of grading one submission, without a sandbox: scores, repeated calls and messages."""

import json
import pickle
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from course_grading.autograde import grade, messages
from course_grading.autograde.answer_keys import AnswerKey, ExerciseKey, QuestionKey, prepare
from course_grading.autograde.grade import (
    Fault,
    GradingTask,
    ItemResult,
    SubmissionResult,
    grade_submission,
)
from course_grading.sandbox.guest.serialize import serialize
from course_grading.sandbox.host import Job, JobResult
from course_grading.sandbox.limits import Limits
from nbformat import NotebookNode, writes
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

CHECK = "# Check: double (run this cell)\nassert double(2) == 4, 'Twice two is four'\n"
EXERCISE = ExerciseKey(
    name="double",
    function="double",
    points=2.0,
    reference="def double(x):\n    return 2 * x",
    hidden="def cases(rng):\n    for n in (1, 3, 5, 7):\n        yield n\ntolerance = 0",
    comparison="tolerance",
    cells=("shift = 0", "def double(x):\n    return 2 * x", CHECK + "quiz.passed('double')"),
)
BLANK = "def double(x):\n    raise NotImplementedError()"


def released(*, answer: str = 'answer = ""', code: str = BLANK) -> NotebookNode:
    """A release with one question and one exercise, or a submission of it."""

    def graded(kind, source: str, grade_id: str, **flags) -> NotebookNode:
        cell = kind(source, id=grade_id)
        flags = {"grade": False, "solution": False, "locked": True, "task": False} | flags
        cell.metadata["nbgrader"] = {"grade_id": grade_id, "schema_version": 3, **flags}
        return cell

    return new_notebook(
        cells=[
            new_code_cell("shift = 0", id="setup"),
            graded(new_markdown_cell, "Which?\n\n- **A** · a\n- **B** · b", "which-question"),
            graded(new_code_cell, answer, "which-answer", solution=True, locked=False),
            graded(new_code_cell, "quiz.recorded('which')", "which", grade=True, points=1),
            new_code_cell("later = 1", id="later"),
            graded(new_code_cell, code, "double-code", solution=True, locked=False),
            graded(new_code_cell, CHECK, "double", grade=True, points=2),
        ]
    )


KEY = AnswerKey(
    "01_sample", writes(released()), (QuestionKey("which", "A", "B", 1.0),), (EXERCISE,)
)


def task(notebook: NotebookNode, **changes) -> GradingTask:
    data = writes(notebook).encode()
    return GradingTask("ada", "01_sample", "ada.ipynb", data, {"double": 5}, **changes)


def line(number: int, value: object, after: Sequence[object] = (None,)) -> bytes:
    """The guest program's output line for a case: its result, and its arguments after the call."""
    return json.dumps({"case": number, "output": serialize(value), "after": after}).encode() + b"\n"


def written(values: dict[int, object], header: bytes = b'{"check": null}\n') -> bytes:
    return header + b"".join(line(number, value) for number, value in values.items())


class ScriptedSandbox:
    """Returns prepared results, and records the case numbers and the time limit of each job."""

    limits = Limits(wall_seconds=60)

    def __init__(self, *results: JobResult):
        self.results = list(results)
        self.jobs: list[tuple[list[int], float]] = []

    def run(self, job: Job, wall_seconds: float) -> JobResult:
        self.jobs.append(([number for number, _ in job.cases], wall_seconds))
        return self.results.pop(0)


class InProcessSandbox(ScriptedSandbox):
    """Runs the code of these tests in this process."""

    def run(self, job: Job, wall_seconds: float) -> JobResult:
        names: dict = {}
        for cell in (job.cells[-1], job.check):
            exec(cell, names)
        values = {}
        for number, pickled in [*job.alone, *job.cases]:
            arguments, keywords = pickle.loads(pickled)
            values[number] = names[job.function](*arguments, **keywords)
        self.jobs.append((list(values), wall_seconds))
        return JobResult("done", written(values), 0.5, alone=True)


# ---- faults and scores ----


WRONG = "the result is wrong"


@pytest.mark.parametrize(
    ("outcome", "text", "detail"),
    [
        (line(0, 6), "", ""),
        (line(0, 7), WRONG, ""),
        (line(0, None), "your function returned None: is a return missing?", ""),
        (line(0, 6, ["tuple", 1]), WRONG, ""),
        (
            b'{"case": 0, "error": "NotImplementedError"}',
            "your function is not implemented yet (NotImplementedError)",
            "",
        ),
        (
            b'{"case": 0, "error": "NameError", "name": "kernal"}',
            "your function raised NameError",
            "name 'kernal' is not defined",
        ),
        (b'{"case": 0, "error": "Mine"}', "your function raised a custom exception", ""),
        ("time", "it took too long", ""),
        ("memory", "it took too much memory", ""),
        ("output", "it returned too much", ""),
        ("done", "your function ended the Python process", ""),
        ("odd", "your function ended the Python process", ""),
    ],
)
def test_fault_is_described(outcome, text, detail):
    fault = grade._describe_fault(outcome, ((3,), 6), prepare(EXERCISE), "kernal + 1")
    assert fault == Fault(text, detail)


@pytest.mark.parametrize("outcome", [b'{"case": 0}', b'{"case": 0, "output": ["no kind"]}'])
def test_line_without_a_result_is_an_unreadable_fault(outcome):
    fault = grade._describe_fault(outcome, ((3,), 6), prepare(EXERCISE), "")
    assert fault == Fault("the result could not be compared", is_unreadable=True)


def test_modified_argument_is_a_fault():
    before = np.arange(3.0)
    case, runner = ((before,), 2 * before), prepare(EXERCISE)
    unchanged, changed = (line(0, 2 * before, [serialize(a)]) for a in (before, 2 * before))
    assert grade._describe_fault(unchanged, case, runner, "") == Fault()
    assert grade._describe_fault(changed, case, runner, "").text == WRONG


CASES = [((n,), 2 * n) for n in (1, 3, 5, 7)]
A, B = Fault("it is wrong"), Fault("it raised NameError", "name 'a' is not defined")


@pytest.mark.parametrize(
    ("faults", "score", "message"),
    [
        ([Fault()] * 4, 2.0, "4 of 4 hidden cases passed."),
        ([Fault(), A, Fault(), Fault()], 1.5, "3 of 4 hidden cases passed. In 1 case it is wrong."),
        (
            [A, B, A, B],
            0.0,
            "0 of 4 hidden cases passed. In 2 cases it is wrong. In 2 cases it raised NameError: "
            "name 'a' is not defined.",
        ),
        (
            [Fault(), B, Fault("it raised NameError", "name 'b' is not defined"), Fault()],
            1.0,
            "2 of 4 hidden cases passed. In 2 cases it raised NameError.",
        ),
    ],
)
def test_score_and_message_of_the_hidden_cases(faults, score, message):
    item = grade._score_exercise(EXERCISE, CASES, faults)
    assert item == ItemResult("double", score, 2.0, message)


def test_score_of_the_best_constant_is_subtracted_and_reported():
    cases = [((0,), 0), ((0,), 0), ((1,), 2), ((2,), 4)]
    item = grade._score_exercise(EXERCISE, cases, [Fault(), Fault(), Fault(), A])
    assert item.score == 1.0 and item.message == (
        "3 of 4 hidden cases passed. In 1 case it is wrong. 2 cases have the same "
        "expected result; always returning it earns no points."
    )
    full = grade._score_exercise(EXERCISE, cases, [Fault()] * 4)
    assert (full.score, full.message) == (2.0, "4 of 4 hidden cases passed.")
    nothing = grade._score_exercise(EXERCISE, cases, [A] * 4)
    assert nothing.message == "0 of 4 hidden cases passed. In 4 cases it is wrong."


def test_best_constant_uses_the_exercises_comparison():
    hidden = "def cases(rng):\n    yield 1\ndef agrees(output, expected, x):\n    return output < 9"
    exercise = replace(EXERCISE, hidden=hidden, comparison="agrees")
    cases = [((1,), 2), ((3,), 6), ((5,), 10)]  # the first two results are right in every case
    item = grade._score_exercise(exercise, cases, [Fault(), A, A])
    assert item.message == "1 of 3 hidden cases passed. In 2 cases it is wrong."
    hidden = hidden.replace("output < 9", "output - expected in (0, 4)")
    item = grade._score_exercise(replace(exercise, hidden=hidden), cases, [Fault(), Fault(), A])
    assert item.score == 0.0 and "2 cases have the same expected result" in item.message


@pytest.mark.parametrize(
    ("faults", "depends"),
    [
        ([Fault(), Fault()], False),
        ([A, A, A], False),
        ([A, Fault(), Fault()], False),  # it was already wrong alone
        ([Fault(), Fault(), A], True),
        ([A, Fault(), B], True),
        ([Fault(), Fault(WRONG, is_unreadable=True)], False),
    ],
)
def test_result_depends_on_calls_if_it_is_correct_first_and_wrong_later(faults, depends):
    assert grade._depends_on_calls(faults) is depends


# ---- questions ----


@pytest.mark.parametrize(
    ("source", "score", "answer", "manual", "message"),
    [
        ('answer = "a"', 1.0, "A", False, "Recorded: A."),
        ('answer = "B"', 0.0, "B", False, "Recorded: B."),
        ('answer = ""', 0.0, "", False, "No answer."),
        ("answer = str()", 0.0, "", True, "Not read: answer is not a string literal"),
        ('answer = "AB"', 0.0, "", False, "Not counted: "),
        ('answer = "A and B"', 0.0, "", True, "Not counted: "),
    ],
)
def test_question_is_scored_by_its_literal(source, score, answer, manual, message):
    item = grade._grade_question(KEY.questions[0], {"which-answer": source})
    assert (item.name, item.points) == ("which", 1.0)
    assert (item.score, item.answer, item.manual) == (score, answer, manual)
    assert item.message.startswith(message)
    assert item.message.endswith(" Your instructor will look at it.") == manual


def test_multiple_choice_question_accepts_several_letters():
    question = QuestionKey("which", "AC", "B", 2.0)
    item = grade._grade_question(question, {"which-answer": 'answer = "ca"'})
    assert item == ItemResult("which", 2.0, 2.0, "Recorded: AC.", "AC")


# ---- a whole submission ----


@pytest.fixture
def sandbox(monkeypatch):
    """The in-process sandbox that ``grade`` uses."""
    sandbox = InProcessSandbox()

    def thread_sandbox(modules, trusted):
        assert (modules, trusted) == (KEY.modules, False)
        return sandbox

    monkeypatch.setattr(grade, "_thread_sandbox", thread_sandbox)
    return sandbox


def test_submission_is_graded(sandbox):
    given = task(
        released(answer='answer = "A"', code="def double(x):\n    return x + x"),
        timestamp="2026-05-02T12:00:00",
    )
    result = grade_submission(given, KEY)
    assert result == SubmissionResult(
        student="ada",
        lesson="01_sample",
        file="ada.ipynb",
        digest=given.digest(KEY),
        items=(
            ItemResult("which", 1.0, 1.0, "Recorded: A.", "A"),
            ItemResult("double", 2.0, 2.0, "4 of 4 hidden cases passed."),
        ),
        sources=(
            ("double-code", "def double(x):\n    return x + x"),
            ("which-answer", 'answer = "A"'),
        ),
        timestamp="2026-05-02T12:00:00",
    )
    assert SubmissionResult.from_json(result.to_json()) == result


def test_serialised_result_is_stable():
    item = ItemResult("which", 1.0, 1.0, "Recorded: É.", "A")
    result = SubmissionResult("ada", "01_sample", "ada.ipynb", "d1", (item,), (("a", "b"),))
    text = result.to_json()
    assert text == (
        '{\n "digest": "d1",\n "file": "ada.ipynb",\n "items": [\n  {\n   "answer": "A",\n'
        '   "manual": false,\n   "message": "Recorded: É.",\n   "name": "which",\n'
        '   "points": 1.0,\n   "score": 1.0\n  }\n ],\n "lesson": "01_sample",\n'
        ' "missing": [],\n "problem": "",\n "sources": [\n  [\n   "a",\n   "b"\n  ]\n ],\n'
        ' "student": "ada",\n "timestamp": null\n}\n'
    )
    former = json.loads(text)
    former["marks"], former["when"] = former.pop("items"), "2026-05-02T12:00:00"
    del former["timestamp"]
    read = SubmissionResult.from_json(json.dumps(former))
    assert read == replace(result, timestamp="2026-05-02T12:00:00")


def test_call_order_depends_on_the_secret_seed(sandbox):
    code = "def double(x):\n    return x + x"
    orders = set()
    for seed in (5, 6, 7, 7):  # a seed always gives the same order
        grade_submission(replace(task(released(code=code)), seeds={"double": seed}), KEY)
        ((numbers, seconds),) = sandbox.jobs
        sandbox.jobs.clear()
        # four hidden cases three times each, and the visible check's one call once
        assert sorted(numbers) == [*range(9), *range(10, 14)] and seconds == 180.0
        orders.add(tuple(numbers))
    assert len(orders) == 3


def test_visible_check_is_repeated_with_the_returned_values(sandbox):
    # in the student's process the check passes: the returned object equals everything
    code = (
        "class Equal(int):\n    def __eq__(self, other):\n        return True\n"
        "def double(x):\n    return Equal(5) if x == 2 else 2 * x"
    )
    item = grade_submission(task(released(code=code)), KEY).items[1]
    assert item == ItemResult("double", 0.0, 2.0, "A visible check fails: Twice two is four")


def test_result_that_changes_needs_manual_grading(sandbox):
    code = "calls = []\ndef double(x):\n    calls.append(x)\n    return 2 * x * (len(calls) < 11)"
    item = grade_submission(task(released(code=code)), KEY).items[1]
    assert item == ItemResult("double", 0.0, 2.0, messages.DEPENDS_ON_CALLS, manual=True)


def test_blank_and_missing_exercises_are_not_answered(sandbox):
    item = grade_submission(task(released(answer='answer = "A"')), KEY).items[1]
    assert item == ItemResult("double", 0.0, 2.0, "Not answered: the cell is unchanged.")
    gone = released(answer='answer = "A"')
    gone.cells = gone.cells[:4]
    result = grade_submission(task(gone), KEY)
    assert result.items[1].message == "Not answered: the cell was not found."
    assert result.missing == ("double-code",) and sandbox.jobs == []


@pytest.mark.parametrize(
    ("code", "manual"),
    [
        ("<<<<<<< local\nx\n=======\ny\n>>>>>>> remote", True),
        ("```python\ndef double(x):\n    return x + x\n```", True),
        ("def double(x):\n    '''\n=======\n'''\n    return x + x", False),
        ("def double(x):\n    return x + x  # <<<<<<<", False),
    ],
)
def test_merge_conflict_markers_need_manual_grading_unless_the_cell_parses(sandbox, code, manual):
    item = grade_submission(task(released(code=code)), KEY).items[1]
    assert (item.score, item.manual) == (0.0 if manual else 2.0, manual)
    damaged = ItemResult("double", 0.0, 2.0, messages.DAMAGED_CODE, manual=True)
    assert (item == damaged) == manual


def test_code_that_did_not_run_is_explained(monkeypatch):
    header = b'{"stopped": true, "line": 1, "error": "KeyError"}\n'
    scripted = ScriptedSandbox(JobResult("done", header, 1.0))
    monkeypatch.setattr(grade, "_thread_sandbox", lambda modules, trusted: scripted)
    item = grade_submission(task(released(code="{}[1]")), KEY).items[1]
    message = "Not run: your code raises KeyError in line 1 of your cell."
    assert item == ItemResult("double", 0.0, 2.0, message)


def test_exercise_whose_check_makes_no_call_is_graded_by_its_hidden_cases(sandbox):
    exercise = replace(EXERCISE, cells=(*EXERCISE.cells[:-1], "assert True\nquiz.passed('double')"))
    key = replace(KEY, exercises=(exercise,))
    item = grade_submission(task(released(code="def double(x):\n    return x + x")), key).items[1]
    assert item.score == 2.0 and sorted(sandbox.jobs[0][0]) == list(range(12))


def test_visible_check_fails_if_a_call_returned_no_result():
    check = grade.visible_check.record_check(EXERCISE)
    assert check is not None and grade._visible_check_error(check, [line(0, 4)]) is None
    for outcome in ("time", b"{", b'{"case": 0, "error": "KeyError"}'):
        failure = grade._visible_check_error(check, [outcome])
        assert isinstance(failure, grade.visible_check.CallFailedError)


def test_hidden_cases_depend_on_the_seed_and_keep_their_arguments():
    hidden = "def cases(rng):\n    for n in range(3):\n        yield rng.normal(size=2), n"
    reference = "def double(x, n):\n    x *= 2\n    return x.tolist()"
    exercise = replace(EXERCISE, hidden=hidden + "\ntolerance = 0", reference=reference)
    first, again, other = (list(grade._hidden_cases(exercise, seed)) for seed in (5, 5, 6))
    results = [[result for _, result in cases] for cases in (first, again, other)]
    assert results[0] == results[1] != results[2]
    for number, ((x, n), result) in enumerate(first):
        assert n == number and (2 * x).tolist() == result


def test_faults_use_the_exercises_comparison():
    hidden = EXERCISE.hidden + "\ndef agrees(output, expected, x):\n    return output > x"
    runner = prepare(replace(EXERCISE, hidden=hidden, comparison="agrees"))
    assert grade._describe_fault(line(0, 5), ((3,), 6), runner, "") == Fault()
    assert grade._describe_fault(line(0, 3), ((3,), 6), runner, "") == Fault(WRONG)
    single = grade._describe_fault(line(0, 3), ((3,), (6, 7)), prepare(EXERCISE), "")
    assert single.text == "the result is a single value, but a tuple is expected"


def test_long_text_with_conflict_markers_is_not_parsed():
    assert grade._parses_as_cell("x = 1\n" * 10) and not grade._parses_as_cell("x = = 1")
    assert grade._parses_as_cell("x" * grade._MAX_TRANSFORMED)
    assert not grade._parses_as_cell("x" * (grade._MAX_TRANSFORMED + 1))


def test_notebook_that_cannot_be_rebuilt_is_a_problem():
    long = "#" * (grade.MAX_CELL_LENGTH + 1)
    expected = {
        "its cell double-code has 200,001 characters, more than 200,000: inspect it manually": task(
            released(code=long)
        ),
        "it contains none of the lesson's answer or exercise cells: is it the right notebook?": (
            task(new_notebook(cells=[new_code_cell("x = 1")]))
        ),
    }
    for problem, given in expected.items():
        result = grade_submission(given, KEY)
        assert (result.problem, result.items) == (problem, ())
        assert (result.student, result.digest) == ("ada", given.digest(KEY))
    at_the_limit = released(code=long[1:])
    assert not grade._rebuild(task(at_the_limit).data, KEY)[2]


def test_deeply_nested_notebook_is_a_problem(monkeypatch):
    def nested(*_):
        raise RecursionError

    monkeypatch.setattr(grade, "rebuild", nested)
    problem = grade_submission(task(released()), KEY).problem
    assert problem == "it is nested too deeply to be a notebook: ask the student to resubmit"


def test_undefined_name_is_reported_only_if_it_is_in_the_students_cell(monkeypatch):
    errors = [json.dumps({"case": n, "error": "NameError", "name": "kernal"}) for n in range(12)]
    output = written({}) + "".join(f"{error}\n" for error in errors).encode()
    scripted = ScriptedSandbox(JobResult("done", output, 1.0, alone=True))
    monkeypatch.setattr(grade, "_thread_sandbox", lambda modules, trusted: scripted)
    monkeypatch.setattr(grade.visible_check, "record_check", lambda exercise: None)
    code = "def double(x):\n    return kernal * x"
    item = grade_submission(task(released(code=code)), KEY).items[1]
    assert item.message == (
        "0 of 4 hidden cases passed. In 4 cases your function raised NameError: "
        "name 'kernal' is not defined."
    )


def test_cells_through_returns_the_code_cells_up_to_the_exercise():
    assert grade._cells_through(released(), "double-code") == [
        "shift = 0",
        'answer = ""',
        "quiz.recorded('which')",
        "later = 1",
        BLANK,
    ]


def test_digest_of_a_task_depends_on_every_input_of_the_result():
    first = task(released())
    others = [
        replace(first, student="bob"),
        replace(first, lesson="02_sample"),
        replace(first, timestamp="2026-05-02T12:00:00"),
        replace(first, seeds={"double": 6}),
        replace(first, data=first.data + b" "),
    ]
    digests = {given.digest(KEY) for given in (first, *others)}
    digests.add(first.digest(replace(KEY, questions=())))
    assert len(digests) == 7
    assert replace(first, file="other.ipynb", trusted=True).digest(KEY) == first.digest(KEY)


def test_error_of_a_failing_reference_names_its_exercise():
    broken = replace(EXERCISE, reference="def double(x):\n    return 1 / (x - 5)")
    with pytest.raises(grade.ReferenceSolutionError) as raised:
        list(grade._hidden_cases(broken, 5))
    assert "the reference of double failed on a hidden case: ZeroDivisionError" in str(raised.value)


def test_thread_reuses_its_sandbox_until_the_modules_change(monkeypatch):
    monkeypatch.setattr(grade, "_thread_local", type("Local", (), {})())
    first = grade._thread_sandbox(("numpy",), False)
    assert (first.modules, first.trusted) == (["numpy"], False)
    assert grade._thread_sandbox(("numpy",), False) is first
    closed = []
    monkeypatch.setattr(type(first), "close", lambda sandbox: closed.append(sandbox))
    second = grade._thread_sandbox(("numpy",), True)
    assert second is not first and second.trusted and closed == [first]
    third = grade._thread_sandbox(("math", "numpy"), True)
    assert third.modules == ["math", "numpy"] and closed == [first, second]
