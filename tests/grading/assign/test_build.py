"""The build: its cells, its reproducibility, what it keeps, and what the release check refuses."""

import json
import re
import shutil

import nbformat
import pytest
from course_grading.assign import release_check
from course_grading.assign.build import build, check, has_work
from course_grading.assign.source import read_lesson
from course_grading.errors import BuildError

NAME = "01_sample"


def read_notebook(course, folder="notebooks"):
    path = f"grading/workspace/{folder}/{NAME}/{NAME}.ipynb"
    if folder == "notebooks":
        path = f"notebooks/{NAME}.ipynb"
    return nbformat.read(course / path, as_version=4)


def cell_by_id(notebook, id):
    (match,) = [cell for cell in notebook.cells if cell["id"] == id]
    return match


def find_problems(course, notebook, **options):
    lesson = read_lesson(course / "solutions" / f"{NAME}.md")
    return release_check.find_problems(notebook, lesson, **options)


def test_release_is_valid_and_has_no_problems(built):
    notebook = read_notebook(built)
    nbformat.validate(notebook)
    assert find_problems(built, notebook) == []


def test_cells_of_a_question(built):
    notebook = read_notebook(built)
    text, answer, check_cell = (
        cell_by_id(notebook, f"which-letters{suffix}") for suffix in ("-question", "-answer", "")
    )
    assert text.metadata.nbgrader.locked and "- **C** · The letter e" in text.source
    assert answer.source == (
        'answer = ""  # @param {type:"string", placeholder:"letters, e.g. AC"}\n'
        'quiz.answer("which-letters", answer)'
    )
    assert check_cell.metadata.nbgrader.points == 3
    assert check_cell.source.endswith('\nquiz.recorded("which-letters")')
    assert cell_by_id(notebook, "how-many-answer").source.startswith(
        'answer = ""  # @param ["", "A", "B"]\n'
    )


def test_cells_of_an_exercise(built):
    notebook = read_notebook(built)
    code = cell_by_id(notebook, "double-code")
    check_cell = cell_by_id(notebook, "double")
    assert "raise NotImplementedError()" in code.source and "twice_as_much" not in code.source
    assert code.source.startswith("# Exercise: double (2 points)\n")
    assert "assert double(2) == 4" in check_cell.source
    assert check_cell.source.endswith('quiz.passed("double")')


def test_instructor_notebook_has_the_answers(built):
    source = read_notebook(built, "source")
    assert 'answer = "AC"' in cell_by_id(source, "which-letters-answer").source
    assert 'right="AC", wrong="BD", points=3' in cell_by_id(source, "which-letters").source


def test_builds_are_reproducible(course):
    def built_files():
        build(course)
        folders = [course / "notebooks", course / "course_lib", course / "grading/workspace"]
        return {
            path: path.read_bytes()
            for folder in folders
            for path in folder.rglob("*")
            if path.suffix in (".ipynb", ".json")
        }

    first = built_files()
    bank = course / "course_lib/quiz/bank"
    workspace = course / "grading/workspace"
    for folder in (course / "notebooks", bank, workspace / "source", workspace / "release"):
        shutil.rmtree(folder)
    for folder in (course / "notebooks", bank):
        folder.mkdir()
    assert built_files() == first and len(first) == 6  # two of the six files are in editions/


def test_check_finds_differences(built):
    assert check(built).problems == []
    path = built / "solutions" / f"{NAME}.md"
    path.write_text(path.read_text().replace("The end.", "The very end."))
    assert any("run course build" in problem for problem in check(built).problems)
    (built / "notebooks" / "02_orphan.ipynb").write_text("{}")
    assert any("02_orphan" in problem for problem in check(built).problems)


def test_classroom_release_gives_no_feedback(course):
    build(course, graded=True)
    notebook = read_notebook(course, "release")
    assert "quiz.begin" not in cell_by_id(notebook, "setup").source
    assert (
        'quiz.answer("which-letters", answer, choose="any of ABCD")'
        in cell_by_id(notebook, "which-letters-answer").source
    )
    assert (
        'quiz.answer("how-many", answer, choose="one of AB")'
        in cell_by_id(notebook, "how-many-answer").source
    )
    assert not list((course / "notebooks").iterdir())
    assert not list((course / "course_lib/quiz/bank").iterdir())


def test_private_sources_need_a_classroom_release(course, tmp_path_factory):
    private = tmp_path_factory.mktemp("private")
    shutil.move(course / "solutions" / f"{NAME}.md", private)
    with pytest.raises(BuildError, match="--graded"):
        build(course, solutions=private)
    build(course, solutions=private, graded=True)
    assert cell_by_id(read_notebook(course, "release"), "setup")


def test_build_without_lessons_is_refused(course):
    (course / "solutions" / f"{NAME}.md").unlink()
    with pytest.raises(BuildError, match="NN_name.md"):
        build(course)


def test_learners_work_is_backed_up(built):
    path = built / "notebooks" / f"{NAME}.ipynb"
    assert not has_work(path.read_text())
    edited = path.read_text().replace('answer = \\"\\"', 'answer = \\"B\\"', 1)
    assert has_work(edited)
    path.write_text(edited)
    (backup,) = build(built).backups
    assert backup.read_text() == edited and path.read_text() != edited
    assert build(built).backups == []


