"""Seeded releases: a variant per class or per student, and their grading."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from course_grading.assign import seeds, student_releases
from course_grading.assign.build import build
from course_grading.assign.source import read_lesson
from course_grading.autograde import answer_keys
from course_grading.autograde.grade import GradingTask, grade_submission
from course_grading.batch import grade_batch
from course_grading.errors import AnswerKeyError, BuildError
from course_grading.gradebook.nbgrader_api import open_api

from tests.support.variants import AREA, POOL, lesson_with

NAME = "01_sample"
STUDENTS = ("ada", "bob", "eve")


@pytest.fixture
def course(course) -> Path:
    """The small course with a parametrised question, a question pool and a roster."""
    lesson_with(course / "solutions", AREA, POOL)
    rows = [f"{student.title()},{student}" for student in STUDENTS]
    roster = course / "grading" / "workspace" / "roster.csv"
    roster.write_text("\n".join(["name,student_id", *rows]) + "\n")
    return course


@pytest.fixture
def workspace(course) -> Path:
    return course / "grading" / "workspace"


def texts(folder: Path) -> dict[str, bytes]:
    """Path -> bytes of the current release's notebooks; earlier ones are in ``editions``."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*.ipynb"))
        if "editions" not in path.relative_to(folder).parts
    }


def release(workspace: Path, student: str = ""):
    folder = workspace / (f"students/{student}" if student else "release")
    return nbformat.read(folder / NAME / f"{NAME}.ipynb", as_version=4)


def answered(notebook, letters: dict[str, str]) -> bytes:
    """A submission of a release, with these answers and a correct exercise."""
    for cell in notebook.cells:
        name = cell["id"].removesuffix("-answer")
        if name != cell["id"]:
            cell.source = cell.source.replace('""', f'"{letters.get(name, "")}"', 1)
        elif cell["id"] == "double-code":
            cell.source = "def double(x):\n    return x + x"
    return nbformat.writes(notebook).encode()


def correct_letters(workspace: Path, student: str = "") -> dict[str, str]:
    key = answer_keys.read(workspace, NAME, student)
    return {question.name: question.right for question in key.questions}


def items(notebook) -> list[tuple]:
    """The grade ids and points of a release, as the gradebook stores them."""
    return [
        (grade["grade_id"], grade.get("points"))
        for cell in notebook.cells
        if (grade := cell.metadata.get("nbgrader"))
    ]


def test_release_is_a_function_of_the_seed(course, workspace, tmp_path):
    build(course, graded=True, seed="2027", per_student=True)
    first = texts(workspace)
    assert len(first) == 2 + 2 * len(STUDENTS)
    shutil.copytree(course, tmp_path / "copy")
    for folder in ("source", "release", "students", "source-students"):
        shutil.rmtree(workspace / folder)
    build(course, graded=True, seed="2027", per_student=True)
    assert texts(workspace) == first
    (tmp_path / "copy/grading/workspace/variants.json").unlink()
    build(tmp_path / "copy", graded=True, seed="2028")
    other = texts(tmp_path / "copy/grading/workspace")
    assert other[f"release/{NAME}/{NAME}.ipynb"] != first[f"release/{NAME}/{NAME}.ipynb"]


def test_variant_key_depends_on_seed_student_and_secret(tmp_path):
    keys = [
        seeds.variant_key(tmp_path / workspace, seed, student)
        for workspace in ("ours", "theirs")
        for seed in ("2027", "2028")
        for student in ("", "ada")
    ]
    assert len(set(keys)) == 8
    assert seeds.variant_key(tmp_path / "ours", "2027") == keys[0]


def test_without_a_seed_nothing_changes(course, workspace):
    build(course, graded=True)
    lesson = read_lesson(course / "solutions" / f"{NAME}.md")
    assert correct_letters(workspace) == {q.name: q.right for q in lesson.questions}
    assert not (workspace / "variants.json").exists()
    assert not (workspace / "secret").exists()


def test_seeded_release_does_not_link_the_public_notebook(course, workspace):
    (course / "pyproject.toml").write_text(
        '[tool.course]\nrepository = "https://github.com/someone/course"\n'
    )
    build(course, graded=True, seed="2027")
    assert "colab.research" not in nbformat.writes(release(workspace))
    assert "git+https://github.com/someone/course" in nbformat.writes(release(workspace))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"seed": "2027"}, "--seed is for a classroom release: add --graded"),
        ({"graded": True, "seed": " "}, "--seed is empty"),
        ({"graded": True, "per_student": True}, "add --graded and, for example, --seed"),
    ],
)
def test_incompatible_arguments_are_refused(course, arguments, reason):
    with pytest.raises(BuildError, match=reason):
        build(course, **arguments)


def test_seeded_release_is_not_replaced_by_a_different_one(course, workspace):
    build(course, graded=True, seed="2027")
    released = texts(workspace)
    for arguments in ({}, {"seed": "2028"}, {"seed": "2027", "per_student": True}):
        with pytest.raises(
            BuildError, match=r"was made with --seed 2027, .* delete variants\.json"
        ):
            build(course, graded=True, **arguments)
    build(course, graded=True, seed="2027")
    assert build(course).classroom_unchanged
    assert texts(workspace) == released
    (workspace / "variants.json").write_text("{")
    with pytest.raises(BuildError, match="can't be read"):
        build(course, graded=True, seed="2027")


