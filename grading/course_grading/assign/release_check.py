"""Prove of a release what must hold: nothing given away, nothing left over, every figure
described.
"""

import ast
import re
import statistics
from pathlib import Path

from course_grading.assign.lesson import Lesson

MAX_LINES, MEDIAN_LINES = 30, 10
TELLING = 16  # characters: a shorter explanation or solution may stand in the text by chance
_MACHINE_PATH = re.compile(r"(?<![\w.])(/home/\w|/root/|/Users/\w|/tmp/|/work/|[A-Z]:\\\\?Users)")
_MARKDOWN_IMAGE = re.compile(r"!\[(?P<alt>[^\]]*)\]\(")
_HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_SOLUTION = re.compile(r"### BEGIN SOLUTION\n(?P<body>.*?)### END SOLUTION", re.DOTALL)


def problems(notebook, lesson: Lesson, *, graded: bool = False) -> list[str]:
    """What is wrong with a released notebook, a sentence each; an empty list when nothing is."""
    found: list[str] = []
    by_id = {cell["id"]: cell for cell in notebook.cells}

    def say(cell, what: str) -> None:
        found.append(f"{lesson.name}, cell {cell['id']}: {what}")

    for cell in notebook.cells:
        if cell.get("outputs") or cell.get("execution_count"):
            say(cell, "an output was left in the release")
        for mark in (
            "BEGIN SOLUTION",
            "END SOLUTION",
            "HIDDEN TESTS",
            "score_cases",
            "quiz.score(",
            "def cases(",
        ):
            if mark in cell.source:
                say(cell, f"the release shows {mark!r}")
        if re.search(r"^\s*[-*+] \[[xX]\]", cell.source, re.MULTILINE):
            say(
                cell,
                "the release shows a question's right option: is its directive written {question}?",
            )
        if _MACHINE_PATH.search(cell.source) or str(Path.home()) + "/" in cell.source:
            say(cell, "a path of one machine is in the release")
        _pictures(cell, say)

    for question in lesson.questions:
        answer = by_id.get(f"{question.name}-answer")
        if answer is None or not answer.source.startswith('answer = ""'):
            found.append(
                f"{lesson.name}: the answer of question {question.name!r} is not blank in the release"
            )
        for cell in notebook.cells:
            if any(
                len(o.explanation) >= TELLING and o.explanation in cell.source
                for o in question.options
            ):
                say(cell, f"an explanation of question {question.name!r} is in the release")
        if graded and "quiz.begin(" in by_id["setup"].source:
            found.append(f"{lesson.name}: the classroom release opens the feedback of self-study")
    everything = "\n".join(cell.source for cell in notebook.cells)
    for exercise in lesson.exercises:
        solution = _SOLUTION.search(exercise.solution)
        body = solution["body"].strip() if solution else ""
        shown = by_id[f"{exercise.name}-code"].source
        telling = [
            row.strip()
            for row in body.splitlines()
            if len(row.strip()) > 12 and not row.strip().startswith("#")
        ]
        if (
            not body
            or (len(body) >= 2 * TELLING and body in everything)
            or any(row in shown for row in telling)
        ):
            found.append(
                f"{lesson.name}: the solution of exercise {exercise.name!r} is in the release"
            )
        if "raise NotImplementedError()" not in shown:
            found.append(f"{lesson.name}: exercise {exercise.name!r} has no stub in the release")
    return found + _lengths(notebook, lesson)


def _pictures(cell, say) -> None:
    """Every picture has alt text: in Markdown, in HTML, and where code shows one."""
    for image in _MARKDOWN_IMAGE.finditer(cell.source) if cell.cell_type == "markdown" else ():
        if not image["alt"].strip():
            say(cell, "a Markdown picture has no alt text: ![what is to be seen](...)")
    for image in _HTML_IMAGE.findall(cell.source):
        if not re.search(r"""\balt=(["']).*?\S.*?\1""", image):
            say(cell, "an <img> has no alt text")
    if cell.cell_type != "code":
        return
    try:
        tree = ast.parse(cell.source)
    except SyntaxError:
        return say(cell, "the code is not plain Python")
    for node in ast.walk(tree):
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if name.endswith("plt.show") or name in ("plt.imshow", "plt.plot"):
            say(
                cell,
                "a figure is shown without alt text: use course_lib.figures.show(fig, alt=..., caption=...)",
            )
        if name.split(".")[-1] in ("show", "show_widget") and isinstance(node, ast.Call):
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            for wanted in ("alt", "caption"):
                value = given.get(wanted)
                if value is None or (
                    isinstance(value, ast.Constant) and not str(value.value).strip()
                ):
                    say(cell, f"{name}(...) needs {wanted}=...")


def _lengths(notebook, lesson: Lesson) -> list[str]:
    lengths = {
        cell["id"]: len(cell.source.strip().splitlines())
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    found = [
        f"{lesson.name}, cell {id}: {length} lines of code, more than {MAX_LINES}: move code into course_lib"
        for id, length in lengths.items()
        if length > MAX_LINES
    ]
    median = statistics.median(lengths.values()) if lengths else 0
    if median > MEDIAN_LINES:
        found.append(
            f"{lesson.name}: the median code cell has {median:g} lines, more than {MEDIAN_LINES}"
        )
    return found
