"""End-to-end test with a class of 40: grade a platform's download, export the scores, change the
answer key, regrade, export again.

The expected scores were computed manually: ``class_of_40/expected.csv`` after the first run,
``expected_after_changes.csv`` after the second. ``reason`` must be a substring of the reason in
problems.csv or notes.csv. ``needs_manual`` lists the items that need manual grading. Late penalties
need submission times, which only Gradescope's download has: see :func:`expected_rows`.
"""

import csv
import shutil
import zipfile
from pathlib import Path

import pytest
from course_grading.assign.build import build
from course_grading.gradebook import scores
from course_grading.gradebook.nbgrader_api import open_api
from typer.testing import CliRunner

from course_lib.assets import paths
from course_lib.cli import app
from tests.support import class_of_40
from tests.support.class_of_40 import NAME, PLATFORMS, Canvas, Moodle

DUE_DATES = f"""
timezone = "Europe/Berlin"

[due]
{NAME} = 2026-11-14

[extensions.ELIF]
{NAME} = 2026-11-21
"""
LATER_EXTENSION = f"""
[extensions.GIULIA]
{NAME} = 2026-11-20
"""
VOID = f"""
[{NAME}.one-output-pixel]
points = "void"
reason = "The window was misprinted."
"""
# marks one more option as correct
CORRECTED_KEY = ("- [ ] Any network trained on photos", "- [x] Any network trained on photos")
MANUAL_GRADES = {
    ("hansen", "sum-of-zero"): (2.0, "Read as B and D."),
    ("hansen", "parameters-of-a-layer"): (0.0, "Which of them?"),
    ("fischer", "output-size"): (1.5, "One of the two versions is correct."),
}
# A Colab notebook; a late submission whose due date is extended later; two files; a damaged file;
# an answer that needs manual grading; no submission; a student who is not on the class list.
SUBSET_LOGINS = ["pappas", "rossi", "haddad", "popescu", "hansen", "ferrari", "mallory"]


@pytest.fixture(scope="module")
def released(root: Path, tmp_path_factory) -> Path:
    """A checkout with only lesson 2, after ``course build --graded``."""
    folder = tmp_path_factory.mktemp("released")
    for name in ("solutions", "notebooks", "course_lib/quiz/bank"):
        (folder / name).mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.course]\nrepository = ""\n')
    # the edition that was released to the class: submissions.csv answers its questions
    shutil.copy(class_of_40.FOLDER / f"{NAME}.md", folder / "solutions")
    build(folder, graded=True)
    config = (root / "grading" / "nbgrader_config.py").read_text()
    (folder / "grading" / "nbgrader_config.py").write_text(config + class_of_40.PENALTY_RULE)
    return folder


class Instructor:
    """Runs the course's commands for one class, and reads what they write."""

    def __init__(self, root: Path, platform, logins: list[str] | None = None):
        self.root = root
        self.platform = platform
        self.logins = logins or [*class_of_40.students(), "mallory"]
        self.workspace = root / "grading" / "workspace"
        self.out = root / "grades"

    def run(self, *arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return result.exit_code, " ".join(result.output.split())

    def import_class_list(self) -> None:
        roster = self.platform.write_roster(self.root / "roster.csv")
        code, text = self.run("class", "--roster", roster)
        assert code == 0 and "40 students" in text
        path = self.workspace / "roster.csv"
        rows = self.table(path)
        for row, student in zip(rows, class_of_40.students().values(), strict=True):
            row["group"], row["extension_days"] = student.group, student.extension_days
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, [*rows[0]])
            writer.writeheader()
            writer.writerows(rows)

    def set_due_dates(self, text: str) -> None:
        """Write due_dates.toml. Its extensions use class-list ids, not the ids in downloads."""
        for name, login in (("ELIF", "yilmaz"), ("GIULIA", "rossi")):
            text = text.replace(name, f'"{self.ids[login]}"')
        (self.root / "grading" / "due_dates.toml").write_text(text)

    @property
    def ids(self) -> dict[str, str]:
        """Login -> class-list id."""
        rows = self.table(self.workspace / "roster.csv")
        return {
            login: row["student_id"]
            for login, row in zip(class_of_40.students(), rows, strict=True)
        }

    @property
    def logins_by_id(self) -> dict[str, str]:
        """Gradebook id -> login."""
        known = class_of_40.students().values()
        return {self.platform.id(student): student.login for student in known}

    def grade_manually(self) -> None:
        """Record manual grades as formgrader does."""
        with open_api(self.workspace).gradebook as book:
            for (login, item), (points, comment) in MANUAL_GRADES.items():
                if login not in self.logins:
                    continue
                student = self.platform.id(class_of_40.students()[login])
                grade = book.find_grade(item, NAME, NAME, student)
                grade.manual_score, grade.needs_manual_grade = points, False
                kind = "code" if item == "output-size" else "answer"
                cell = book.find_comment(f"{item}-{kind}", NAME, NAME, student)
                cell.manual_comment = comment
            book.db.commit()

    @staticmethod
    def table(path: Path) -> list[dict[str, str]]:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))

    def reasons(self) -> dict[str, list[str]]:
        """Login -> problems and notes of the last run with their files; "" for students who are not
        in the class.
        """
        reasons: dict[str, list[str]] = {}
        for table in ("problems", "notes"):
            for row in self.table(self.out / f"{table}.csv"):
                login = self.logins_by_id.get(row["student"], "")
                reasons.setdefault(login, []).append(f"{row['file']}: {row['reason']}")
        return reasons

    def rows(self) -> dict[str, dict[str, str]]:
        """Login -> the student's result, in the columns of the expected table."""
        with open_api(self.workspace).gradebook as book:
            totals = {total.student: total for total in scores.totals(book)}
        rows = {}
        for grade in self.table(self.out / "grades.csv"):
            login = self.logins_by_id[grade["student"]]
            assert grade["name"] == class_of_40.students()[login].name
            total = totals[grade["student"]]
            rows[login] = {
                "earned": format_score(total.earned),
                "penalty": format_score(total.penalty),
                "total": format_score(grade["score"]),
                "late": "yes" if grade["late"] == "True" else "no",
                "needs_manual": [],
            }
            assert total.score == pytest.approx(float(grade["score"]))
        for item in self.table(self.out / "items.csv"):
            row = rows[self.logins_by_id[item["student"]]]
            is_void = item["max_score"] == "0.0" and item["score"] == "0.0"
            row[item["item"]] = "void" if is_void else format_score(item["score"])
            if item["manual"] == "True":
                row["needs_manual"].append(item["item"])
        return {
            login: {**row, "needs_manual": " ".join(sorted(row["needs_manual"]))}
            for login, row in rows.items()
        }


