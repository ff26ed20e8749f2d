"""Write feedback pages into a zip for each lesson, which Moodle or Canvas imports.

Moodle (*Upload multiple feedback files in a zip*) expects a folder for each student, named as in
its download: ``Ada Lovelace_1234567_assignsubmission_file``; see
``mod/assign/feedback/file/importziplib.php`` in https://github.com/moodle/moodle. Canvas (*Upload
Submissions*) expects the prefix of the file names in its download, ``lovelaceada_101_98765_``, and
reads the two numbers.
"""

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

from course_grading.errors import ExportError
from course_grading.gradebook import feedback, originals

_MOODLE = re.compile(r"(?:\A|/)(?P<start>[^/_]+_\d+)_(?:assignsubmission|assignfeedback)_file")
_MOODLE_STUDENT = re.compile(r"(?P<name>.+)_(?P<id>\d+)")
_CANVAS = re.compile(r"(?:\A|/)(?P<start>[^\W_]+_(?:LATE_)?\d+_\d+)_", re.IGNORECASE)
_CANVAS_STUDENT = re.compile(r"(?P<start>[^\W_]+_(?:LATE_)?\d+_\d+)", re.IGNORECASE)
PLATFORMS = ("moodle", "canvas")


def write(
    workspace: Path, platform: str, submissions: Iterable[tuple[str, str]], out: Path
) -> tuple[list[Path], list[str]]:
    """Write ``PLATFORM-feedback-LESSON.zip`` for each lesson.

    Args:
        workspace: nbgrader's course directory.
        platform: ``moodle`` or ``canvas``.
        submissions: student and lesson of the submissions.
        out: the folder to write to.

    Returns:
        The files, and for each missing page the reason in a sentence.

    Raises:
        ExportError: if no page can be named as the platform expects.
    """
    pages: dict[str, dict[str, Path]] = {}
    left_out = []
    for student, lesson in submissions:
        page = feedback.page_path(workspace, student, lesson)
        original = originals.find(workspace, student, lesson)
        name = _entry_name(platform, student, lesson, original.file if original else "")
        if not page.is_file():
            left_out.append(f"{student} ({lesson}): it has no feedback page yet")
        elif not name:
            left_out.append(
                f"{student} ({lesson}): its file is not named as in a download from {platform}, so "
                "the platform's number is unknown"
            )
        elif name in pages.setdefault(lesson, {}):
            left_out.append(f"{student} ({lesson}): another student has the same name {name}")
        else:
            pages[lesson][name] = page
    if not any(pages.values()):
        reasons = "; ".join(left_out[:3]) or "nothing is graded"
        raise ExportError(
            f"no feedback can be exported to {platform}: {reasons}. Grade the zip file from "
            f"{platform}, or distribute the pages in feedback/ yourself"
        )
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for lesson, named in sorted(pages.items()):
        if not named:
            continue
        path = out / f"{platform}-feedback-{lesson}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, page in sorted(named.items()):
                # without a date, so that two exports are identical
                archive.writestr(zipfile.ZipInfo(name), page.read_bytes(), zipfile.ZIP_DEFLATED)
        written.append(path)
    return written, left_out


def _entry_name(platform: str, student: str, lesson: str, file: str) -> str:
    """The name of a page in the zip; empty if the platform's number is unknown."""
    if platform == "moodle":
        match = _MOODLE.search(file)
        if match:
            return f"{match['start']}_assignsubmission_file/{lesson}.html"
        own = _MOODLE_STUDENT.fullmatch(student)
        if own:  # Moodle reads the number; a name must not contain "_"
            name = own["name"].replace("_", " ")
            return f"{name}_{own['id']}_assignsubmission_file/{lesson}.html"
        return ""
    found = _CANVAS.search(file) or _CANVAS_STUDENT.fullmatch(student)
    return f"{found['start']}_{lesson}.html" if found else ""
