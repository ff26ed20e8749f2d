"""Exports: what Canvas, Moodle and Gradescope read, who is who, and that no score is lost in
silence.
"""

import csv
import json
import subprocess
import sys
import zipfile

import pytest
from course_grading.export.platforms import PLUGINS, CanvasExportPlugin, ExportError
from course_grading.export.roster import Roster, RosterError, key
from course_grading.gradebook import scores
from course_grading.gradebook.nbgrader_api import open_desk

from tests.support.gradebook import NAME, record

CANVAS = f"""Student,ID,SIS User ID,SIS Login ID,Section,{NAME} (77),Final Score
    Points Possible,,,,,6,(read only)
"Lovelace, Ada",101,u1,ada,Group 1,,
"Turing, Alan",102,u2,alan@uni.example,Group 1,,
"Student, Test",,,,Group 1,,
"""
MOODLE = """First name,Last name,ID number,Email address
Ada,Lovelace,u1,Ada@uni.example
Alan,Turing,,alan@uni.example
"""
GRADESCOPE = "Name,SID,Email\nAda Lovelace,u1,Ada@uni.example\nAlan Turing,u2,alan@uni.example\n"
WHOLE = {"which-letters": 3.0, "how-many": 1.0, "double": 2.0}


@pytest.fixture
def workspace(built):
    return built / "grading" / "workspace"


@pytest.fixture
def export(workspace, tmp_path):
    """Run an export; returns the plugin and where it wrote."""

    def run(to, roster, **settings):
        (tmp_path / "roster.csv").write_text(roster, encoding="utf-8")
        plugin = PLUGINS[to](
            roster=str(tmp_path / "roster.csv"), to=str(tmp_path / "out" / PLUGINS[to].default)
        )
        for name, value in settings.items():
            setattr(plugin, name, value)
        with open_desk(workspace).gradebook as book:
            plugin.export(book)
        return plugin, tmp_path / "out" / PLUGINS[to].default

    return run


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_canvas_table(workspace, export):
    record(workspace, {"ada": WHOLE, "alan@uni.example": {**WHOLE, "which-letters": 1.0 / 3}})
    plugin, path = export("canvas", CANVAS)
    assert table(path) == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", f"{NAME} (77)"],
        ["    Points Possible", "", "", "", "", "6"],
        ["Lovelace, Ada", "101", "u1", "ada", "Group 1", "6"],
        ["Turing, Alan", "102", "u2", "alan@uni.example", "Group 1", "3.3333"],
    ]
    assert plugin.told == [] and plugin.written == [path]


def test_what_humans_decided_is_exported(workspace, export):
    """Manual scores, extra credit and late penalties are nbgrader's, and all of them count."""
    record(workspace, {"ada": WHOLE, "u2": WHOLE})
    with open_desk(workspace).gradebook as book:
        ada = book.find_submission(NAME, "ada").notebooks[0]
        ada.late_submission_penalty = 1.5
        by_name = {grade.name: grade for grade in ada.grades}
        by_name["double"].manual_score, by_name["double"].extra_credit = 1.0, 0.25
        book.find_submission(NAME, "u2").notebooks[0].late_submission_penalty = 99.0
        book.db.commit()
    _, path = export("canvas", CANVAS)
    assert [row[-1] for row in table(path)[2:]] == ["3.75", "0"]
    with open_desk(workspace).gradebook as book:
        earned = {item.name: item.score for item in scores.items(book) if item.student == "ada"}
    assert earned == {**WHOLE, "double": 1.25}


def test_totals_are_those_of_nbgrader(workspace):
    record(workspace, {f"s{n}": {**WHOLE, "double": n / 4} for n in range(5)})
    with open_desk(workspace).gradebook as book:
        ours = {total.student: (total.score, total.max_score) for total in scores.totals(book)}
        theirs = {s.student.id: (s.score, s.max_score) for s in book.assignment_submissions(NAME)}
    assert ours == theirs and len(ours) == 5


