"""The build: what a release holds and what it gives away (nothing), byte for byte the same each
time.
"""

import json
import re
import shutil

import nbformat
import pytest
from course_grading.assign import release_check
from course_grading.assign.build import BuildError, build, check, has_work
from course_grading.assign.source import read

NAME = "01_sample"


def released(course, folder="notebooks"):
    place = {"notebooks": f"notebooks/{NAME}.ipynb"}.get(
        folder, f"grading/workspace/{folder}/{NAME}/{NAME}.ipynb"
    )
    return nbformat.read(course / place, as_version=4)


def cell(notebook, id):
    (found,) = [cell for cell in notebook.cells if cell["id"] == id]
    return found


def test_release_is_valid_and_sound(built):
    notebook = released(built)
    nbformat.validate(notebook)
    assert release_check.problems(notebook, read(built / "solutions" / f"{NAME}.md")) == []


def test_cells_of_a_question(built):
    notebook = released(built)
    text, answer, mark = (
        cell(notebook, f"which-letters{suffix}") for suffix in ("-question", "-answer", "")
    )
    assert text.metadata.nbgrader.locked and "- **C** · The letter e" in text.source
    assert answer.source == (
        'answer = ""  # @param {type:"string", placeholder:"letters, e.g. AC"}\nquiz.answer("which-letters", answer)'
    )
    assert mark.metadata.nbgrader.points == 3 and mark.source.startswith(
        'quiz.recorded("which-letters")'
    )
    assert cell(notebook, "how-many-answer").source.startswith(
        'answer = ""  # @param ["", "A", "B"]\n'
    )


def test_cells_of_an_exercise(built):
    notebook = released(built)
    code, mark = cell(notebook, "double-code"), cell(notebook, "double")
    assert "raise NotImplementedError()" in code.source and "twice_as_much" not in code.source
    assert code.source.startswith("# Exercise: double (2 points)\n")
    assert "assert double(2) == 4" in mark.source and mark.source.endswith('quiz.passed("double")')


def test_instructor_notebook_holds_the_answers(built):
    source = released(built, "source")
    assert 'answer = "AC"' in cell(source, "which-letters-answer").source
    assert 'right="AC", wrong="BD", points=3' in cell(source, "which-letters").source


def test_two_builds_are_equal_to_the_byte(course, tmp_path_factory):
    def everything():
        build(course)
        folders = [course / "notebooks", course / "course_lib", course / "grading/workspace"]
        return {
            p: p.read_bytes()
            for f in folders
            for p in f.rglob("*")
            if p.suffix in (".ipynb", ".json")
        }

    first = everything()
    for folder in (
        "notebooks",
        "course_lib",
        "grading/workspace/source",
        "grading/workspace/release",
    ):
        shutil.rmtree(course / folder)
    for folder in ("notebooks", "course_lib/quiz/bank"):
        (course / folder).mkdir(parents=True)
    assert everything() == first and len(first) == 4


def test_check_finds_what_differs(built):
    assert check(built).problems == []
    path = built / "solutions" / f"{NAME}.md"
    path.write_text(path.read_text().replace("The end.", "The very end."))
    assert any("run course build" in problem for problem in check(built).problems)
    (built / "notebooks" / "02_orphan.ipynb").write_text("{}")
    assert any("02_orphan" in problem for problem in check(built).problems)


def test_classroom_release_gives_no_feedback(course):
    build(course, graded=True)
    notebook = released(course, "release")
    assert "quiz.begin" not in cell(notebook, "setup").source
    assert (
        'quiz.answer("which-letters", answer, choose="any of ABCD")'
        in cell(notebook, "which-letters-answer").source
    )
    assert (
        'quiz.answer("how-many", answer, choose="one of AB")'
        in cell(notebook, "how-many-answer").source
    )
    assert not list((course / "notebooks").iterdir()) and not list(
        (course / "course_lib/quiz/bank").iterdir()
    )


def test_private_sources_make_a_classroom_release_only(course, tmp_path_factory):
    private = tmp_path_factory.mktemp("private")
    shutil.move(course / "solutions" / f"{NAME}.md", private)
    with pytest.raises(BuildError, match="--graded"):
        build(course, solutions=private)
    build(course, solutions=private, graded=True)
    assert cell(released(course, "release"), "setup")


def test_nothing_to_build_is_said(course):
    (course / "solutions" / f"{NAME}.md").unlink()
    with pytest.raises(BuildError, match="NN_name.md"):
        build(course)


def test_a_learners_work_is_never_overwritten(built):
    path = built / "notebooks" / f"{NAME}.ipynb"
    assert not has_work(path.read_text())
    worked = path.read_text().replace('answer = \\"\\"', 'answer = \\"B\\"', 1)
    assert has_work(worked)
    path.write_text(worked)
    report = build(built)
    (kept,) = report.kept
    assert kept.read_text() == worked and path.read_text() != worked
    assert build(built).kept == []


