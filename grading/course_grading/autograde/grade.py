"""Grade one submission: bytes in, points and messages out. No state passes from one to the next.

Questions are read, not run. Exercises run in the sandbox, which returns the result of the student's
function for each hidden case; the reference is computed, and compared, here, and the visible check
is repeated here with the values that came out. Messages are for
students: they never show hidden inputs, the reference's results, or text that a student's code can
choose.
"""

import copy
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import nbformat
import numpy as np

from course_grading.autograde import messages, visible_check
from course_grading.autograde.answer_keys import (
    AnswerKey,
    ExerciseKey,
    ExerciseRunner,
    QuestionKey,
    prepare,
)
from course_grading.autograde.calls import NotRun, Outcome, TimeBudget, make_calls
from course_grading.autograde.compare import (
    SolvedCase,
    cases_of_best_constant,
    output_agrees,
    share,
)
from course_grading.collect import notebooks
from course_grading.collect.rebuild import rebuild
from course_grading.errors import ReferenceSolutionError
from course_grading.sandbox.guest import serialize
from course_grading.sandbox.guest.cell_code import PARSE_ERRORS, parse_cell
from course_grading.sandbox.host import Job, Limits, Sandbox, pickle_arguments
from course_lib.quiz import scoring

MAX_CELL_LENGTH = 200_000  # characters; what students write has a few hundred
_MAX_TRANSFORMED = 20_000  # characters; IPython needs minutes for hostile megabytes
# what a merge or a copy from a chat leaves around code
_DAMAGED_CODE = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7}|```|~~~)", re.MULTILINE)


@dataclass(frozen=True)
class GradingTask:
    """One submission to grade. ``seeds`` are those of its hidden cases; ``timestamp`` says when it
    was handed in, if known; ``key`` is the student's own, if it differs from the class's.
    """

    student: str
    lesson: str
    file: str
    data: bytes
    seeds: dict[str, int]
    timestamp: str | None = None
    trusted: bool = False
    key: AnswerKey | None = None

    def digest(self, key: AnswerKey) -> str:
        """A SHA-256 of everything that decides the result: the submission, its timestamp, and the
        answer key of its lesson.
        """
        parts = [
            self.student,
            self.lesson,
            self.timestamp,
            self.seeds,
            key.digest,
            hashlib.sha256(self.data).hexdigest(),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class ItemResult:
    """One question or exercise: what it earned, the message for the student, and the answer.

    ``answer`` is the recorded answer to a question, such as ``"AC"`` or ``"196,608"``, and ``""``
    for an exercise (its code is in ``SubmissionResult.sources``). ``manual`` flags it for manual
    grading.
    """

    name: str
    score: float
    points: float
    message: str
    answer: str = ""
    manual: bool = False


@dataclass(frozen=True)
class SubmissionResult:
    """The result of a submission; if it could not be graded, ``problem`` says why.

    ``sources`` are the student's cells by grade id, ``missing`` the cells that were not found.
    """

    student: str
    lesson: str
    file: str
    digest: str
    items: tuple[ItemResult, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    timestamp: str | None = None
    problem: str = ""

    def to_json(self) -> str:
        """The text of a result file; the same result always gives the same text."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> "SubmissionResult":
        """What :meth:`to_json` wrote, in this version of the course or in an earlier one."""
        fields = json.loads(text)
        for former, name in (("marks", "items"), ("when", "timestamp")):
            if former in fields:
                fields[name] = fields.pop(former)
        fields["items"] = tuple(ItemResult(**item) for item in fields["items"])
        fields["sources"] = tuple((name, source) for name, source in fields["sources"])
        return SubmissionResult(**{**fields, "missing": tuple(fields["missing"])})


@dataclass(frozen=True)
class Fault:
    """What is wrong with a call, and what an error is about; both empty if nothing is wrong.

    ``is_unreadable``: its line is damaged or forged.
    """

    text: str = ""
    detail: str = ""
    is_unreadable: bool = False


def grade_submission(task: GradingTask, key: AnswerKey) -> SubmissionResult:
    """Grade one submission. What is wrong with it is in the result; nothing in it can raise.

    Raises:
        SandboxError: if the sandbox does not work, which is not the submission's fault.
        ReferenceSolutionError: if a lesson's own reference fails on a hidden case.
    """
    header: dict[str, Any] = {
        "student": task.student,
        "lesson": task.lesson,
        "file": task.file,
        "timestamp": task.timestamp,
        "digest": task.digest(key),
    }
    try:
        notebook, sources, missing = _rebuild(task.data, key)
    except ValueError as error:
        return SubmissionResult(**header, problem=str(error))
    released = _student_sources(nbformat.reads(key.release, as_version=4))
    items = [_grade_question(question, sources) for question in key.questions]
    budget = TimeBudget()
    for exercise in key.exercises:
        code = f"{exercise.name}-code"
        if sources[code].strip() == released[code].strip():
            reason = "was not found" if code in missing else "is unchanged"
            message = f"Not answered: the cell {reason}."
            items.append(ItemResult(exercise.name, 0.0, exercise.points, message))
        else:
            cells = _cells_until(notebook, code)
            items.append(_grade_exercise(exercise, cells, task, key, budget))
    return SubmissionResult(
        **header,
        items=tuple(items),
        sources=tuple(sorted(sources.items())),
        missing=tuple(missing),
    )


def _rebuild(data: bytes, key: AnswerKey) -> tuple[Any, dict[str, str], list[str]]:
    """The release with the student's work in it, the student's cells, and those not found."""
    release = nbformat.reads(key.release, as_version=4)
    try:
        notebook, missing = rebuild(notebooks.parse(data), release)
    except RecursionError as error:
        raise ValueError("it is nested too deeply to be a notebook: ask for it again") from error
    sources = _student_sources(notebook)
    if len(missing) == len(sources):
        raise ValueError(
            "none of the lesson's answer or exercise cells is in it: is it another notebook?"
        )
    for name, source in sources.items():
        if len(source) > MAX_CELL_LENGTH:
            raise ValueError(
                f"its cell {name} has {len(source):,} characters, more than {MAX_CELL_LENGTH:,}: "
                "look at it"
            )
    return notebook, sources, missing


def _student_sources(notebook) -> dict[str, str]:
    """The sources of the cells that students write, by grade id."""
    cells = ((cell, cell.metadata.get("nbgrader", {})) for cell in notebook.cells)
    return {
        nbgrader["grade_id"]: cell.source for cell, nbgrader in cells if nbgrader.get("solution")
    }


def _cells_until(notebook, grade_id: str) -> list[str]:
    """The sources of the code cells, from the first to the one with this grade id."""
    sources = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            sources.append(cell.source)
        if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id:
            break
    return sources


def _grade_question(question: QuestionKey, sources: dict[str, str]) -> ItemResult:
    """Score a question by the literal in its cell. What can't be read is flagged for manual
    grading: never is an answer worth 0 because of how it was typed.
    """
    name, points = question.name, question.points
    try:
        text = scoring.extract_answer(sources[f"{name}-answer"])
    except ValueError as error:
        message = f"Not read: {error}. Your instructor will look at it."
        return ItemResult(name, 0.0, points, message, manual=True)
    key = question.key
    try:
        answer = key.format.parse(text)
    except ValueError as error:
        is_readable = key.format.is_readable(text)
        message = f"Not counted: {error}"
        if not is_readable:
            message += " Your instructor will look at it."
        return ItemResult(name, 0.0, points, message, manual=not is_readable)
    message = f"Recorded: {key.format.describe(answer)}." if answer else "No answer."
    return ItemResult(name, key.score(answer), points, message, answer)


def _grade_exercise(
    exercise: ExerciseKey, cells: list[str], task: GradingTask, key: AnswerKey, budget: TimeBudget
) -> ItemResult:
    if _DAMAGED_CODE.search(cells[-1]) and not _is_python(cells[-1]):
        return ItemResult(exercise.name, 0.0, exercise.points, messages.DAMAGED_CODE, manual=True)
    runner, check = prepare(exercise), visible_check.record(exercise)
    seed = task.seeds[exercise.name]
    cases = list(_hidden_cases(exercise, seed))
    calls = [pickle_arguments(arguments) for arguments, _ in cases]
    calls += check.calls if check else ()
    job = Job(cells, exercise.function, list(enumerate(calls)), exercise.visible_check, key.renamed)
    sandbox = _thread_sandbox(key.modules, task.trusted)
    outcomes = make_calls(job, len(cases), seed, sandbox, budget)
    if isinstance(outcomes, NotRun):
        message = messages.explain_not_run(exercise, outcomes.header, outcomes.status, cells)
        return ItemResult(exercise.name, 0.0, exercise.points, message)
    visible = [outcome.first for outcome in outcomes[len(cases) :]]
    if check and (failure := _check_failure(check, visible)):
        message = messages.explain_failed_check(exercise, failure)
        return ItemResult(exercise.name, 0.0, exercise.points, message)
    all_faults = [
        [_describe_fault(outcome, case, runner, cells[-1]) for outcome in made.in_order]
        for case, made in zip(cases, outcomes, strict=False)
    ]
    if any(map(_depends_on_calls, all_faults)):
        message = messages.DEPENDS_ON_CALLS
        return ItemResult(exercise.name, 0.0, exercise.points, message, manual=True)
    # the case is as right as the worst of its calls
    faults = [max(made, key=lambda fault: bool(fault.text)) for made in all_faults]
    item = _score_exercise(exercise, cases, faults)
    if any(made.again is None for made in outcomes[: len(cases)]):
        message = f"{item.message} {messages.NOT_REPEATED}"
        return replace(item, message=message, manual=True)
    return item


def _depends_on_calls(faults: list[Fault]) -> bool:
    """Whether the same call was right and then wrong. A line that can't be read is no result."""
    right = next((n for n, fault in enumerate(faults) if not fault.text), len(faults))
    return any(fault.text and not fault.is_unreadable for fault in faults[right:])


def _score_exercise(
    exercise: ExerciseKey, cases: list[SolvedCase], faults: list[Fault]
) -> ItemResult:
    """Points for the cases without a fault."""
    runner = prepare(exercise)
    # several would be a channel out for hidden inputs: each case could choose one
    has_one_detail = len({fault.detail for fault in faults if fault.detail}) == 1
    texts = Counter(
        f"{fault.text}: {fault.detail}" if fault.detail and has_one_detail else fault.text
        for fault in faults
    )
    right = texts.pop("", 0)
    message = f"{right} of {len(cases)} hidden cases agree."
    for text, count in sorted(texts.items()):
        message += f" In {count} {'case' if count == 1 else 'cases'} {text}."
    constant = 0
    if right < len(cases):
        constant = cases_of_best_constant(cases, tolerance=runner.tolerance, agree=runner.agrees)
    if constant and right:
        message += f" {constant} have one and the same result, which alone earns nothing."
    points = exercise.points * share(right, len(cases), constant)
    return ItemResult(exercise.name, points, exercise.points, message)


def _hidden_cases(exercise: ExerciseKey, seed: int) -> Iterator[SolvedCase]:
    """Each case's arguments, and the reference's result."""
    runner = prepare(exercise)
    for arguments in runner.cases(np.random.default_rng(seed)):
        arguments = arguments if isinstance(arguments, tuple) else (arguments,)
        try:
            yield arguments, runner.reference(*copy.deepcopy(arguments))
        except Exception as error:
            raise ReferenceSolutionError(
                f"the reference of {exercise.name} failed on a hidden case: {error!r}"
            ) from error


def _check_failure(check: visible_check.RecordedCheck, outcomes: list[Outcome]) -> Exception | None:
    """Why the visible check fails with the values that came out."""
    results: list[Any] = []
    for outcome in outcomes:
        try:
            line = {} if isinstance(outcome, str) else serialize.parse_line(outcome)
            results.append(serialize.deserialize(line["output"]))
        except (KeyError, serialize.SerializationError):
            results.append(visible_check.CallFailedError())
    return check.find_failure(results)


def _describe_fault(
    outcome: Outcome, case: SolvedCase, runner: ExerciseRunner, source: str
) -> Fault:
    """What is wrong with a case's outcome, in words for the student."""
    if isinstance(outcome, str):
        return Fault(messages.STATUS_MESSAGES.get(outcome, messages.STATUS_MESSAGES["done"]))
    arguments, expected = case
    line = serialize.parse_line(outcome)
    if "error" in line:
        if line["error"] == "NotImplementedError":
            return Fault("your function is not written yet (NotImplementedError)")
        detail = messages.error_detail(line["error"], line.get("name"), source)
        text = f"your function ended in {messages.error_name(line['error'])}"
        return Fault(text, detail, is_unreadable=not isinstance(line["error"], str))
    try:
        output = serialize.deserialize(line["output"])
        after = [serialize.deserialize(content) for content in line.get("after") or []]
        if output_agrees(
            output, expected, arguments, after, tolerance=runner.tolerance, agree=runner.agrees
        ):
            return Fault()
    except Exception:  # an output that can't be compared does not agree
        return Fault("the result is not the right one", is_unreadable=True)
    return Fault(messages.describe_difference(output, expected))


def _is_python(source: str) -> bool:
    if len(source) > _MAX_TRANSFORMED:
        return False
    try:
        parse_cell(source)
    except PARSE_ERRORS:
        return False
    return True


_thread_local = threading.local()


def _thread_sandbox(modules: tuple[str, ...], trusted: bool) -> Sandbox:
    """This thread's sandbox; a lesson with other modules starts a new one."""
    current = getattr(_thread_local, "sandbox", None)
    if current is None or (current.modules, current.trusted) != (list(modules), trusted):
        if current is not None:
            current.close()
        _thread_local.sandbox = Sandbox(modules, Limits(), trusted)
    return _thread_local.sandbox
