"""Build the lessons: from ``solutions/NN_name.md`` to nbgrader's source and release and to
``notebooks/``.
"""

import contextlib
import shutil
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from course_grading.assign import (
    cells,
    editions,
    guessing,
    release_check,
    seeds,
    student_releases,
    variants,
)
from course_grading.assign.guessing import GuessingReport
from course_grading.assign.lesson import Lesson
from course_grading.assign.source import read_lesson
from course_grading.errors import BuildError
from course_grading.gradebook.nbgrader_api import open_api

# From this number of choice questions on, it is an error that they can be guessed. In fewer, an
# uneven letter or a long option may be chance; it is only reported.
REFUSE_GUESSABLE_FROM = 20


@dataclass
class BuildReport:
    """The files that a build wrote and the problems that it found.

    ``backups`` are copies of notebooks in which a learner had worked. ``classroom_unchanged`` means
    that the workspace holds a classroom release, which was kept. ``students`` are those who got
    their own variant. ``guessing`` is what guessing strategies earn.
    """

    lessons: list[Lesson] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)
    backups: list[Path] = field(default_factory=list)
    classroom_unchanged: bool = False
    students: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    guessing: GuessingReport | None = None  # only from :func:`check`


def read_lessons(solutions: Path) -> list[Lesson]:
    """Every lesson in a folder of sources, in order.

    Raises:
        BuildError: if there is none, or if two have the same number.
        SourceError: if one of them has a mistake.
    """
    paths = sorted(solutions.glob("[0-9][0-9]_*.md"))
    if not paths:
        raise BuildError(f"{solutions} holds no lesson: name its sources NN_name.md")
    for path, next_path in zip(paths, paths[1:], strict=False):
        if path.name[:2] == next_path.name[:2]:
            raise BuildError(
                f"{path.name} and {next_path.name} have the same number: renumber one of them"
            )
    return [read_lesson(path) for path in paths]


def build(
    root: Path,
    *,
    solutions: Path | None = None,
    graded: bool = False,
    seed: str | None = None,
    per_student: bool = False,
) -> BuildReport:
    """Write the workspace's ``source/`` and ``release/`` and, for self-study, ``notebooks/`` and
    the question bank.

    Args:
        root: the checkout.
        solutions: the folder of sources, by default ``root/solutions``.
        graded: build the classroom release, without feedback; ``notebooks/`` and the question bank
            are unchanged.
        seed: build the class's variant of each lesson, with other parameters and shuffled options.
            It is determined by the workspace's secret and the seed.
        per_student: also write a variant for each student of ``workspace/roster.csv``, see
            :mod:`.student_releases`.

    Raises:
        BuildError: if the arguments contradict each other, or the workspace's release was made with
            another seed.
        SourceError: if a lesson has a mistake.
    """
    _check_arguments(solutions, graded, seed, per_student)
    workspace = root / "grading" / "workspace"
    if graded:
        seeds.check_same(workspace, seed, per_student)
    students = student_releases.read_students(workspace / "roster.csv") if per_student else []
    report = BuildReport(lessons=read_lessons(solutions or root / "solutions"), students=students)
    lessons, repository = report.lessons, repository_url(root)
    if seed is not None:
        key = seeds.variant_key(workspace, seed)
        report.lessons = [variants.choose(lesson, key, "the class's variant") for lesson in lessons]
    with contextlib.ExitStack() as stack:
        if not graded and _holds_classroom_release(workspace):
            # A self-study build must not change the keys of a class that is being graded.
            workspace = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            report.classroom_unchanged = True
        released = generate_release(
            report.lessons,
            workspace,
            graded=graded,
            repository=repository,
            colab_badge=seed is None,
            gradebook=not report.classroom_unchanged,
        )
    for lesson in report.lessons:
        text = released[lesson.name]
        report.problems += _find_problems(text, lesson, graded)
        if not graded:
            _write_notebook(root / "notebooks" / f"{lesson.name}.ipynb", text, report)
            bank = _question_bank_path(root, lesson)
            bank_text = _question_bank(lesson)
            if not bank.exists() or bank.read_text(encoding="utf-8") != bank_text:
                bank.write_text(bank_text, encoding="utf-8")
                report.written.append(bank)
    if seed is not None:
        seeds.remember(workspace, seed, per_student)
        api = open_api(workspace)
        for student in students:
            key = seeds.variant_key(workspace, seed, student)
            report.problems += student_releases.write(
                lessons, workspace, api, student, key, repository
            )
    return report


def _check_arguments(
    solutions: Path | None, graded: bool, seed: str | None, per_student: bool
) -> None:
    if solutions is not None and not graded:
        raise BuildError(
            "--solutions is for a classroom release: add --graded, or edit the sources in "
            "solutions/"
        )
    if seed is not None and not graded:
        raise BuildError("--seed is for a classroom release: add --graded")
    if seed is not None and not seed.strip():
        raise BuildError("--seed is empty: give a number or a word, for example --seed 2027")
    if per_student and seed is None:
        raise BuildError("--per-student needs a seed: add --graded and, for example, --seed 2027")


