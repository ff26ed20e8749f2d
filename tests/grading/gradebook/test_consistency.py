"""The gradebook, the feedback pages and a run's report agree, whatever changed between two runs."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from course_grading.assign.build import build
from course_grading.autograde import answer_keys, workers
from course_grading.autograde.grade import grade_submission
from course_grading.batch import Batch, Selection, grade_batch, regrade
from course_grading.errors import IntakeError, OverrideError
from course_grading.gradebook import feedback, originals, overrides, record
from course_grading.gradebook.nbgrader_api import open_api

pytestmark = pytest.mark.usefixtures("same_process")

NAME = "01_sample"
CORRECT = {
    "which_letters_answer": 'answer = "AC"',
    "how_many_answer": 'answer = "B"',
    "double_code": "def double(x):\n    return x + x",
}
THREE_IS_RIGHT = ("- [ ] three", "- [x] three"), ("- [x] four", "- [ ] four")


class Course:
    """The small course with its submissions."""

    def __init__(self, root: Path, submission):
        self.root = root
        self.submission = submission
        self.workspace = root / "grading" / "workspace"
        (root / "grading" / "nbgrader_config.py").write_text("c = get_config()\n")

    def submit(self, student: str, folder: str = "class", **sources: str) -> None:
        path = self.root / folder / student / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.submission(**{**CORRECT, **sources}))
        path.with_name("timestamp.txt").write_text("2026-05-02 12:00:00 UTC")

    def grade(self, folder: str = "class") -> Batch:
        return grade_batch(self.root / folder, self.workspace, workers=1)

    def set(self, line: str) -> None:
        with (self.root / "grading" / "nbgrader_config.py").open("a") as file:
            file.write(f"c.{line}\n")

    def edit_source(self, *edits: tuple[str, str]) -> None:
        path = self.root / "solutions" / f"{NAME}.md"
        text = path.read_text()
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        build(self.root)

    @property
    def book(self):
        return open_api(self.workspace).gradebook

    def page(self, student: str) -> str:
        return feedback.page_path(self.workspace, student, NAME).read_text()


@pytest.fixture
def course(built, submission):
    return Course(built, submission)


def scores(batch: Batch) -> dict[str, tuple[float, bool]]:
    assert batch.problems == [] and batch.audit_findings == []
    return {grade.student: (grade.score, grade.late) for grade in batch.class_grades}


def changes(batch: Batch) -> list[tuple[str, ...]]:
    return [(c.student, c.what, c.before, c.after, c.reason) for c in batch.changes]


def test_due_date_extension_and_penalty_rule_apply_to_all_students(course):
    """They also apply to students whose submissions are not in this run's folder."""
    course.submit("ann")
    course.submit("bob", folder="others")
    assert scores(course.grade()) == {"ann": (6, False)}
    assert course.grade("others").changes == []
    with course.book as book:
        book.update_or_create_assignment(NAME, duedate=datetime(2026, 5, 1, 12))
    batch = course.grade("others")
    assert scores(batch) == {"ann": (6, True), "bob": (6, True)}
    assert [c for c in changes(batch) if c[0] == "ann"] == [
        ("ann", "late", "no", "yes", "due date"),
        ("ann", "due", "", "2026-05-01T12:00:00", "due date"),
    ]
    assert "late by 1 day" in course.page("ann")
    course.set("LateSubmissionPlugin.penalty_method = 'zero'")
    batch = course.grade()
    assert scores(batch) == {"ann": (0, True), "bob": (0, True)}
    assert ("bob", "score", "6", "0", "penalty rule") in changes(batch)
    assert "Score: 0.0 / 6.0" in course.page("bob") and "penalty: -6.0" in course.page("bob")
    with course.book as book:
        book.grant_extension(NAME, "bob", days=7)
    batch = course.grade()
    assert scores(batch) == {"ann": (0, True), "bob": (6, False)}
    assert ("bob", "score", "0", "6", "extension") in changes(batch)
    assert "with your extension" in course.page("bob") and "on time" in course.page("bob")
    assert course.grade().changes == []