def format_score(score: float | str) -> str:
    """A score with at most four decimals, the format of the expected tables."""
    return f"{float(score):.4f}".rstrip("0").rstrip(".")


def expected_rows(table: str, course: Instructor) -> dict[str, dict[str, str]]:
    """The expected rows of the graded students on this platform. Without submission times there is
    no penalty, and ``late`` is the platform's own mark.
    """
    flagged_late = {
        r["login"] for r in class_of_40.read_table("expected.csv") if r["late"] == "yes"
    }
    rows = {}
    for row in class_of_40.read_table(table):
        login = row.pop("login")
        del row["reason"]
        if not row["earned"] or login not in course.logins:
            continue
        if not course.platform.has_submission_times:
            is_flagged = course.platform.flags_late and login in flagged_late
            row |= {"penalty": "0", "total": row["earned"], "late": "yes" if is_flagged else "no"}
        rows[login] = row
    return rows


def check_tables(table: str, course: Instructor) -> dict[str, dict[str, str]]:
    """Check that the gradebook and ``grades/`` agree with the expected table; return its rows."""
    expected = expected_rows(table, course)
    actual = course.rows()
    for login, row in expected.items():
        assert {"login": login, **actual[login]} == {"login": login, **row}
    assert actual.keys() == expected.keys()
    waiting = course.table(course.out / "needs_manual.csv")
    needs_manual = [(course.logins_by_id[row["student"]], row["item"]) for row in waiting]
    items = [(login, i) for login, row in expected.items() for i in row["needs_manual"].split()]
    if not course.platform.has_submission_times:  # a person has to give the times of late ones
        late = [login for login, row in expected.items() if row["late"] == "yes"]
        items += [(login, "(submission time)") for login in late]
    assert sorted(needs_manual) == sorted(items)
    check_missing(course, expected)
    for login, row in expected.items():
        student = class_of_40.students()[login]
        folder = course.out / "feedback" / course.platform.id(student)
        page = (folder / f"{NAME}.html").read_text()
        assert student.name.replace("'", "&#39;") in page
        assert f"Score: {round(float(row['total']), 2)} / " in page, login
    return expected


def check_missing(course: Instructor, expected: dict[str, dict[str, str]]) -> None:
    """Check that not_handed_in.csv lists exactly the students without a graded submission, each
    with the expected note.
    """
    missing = course.table(course.out / "not_handed_in.csv")
    notes = {row["student"]: row["note"] for row in missing}
    reasons = {row["login"]: row["reason"] for row in class_of_40.read_table("expected.csv")}
    logins = {id: login for login, id in course.ids.items()}
    assert {logins[id] for id in notes} == course.ids.keys() - expected.keys()
    for id, note in notes.items():
        text = reasons[logins[id]] if logins[id] in course.logins else ""
        assert text in note and bool(text) == bool(note)


