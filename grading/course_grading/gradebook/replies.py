"""Replies to single students' questions about their scores, from ``grading/overrides.toml``::

    [replies.ada.01_pixels]
    how-many = "The border counts, too: see the picture in section 2. Your score stays."

The student's next feedback page shows it below the item. It changes no score: give manual grades in
formgrader.
"""

from pathlib import Path

from course_grading.errors import OverrideError
from course_grading.gradebook import overrides
from course_grading.gradebook.recorded import SubmissionId

# submission -> item -> reply
Replies = dict[SubmissionId, dict[str, str]]
_FORM = 'a heading [replies.STUDENT.NN_lesson] and below it lines such as item = "..."'


def read(workspace: Path) -> Replies:
    """The replies; empty if there is no file.

    Raises:
        OverrideError: if the file is invalid; the message says what to write.
    """
    path, content = overrides.load(workspace)
    replies: Replies = {}
    for student, lessons in _table(content.get(overrides.REPLIES, {}), path, "").items():
        for lesson, items in _table(lessons, path, student).items():
            for item, text in _table(items, path, f"{student}.{lesson}").items():
                if not isinstance(text, str) or not text.strip():
                    raise OverrideError(
                        f"{path}: [replies.{student}.{lesson}] {item} is not text: write {_FORM}"
                    )
                replies.setdefault((student, lesson), {})[item] = text.strip()
    return replies


def _table(value: object, path: Path, where: str) -> dict:
    if not isinstance(value, dict):
        name = f"replies.{where}".rstrip(".")
        raise OverrideError(f"{path}: {name} is not a table: write {_FORM}")
    return value
