"""A learner's work is kept after a restart, on a different machine, in Colab and after an update
of the lesson.
"""

import shutil
import subprocess
import sys

from course_grading.assign.build import build

from course_lib.learner import files, summary
from tests.support import learner as work


def outcomes(folder) -> list[tuple[str, str, float]]:
    """The name, state and score of each item."""
    (lesson,) = summary.read(folder).lessons
    return [(item.name, item.state, item.earned) for item in lesson.items]


def do_some_work(notebook) -> None:
    """Do one question correctly, one incorrectly, and an exercise whose visible check passes."""
    work.answer(notebook, "which-letters", "AC")
    work.answer(notebook, "how-many", "A")
    work.solve(notebook, work.RIGHT)
    work.run_check(notebook, passes=True)


EXPECTED = [("which-letters", "right", 3), ("how-many", "wrong", 0), ("double", "passing", 0)]


def test_work_is_kept_after_a_restart(learner, notebook):
    do_some_work(notebook)
    code = (
        "from course_lib.quiz import question_bank; from pathlib import Path; "
        f"question_bank.FOLDER = Path({str(learner.parent / 'course_lib/quiz/bank')!r}); "
        "from course_lib.learner import summary; "
        f"print([i.state for i in summary.read(Path({str(learner)!r})).lessons[0].items])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['right', 'wrong', 'passing']"


def test_work_is_kept_on_a_different_machine(learner, notebook, tmp_path):
    do_some_work(notebook)
    moved = shutil.copytree(learner, tmp_path / "another" / "place")
    notebook.unlink()
    assert outcomes(moved) == EXPECTED


def test_work_is_kept_in_colab(learner, notebook, tmp_path):
    do_some_work(notebook)
    for name in ("01_sample.ipynb", "Copy of 01_sample (1).ipynb"):
        folder = tmp_path / name.replace(" ", "")
        folder.mkdir()
        work.as_from_colab(notebook, folder / name)
        assert outcomes(folder) == EXPECTED


def test_download_from_colab_is_found_in_the_folder(learner, notebook):
    released = notebook.read_bytes()
    do_some_work(notebook)
    work.as_from_colab(notebook, learner / "01_sample (1).ipynb")
    notebook.write_bytes(released)
    assert outcomes(learner) == EXPECTED


def test_work_is_kept_after_an_update_of_the_lesson(learner, notebook):
    do_some_work(notebook)
    source = learner.parent / "solutions" / "01_sample.md"
    source.write_text(source.read_text().replace("Some text,", "Another text,"))
    report = build(learner.parent)
    assert [path.name for path in report.backups] == ["01_sample.mine-1.ipynb"]
    assert "Another text" in notebook.read_text() and '"AC"' not in notebook.read_text()
    assert outcomes(learner) == EXPECTED


def test_lessons_own_notebook_takes_precedence_over_copies(learner, notebook):
    work.answer(notebook, "how-many", "A")
    copy = learner / "01_sample.mine-1.ipynb"
    shutil.copy(notebook, copy)
    work.answer(copy, "how-many", "B")
    work.answer(copy, "which-letters", "AC")
    assert [state for _, state, _ in outcomes(learner)] == ["right", "wrong", "open"]


def test_copy_with_the_higher_number_takes_precedence(learner, notebook):
    for number, letters in ((1, "AC"), (2, "B")):
        copy = learner / f"01_sample.mine-{number}.ipynb"
        shutil.copy(notebook, copy)
        work.answer(copy, "which-letters", letters)
        work.set_time(copy, 1000 - number)
    assert outcomes(learner)[0][1] == "right"


def test_combining_changes_no_file(learner, notebook):
    copy = learner / "01_sample.mine-1.ipynb"
    shutil.copy(notebook, copy)
    work.answer(copy, "how-many", "B")
    before = {path: path.read_bytes() for path in learner.iterdir()}
    found, _ = files.find(learner)
    combined = files.combine(found["01_sample"])
    assert any("B" in cell.source for cell in combined.cells if cell.answers == "how-many")
    assert {path: path.read_bytes() for path in learner.iterdir()} == before