def check(root: Path) -> BuildReport:
    """Build in a temporary folder; report committed files that differ, problems of the releases,
    and what guessing earns.
    """
    report = BuildReport(lessons=read_lessons(root / "solutions"))
    report.guessing = guessing.measure((lesson.name, lesson.questions) for lesson in report.lessons)
    choices = report.guessing.course.questions if report.guessing.course else 0
    if choices >= REFUSE_GUESSABLE_FROM:
        report.problems += report.guessing.problems
    repository = repository_url(root)
    with tempfile.TemporaryDirectory() as folder:
        self_study, classroom = (
            generate_release(
                report.lessons, Path(folder), graded=graded, repository=repository, gradebook=False
            )
            for graded in (False, True)
        )
    for lesson in report.lessons:
        expected = {
            root / "notebooks" / f"{lesson.name}.ipynb": self_study[lesson.name],
            _question_bank_path(root, lesson): _question_bank(lesson),
        }
        for path, text in expected.items():
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                report.problems.append(
                    f"{path.relative_to(root)} differs from what {lesson.path.name} builds: "
                    "run course build"
                )
        report.problems += _find_problems(self_study[lesson.name], lesson, graded=False)
        report.problems += _find_problems(classroom[lesson.name], lesson, graded=True)
    lesson_names = {lesson.name for lesson in report.lessons}
    for path in sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        if path.stem not in lesson_names and ".mine" not in path.name:
            report.problems.append(
                f"notebooks/{path.name} has no source in solutions/: delete it, or add the source"
            )
    return report


def generate_release(
    lessons: list[Lesson],
    workspace: Path,
    *,
    graded: bool = False,
    repository: str = "",
    colab_badge: bool = True,
    gradebook: bool = True,
) -> dict[str, str]:
    """Write the instructor notebooks into ``workspace/source`` and have nbgrader generate
    ``workspace/release``.

    Args:
        lessons: the lessons, read from their sources.
        workspace: nbgrader's course directory.
        graded: the classroom release.
        repository: the course's public URL.
        colab_badge: link the public notebook.
        gradebook: enter the items into nbgrader's gradebook, which takes half of the run time.

    Returns:
        The text of each released notebook, by the lesson's name.

    Raises:
        BuildError: if nbgrader fails; an earlier release is kept.
    """
    api = open_api(workspace)
    if not gradebook:  # as nbgrader's --no-db
        api.config.SaveCells.enabled = False
        api.config.GenerateAssignment.no_database = True
    texts = {}
    for lesson in lessons:
        source = workspace / "source" / lesson.name / f"{lesson.name}.ipynb"
        released = workspace / "release" / lesson.name / f"{lesson.name}.ipynb"
        source.parent.mkdir(parents=True, exist_ok=True)
        editions.keep(workspace, lesson.name)
        previous = {path: path.read_bytes() for path in (source, released) if path.exists()}
        notebook = cells.build_notebook(
            lesson, graded=graded, repository=repository, colab_badge=colab_badge
        )
        nbformat.validate(notebook)
        source.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        result = api.generate_assignment(lesson.name, force=True, create=True)
        if not result["success"]:
            # nbgrader has removed the old release: restore what students were given.
            for path, content in previous.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            raise BuildError(_explain_failure(lesson.name, workspace, result))
        texts[lesson.name] = released.read_text(encoding="utf-8")
        editions.keep(workspace, lesson.name)
    return texts


def _find_problems(text: str, lesson: Lesson, graded: bool) -> list[str]:
    notebook = nbformat.reads(text, as_version=4)
    return release_check.find_problems(notebook, lesson, graded=graded)


def _holds_classroom_release(workspace: Path) -> bool:
    """Whether the workspace holds a classroom release, whose set-up cell enables no feedback."""
    return any(
        "quiz.begin(" not in path.read_text(encoding="utf-8")
        for path in workspace.glob("release/*/*.ipynb")
    )


def repository_url(root: Path) -> str:
    """The course's public URL, ``[tool.course] repository`` in pyproject.toml; empty if it is
    not set.
    """
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return settings.get("tool", {}).get("course", {}).get("repository", "")


def _explain_failure(name: str, workspace: Path, result: dict) -> str:
    log = result.get("log", "") + result.get("error", "")
    if (
        "there are submissions associated with it" in log
        or "Cannot modify existing assignment" in log
    ):
        return (
            f"the gradebook already holds submissions of {name}, with other questions or exercises "
            f"than this source. Finish grading those first, then move {workspace / 'gradebook.db'} "
            "away and build again."
        )
    return f"nbgrader could not release {name}:\n{log.strip()}"


def _question_bank(lesson: Lesson) -> str:
    from course_lib.quiz import question_bank

    return question_bank.pack(lesson.name, lesson.questions)


def _question_bank_path(root: Path, lesson: Lesson) -> Path:
    return root / "course_lib" / "quiz" / "bank" / f"{lesson.name}.json"


def _write_notebook(path: Path, text: str, report: BuildReport) -> None:
    """Write a notebook; back up the existing file if a learner has worked in it."""
    if path.exists():
        existing = path.read_text(encoding="utf-8")
        if existing == text:
            return
        if has_work(existing):
            number = 1
            while (backup := path.with_suffix(f".mine-{number}.ipynb")).exists():
                number += 1
            shutil.copy2(path, backup)
            report.backups.append(backup)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    report.written.append(path)


def has_work(text: str) -> bool:
    """Whether a cell of a released notebook was run, added or edited."""
    from nbgrader.utils import compute_checksum, is_solution

    try:
        notebook = nbformat.reads(text, as_version=4)
        for cell in notebook.cells:
            if cell.get("outputs") or cell.get("execution_count"):
                return True
            if "nbgrader" in cell.metadata:
                checksum = cell.metadata.nbgrader.get("checksum")
                if is_solution(cell) and checksum != compute_checksum(cell):
                    return True
            elif not cell["id"].startswith(("setup", cells.digest(cell.source))):
                return True
    except Exception:  # unreadable: back it up
        return True
    return False
