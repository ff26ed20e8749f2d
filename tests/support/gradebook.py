"""Records a graded class in the gradebook of the sample course without running the autograder."""

import random
from pathlib import Path

import nbformat
from course_grading.gradebook.nbgrader_api import open_api

NAME = "01_sample"


def submit(workspace: Path, student: str, answers: dict[str, str], code: str | None = None) -> None:
    """Write a rebuilt notebook into ``submitted/``.

    Args:
        workspace: nbgrader's course directory.
        student: the student's id.
        answers: the typed letters, by question.
        code: the source of the exercise's cell; None leaves it blank.
    """
    notebook = nbformat.read(workspace / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    for cell in notebook.cells:
        name = cell["id"].removesuffix("-answer")
        if name != cell["id"] and name in answers:
            cell.source = cell.source.replace('answer = ""', f'answer = "{answers[name]}"', 1)
        if cell["id"] == "double-code" and code is not None:
            cell.source = f"# Exercise: double (2 points)\n{code}"
    path = workspace / "submitted" / student / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def record_scores(workspace: Path, scores: dict[str, dict[str, float]], **submission) -> None:
    """Record scores by student and item, as an autograder does: ``{"ada": {"double": 2.0}}``."""
    with open_api(workspace).gradebook as book:
        # one commit instead of several per student, which dominate the running time
        commit, book.db.commit = book.db.commit, book.db.flush
        for student, by_item in scores.items():
            book.update_or_create_student(student)
            entry = book.update_or_create_submission(NAME, student, **submission)
            for grade in entry.notebooks[0].grades:
                if grade.name in by_item:
                    grade.auto_score = by_item[grade.name]
                    grade.needs_manual_grade = False
        commit()


def record_class(workspace: Path, size: int, seed: int = 0) -> None:
    """Submit and record a class in which students with a higher index tend to score higher."""
    rng = random.Random(seed)
    scores = {}
    for number in range(size):
        student = f"s{number:03d}"
        ability = (number + 0.5) / size
        vowels = "AC" if rng.random() < ability else rng.choice(["A", "AB", "D", ""])
        two = "B" if rng.random() < 0.3 + 0.7 * ability else "A"
        quarters = min(4, int(5 * rng.random() ** (1 - ability)))
        scores[student] = {
            "which-letters": {"AC": 3.0, "A": 1.5}.get(vowels, 0.0),
            "how-many": float(two == "B"),
            "double": quarters / 2,
        }
        answers = {"which-letters": vowels, "how-many": two}
        submit(workspace, student, answers, "def double(x):\n    return x")
    record_scores(workspace, scores)