@pytest.mark.parametrize(
    "change",
    [
        lambda nb: nb.cells.append(nbformat.v4.new_markdown_cell("my notes")),
        lambda nb: nb.cells[0].update(source=nb.cells[0].source + " I disagree."),
        lambda nb: cell_by_id(nb, "double-code").update(source="def double(x): return x + x"),
        lambda nb: cell_by_id(nb, "setup").update(execution_count=1),
    ],
)
def test_has_work_detects_every_kind_of_edit(change, built):
    notebook = read_notebook(built)
    assert not has_work(nbformat.writes(notebook))
    change(notebook)
    assert has_work(nbformat.writes(notebook))


def test_self_study_build_leaves_a_classroom_release_unchanged(course):
    build(course, graded=True)
    workspace = course / "grading/workspace"
    original = {path: path.read_bytes() for path in workspace.rglob("*.ipynb")}
    assert build(course).classroom_unchanged
    assert {path: path.read_bytes() for path in workspace.rglob("*.ipynb")} == original
    assert cell_by_id(read_notebook(course), "setup").source.endswith(f'quiz.begin("{NAME}")')


def test_refused_build_restores_the_old_release(built, monkeypatch):
    from nbgrader.apps.api import NbGraderAPI

    release = built / f"grading/workspace/release/{NAME}/{NAME}.ipynb"
    original = release.read_bytes()

    def refuse(api, name, **options):
        release.unlink()
        return {"success": False, "log": "there are submissions associated with it"}

    monkeypatch.setattr(NbGraderAPI, "generate_assignment", refuse)
    with pytest.raises(BuildError, match="Finish grading those first"):
        build(built)
    assert release.read_bytes() == original


def test_repository_address_adds_the_badge_and_fills_the_setup_cell(course):
    build(course)
    assert "colab" not in read_notebook(course).cells[0].source
    assert (
        'os.environ.get("COURSE_SOURCE", "")' in cell_by_id(read_notebook(course), "setup").source
    )
    (course / "pyproject.toml").write_text(
        '[tool.course]\nrepository = "https://github.com/someone/course"\n'
    )
    build(course)
    notebook = read_notebook(course)
    page = f"github/someone/course/blob/main/notebooks/{NAME}.ipynb"
    assert f"colab.research.google.com/{page}" in notebook.cells[0].source
    assert '"git+https://github.com/someone/course"' in cell_by_id(notebook, "setup").source


def test_question_bank_does_not_show_the_key(built):
    text = (built / f"course_lib/quiz/bank/{NAME}.json").read_text()
    assert "consonant" not in text and "It is one of" not in text
    assert not re.search(r'"(AC|right|key)"', json.dumps(json.loads(text)))


DEFECTS = {
    "an execution count": lambda nb: cell_by_id(nb, "setup").update(execution_count=3),
    "an output": lambda nb: cell_by_id(nb, "setup").update(
        outputs=[nbformat.v4.new_output("stream", text="right")]
    ),
    "a filled-in answer": lambda nb: cell_by_id(nb, "how-many-answer").update(
        source='answer = "B"'
    ),
    "a key": lambda nb: cell_by_id(nb, "how-many").update(
        source='quiz.score("how-many", right="B", wrong="A", points=1)'
    ),
    "hidden tests": lambda nb: cell_by_id(nb, "double").update(
        source="### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS"
    ),
    "cases": lambda nb: cell_by_id(nb, "double").update(source="def cases(rng): ..."),
    "a solution": lambda nb: cell_by_id(nb, "double-code").update(
        source="    twice_as_much = 2 * np.asarray(x)"
    ),
    "an explanation": lambda nb: nb.cells[0].update(source="As on your fingers."),
    "a right option": lambda nb: nb.cells[0].update(source="```{questions} x\n- [x] this\n```"),
    "a machine's path": lambda nb: cell_by_id(nb, "setup").update(
        source='open("/home/someone/file")'
    ),
    "a Markdown image without alt text": lambda nb: nb.cells[0].update(source="![](a.png)"),
    "an img without alt text": lambda nb: nb.cells[0].update(source='<img src="a.png">'),
    "a figure without alt text": lambda nb: cell_by_id(nb, "setup").update(
        source='show(fig, caption="x")'
    ),
    "a figure with empty alt text": lambda nb: cell_by_id(nb, "setup").update(
        source='show(fig, alt=" ", caption="x")'
    ),
    "a figure with unknown options": lambda nb: cell_by_id(nb, "setup").update(
        source="show(fig, **options)"
    ),
    "plt.show": lambda nb: cell_by_id(nb, "setup").update(source="plt.show()"),
    "a long cell": lambda nb: cell_by_id(nb, "setup").update(source="x = 1\n" * 31),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_release_check_finds(defect, built):
    notebook = read_notebook(built)
    DEFECTS[defect](notebook)
    assert find_problems(built, notebook)


def test_release_check_accepts_a_description_from_the_library(built):
    notebook = read_notebook(built)
    cell_by_id(notebook, "setup").update(source='show(fig, **describe("slope"))')
    assert not [problem for problem in find_problems(built, notebook) if "show" in problem]


def test_release_check_finds_feedback_in_a_classroom_release(built):
    problems = find_problems(built, read_notebook(built), graded=True)
    assert any("self-study" in problem for problem in problems)