def check_reasons(course: Instructor) -> None:
    """Check that each student has exactly the expected problem or note."""
    reasons = course.reasons()
    expected = {row["login"]: row["reason"] for row in class_of_40.read_table("expected.csv")}
    for login in course.logins:
        text = expected.get(login)
        own = reasons.get(login, [])
        own = [reason for reason in own if "marks it as late" not in reason]
        if text:
            assert any(text in reason for reason in own), (login, own)
        else:
            assert own == [], login
    unknown_students = reasons[""]
    assert any("no student of the class has this name" in reason for reason in unknown_students)
    knows_lateness = course.platform.has_submission_times or course.platform.flags_late
    assert any("no submission time" in reason for reason in unknown_students) != knows_lateness


def check_exports(course: Instructor, rows: dict[str, dict[str, str]]) -> None:
    """Check that the exported scores are the expected totals."""
    code, text = course.run("export", "--to", course.platform.name, "--out", course.out)
    assert code == 0, text
    expected = {login: row["total"] for login, row in rows.items()}
    assert course.platform.read_export(course.out) == expected
    code, _ = course.run("export", "--to", "csv", "--out", course.out)
    assert code == 0
    totals = {
        course.logins_by_id[row["student_id"]]: row
        for row in course.table(course.out / "nbgrader.csv")
        if row["timestamp"] or float(row["raw_score"])
    }
    for login, row in totals.items():
        late = float(row["late_submission_penalty"])
        assert format_score(max(0.0, float(row["raw_score"]) - late)) == expected[login], login
    if course.platform not in (Canvas, Moodle):
        return
    code, text = course.run(
        "export", "--to", course.platform.name, "--feedback-zip", "--out", course.out
    )
    assert code == 0 and "not in the zip" not in text, text
    pages = {path.read_bytes() for path in course.out.glob("feedback/*/*.html")}
    with zipfile.ZipFile(course.out / f"{course.platform.name}-feedback-{NAME}.zip") as archive:
        assert {archive.read(name) for name in archive.namelist()} == pages
        assert len(archive.namelist()) == len(rows)


def check_two_runs(course: Instructor) -> None:
    """Grade the download; correct the key, extend a due date, void an item, grade some items
    manually; regrade.
    """
    course.import_class_list()
    course.set_due_dates(DUE_DATES)
    lesson = class_of_40.Lesson(course.workspace)
    files = class_of_40.submitted_files(lesson, course.logins)
    archive = course.platform.write(course.root / "download", files)
    code, text = course.run("grade", archive, "--out", course.out)
    assert code == 1 and "Audit: every submission is graded or listed" in text
    rows = check_tables("expected.csv", course)
    check_reasons(course)
    assert f"{len(rows)} graded" in text
    check_exports(course, rows)

    source = course.root / "solutions" / f"{NAME}.md"
    assert source.read_text().count(CORRECTED_KEY[0]) == 1
    source.write_text(source.read_text().replace(*CORRECTED_KEY))
    code, _ = course.run("build", "--graded")
    assert code == 0
    course.set_due_dates(DUE_DATES + LATER_EXTENSION)
    (course.root / "grading" / "overrides.toml").write_text(VOID)
    course.grade_manually()
    code, text = course.run("regrade", "--out", course.out)
    assert code == 0 and "Changed since the last run" in text, text
    after = check_tables("expected_after_changes.csv", course)
    check_exports(course, after)
    hansen_id = course.platform.id(class_of_40.students()["hansen"])
    page = (course.out / "feedback" / hansen_id / f"{NAME}.html").read_text()
    assert "Read as B and D." in page and "The window was misprinted." in page
    code, text = course.run("regrade", "--out", course.out)
    assert code == 0 and "Changed since the last run" not in text


@pytest.fixture
def make_instructor(released: Path, tmp_path: Path, monkeypatch):
    """A function that makes an Instructor with a fresh copy of the checkout."""

    def run(platform, logins: list[str] | None = None) -> Instructor:
        root = shutil.copytree(released, tmp_path / "course")
        monkeypatch.setattr(paths, "checkout", lambda: root)
        monkeypatch.chdir(tmp_path)
        return Instructor(root, platform, logins)

    return run


def test_tables_list_the_same_students():
    """The three tables list the same 40 students; all but ferrari submitted, and so did mallory,
    who is not in the class.
    """
    logins = [*class_of_40.students()]
    assert len(logins) == 40
    for table in ("expected.csv", "expected_after_changes.csv"):
        assert [row["login"] for row in class_of_40.read_table(table)] == logins
    submitted = {row["login"] for row in class_of_40.read_table("submissions.csv")}
    assert submitted == {*logins, "mallory"} - {"ferrari"}


@pytest.mark.slow
def test_subset_of_the_class_is_graded_and_regraded(make_instructor, same_process):
    """A part of the class is graded and graded again as expected, here without worker processes;
    ``test_batch.py`` checks that these change no result.
    """
    check_two_runs(make_instructor(PLATFORMS["gradescope"], SUBSET_LOGINS))


@pytest.mark.slow
@pytest.mark.parametrize("platform", PLATFORMS.values(), ids=PLATFORMS)
def test_full_class_is_graded_and_regraded(make_instructor, platform):
    check_two_runs(make_instructor(platform))