def test_only_the_seeded_keys_answers_earn_full_points(course, workspace):
    lesson = read_lesson(course / "solutions" / f"{NAME}.md")
    public = {q.name: q.right for q in lesson.questions}
    build(course, graded=True, seed="2027")
    key = answer_keys.read(workspace, NAME)
    assert [q.name for q in key.questions] == [
        "which-letters",
        "how-many",
        "area",
        "compass-1",
        "compass-2",
    ]

    def scores(letters: dict[str, str]) -> dict[str, float]:
        data = answered(release(workspace), letters)
        task = GradingTask("ada", NAME, "ada.ipynb", data, answer_keys.seeds(b"", key, "ada"))
        result = grade_submission(GradingTask(**{**task.__dict__, "trusted": True}), key)
        assert not result.problem and not result.missing
        return {item.name: item.score for item in result.items}

    full = {"which-letters": 3, "how-many": 1, "area": 2, "compass-1": 1, "compass-2": 1}
    assert scores(correct_letters(workspace)) == {**full, "double": 2}
    assert sum(scores(public).values()) < 10


def test_students_variants_have_the_same_items(course, workspace):
    report = build(course, graded=True, seed="2027", per_student=True)
    assert report.problems == [] and report.students == list(STUDENTS)
    notebooks = [release(workspace, student) for student in ("", *STUDENTS)]
    assert all(items(notebook) == items(notebooks[0]) for notebook in notebooks)
    assert len({nbformat.writes(notebook) for notebook in notebooks}) == 4
    files = [
        path.relative_to(workspace / "students") for path in (workspace / "students").rglob("*")
    ]
    released = {str(path) for path in files if path.suffix}
    assert released == {f"{student}/{NAME}/{NAME}.ipynb" for student in STUDENTS}
    for text in texts(workspace / "students").values():
        for secret in (b"quiz.score(", b"HIDDEN TESTS", b"twice_as_much", b"That is its edge"):
            assert secret not in text


def test_students_release_equals_nbgraders(course, workspace):
    build(course, graded=True, seed="2027")
    source = nbformat.read(workspace / "source" / NAME / f"{NAME}.ipynb", as_version=4)
    made = student_releases.without_answers(source, open_api(workspace))
    expected = (workspace / "release" / NAME / f"{NAME}.ipynb").read_text()
    assert nbformat.writes(made) + "\n" == expected


ROSTERS = {
    "no file": (None, "course class --roster"),
    "no column": ("name,id\nAda,ada\n", "no column student_id"),
    "no student": ("student_id\n", "names no student"),
    "a path": ("student_id\nada\n../bob\n", r"roster\.csv:3: '\.\./bob' is no valid folder name"),
    "an empty name": ("name,student_id\nAda,\n", r"roster\.csv:2: '' is no valid folder name"),
    "a student twice": ("student_id\nada\nbob\nada\n", r"roster\.csv:4: 'ada' is on line 2 too"),
    "another encoding": ("student_id\nJosé\n".encode("latin-1"), "can't be read"),
}


@pytest.mark.parametrize("case", ROSTERS)
def test_roster_without_usable_names_is_refused(case, tmp_path):
    content, reason = ROSTERS[case]
    path = tmp_path / "roster.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BuildError, match=reason):
        student_releases.read_students(path)


def test_roster_from_a_spreadsheet_is_read(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_bytes("name,student_id\r\nJosé, jose\u0301 \r\n".encode("utf-8-sig"))
    assert student_releases.read_students(path) == ["jos\u00e9"]


def test_students_with_different_variants_are_graded_end_to_end(
    course, workspace, tmp_path, same_process
):
    # With a random secret, two students sometimes get variants with the same right answers.
    (workspace / "secret").write_text("07" * 32 + "\n")
    build(course, graded=True, seed="2027", per_student=True)
    letters = {student: correct_letters(workspace, student) for student in STUDENTS}
    assert letters["ada"] != letters["bob"] and letters["ada"] != letters["eve"]
    # Ada and Bob answer their own notebooks correctly; Eve submits Ada's.
    for student, owner in {"ada": "ada", "bob": "bob", "eve": "ada"}.items():
        path = tmp_path / "class" / student / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(answered(release(workspace, owner), letters[owner]))
    path = tmp_path / "class" / "guest" / f"{NAME}.ipynb"  # joined the class after the build
    path.parent.mkdir()
    with (workspace / "roster.csv").open("a") as roster:
        roster.write("Guest,guest\n")
    path.write_bytes(answered(release(workspace), correct_letters(workspace)))
    batch = grade_batch(tmp_path / "class", workspace, workers=1, trusted=True)
    assert batch.problems == [] and batch.audit_findings == []
    scores = {grade.student: grade.score for grade in batch.grades}
    assert {**scores, "eve": None} == {"ada": 10, "bob": 10, "guest": 10, "eve": None}
    assert scores["eve"] < 10
    (note,) = batch.notes
    assert note.student == "eve" and "area" in note.reason and "another student's" in note.reason
    assert {grade.max_score for grade in batch.grades} == {10}
    for student in ("ada", "bob"):
        page = batch.feedback[student, NAME].read_text()
        own = next(
            c.source for c in release(workspace, student).cells if c["id"] == "area-question"
        )
        row = next(row for row in own.splitlines() if row.startswith("A square picture"))
        assert row in page and "quiz.score(" not in page
    again = grade_batch(tmp_path / "class", workspace, workers=1, trusted=True)
    assert again.grades == batch.grades


def test_damaged_variant_is_reported(course, workspace):
    build(course, graded=True, seed="2027", per_student=True)
    (workspace / "students" / "bob" / NAME / f"{NAME}.ipynb").unlink()
    with pytest.raises(AnswerKeyError, match="run course build again"):
        answer_keys.read(workspace, NAME, "bob")
    assert json.loads((workspace / "variants.json").read_text()) == {
        "seed": "2027",
        "per_student": True,
    }
