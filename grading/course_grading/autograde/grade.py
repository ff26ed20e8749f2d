"""Mark one submission: bytes in, points and messages out. Nothing is kept from one to the next.

Questions are read, not run. Exercises run in the sandbox, which returns what the student's function
gave for each hidden case; the reference is computed and compared here. Messages are for students:
they never show hidden inputs, nor what the reference gives for them, nor text that a student's code
can choose.
"""

import copy
import hashlib
import json
import pickle
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import nbformat
import numpy as np

from course_grading.autograde import messages
from course_grading.autograde.answer_keys import ExerciseKey, Key, QuestionKey, prepare
from course_grading.autograde.compare import agrees
from course_grading.collect import submissions
from course_grading.sandbox.guest import serialize
from course_grading.sandbox.host import Job, Limits, Sandbox
from course_lib.quiz import scoring

# cases that take too long, or as much time in all, after which the others count as too slow as well
SLOW = 2
LONGEST_CELL = 200_000  # characters; what students write has a few hundred


@dataclass(frozen=True)
class Task:
    """One submission to be marked. ``seeds`` are those of its hidden cases; ``when`` is its time
    stamp, if any.
    """

    student: str
    lesson: str
    file: str
    data: bytes
    seeds: dict[str, int]
    when: str | None = None
    trusted: bool = False

    def digest(self, key: Key) -> str:
        """A SHA-256 of all that decides the marks: the submission, its time, and the key of its
        lesson.
        """
        parts = [
            self.student,
            self.lesson,
            self.when,
            self.seeds,
            key.digest,
            hashlib.sha256(self.data).hexdigest(),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Mark:
    """One question or exercise: what it earned, what the student is told, and what was answered.

    ``answer`` is the letters of a question, ``""`` for an exercise (its code is in
    ``Marked.sources``); ``manual`` says that a person has to look at it.
    """

    name: str
    score: float
    points: float
    message: str
    answer: str = ""
    manual: bool = False


@dataclass(frozen=True)
class Marked:
    """A submission that was marked, or that could not be, which ``problem`` then explains.

    ``sources`` are the student's cells by grade id, ``missing`` the cells that were not found.
    """

    student: str
    lesson: str
    file: str
    digest: str
    marks: tuple[Mark, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    when: str | None = None
    problem: str = ""

    def to_json(self) -> str:
        """The text that a file keeps; the same result always gives the same text."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> "Marked":
        """What :meth:`to_json` wrote."""
        told = json.loads(text)
        told["marks"] = tuple(Mark(**mark) for mark in told["marks"])
        told["sources"] = tuple((name, source) for name, source in told["sources"])
        return Marked(**{**told, "missing": tuple(told["missing"])})


def mark(task: Task, key: Key) -> Marked:
    """Mark one submission. What is wrong with it is in the result; nothing that is in it raises.

    Raises:
        SandboxError: if the sandbox does not work, which is not the submission's fault.
        ReferenceFailed: if a lesson's own reference can't compute a hidden case.
    """
    about = {"student": task.student, "lesson": task.lesson, "file": task.file, "when": task.when}
    about["digest"] = task.digest(key)
    try:
        rebuilt, sources, missing = _take_in(task.data, key)
    except ValueError as error:
        return Marked(**about, problem=str(error))
    released = _sources(nbformat.reads(key.release, as_version=4))
    marks = [_question(question, sources) for question in key.questions]
    for exercise in key.exercises:
        code = f"{exercise.name}-code"
        if sources[code].strip() == released[code].strip():
            text = (
                "the cell was not found" if code in missing else "the cell is as it was handed out"
            )
            marks.append(Mark(exercise.name, 0.0, exercise.points, f"Not answered: {text}."))
        else:
            marks.append(_exercise(exercise, _cells_until(rebuilt, code), task, key))
    return Marked(
        **about, marks=tuple(marks), sources=tuple(sorted(sources.items())), missing=tuple(missing)
    )


def _take_in(data: bytes, key: Key) -> tuple[Any, dict[str, str], list[str]]:
    release = nbformat.reads(key.release, as_version=4)
    try:
        rebuilt, missing = submissions.rebuild(submissions.parse(data), release)
    except RecursionError as error:
        raise ValueError("it is nested too deeply to be a notebook: ask for it again") from error
    sources = _sources(rebuilt)
    if len(missing) == len(sources):
        raise ValueError(
            "none of the lesson's answer or exercise cells is in it: is it another notebook?"
        )
    for name, source in sources.items():
        if len(source) > LONGEST_CELL:
            raise ValueError(
                f"its cell {name} has {len(source):,} characters, more than {LONGEST_CELL:,}: look at it"
            )
    return rebuilt, sources, missing


def _sources(notebook) -> dict[str, str]:
    """The sources of the cells that students write, by grade id."""
    about = ((cell, cell.metadata.get("nbgrader", {})) for cell in notebook.cells)
    return {
        nbgrader["grade_id"]: cell.source for cell, nbgrader in about if nbgrader.get("solution")
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


def _question(question: QuestionKey, sources: dict[str, str]) -> Mark:
    """Score a question by the literal in its cell; what is no literal goes to a person."""
    source = sources[f"{question.name}-answer"]
    try:
        typed = scoring.literal(source)
    except ValueError as error:
        message = f"Not read: {error}. Your instructor will look at it."
        return Mark(question.name, 0.0, question.points, message, manual=True)
    letters = "".join(sorted(question.right + question.wrong))
    try:
        ticked = scoring.parse(typed, letters, multiple=len(question.right) > 1)
    except ValueError as error:
        return Mark(question.name, 0.0, question.points, f"Not counted: {error}")
    score = scoring.grade(ticked, question.right, question.wrong, question.points)
    return Mark(
        question.name,
        score,
        question.points,
        f"Recorded: {ticked}." if ticked else "No answer.",
        ticked,
    )


class ReferenceFailed(RuntimeError):
    """A lesson's own reference can't compute one of its hidden cases: its author has to mend it."""


def _exercise(exercise: ExerciseKey, cells: list[str], task: Task, key: Key) -> Mark:
    prepared = prepare(exercise)
    cases = list(_cases(exercise, task.seeds[exercise.name]))
    answers = _answers(exercise, cells, [arguments for arguments, _ in cases], task, key)
    if isinstance(answers, str):
        return Mark(exercise.name, 0.0, exercise.points, answers)
    wrong = Counter()
    for (arguments, expected), answer in zip(cases, answers, strict=True):
        wrong[_fault(answer, arguments, expected, prepared.tolerance, prepared.agrees)] += 1
    right = wrong.pop("", 0)
    message = f"{right} of {len(cases)} hidden cases agree."
    for fault, count in sorted(wrong.items()):
        message += f" In {count} {'case' if count == 1 else 'cases'} {fault}."
    return Mark(exercise.name, exercise.points * right / len(cases), exercise.points, message)


def _cases(exercise: ExerciseKey, seed: int) -> Iterator[tuple[tuple, Any]]:
    """Each case's arguments, and what the reference gives for them."""
    prepared = prepare(exercise)
    for arguments in prepared.cases(np.random.default_rng(seed)):
        arguments = arguments if isinstance(arguments, tuple) else (arguments,)
        try:
            yield arguments, prepared.reference(*copy.deepcopy(arguments))
        except Exception as error:
            raise ReferenceFailed(
                f"the reference of {exercise.name} failed on a hidden case: {error!r}"
            ) from error


def _answers(
    exercise: ExerciseKey, cells: list[str], inputs: list[tuple], task: Task, key: Key
) -> list[dict] | str:
    """What the student's function answered to each case, a line of :mod:`.inside` each; or why it
    did not run.

    A case that ends the process, or takes too long, costs that case: the others go on in a new one.
    """
    sandbox = _sandbox(key.modules, task.trusted)
    pickled = [(number, pickle.dumps(arguments)) for number, arguments in enumerate(inputs)]
    answers: dict[int, dict] = {}
    slow, check = 0, exercise.visible
    until = time.monotonic() + SLOW * sandbox.limits.patience
    while waiting := [case for case in pickled if case[0] not in answers]:
        ended = sandbox.run(Job(cells, exercise.function, waiting, check))
        first, *lines = serialize.lines(ended.raw) or [{}]
        if not answers and first != {"check": None}:
            return messages.why_not(exercise, first, ended.how, cells)
        for (number, _), line in zip(waiting, lines, strict=False):
            if line.get("case") != number:  # not what was asked: somebody else wrote it
                break
            answers[number] = line
        rest = [number for number, _ in waiting if number not in answers]
        slow += ended.how == "time"
        late = time.monotonic() > until  # each of them may end its process after a long while
        for number in rest if late or slow == SLOW else rest[:1]:
            answers[number] = {"ended": "time" if late else ended.how}
        check = ""  # it held
    return [answers[number] for number, _ in pickled]


def _fault(answer: dict, arguments: tuple, expected: Any, tolerance: float, agree: Any) -> str:
    """What is wrong with an answer, in words for its student; empty if nothing is."""
    if "ended" in answer:
        return messages.ENDINGS.get(answer["ended"], messages.ENDINGS["done"])
    if "error" in answer:
        if answer["error"] == "NotImplementedError":
            return "your function is not written yet (NotImplementedError)"
        return f"your function ended in {messages.error(answer['error'])}"
    try:
        output = serialize.rebuild(answer.get("output"))
        after = [serialize.rebuild(one) for one in answer.get("after") or []]
        if agrees(output, expected, arguments, after, tolerance=tolerance, agree=agree):
            return ""
    except Exception:  # whatever came out, that case does not agree
        return "the result is not the right one"
    return messages.difference(output, expected)


_here = threading.local()


def _sandbox(modules: tuple[str, ...], trusted: bool) -> Sandbox:
    """This thread's sandbox; another lesson's modules make another one."""
    held = getattr(_here, "sandbox", None)
    if held is None or (held.modules, held.trusted) != (list(modules), trusted):
        if held is not None:
            held.close()
        _here.sandbox = Sandbox(modules, Limits(), trusted)
    return _here.sandbox
