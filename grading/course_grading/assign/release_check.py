"""Check a release: it must reveal no answer, contain no outputs, keys or machine-specific paths,
and have alt text for every figure.
"""

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

from course_grading.assign.lesson import Exercise, Lesson

MAX_LINES = 30  # of a code cell
MAX_MEDIAN_LINES = 10
MIN_LEAK_LENGTH = 16  # characters: shorter explanations may occur in the text by chance
_INSTRUCTOR_ONLY = (
    "BEGIN SOLUTION",
    "END SOLUTION",
    "HIDDEN TESTS",
    "score_cases",
    "quiz.score(",
    "def cases(",
)
_MACHINE_PATH = re.compile(r"(?<![\w.])(/home/\w|/root/|/Users/\w|/tmp/|/work/|[A-Z]:\\\\?Users)")
_MARKDOWN_IMAGE = re.compile(r"!\[(?P<alt>[^\]]*)\]\(")
_HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_ALT_TEXT = re.compile(r"""\balt=(["']).*?\S.*?\1""")
_SOLUTION = re.compile(r"### BEGIN SOLUTION\n(?P<body>.*?)### END SOLUTION", re.DOTALL)


def find_problems(notebook, lesson: Lesson, *, graded: bool = False) -> list[str]:
    """The problems of a released notebook, one sentence each."""
    problems = []
    for cell in notebook.cells:
        in_cell = [
            *_leftovers(cell),
            *_images_without_alt(cell),
            *_leaked_explanations(cell, lesson),
        ]
        problems += [f"{lesson.name}, cell {cell['id']}: {problem}" for problem in in_cell]
    by_id = {cell["id"]: cell for cell in notebook.cells}
    if graded and "quiz.begin(" in by_id["setup"].source:
        problems.append(f"{lesson.name}: the classroom release enables self-study feedback")
    for question in lesson.questions:
        answer = by_id.get(f"{question.name}-answer")
        if answer is None or not answer.source.startswith('answer = ""'):
            problems.append(
                f"{lesson.name}: the answer of question {question.name!r} is not blank in the "
                "release"
            )
    whole_text = "\n".join(cell.source for cell in notebook.cells)
    for exercise in lesson.exercises:
        stub = by_id[f"{exercise.name}-code"].source
        if _shows_solution(exercise, stub, whole_text):
            problems.append(
                f"{lesson.name}: the solution of exercise {exercise.name!r} is in the release"
            )
        if "raise NotImplementedError()" not in stub:
            problems.append(f"{lesson.name}: exercise {exercise.name!r} has no stub in the release")
    return problems + _cell_lengths(notebook, lesson)


def _leftovers(cell) -> Iterator[str]:
    """What a release must not contain: outputs, hidden tests, keys, machine-specific paths."""
    if cell.get("outputs") or cell.get("execution_count"):
        yield "an output was left in the release"
    for text in _INSTRUCTOR_ONLY:
        if text in cell.source:
            yield f"the release shows {text!r}"
    if re.search(r"^\s*[-*+] \[[xX=~]\] ", cell.source, re.MULTILINE):
        yield "the release shows a question's right option: is its directive written {question}?"
    if _MACHINE_PATH.search(cell.source) or str(Path.home()) + "/" in cell.source:
        yield "the release contains a machine-specific path"


def _leaked_explanations(cell, lesson: Lesson) -> Iterator[str]:
    for question in lesson.questions:
        explanations = (option.explanation for option in question.options)
        if any(len(text) >= MIN_LEAK_LENGTH and text in cell.source for text in explanations):
            yield f"an explanation of question {question.name!r} is in the release"


def _images_without_alt(cell) -> Iterator[str]:
    """Images without alt text: in Markdown, in HTML, and in code that shows a figure."""
    if cell.cell_type == "markdown":
        for image in _MARKDOWN_IMAGE.finditer(cell.source):
            if not image["alt"].strip():
                yield "a Markdown image has no alt text: write ![what it shows](...)"
    for image in _HTML_IMAGE.findall(cell.source):
        if not _ALT_TEXT.search(image):
            yield "an <img> has no alt text"
    if cell.cell_type != "code":
        return
    try:
        tree = ast.parse(cell.source)
    except SyntaxError:
        yield "the code is not plain Python"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _figures_without_alt(node)


def _figures_without_alt(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    if name.endswith("plt.show") or name in ("plt.imshow", "plt.plot"):
        yield (
            "a figure is shown without alt text: use "
            "course_lib.figures.show(fig, alt=..., caption=...)"
        )
    if name.split(".")[-1] in ("show", "show_widget"):
        arguments = {keyword.arg: keyword.value for keyword in call.keywords}
        both = arguments.get(None)  # **describe("name"): the library has both, never empty
        if isinstance(both, ast.Call) and ast.unparse(both.func).split(".")[-1] == "describe":
            return
        for argument in ("alt", "caption"):
            value = arguments.get(argument)
            blank = isinstance(value, ast.Constant) and not str(value.value).strip()
            if value is None or blank:
                yield f"{name}(...) needs {argument}=..."


def _shows_solution(exercise: Exercise, stub: str, whole_text: str) -> bool:
    match = _SOLUTION.search(exercise.solution)
    body = match["body"].strip() if match else ""
    lines = [line.strip() for line in body.splitlines()]
    distinctive = [line for line in lines if len(line) > 12 and not line.startswith("#")]
    return (
        not body
        or (len(body) >= 2 * MIN_LEAK_LENGTH and body in whole_text)
        or any(line in stub for line in distinctive)
    )


def _cell_lengths(notebook, lesson: Lesson) -> list[str]:
    lengths = {
        cell["id"]: len(cell.source.strip().splitlines())
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    problems = [
        f"{lesson.name}, cell {id}: {length} lines of code, more than {MAX_LINES}: "
        "move code into course_lib"
        for id, length in lengths.items()
        if length > MAX_LINES
    ]
    median = statistics.median(lengths.values()) if lengths else 0
    if median > MAX_MEDIAN_LINES:
        problems.append(
            f"{lesson.name}: the median code cell has {median:g} lines, more than "
            f"{MAX_MEDIAN_LINES}"
        )
    return problems