def test_nobody_is_lost(workspace, export, tmp_path):
    record(workspace, {"ada": WHOLE, "grace": {**WHOLE, "double": 0.5}})
    with pytest.raises(
        ExportError, match="not exported: 1 of 2 submissions, of grace.*not in .*roster.csv"
    ):
        export("canvas", CANVAS)
    assert [row[0] for row in table(tmp_path / "out" / "canvas.csv")[2:]] == ["Lovelace, Ada"]
    listed = table(tmp_path / "out" / "canvas-unmatched.csv")
    assert listed[1:] == [["grace", NAME, "4.5", "6.0", "not in the roster"]]
    with_grace = (
        CANVAS.replace("Student,ID", "student_id,Student,ID")
        .replace('"Tur', 'grace,"Tur')
        .replace('"L', ',"L')
    )
    _, path = export("canvas", with_grace)
    assert [row[0] for row in table(path)[2:]] == ["Lovelace, Ada", "Turing, Alan"]
    assert not (tmp_path / "out" / "canvas-unmatched.csv").exists()


def test_two_names_of_one_student_are_not_mixed(workspace, export, tmp_path):
    record(workspace, {"ada": WHOLE, "u1": WHOLE, "alan@uni.example": WHOLE})
    with pytest.raises(ExportError, match="not exported: 2 of 3 submissions, of ada, u1"):
        export("canvas", CANVAS)
    assert (
        "ada and u1 are both Lovelace, Ada"
        in (tmp_path / "out" / "canvas-unmatched.csv").read_text()
    )
    assert [row[0] for row in table(tmp_path / "out" / "canvas.csv")[2:]] == ["Turing, Alan"]


def test_a_name_that_two_rows_share_is_refused(workspace, export, tmp_path):
    record(workspace, {"u1": WHOLE})
    with pytest.raises(ExportError):
        export("canvas", CANVAS.replace("102,u2", "102,u1"))
    assert (
        "2 rows of the roster could be meant"
        in (tmp_path / "out" / "canvas-unmatched.csv").read_text()
    )
    assert not (tmp_path / "out" / "canvas.csv").exists()


def test_what_is_not_graded_is_not_a_zero(workspace, export, tmp_path):
    record(workspace, {"ada": {}, "u2": {"double": 1.0}})
    with pytest.raises(ExportError, match="not exported: 1 of 2 submissions, of ada"):
        export("canvas", CANVAS)
    assert "nothing of it is graded yet" in (tmp_path / "out" / "canvas-unmatched.csv").read_text()
    plugin, path = export("canvas", CANVAS, student=["u2"])
    assert table(path)[2][-1] == "1"
    assert plugin.told == ["not final, something waits to be graded by hand: u2"]


def test_the_names_of_downloads_are_understood(workspace, export):
    record(workspace, {"lovelaceada_101_98765": WHOLE, "turingalan_LATE_102_98766": WHOLE})
    _, path = export("canvas", CANVAS)
    assert [row[1] for row in table(path)[2:]] == ["101", "102"]


@pytest.mark.parametrize(
    "student", ["somebody_101_98765", "lovelaceada_102_98765", "lovelaceada_7_8"]
)
def test_a_download_of_somebody_else_is_not_guessed(workspace, export, student):
    record(workspace, {student: WHOLE})
    with pytest.raises(ExportError, match=f"{student}.*nothing else was written"):
        export("canvas", CANVAS)


def test_moodle_table(workspace, export):
    record(workspace, {"Ada_Lovelace_1234567": WHOLE, "alan@uni.example": {**WHOLE, "double": 0.0}})
    plugin, path = export("moodle", MOODLE.replace(",", ";"))
    assert table(path) == [
        ["Email address", NAME],
        ["Ada@uni.example", "6"],
        ["alan@uni.example", "4"],
    ]
    assert plugin.told == [
        f"in Moodle, map from and to Email address; the grade items need these maximum grades: {NAME} 6"
    ]


def test_moodle_never_gets_a_row_without_an_id(workspace, export, tmp_path):
    record(workspace, {"Ada_Lovelace_1234567": WHOLE, "Alan_Turing_1234568": WHOLE})
    with pytest.raises(ExportError, match="filled in for everybody"):
        export("moodle", MOODLE.replace("Ada@uni.example", ""))
    assert not (tmp_path / "out" / "moodle.csv").exists()


