"""Find submissions whose questions are not those that the student was given: another student's
notebook, or the public one.
"""

import re

import nbformat

from course_grading.collect import notebooks

_HEADING = re.compile(r"\A\*\*Question[^\n]*\n")
_OPTION = re.compile(r"^- \*\*[A-H]\*\* · .*$", re.MULTILINE)


def differing_questions(submitted: bytes, release: str) -> list[str]:
    """The names of the questions whose options differ from the release's.

    Only the options are compared, or of a question without options its text: a student may have
    written notes below a question. Questions that are not found do not count.
    """
    try:
        cells = notebooks.parse(submitted).cells
    except (ValueError, RecursionError):  # grading reports it
        return []
    handed_in = _questions(cells)
    released = _questions(nbformat.reads(release, as_version=4).cells)
    return [
        name
        for name, source in released.items()
        if name in handed_in and _differs(handed_in[name], source)
    ]


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


def _differs(handed_in: str, released: str) -> bool:
    options = [
        [" ".join(row.split()) for row in _OPTION.findall(source)]
        for source in (handed_in, released)
    ]
    if options[1]:
        return bool(options[0]) and options[0] != options[1]
    text, notes = (" ".join(_HEADING.sub("", source).split()) for source in (released, handed_in))
    return text not in notes


def _questions(cells: list) -> dict[str, str]:
    """The source of each question's cell, by the question's name."""
    found = {}
    for cell in cells:
        metadata = cell.metadata.get("nbgrader")
        grade_id = metadata.get("grade_id") if isinstance(metadata, dict) else None
        # Colab drops nbgrader's metadata in some cases, but keeps the id.
        for id in (grade_id, cell.get("id"), cell.metadata.get("id")):
            if isinstance(id, str) and id.endswith("-question"):
                found[id.removesuffix("-question")] = cell.source
    return found