def test_manual_scores_and_comments_are_shown_and_accepted_by_the_audit(course):
    course.submit("ann", how_many_answer='answer = ["B"]')
    batch = course.grade()
    assert batch.grades[0].needs_manual and "needs manual grading" in course.page("ann")
    with course.book as book:
        grade = book.find_grade("how-many", NAME, NAME, "ann")
        grade.manual_score, grade.needs_manual_grade = 1.0, False
        book.find_comment("how-many-answer", NAME, NAME, "ann").manual_comment = "Read as <B>."
        book.db.commit()
    batch = course.grade()
    assert scores(batch) == {"ann": (6, False)} and not batch.grades[0].needs_manual
    assert "Score: 6.0 / 6.0" in course.page("ann") and "Read as &lt;B&gt;." in course.page("ann")
    assert changes(batch) == [
        ("ann", "score", "5", "6", "graded manually"),
        ("ann", "manual grading", "yes", "no", "graded manually"),
        ("ann", "score of how-many", "0", "1", "graded manually"),
        ("ann", "comment on how-many", "", "Read as <B>.", "graded manually"),
    ]


def test_audit_reports_a_cleared_flag_without_a_manual_score(course):
    course.submit("ann", how_many_answer='answer = ["B"]')
    course.grade()
    with course.book as book:
        book.find_grade("how-many", NAME, NAME, "ann").needs_manual_grade = False
        book.db.commit()
    (finding,) = course.grade().audit_findings
    assert "how-many is not flagged for manual grading" in finding


def test_manual_score_is_flagged_again_only_if_its_own_answer_changes(course):
    course.submit("ann", how_many_answer='answer = ["B"]')
    course.grade()
    with course.book as book:
        grade = book.find_grade("how-many", NAME, NAME, "ann")
        grade.manual_score, grade.needs_manual_grade = 1.0, False
        book.db.commit()
    course.submit("ann", how_many_answer='answer = ["B"]', which_letters_answer='answer = "A"')
    batch = course.grade()
    assert scores(batch) == {"ann": (4.5, False)} and not batch.grades[0].needs_manual
    course.submit("ann", how_many_answer='answer = ["C"]')
    assert course.grade().grades[0].needs_manual


@pytest.mark.parametrize(
    "loss",
    [
        "moved",
        pytest.param("student", marks=pytest.mark.extended),
        pytest.param("assignment", marks=pytest.mark.extended),
        pytest.param("backup", marks=pytest.mark.extended),
    ],
)
def test_records_lost_from_the_gradebook_are_restored(course, loss):
    """Manual scores and comments are restored too, also for students not in this run's folder."""
    backup = course.workspace / "backup.db"
    course.submit("ann")
    course.submit("bob", folder="others")
    if loss == "backup":
        course.submit("ann", which_letters_answer='answer = "A"')
        course.grade()
        backup.write_bytes((course.workspace / "gradebook.db").read_bytes())
        course.submit("ann")
    course.grade()
    course.grade("others")
    with course.book as book:
        book.update_or_create_assignment(NAME, duedate=datetime(2026, 5, 1, 12))
        book.grant_extension(NAME, "ann", days=7)
        book.find_grade("double", NAME, NAME, "ann").manual_score = 1.5
        book.find_comment("double-code", NAME, NAME, "ann").manual_comment = "Nice."
        book.db.commit()
    before = scores(course.grade("others"))
    assert before == {"ann": (5.5, False), "bob": (6, True)}
    if loss == "backup":
        backup.replace(course.workspace / "gradebook.db")
    elif loss == "student":
        with course.book as book:
            book.remove_student("ann")
    elif loss == "assignment":
        with course.book as book:
            book.remove_assignment(NAME)
        build(course.root)
    else:
        (course.workspace / "gradebook.db").rename(course.workspace / "gradebook.old")
        build(course.root)
    batch = course.grade("others")
    if loss == "backup":  # the backup's due dates and manual scores take precedence
        assert scores(batch) == {"ann": (6, False), "bob": (6, False)}
        return
    assert scores(batch) == before and batch.changes == []
    assert "ann" in {note.student for note in batch.notes}
    assert "Nice." in course.page("ann")


