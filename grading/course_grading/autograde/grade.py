"""Grade one submission: bytes in, points and messages out. No state passes from one to the next.

Questions are read, not run. Exercises run in the sandbox, which returns the result of the student's
function for each hidden case; the reference is computed, and compared, here. Messages are for
students: they never show hidden inputs, the reference's results, or text that a student's code can
choose.
"""

import copy
import hashlib
import json
import pickle
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import nbformat
import numpy as np

from course_grading.autograde import messages
from course_grading.autograde.answer_keys import (
    AnswerKey,
    ExerciseKey,
    ExerciseRunner,
    QuestionKey,
    prepare,
)
from course_grading.autograde.compare import output_agrees
from course_grading.collect import notebooks
from course_grading.collect.rebuild import rebuild
from course_grading.errors import ReferenceSolutionError
from course_grading.sandbox.guest import serialize
from course_grading.sandbox.host import Job, Limits, Sandbox
from course_lib.quiz import scoring

# Cases that may exceed the time limit, and the multiple of it that all cases may take together,
# before the remaining cases count as too slow as well.
MAX_TIMEOUTS = 2
MAX_CELL_LENGTH = 200_000  # characters; what students write has a few hundred


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

    ``answer`` is the letters of a question, ``""`` for an exercise (its code is in
    ``SubmissionResult.sources``). ``manual`` flags it for manual grading.
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
    for exercise in key.exercises:
        code = f"{exercise.name}-code"
        if sources[code].strip() == released[code].strip():
            reason = "was not found" if code in missing else "is unchanged"
            message = f"Not answered: the cell {reason}."
            items.append(ItemResult(exercise.name, 0.0, exercise.points, message))
        else:
            items.append(_grade_exercise(exercise, _cells_until(notebook, code), task, key))
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
    """Score a question by the literal in its cell; non-literals are flagged for manual grading."""
    name, points = question.name, question.points
    try:
        text = scoring.extract_answer(sources[f"{name}-answer"])
    except ValueError as error:
        message = f"Not read: {error}. Your instructor will look at it."
        return ItemResult(name, 0.0, points, message, manual=True)
    letters = "".join(sorted(question.right + question.wrong))
    try:
        answer = scoring.parse(text, letters, multiple=len(question.right) > 1)
    except ValueError as error:
        return ItemResult(name, 0.0, points, f"Not counted: {error}")
    score = scoring.grade(answer, question.right, question.wrong, points)
    return ItemResult(
        name, score, points, f"Recorded: {answer}." if answer else "No answer.", answer
    )


def _grade_exercise(
    exercise: ExerciseKey, cells: list[str], task: GradingTask, key: AnswerKey
) -> ItemResult:
    runner = prepare(exercise)
    cases = list(_hidden_cases(exercise, task.seeds[exercise.name]))
    outcomes = _run_cases(exercise, cells, [arguments for arguments, _ in cases], task, key)
    if isinstance(outcomes, str):
        return ItemResult(exercise.name, 0.0, exercise.points, outcomes)
    faults = Counter(
        _describe_fault(outcome, arguments, expected, runner)
        for (arguments, expected), outcome in zip(cases, outcomes, strict=True)
    )
    right = faults.pop("", 0)
    message = f"{right} of {len(cases)} hidden cases agree."
    for fault, count in sorted(faults.items()):
        message += f" In {count} {'case' if count == 1 else 'cases'} {fault}."
    score = exercise.points * right / len(cases)
    return ItemResult(exercise.name, score, exercise.points, message)


def _hidden_cases(exercise: ExerciseKey, seed: int) -> Iterator[tuple[tuple, Any]]:
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


def _run_cases(
    exercise: ExerciseKey, cells: list[str], inputs: list[tuple], task: GradingTask, key: AnswerKey
) -> list[dict] | str:
    """Run the student's function on each case.

    A case that ends the process, or exceeds a limit, costs that case: the rest run in a new
    process.

    Returns:
        What the guest program wrote for each case (``{"ended": status}`` where it wrote nothing);
        or why none was run.
    """
    sandbox = _thread_sandbox(key.modules, task.trusted)
    cases = [(number, pickle.dumps(arguments)) for number, arguments in enumerate(inputs)]
    outcomes: dict[int, dict] = {}
    timeouts, seconds, check = 0, 0.0, exercise.visible_check
    while remaining := [case for case in cases if case[0] not in outcomes]:
        result = sandbox.run(Job(cells, exercise.function, remaining, check, key.renamed))
        first, *lines = serialize.parse_lines(result.output) or [{}]
        if not outcomes and first != {"check": None}:
            return messages.explain_not_run(exercise, first, result.status, cells)
        for (number, _), line in zip(remaining, lines, strict=False):
            if line.get("case") != number:  # not the guest program's: a student's code wrote it
                break
            outcomes[number] = line
        failed = [number for number, _ in remaining if number not in outcomes]
        timeouts += result.status == "time"
        seconds += result.seconds
        # each case may end its process after a long time
        too_slow = seconds > MAX_TIMEOUTS * sandbox.limits.wall_seconds
        for number in failed if too_slow or timeouts == MAX_TIMEOUTS else failed[:1]:
            outcomes[number] = {"ended": "time" if too_slow else result.status}
        check = ""  # it has passed
    return [outcomes[number] for number, _ in cases]


def _describe_fault(outcome: dict, arguments: tuple, expected: Any, runner: ExerciseRunner) -> str:
    """What is wrong with a case's outcome, in words for the student; empty if nothing is."""
    if "ended" in outcome:
        return messages.STATUS_MESSAGES.get(outcome["ended"], messages.STATUS_MESSAGES["done"])
    if "error" in outcome:
        if outcome["error"] == "NotImplementedError":
            return "your function is not written yet (NotImplementedError)"
        return f"your function ended in {messages.error_name(outcome['error'])}"
    try:
        output = serialize.deserialize(outcome.get("output"))
        after = [serialize.deserialize(content) for content in outcome.get("after") or []]
        if output_agrees(
            output, expected, arguments, after, tolerance=runner.tolerance, agree=runner.agrees
        ):
            return ""
    except Exception:  # an output that can't be compared does not agree
        return "the result is not the right one"
    return messages.describe_difference(output, expected)


_thread_local = threading.local()


def _thread_sandbox(modules: tuple[str, ...], trusted: bool) -> Sandbox:
    """This thread's sandbox; a lesson with other modules starts a new one."""
    current = getattr(_thread_local, "sandbox", None)
    if current is None or (current.modules, current.trusted) != (list(modules), trusted):
        if current is not None:
            current.close()
        _thread_local.sandbox = Sandbox(modules, Limits(), trusted)
    return _thread_local.sandbox