@pytest.mark.parametrize(
    "change",
    [
        lambda nb: nb.cells.append(nbformat.v4.new_markdown_cell("my notes")),
        lambda nb: nb.cells[0].update(source=nb.cells[0].source + " I disagree."),
        lambda nb: cell(nb, "double-code").update(source="def double(x): return x + x"),
        lambda nb: cell(nb, "setup").update(execution_count=1),
    ],
)
def test_every_kind_of_work_is_seen(change, built):
    notebook = released(built)
    assert not has_work(nbformat.writes(notebook))
    change(notebook)
    assert has_work(nbformat.writes(notebook))


def test_a_self_study_build_leaves_a_classroom_alone(course):
    build(course, graded=True)
    workspace = course / "grading/workspace"
    before = {path: path.read_bytes() for path in workspace.rglob("*.ipynb")}
    assert build(course).classroom_kept
    assert {path: path.read_bytes() for path in workspace.rglob("*.ipynb")} == before
    assert cell(released(course), "setup").source.endswith(f'quiz.begin("{NAME}")')


def test_a_refused_build_keeps_the_old_release(built, monkeypatch):
    from nbgrader.apps.api import NbGraderAPI

    release = built / f"grading/workspace/release/{NAME}/{NAME}.ipynb"
    before = release.read_bytes()

    def refuses(desk, name, **options):
        release.unlink()
        return {"success": False, "log": "there are submissions associated with it"}

    monkeypatch.setattr(NbGraderAPI, "generate_assignment", refuses)
    with pytest.raises(BuildError, match="Finish grading those first"):
        build(built)
    assert release.read_bytes() == before


def test_repository_draws_the_badge_and_fills_the_setup_cell(course):
    build(course)
    assert "colab" not in released(course).cells[0].source
    assert 'os.environ.get("COURSE_SOURCE", "")' in cell(released(course), "setup").source
    (course / "pyproject.toml").write_text(
        '[tool.course]\nrepository = "https://github.com/someone/course"\n'
    )
    build(course)
    first, setup = released(course).cells[0].source, cell(released(course), "setup").source
    assert (
        f"colab.research.google.com/github/someone/course/blob/main/notebooks/{NAME}.ipynb" in first
    )
    assert '"git+https://github.com/someone/course"' in setup


def test_bank_does_not_show_the_key(built):
    text = (built / f"course_lib/quiz/bank/{NAME}.json").read_text()
    assert "consonant" not in text and "It is one of" not in text
    assert not re.search(r'"(AC|right|key)"', json.dumps(json.loads(text)))


LEAKS = {
    "an output": lambda nb: cell(nb, "setup").update(execution_count=3),
    "a filled answer": lambda nb: cell(nb, "how-many-answer").update(source='answer = "B"'),
    "a key": lambda nb: cell(nb, "how-many").update(
        source='quiz.score("how-many", right="B", wrong="A", points=1)'
    ),
    "hidden tests": lambda nb: cell(nb, "double").update(
        source="### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS"
    ),
    "cases": lambda nb: cell(nb, "double").update(source="def cases(rng): ..."),
    "a solution": lambda nb: cell(nb, "double-code").update(
        source="    twice_as_much = 2 * np.asarray(x)"
    ),
    "an explanation": lambda nb: nb.cells[0].update(source="As on your fingers."),
    "a right option": lambda nb: nb.cells[0].update(source="```{questions} x\n- [x] this\n```"),
    "a machine's path": lambda nb: cell(nb, "setup").update(source='open("/home/someone/file")'),
    "a picture without alt text": lambda nb: nb.cells[0].update(source="![](a.png)"),
    "an img without alt text": lambda nb: nb.cells[0].update(source='<img src="a.png">'),
    "a figure without alt text": lambda nb: cell(nb, "setup").update(
        source='show(fig, caption="x")'
    ),
    "a figure with empty alt text": lambda nb: cell(nb, "setup").update(
        source='show(fig, alt=" ", caption="x")'
    ),
    "plt.show": lambda nb: cell(nb, "setup").update(source="plt.show()"),
    "a long cell": lambda nb: cell(nb, "setup").update(source="x = 1\n" * 31),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_audit_finds(leak, built):
    notebook = released(built)
    LEAKS[leak](notebook)
    assert release_check.problems(notebook, read(built / "solutions" / f"{NAME}.md"))


def test_audit_finds_feedback_in_a_classroom_release(built):
    assert any(
        "self-study" in p
        for p in release_check.problems(
            released(built), read(built / f"solutions/{NAME}.md"), graded=True
        )
    )
