"""The formats of ``course export --questions``."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from course_grading.errors import ExportError
from course_grading.export import questions_gift, questions_moodle, questions_qti
from course_grading.export.questions import Bank, ImageLink, read_banks


@dataclass(frozen=True)
class Format:
    """A format: how it links images, and its writer, which returns the path and messages."""

    link: ImageLink
    write: Callable[[list[Bank], Path], tuple[Path, list[str]]]


FORMATS = {
    "qti": Format(questions_qti.link, questions_qti.write),
    "moodle": Format(questions_moodle.link, questions_moodle.write),
    "gift": Format(questions_gift.link, questions_gift.write),
}


def export_questions(
    name: str, solutions: Path, lessons: list[str], out: Path
) -> tuple[Path, list[str]]:
    """Write the questions of lessons, by default of all, into an existing folder.

    Args:
        name: ``qti``, ``moodle`` or ``gift``.
        solutions: the folder of the lessons' sources.
        lessons: names ``NN_name``; empty for all.
        out: the folder to write to.

    Returns:
        The file's path, and messages for the instructor.

    Raises:
        ExportError: for an unknown format, a missing lesson or image, or if there is no question.
        SourceError: for a mistake in a lesson's source.
    """
    if name not in FORMATS:
        raise ExportError(f"unknown format {name!r} for questions: choose {', '.join(FORMATS)}")
    found = read_banks(solutions, lessons, FORMATS[name].link)
    path, messages = FORMATS[name].write(found.banks, out)
    return path, [*found.messages, *messages]
