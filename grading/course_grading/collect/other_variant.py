"""Find submissions whose questions are not those that the student was given: another student's
notebook, or the public one.
"""

import re

import nbformat

from course_grading.collect import notebooks

_OPTION = re.compile(r"^- \*\*[A-H]\*\* · .*$", re.MULTILINE)


def differing_questions(submitted: bytes, release: str) -> list[str]:
    """The names of the questions whose options differ from the release's.

    Only the options are compared: a student may have written notes below a question. Questions
    that are not found do not count.
    """
    try:
        cells = notebooks.parse(submitted).cells
    except (ValueError, RecursionError):  # grading reports it
        return []
    handed_in = _options(cells)
    released = _options(nbformat.reads(release, as_version=4).cells)
    return [name for name, options in released.items() if handed_in.get(name, options) != options]


def describe(submitted: bytes, release: str) -> str:
    """A sentence for the instructor; empty if the questions are the right ones."""
    names = differing_questions(submitted, release)
    if not names:
        return ""
    return (
        "graded by this student's key, but these questions are not those that the student was "
        f"given: {', '.join(names)}. Is it the public notebook, or somebody else's? Ask for the "
        "right one"
    )


def _options(cells: list) -> dict[str, list[str]]:
    """The options of each question, by the question's name."""
    found = {}
    for cell in cells:
        metadata = cell.metadata.get("nbgrader")
        grade_id = metadata.get("grade_id") if isinstance(metadata, dict) else None
        # Colab drops nbgrader's metadata in some cases, but keeps the id.
        for id in (grade_id, cell.get("id"), cell.metadata.get("id")):
            if isinstance(id, str) and id.endswith("-question"):
                options = [" ".join(row.split()) for row in _OPTION.findall(cell.source)]
                if options:
                    found[id.removesuffix("-question")] = options
    return found
