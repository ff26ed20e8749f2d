"""Grade one submission. The result depends on nothing from other submissions.

Questions are read, not run. Exercises run in the sandbox, which returns the result of the student's
function for each hidden case. The reference solution is run and compared outside the sandbox, where
the visible check is also repeated with the returned results. Messages are for students: they never
show hidden inputs, the reference's results, or text that a student's code can choose.
"""

import copy
import functools
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
from course_grading.sandbox.host import Job, Sandbox, pickle_arguments
from course_grading.sandbox.limits import Limits
from course_lib.quiz import scoring

MAX_CELL_LENGTH = 200_000  # characters; typical cells have a few hundred
_MAX_TRANSFORMED = 20_000  # characters; IPython takes minutes for hostile megabytes
# Git conflict markers and Markdown code fences
_CONFLICT_MARKER_OR_FENCE = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7}|```|~~~)", re.MULTILINE)


@dataclass(frozen=True)
class GradingTask:
    """One submission to grade. ``seeds`` are the seeds of its hidden cases; ``timestamp`` is the
    submission time, if known; ``key`` is the answer key of the student's variant, None for the
    class's.
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
        """A SHA-256 of everything that determines the result: student, lesson, timestamp, seeds,
        answer key, and the submission's bytes.
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
    """The result of one question or exercise; ``points`` is its maximum score.

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

    ``sources`` are ``(grade id, source)`` of the student's cells, ``missing`` the ids not found.
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
        """The text of a result file, which is the same for equal results."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> "SubmissionResult":
        """Parse the output of :meth:`to_json`, of this or an earlier version of the course."""
        fields = json.loads(text)
        for old_name, name in (("marks", "items"), ("when", "timestamp")):
            if old_name in fields:
                fields[name] = fields.pop(old_name)
        fields["items"] = tuple(ItemResult(**item) for item in fields["items"])
        fields["sources"] = tuple((name, source) for name, source in fields["sources"])
        return SubmissionResult(**{**fields, "missing": tuple(fields["missing"])})


@dataclass(frozen=True)
class Fault:
    """What is wrong with a call, and the detail of an error; both empty if the result is right.

    ``is_unreadable``: the output can't be parsed or compared, so it may be damaged or forged.
    """

    text: str = ""
    detail: str = ""
    is_unreadable: bool = False


def grade_submission(task: GradingTask, key: AnswerKey) -> SubmissionResult:
    """Grade one submission. Its problems are part of the result: no submission raises an exception.

    Raises:
        SandboxError: if the sandbox does not work.
        ReferenceSolutionError: if a reference solution fails on a hidden case.
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
    released = _student_sources(_read_release(key.release))
    items = [_grade_question(question, sources) for question in key.questions]
    budget = TimeBudget()
    for exercise in key.exercises:
        code = f"{exercise.name}-code"
        if sources[code].strip() == released[code].strip():
            reason = "was not found" if code in missing else "is unchanged"
            message = f"Not answered: the cell {reason}."
            items.append(ItemResult(exercise.name, 0.0, exercise.points, message))
        else:
            cells = _cells_through(notebook, code)
            items.append(_grade_exercise(exercise, cells, task, key, budget))
    return SubmissionResult(
        **header,
        items=tuple(items),
        sources=tuple(sorted(sources.items())),
        missing=tuple(missing),
    )


def _rebuild(data: bytes, key: AnswerKey) -> tuple[Any, dict[str, str], list[str]]:
    """The release with the student's cells in it, their sources, and the ids not found."""
    try:
        notebook, missing = rebuild(notebooks.parse(data), _read_release(key.release))
    except RecursionError as error:
        raise ValueError(
            "it is nested too deeply to be a notebook: ask the student to resubmit"
        ) from error
    sources = _student_sources(notebook)
    if len(missing) == len(sources):
        raise ValueError(
            "it contains none of the lesson's answer or exercise cells: is it the right notebook?"
        )
    for name, source in sources.items():
        if len(source) > MAX_CELL_LENGTH:
            raise ValueError(
                f"its cell {name} has {len(source):,} characters, more than {MAX_CELL_LENGTH:,}: "
                "inspect it manually"
            )
    return notebook, sources, missing


@functools.lru_cache(maxsize=8)
def _read_release(release: str) -> Any:
    """A released notebook, which must not be changed: it is the same for all submissions."""
    return nbformat.reads(release, as_version=4)


def _student_sources(notebook) -> dict[str, str]:
    """The sources of the cells that students write, by grade id."""
    cells = ((cell, cell.metadata.get("nbgrader", {})) for cell in notebook.cells)
    return {
        nbgrader["grade_id"]: cell.source for cell, nbgrader in cells if nbgrader.get("solution")
    }


def _cells_through(notebook, grade_id: str) -> list[str]:
    """The sources of the code cells, from the first to the one with this grade id."""
    sources = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            sources.append(cell.source)
        if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id:
            break
    return sources


def _grade_question(question: QuestionKey, sources: dict[str, str]) -> ItemResult:
    """Score a question by the literal in its cell. An answer that can't be read is flagged for
    manual grading, so that its notation costs no points. A readable one that breaks the question's
    rules, such as two letters for a single choice, scores 0.
    """
    name, max_score = question.name, question.points
    try:
        text = scoring.extract_answer(sources[f"{name}-answer"])
    except ValueError as error:
        message = f"Not read: {error}. Your instructor will look at it."
        return ItemResult(name, 0.0, max_score, message, manual=True)
    key = question.key
    try:
        answer = key.format.parse(text)
    except ValueError as error:
        is_readable = key.format.is_readable(text)
        message = f"Not counted: {error}"
        if not is_readable:
            message += " Your instructor will look at it."
        return ItemResult(name, 0.0, max_score, message, manual=not is_readable)
    message = f"Recorded: {key.format.describe(answer)}." if answer else "No answer."
    return ItemResult(name, key.score(answer), max_score, message, answer)


def _grade_exercise(
    exercise: ExerciseKey, cells: list[str], task: GradingTask, key: AnswerKey, budget: TimeBudget
) -> ItemResult:
    if _CONFLICT_MARKER_OR_FENCE.search(cells[-1]) and not _parses_as_cell(cells[-1]):
        return ItemResult(exercise.name, 0.0, exercise.points, messages.DAMAGED_CODE, manual=True)
    runner, check = prepare(exercise), visible_check.record_check(exercise)
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
    if check and (error := _visible_check_error(check, visible)):
        message = messages.explain_failed_check(exercise, error)
        return ItemResult(exercise.name, 0.0, exercise.points, message)
    hidden = outcomes[: len(cases)]
    faults_by_case = [
        [_describe_fault(outcome, case, runner, cells[-1]) for outcome in call_outcomes.in_order]
        for case, call_outcomes in zip(cases, hidden, strict=True)
    ]
    if any(map(_depends_on_calls, faults_by_case)):
        message = messages.DEPENDS_ON_CALLS
        return ItemResult(exercise.name, 0.0, exercise.points, message, manual=True)
    # a case passes only if all its calls pass
    faults = [
        max(case_faults, key=lambda fault: bool(fault.text)) for case_faults in faults_by_case
    ]
    item = _score_exercise(exercise, cases, faults)
    if any(call_outcomes.again is None for call_outcomes in hidden):
        message = f"{item.message} {messages.NOT_REPEATED}"
        return replace(item, message=message, manual=True)
    return item


def _depends_on_calls(faults: list[Fault]) -> bool:
    """Whether the same call was right and later wrong. Unreadable results are ignored."""
    right = next((n for n, fault in enumerate(faults) if not fault.text), len(faults))
    return any(fault.text and not fault.is_unreadable for fault in faults[right:])


def _score_exercise(
    exercise: ExerciseKey, cases: list[SolvedCase], faults: list[Fault]
) -> ItemResult:
    """Score an exercise by its cases without a fault."""
    runner = prepare(exercise)
    # covert channel: with several details, each case could encode its hidden input
    has_one_detail = len({fault.detail for fault in faults if fault.detail}) == 1
    texts = Counter(
        f"{fault.text}: {fault.detail}" if fault.detail and has_one_detail else fault.text
        for fault in faults
    )
    right = texts.pop("", 0)
    message = f"{right} of {len(cases)} hidden cases passed."
    for text, count in sorted(texts.items()):
        message += f" In {count} {'case' if count == 1 else 'cases'} {text}."
    constant = 0
    if right < len(cases):
        constant = cases_of_best_constant(cases, tolerance=runner.tolerance, agree=runner.agrees)
    if constant and right:
        message += (
            f" {constant} cases have the same expected result; always returning it earns no points."
        )
    score = exercise.points * share(right, len(cases), constant)
    return ItemResult(exercise.name, score, exercise.points, message)


def _hidden_cases(exercise: ExerciseKey, seed: int) -> Iterator[SolvedCase]:
    """The arguments of each hidden case, with the reference's result."""
    runner = prepare(exercise)
    for arguments in runner.cases(np.random.default_rng(seed)):
        arguments = arguments if isinstance(arguments, tuple) else (arguments,)
        try:
            yield arguments, runner.reference(*copy.deepcopy(arguments))
        except Exception as error:
            raise ReferenceSolutionError(
                f"the reference of {exercise.name} failed on a hidden case: {error!r}"
            ) from error


def _visible_check_error(
    check: visible_check.RecordedCheck, outcomes: list[Outcome]
) -> Exception | None:
    """The exception of the visible check when it is repeated with the returned results."""
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
    """Compare an outcome with the reference's result, and describe the fault for the student."""
    if isinstance(outcome, str):
        return Fault(messages.STATUS_MESSAGES.get(outcome, messages.STATUS_MESSAGES["done"]))
    arguments, expected = case
    line = serialize.parse_line(outcome)
    if "error" in line:
        if line["error"] == "NotImplementedError":
            return Fault("your function is not implemented yet (NotImplementedError)")
        detail = messages.error_detail(line["error"], line.get("name"), source)
        text = f"your function raised {messages.error_name(line['error'])}"
        return Fault(text, detail, is_unreadable=not isinstance(line["error"], str))
    try:
        output = serialize.deserialize(line["output"])
        after = [serialize.deserialize(content) for content in line.get("after") or []]
        if output_agrees(
            output, expected, arguments, after, tolerance=runner.tolerance, agree=runner.agrees
        ):
            return Fault()
    except Exception:  # of deserialising or comparing
        return Fault("the result could not be compared", is_unreadable=True)
    return Fault(messages.describe_difference(output, expected))


def _parses_as_cell(source: str) -> bool:
    """Whether the source is valid code of an IPython cell; False if it is too long to try."""
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