def test_gradescope_reports_what_was_recorded(workspace, export, tmp_path):
    record(workspace, {"u1": WHOLE, "alan@uni.example": {**WHOLE, "double": 0.5}})
    with open_desk(workspace).gradebook as book:
        book.find_submission(NAME, "u1").notebooks[0].late_submission_penalty = 2.0
        book.db.commit()
    _, folder = export("gradescope", GRADESCOPE)
    first = (folder / f"{NAME}.zip").read_bytes()
    export("gradescope", GRADESCOPE)
    assert (folder / f"{NAME}.zip").read_bytes() == first
    place = tmp_path / "autograder"
    with zipfile.ZipFile(folder / f"{NAME}.zip") as archive:
        # at the root of the zip
        assert set(archive.namelist()) == {
            "run_autograder",
            "setup.sh",
            "scores.json",
        }
        assert all(item.external_attr >> 16 & 0o111 for item in archive.infolist())
        archive.extractall(place / "source")
    command = [sys.executable, str(place / "source" / "run_autograder"), str(place)]
    for users, score in ((["ADA@uni.example"], 4.0), (["alan@uni.example"], 4.5)):
        (place / "submission_metadata.json").write_text(
            json.dumps({"users": [{"email": user} for user in users]})
        )
        subprocess.run(command, check=True)
        result = json.loads((place / "results" / "results.json").read_text())
        assert result["score"] == score and "which-letters: 3 of 3" in result["output"]
        assert ("late: -2" in result["output"]) == (score == 4.0)
        (place / "results" / "results.json").unlink()
    for users in (["eve@uni.example"], [], ["ada@uni.example", "alan@uni.example"]):
        (place / "submission_metadata.json").write_text(
            json.dumps({"users": [{"email": user} for user in users]})
        )
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1 and "No single score" in done.stderr
        assert not (place / "results" / "results.json").exists()


def test_a_roster_that_cannot_be_used(tmp_path):
    def made(content):
        path = tmp_path / "roster.csv"
        path.write_bytes(content)
        return Roster(path, "Canvas", CanvasExportPlugin.known_by)

    with pytest.raises(RosterError, match="is not there"):
        Roster(tmp_path / "none.csv", "Canvas", ["ID"])
    with pytest.raises(RosterError, match="CSV UTF-8"):
        made("Student,ID\nJosé,1\n".encode("latin-1"))
    with pytest.raises(RosterError, match="none of the columns"):
        made(b"name,mail\nada,a@b\n")
    with pytest.raises(RosterError, match="none of the columns"):
        made(b"")
    assert len(made(b"\xef\xbb\xbfStudent;ID\nAda;1\n;;;\nAlan\n").rows) == 2


def test_spellings_of_one_name():
    assert key("Müller, Jörg") == key("Mu\u0308ller_Jo\u0308rg") == "müller_jörg"
    assert key("a@b.example") == key("a@b_example") != key("ab@example")


def test_nothing_to_export(workspace, export):
    with pytest.raises(ExportError, match="no submission of this course"):
        export("canvas", CANVAS)
    record(workspace, {"ada": WHOLE})
    with pytest.raises(ExportError, match="no submission of 09_other"):
        export("canvas", CANVAS, assignment=["09_other"])


@pytest.mark.slow
def test_nbgraders_own_command(root, built, workspace):
    """``nbgrader export --exporter=...`` in ``grading/`` finds roster and exports in the course
    directory.
    """
    (built / "grading" / "nbgrader_config.py").write_text(
        (root / "grading" / "nbgrader_config.py").read_text()
    )
    record(workspace, {"ada": WHOLE, "grace": WHOLE})
    (workspace / "roster.csv").write_text(CANVAS)
    name = "course_grading.export.platforms.CanvasExportPlugin"
    command = [sys.executable, "-m", "nbgrader", "export", f"--exporter={name}"]
    before = set((built / "grading").iterdir())
    done = subprocess.run(command, cwd=built / "grading", capture_output=True, text=True)
    assert done.returncode == 1 and "grace" in done.stderr and "Traceback" not in done.stderr, (
        done.stderr
    )
    assert table(workspace / "exports" / "canvas.csv")[2][-1] == "6"
    (workspace / "other.csv").write_text(CANVAS.replace("u2", "grace"))
    options = [f"--{name.rsplit('.')[-1]}.roster=workspace/other.csv", "--to", "workspace/x.csv"]
    done = subprocess.run(
        [*command, *options], cwd=built / "grading", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(table(workspace / "x.csv")) == 4
    assert set((built / "grading").iterdir()) == before
