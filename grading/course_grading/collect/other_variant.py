"""Detect submissions of the wrong variant: another student's notebook, or the public one."""

import re

import nbformat

from course_grading.collect import notebooks

_HEADING = re.compile(r"\A\*\*Question[^\n]*\n")
_OPTION = re.compile(r"^- \*\*[A-H]\*\* · .*$", re.MULTILINE)


def differing_questions(submitted: bytes, release: str) -> list[str]:
    """The names of the questions whose options differ from the release's.

    Only the options are compared, or the text if a question has none, because a student may have
    written notes below a question. Questions that are not in the submission are skipped.
    """
    try:
        cells = notebooks.parse(submitted).cells
    except (ValueError, RecursionError):  # grading reports it
        return []
    submitted_questions = _questions(cells)
    released = _questions(nbformat.reads(release, as_version=4).cells)
    return [
        name
        for name, source in released.items()
        if name in submitted_questions and _differs(submitted_questions[name], source)
    ]


def describe(submitted: bytes, release: str) -> str:
    """A sentence for the instructor; empty if the variant is the right one."""
    names = differing_questions(submitted, release)
    if not names:
        return ""
    return (
        "graded with this student's key, but these questions differ from the student's variant: "
        f"{', '.join(names)}. It may be the public notebook or another student's: ask for the "
        "right one"
    )


def _differs(submitted: str, released: str) -> bool:
    options = [
        [" ".join(option.split()) for option in _OPTION.findall(source)]
        for source in (submitted, released)
    ]
    if options[1]:
        return bool(options[0]) and options[0] != options[1]
    text, cell = (" ".join(_HEADING.sub("", source).split()) for source in (released, submitted))
    return text not in cell


def _questions(cells: list) -> dict[str, str]:
    """The source of each question's cell, by the question's name."""
    found = {}
    for cell in cells:
        metadata = cell.metadata.get("nbgrader")
        grade_id = metadata.get("grade_id") if isinstance(metadata, dict) else None
        # Colab sometimes drops nbgrader's metadata, but keeps the id.
        for id in (grade_id, cell.get("id"), cell.metadata.get("id")):
            if isinstance(id, str) and id.endswith("-question"):
                found[id.removesuffix("-question")] = cell.source
    return found