def test_corrected_key_applies_to_students_not_in_the_folder(course):
    course.submit("ann")
    course.submit("bob", folder="late", how_many_answer='answer = "A"')
    course.grade()
    course.edit_source(*THREE_IS_RIGHT)
    batch = course.grade("late")
    assert scores(batch) == {"ann": (5, False), "bob": (6, False)}
    assert [(note.student, note.reason[:12]) for note in batch.notes] == [("ann", "graded again")]
    assert changes(batch) == [
        ("ann", "score", "6", "5", "answer key"),
        ("ann", "score of how-many", "1", "0", "answer key"),
    ]
    assert "Score: 5.0 / 6.0" in course.page("ann")


@pytest.mark.extended
def test_submission_without_its_original_is_reported_as_outdated(course):
    course.submit("ann")
    course.submit("bob", folder="late")
    course.grade()
    original = originals.find(course.workspace, "ann", NAME)
    (path,) = (course.workspace / "originals" / "ann" / NAME).glob("*.gz")
    assert originals.read(course.workspace, original) == course.submission(**CORRECT)
    path.unlink()
    course.edit_source(*THREE_IS_RIGHT)
    batch = course.grade("late")
    assert [(n.student, "an outdated answer key" in n.reason) for n in batch.notes] == [
        ("ann", True)
    ]


def move_options(course):
    course.edit_source(
        (
            "- [ ] three | Count again.\n- [x] four | As on your fingers.",
            "- [x] four | As on your fingers.\n- [ ] three | Count again.",
        )
    )


def test_letter_means_the_option_in_the_students_notebook(course):
    course.submit("ann")  # B, which was "four"
    course.submit("bob", how_many_answer='answer = "A"')
    move_options(course)
    batch = course.grade()
    assert {g.student: g.score for g in batch.grades} == {"ann": 6, "bob": 5}
    assert all("how-many has its options in another order" in n.reason for n in batch.notes)
    assert len(batch.notes) == 2 and batch.problems == batch.audit_findings == []
    page = course.page("ann")
    assert page.index("three") < page.index("four") and "Recorded: B." in page


def test_changed_question_is_graded_with_the_earlier_releases_key(course):
    course.submit("ann")
    course.edit_source(
        ("two and two", "two and one"), ("- [ ] three", "- [x] three"), ("- [x] four", "- [ ] four")
    )
    batch = course.grade()
    assert {g.student: g.score for g in batch.grades} == {"ann": 6}
    assert "is from an earlier release" in batch.notes[0].reason


def test_unknown_options_need_manual_grading(course):
    notebook = json.loads(course.submission(**CORRECT))
    for cell in notebook["cells"]:
        if cell["id"] == "how-many-question":
            cell["source"] = "".join(cell["source"]).replace("three", "five")
    course.submit("ann")
    (course.root / "class" / "ann" / f"{NAME}.ipynb").write_text(json.dumps(notebook))
    batch = course.grade()
    (grade,) = batch.grades
    assert (grade.score, grade.needs_manual) == (5, True) and batch.audit_findings == []
    assert "no kept release" in batch.notes[0].reason
    with course.book as book:
        entry = book.find_grade("how-many", NAME, NAME, "ann")
        entry.manual_score, entry.needs_manual_grade = 1.0, False
        book.db.commit()
    batch = course.grade()
    assert (batch.grades[0].score, batch.grades[0].needs_manual) == (6, False)


