"""A release for each student: every lesson in the student's own variant.

::

    workspace/students/STUDENT/NN_name/NN_name.ipynb         to hand out
    workspace/source-students/STUDENT/NN_name/NN_name.ipynb  the instructor's, never handed out

All variants have the item names, points and exercises of the class's release, so that one gradebook
serves all. nbgrader's preprocessors make these releases too, without its gradebook.
"""

import csv
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import nbformat

from course_grading.assign import cells, release_check, variants
from course_grading.assign.lesson import Lesson
from course_grading.errors import BuildError

RELEASES = "students"
SOURCES = "source-students"
# The names that :mod:`course_grading.collect.submissions` can assign to submissions.
_STUDENT = re.compile(r"""(?![_.\-=+@])[^\x00-\x1f/\\:*?"<>|\[\]\s]{1,200}(?<![_.\-])""")


def notebook_path(workspace: Path, kind: str, student: str, lesson: str) -> Path:
    """The path of a student's notebook; ``kind`` is ``RELEASES`` or ``SOURCES``."""
    return workspace / kind / student / lesson / f"{lesson}.ipynb"


def read_students(roster: Path) -> list[str]:
    """The column ``student_id`` of the class's roster.

    Raises:
        BuildError: if the file or column is missing, or an id is repeated or no valid folder name.
    """
    fix = "course class --roster FILE writes it from your platform's list of participants"
    try:
        with roster.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise BuildError(
            f"a release for each student needs {roster} ({error.strerror}): {fix}"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BuildError(f"{roster} can't be read ({error}): {fix}") from error
    if "student_id" not in (reader.fieldnames or []):
        raise BuildError(f"{roster} has no column student_id: add it, or {fix}")
    students: dict[str, int] = {}
    for line, row in rows:
        student = unicodedata.normalize("NFC", (row["student_id"] or "").strip())
        if not _STUDENT.fullmatch(student):
            raise BuildError(
                f"{roster}:{line}: {student!r} is no valid folder name: write a "
                "student_id without spaces, slashes and the like"
            )
        if student in students:
            raise BuildError(
                f"{roster}:{line}: {student!r} is on line {students[student]} too: remove one"
            )
        students[student] = line
    if not students:
        raise BuildError(f"{roster} names no student: {fix}")
    return list(students)


def write(
    lessons: list[Lesson], workspace: Path, api, student: str, key: bytes, repository: str
) -> Iterator[str]:
    """Write one student's notebooks.

    Args:
        lessons: the lessons, read from their sources.
        workspace: nbgrader's course directory, which has the class's release.
        api: nbgrader's API on it.
        student: the student's name in the gradebook.
        key: determines the student's variant, see :func:`.variants.choose`.
        repository: the course's public URL.

    Yields:
        The problems of each release, see :func:`.release_check.find_problems`.
    """
    for lesson in lessons:
        variant = variants.choose(lesson, key, f"the variant of {student}")
        notebook = cells.build_notebook(
            variant, graded=True, repository=repository, colab_badge=False
        )
        nbformat.validate(notebook)
        source = nbformat.writes(notebook) + "\n"
        release = without_answers(notebook, api)
        for kind, text in ((SOURCES, source), (RELEASES, nbformat.writes(release) + "\n")):
            path = notebook_path(workspace, kind, student, lesson.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
        for problem in release_check.find_problems(release, variant, graded=True):
            yield f"{student}, {problem}"


def without_answers(notebook, api):
    """The release that nbgrader generates from an instructor's notebook, which is not changed.

    Two preprocessors are skipped, since the class's release has passed them with the same metadata:
    ``SaveCells``, which enters the items into the gradebook, and ``CheckCellMetadata``, which takes
    most of the time.
    """
    from traitlets import import_item

    release = nbformat.from_dict(notebook)
    resources: dict = {}
    for name in api.config.GenerateAssignment.preprocessors:
        preprocessor = import_item(name) if isinstance(name, str) else name
        if preprocessor.__name__ not in ("SaveCells", "CheckCellMetadata"):
            release, resources = preprocessor(config=api.config)(release, resources)
    return release
