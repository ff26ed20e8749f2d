"""A class of any size in the gradebook of the miniature course, made without running anything."""

import random
from pathlib import Path

import nbformat
from course_grading.gradebook.nbgrader_api import open_desk

NAME = "01_sample"


def hand_in(
    workspace: Path, student: str, answers: dict[str, str], code: str | None = None
) -> None:
    """Write a rebuilt notebook into ``submitted/``: answers by question, and the exercise's
    cell.
    """
    notebook = nbformat.read(workspace / "release" / NAME / f"{NAME}.ipynb", as_version=4)
    for cell in notebook.cells:
        name = cell["id"].removesuffix("-answer")
        if name != cell["id"] and name in answers:
            cell.source = cell.source.replace('answer = ""', f'answer = "{answers[name]}"', 1)
        if cell["id"] == "double-code" and code is not None:
            cell.source = f"# Exercise: double (2 points)\n{code}"
    target = workspace / "submitted" / student / NAME / f"{NAME}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)


def record(workspace: Path, students: dict[str, dict[str, float]], **submission) -> None:
    """Give students their scores by item, as an autograder would: ``{"ada": {"double": 2.0}}``."""
    with open_desk(workspace).gradebook as book:
        for student, earned in students.items():
            book.update_or_create_student(student)
            sent = book.update_or_create_submission(NAME, student, **submission)
            for grade in sent.notebooks[0].grades:
                if grade.name in earned:
                    grade.auto_score, grade.needs_manual_grade = earned[grade.name], False
        book.db.commit()


def a_class(workspace: Path, size: int, seed: int = 0) -> None:
    """A class that knows more or less: who knows more has more items right, with the answers that
    say so.
    """
    draw = random.Random(seed)
    scores = {}
    for number in range(size):
        able = (number + 0.5) / size
        vowels = "AC" if draw.random() < able else draw.choice(["A", "AB", "D", ""])
        two = "B" if draw.random() < 0.3 + 0.7 * able else "A"
        share = min(4, int(5 * draw.random() ** (1 - able)))
        scores[f"s{number:03d}"] = {"which-letters": {"AC": 3.0, "A": 1.5}.get(vowels, 0.0)}
        scores[f"s{number:03d}"] |= {"how-many": float(two == "B"), "double": share / 2}
        hand_in(
            workspace,
            f"s{number:03d}",
            {"which-letters": vowels, "how-many": two},
            "def double(x):\n    return x",
        )
    record(workspace, scores)