def test_feedback_page_is_small_links_its_items_and_needs_no_network(course):
    code = "def double(x):\n    return x + x\n" + "# a long comment\n" * 9000
    course.submit("ann", double_code=code)
    with course.book as book:
        book.update_or_create_student("ann", first_name="Ann", last_name="Ünal")
    course.grade()
    page = course.page("ann")
    assert len(page.encode()) <= 60_000 and "http" not in page.replace("http-equiv", "")
    assert "Ann Ünal (ann)" in page and '<a href="#how-many">how-many</a>' in page
    assert "2 May 2026, 12:00 UTC" in page


@pytest.mark.extended
def test_originals_are_kept_for_every_attempt(course):
    course.submit("ann")
    course.grade()
    course.submit("ann", how_many_answer='answer = "A"')
    course.grade()
    assert len(list((course.workspace / "originals" / "ann" / NAME).glob("*.gz"))) == 2
    original = originals.find(course.workspace, "ann", NAME)
    assert original.result == record.load_result(course.workspace, "ann", NAME).digest
    assert original.key == answer_keys.read(course.workspace, NAME).digest


def override(course, points: str) -> None:
    (course.workspace.parent / "overrides.toml").write_text(
        f'[{NAME}.how-many]\npoints = "{points}"\nreason = "Two options were right."\n'
    )


def test_item_is_voided_or_gives_full_points_to_everybody(course):
    """The override also applies to students not in this run's folder and to manual scores, which
    return when the override is removed.
    """
    course.submit("ann", how_many_answer='answer = "A"')
    course.submit("bob", folder="late")
    course.grade()
    course.grade("late")
    with course.book as book:
        grade = book.find_grade("how-many", NAME, NAME, "ann")
        grade.manual_score, grade.needs_manual_grade = 0.5, False
        book.db.commit()
    assert scores(course.grade("late")) == {"ann": (5.5, False), "bob": (6, False)}
    override(course, "full")
    batch = course.grade("late")
    assert scores(batch) == {"ann": (6, False), "bob": (6, False)}
    assert "Everybody gets the points: Two options were right." in course.page("ann")
    override(course, "void")
    batch = regrade(course.workspace, workers=1)
    assert scores(batch) == {"ann": (5, False), "bob": (5, False)}
    assert {grade.max_score for grade in batch.class_grades} == {5}
    assert "how-many: not counted" in course.page("ann")
    assert "Not counted: Two options were right." in course.page("bob")
    (course.workspace.parent / "overrides.toml").unlink()
    batch = regrade(course.workspace, workers=1)
    assert scores(batch) == {"ann": (5.5, False), "bob": (6, False)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'[{NAME}.how-many]\npoints = "half"\n', 'write points = "full"'),
        (f'[{NAME}.how-many]\npoints = "void"\n', "add reason ="),
        (f'[{NAME}.other]\npoints = "void"\nreason = "x"\n', "no item other. Its items: which-"),
        ("[[", "is invalid TOML"),
        ("x = 1\n", "write a heading"),
    ],
)
def test_error_message_for_overrides_names_the_fix(course, text, message):
    (course.workspace.parent / "overrides.toml").write_text(text)
    with pytest.raises(OverrideError, match=message):
        overrides.read_key(course.workspace, NAME, overrides.read(course.workspace))


@pytest.mark.extended
def test_selected_items_are_graded_again(course, monkeypatch):
    course.submit("ann")
    course.grade()
    graded = []
    monkeypatch.setattr(
        workers,
        "grade_all",
        lambda tasks, keys, **_: [
            grade_submission(graded.append(task.student) or task, keys[NAME]) for task in tasks
        ],
    )
    assert regrade(course.workspace).changes == [] and graded == []
    batch = regrade(course.workspace, Selection(items=frozenset({"double"})))
    assert scores(batch) == {"ann": (6, False)} and batch.changes == [] and graded == ["ann"]
    with pytest.raises(IntakeError, match=r"compare the names with grades/items\.csv"):
        regrade(course.workspace, Selection(items=frozenset({"triple"})))
