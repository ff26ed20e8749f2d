"""Exports to Canvas, Moodle and Gradescope; unmatched scores are reported."""

import csv
import json
import logging
import subprocess
import sys
import zipfile

import pytest
from course_grading.errors import ExportError, RosterError
from course_grading.export.platforms import PLUGINS, CanvasExportPlugin
from course_grading.export.roster import Roster, normalise_name
from course_grading.gradebook import scores
from course_grading.gradebook.nbgrader_api import open_api

from tests.support.gradebook import NAME, record_scores

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
FULL_SCORES = {"which-letters": 3.0, "how-many": 1.0, "double": 2.0}


@pytest.fixture
def workspace(built):
    return built / "grading" / "workspace"


@pytest.fixture
def export(workspace, tmp_path):
    """Runs an export; returns the plugin and its output path."""

    def run(platform, roster, **settings):
        plugin_class = PLUGINS[platform]
        path = tmp_path / "out" / plugin_class.default_name
        (tmp_path / "roster.csv").write_text(roster, encoding="utf-8")
        plugin = plugin_class(roster=str(tmp_path / "roster.csv"), to=str(path))
        for name, value in settings.items():
            setattr(plugin, name, value)
        with open_api(workspace).gradebook as book:
            plugin.export(book)
        return plugin, path

    return run


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_canvas_table(workspace, export):
    record_scores(
        workspace,
        {"ada": FULL_SCORES, "alan@uni.example": {**FULL_SCORES, "which-letters": 1.0 / 3}},
    )
    plugin, path = export("canvas", CANVAS)
    assert read_csv(path) == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", f"{NAME} (77)"],
        ["    Points Possible", "", "", "", "", "6"],
        ["Lovelace, Ada", "101", "u1", "ada", "Group 1", "6"],
        ["Turing, Alan", "102", "u2", "alan@uni.example", "Group 1", "3.3333"],
    ]
    assert plugin.messages == [] and plugin.written == [path]


def test_manual_scores_extra_credit_and_late_penalties_are_exported(workspace, export):
    record_scores(workspace, {"ada": FULL_SCORES, "u2": FULL_SCORES})
    with open_api(workspace).gradebook as book:
        ada = book.find_submission(NAME, "ada").notebooks[0]
        ada.late_submission_penalty = 1.5
        by_name = {grade.name: grade for grade in ada.grades}
        by_name["double"].manual_score, by_name["double"].extra_credit = 1.0, 0.25
        book.find_submission(NAME, "u2").notebooks[0].late_submission_penalty = 99.0
        book.db.commit()
    _, path = export("canvas", CANVAS)
    assert [row[-1] for row in read_csv(path)[2:]] == ["3.75", "0"]
    with open_api(workspace).gradebook as book:
        earned = {item.name: item.score for item in scores.items(book) if item.student == "ada"}
    assert earned == {**FULL_SCORES, "double": 1.25}


def test_totals_equal_nbgraders(workspace):
    record_scores(workspace, {f"s{n}": {**FULL_SCORES, "double": n / 4} for n in range(5)})
    with open_api(workspace).gradebook as book:
        totals = {total.student: (total.score, total.max_score) for total in scores.totals(book)}
        submissions = book.assignment_submissions(NAME)
        expected = {s.student.id: (s.score, s.max_score) for s in submissions}
    assert totals == expected and len(totals) == 5


def test_student_without_a_roster_row_is_reported(workspace, export, tmp_path):
    record_scores(workspace, {"ada": FULL_SCORES, "grace": {**FULL_SCORES, "double": 0.5}})
    with pytest.raises(
        ExportError, match="not exported: 1 of 2 submissions, of grace.*not in .*roster.csv"
    ):
        export("canvas", CANVAS)
    assert [row[0] for row in read_csv(tmp_path / "out" / "canvas.csv")[2:]] == ["Lovelace, Ada"]
    unmatched = read_csv(tmp_path / "out" / "canvas-unmatched.csv")
    assert unmatched[1:] == [["grace", NAME, "4.5", "6.0", "not in the roster"]]
    with_grace = (
        CANVAS.replace("Student,ID", "student_id,Student,ID")
        .replace('"Tur', 'grace,"Tur')
        .replace('"L', ',"L')
    )
    _, path = export("canvas", with_grace)
    assert [row[0] for row in read_csv(path)[2:]] == ["Lovelace, Ada", "Turing, Alan"]
    assert not (tmp_path / "out" / "canvas-unmatched.csv").exists()


def test_two_submissions_of_one_student_are_reported(workspace, export, tmp_path):
    record_scores(
        workspace, {"ada": FULL_SCORES, "u1": FULL_SCORES, "alan@uni.example": FULL_SCORES}
    )
    with pytest.raises(ExportError, match="not exported: 2 of 3 submissions, of ada, u1"):
        export("canvas", CANVAS)
    assert (
        "ada and u1 match the same row of the roster, Lovelace, Ada"
        in (tmp_path / "out" / "canvas-unmatched.csv").read_text()
    )
    assert [row[0] for row in read_csv(tmp_path / "out" / "canvas.csv")[2:]] == ["Turing, Alan"]


def test_student_id_in_two_rows_is_reported(workspace, export, tmp_path):
    record_scores(workspace, {"u1": FULL_SCORES})
    with pytest.raises(ExportError):
        export("canvas", CANVAS.replace("102,u2", "102,u1"))
    assert "2 rows of the roster match" in (tmp_path / "out" / "canvas-unmatched.csv").read_text()
    assert not (tmp_path / "out" / "canvas.csv").exists()


def test_ungraded_submission_is_not_exported_as_zero(workspace, export, tmp_path):
    record_scores(workspace, {"ada": {}, "u2": {"double": 1.0}})
    with pytest.raises(ExportError, match="not exported: 1 of 2 submissions, of ada"):
        export("canvas", CANVAS)
    assert "not graded yet" in (tmp_path / "out" / "canvas-unmatched.csv").read_text()
    plugin, path = export("canvas", CANVAS, student=["u2"])
    assert read_csv(path)[2][-1] == "1"
    assert plugin.messages == ["not final, because manual grading is not finished: u2"]


def test_notes_are_logged_even_if_a_submission_is_not_exported(workspace, export, tmp_path, caplog):
    """nbgrader's own command shows only the log and the error."""
    record_scores(workspace, {"nobody": FULL_SCORES, "u2": {"double": 1.0}})
    caplog.set_level(logging.INFO, "export")
    with pytest.raises(ExportError, match="not exported: 1 of 2 submissions, of nobody"):
        export("canvas", CANVAS, log=logging.getLogger("export"), student=["nobody", "u2"])
    messages = [record.getMessage() for record in caplog.records if record.name == "export"]
    assert messages == [
        "not final, because manual grading is not finished: u2",
        f"Written: {tmp_path / 'out' / 'canvas.csv'}",
    ]


@pytest.mark.parametrize(
    "roster, remedy",
    [
        (CANVAS.replace(",u1,", ",0123,"), "Export the roster again"),
        (
            CANVAS.replace("Student,ID", "student_id,Student,ID")
            .replace('"Tur', '123,"Tur')
            .replace('"L', ',"L'),
            "Write the ids with their leading zeros in this column",
        ),
    ],
)
def test_leading_zeros_that_excel_dropped_are_explained(tmp_path, roster, remedy):
    (tmp_path / "roster.csv").write_text(roster)
    students = Roster(tmp_path / "roster.csv", "Canvas", CanvasExportPlugin.id_columns)
    with pytest.raises(LookupError, match=f"have dropped the leading zeros. {remedy}"):
        students.find("00123")


def test_names_of_canvas_downloads_are_recognised(workspace, export):
    record_scores(
        workspace, {"lovelaceada_101_98765": FULL_SCORES, "turingalan_LATE_102_98766": FULL_SCORES}
    )
    _, path = export("canvas", CANVAS)
    assert [row[1] for row in read_csv(path)[2:]] == ["101", "102"]


@pytest.mark.parametrize(
    "student", ["somebody_101_98765", "lovelaceada_102_98765", "lovelaceada_7_8"]
)
def test_canvas_download_must_match_id_and_name(workspace, export, student):
    record_scores(workspace, {student: FULL_SCORES})
    with pytest.raises(ExportError, match=f"{student}.*nothing else was written"):
        export("canvas", CANVAS)


def test_moodle_table(workspace, export):
    record_scores(
        workspace,
        {"Ada_Lovelace_1234567": FULL_SCORES, "alan@uni.example": {**FULL_SCORES, "double": 0.0}},
    )
    plugin, path = export("moodle", MOODLE.replace(",", ";"))
    assert read_csv(path) == [
        ["Email address", NAME],
        ["Ada@uni.example", "6"],
        ["alan@uni.example", "4"],
    ]
    assert plugin.messages == [
        "in Moodle, set Map from and Map to to Email address; the grade items need these maximum "
        "grades: "
        f"{NAME} 6"
    ]


def test_moodle_table_needs_an_id_in_every_row(workspace, export, tmp_path):
    record_scores(
        workspace, {"Ada_Lovelace_1234567": FULL_SCORES, "Alan_Turing_1234568": FULL_SCORES}
    )
    with pytest.raises(ExportError, match="filled in for everybody"):
        export("moodle", MOODLE.replace("Ada@uni.example", ""))
    assert not (tmp_path / "out" / "moodle.csv").exists()


def test_gradescope_autograder_reports_the_recorded_score(workspace, export, tmp_path):
    record_scores(
        workspace, {"u1": FULL_SCORES, "alan@uni.example": {**FULL_SCORES, "double": 0.5}}
    )
    with open_api(workspace).gradebook as book:
        book.find_submission(NAME, "u1").notebooks[0].late_submission_penalty = 2.0
        book.db.commit()
    _, folder = export("gradescope", GRADESCOPE)
    first = (folder / f"{NAME}.zip").read_bytes()
    export("gradescope", GRADESCOPE)
    assert (folder / f"{NAME}.zip").read_bytes() == first
    root = tmp_path / "autograder"
    with zipfile.ZipFile(folder / f"{NAME}.zip") as archive:
        # at the root of the zip
        assert set(archive.namelist()) == {"run_autograder", "setup.sh", "scores.json"}
        assert all(item.external_attr >> 16 & 0o111 for item in archive.infolist())
        archive.extractall(root / "source")
    command = [sys.executable, str(root / "source" / "run_autograder"), str(root)]
    for users, score in ((["ADA@uni.example"], 4.0), (["alan@uni.example"], 4.5)):
        (root / "submission_metadata.json").write_text(
            json.dumps({"users": [{"email": user} for user in users]})
        )
        subprocess.run(command, check=True)
        result = json.loads((root / "results" / "results.json").read_text())
        assert result["score"] == score and "which-letters: 3 of 3" in result["output"]
        assert ("late: -2" in result["output"]) == (score == 4.0)
        (root / "results" / "results.json").unlink()
    for users in (["eve@uni.example"], [], ["ada@uni.example", "alan@uni.example"]):
        (root / "submission_metadata.json").write_text(
            json.dumps({"users": [{"email": user} for user in users]})
        )
        failed = subprocess.run(command, capture_output=True, text=True)
        assert failed.returncode == 1 and "No single score" in failed.stderr
        assert not (root / "results" / "results.json").exists()


def test_unusable_roster_is_refused(tmp_path):
    def read(content):
        path = tmp_path / "roster.csv"
        path.write_bytes(content)
        return Roster(path, "Canvas", CanvasExportPlugin.id_columns)

    with pytest.raises(RosterError, match="does not exist"):
        Roster(tmp_path / "none.csv", "Canvas", ["ID"])
    with pytest.raises(RosterError, match="CSV UTF-8"):
        read("Student,ID\nJosé,1\n".encode("latin-1"))
    with pytest.raises(RosterError, match="none of the columns"):
        read(b"name,mail\nada,a@b\n")
    with pytest.raises(RosterError, match="none of the columns"):
        read(b"")
    assert len(read(b"\xef\xbb\xbfStudent;ID\nAda;1\n;;;\nAlan\n").rows) == 2


def test_normalise_name():
    assert normalise_name("Müller, Jörg") == "müller_jörg"
    assert normalise_name("Mu\u0308ller_Jo\u0308rg") == "müller_jörg"
    assert normalise_name("a@b.example") == normalise_name("a@b_example")
    assert normalise_name("a@b.example") != normalise_name("ab@example")


def test_export_without_submissions_is_refused(workspace, export):
    with pytest.raises(ExportError, match="no submission of this course"):
        export("canvas", CANVAS)
    record_scores(workspace, {"ada": FULL_SCORES})
    with pytest.raises(ExportError, match="no submission of 09_other"):
        export("canvas", CANVAS, assignment=["09_other"])


@pytest.mark.slow
def test_nbgrader_export_command(root, built, workspace):
    """``nbgrader export --exporter=...`` in ``grading/`` uses the course directory's roster.csv and
    exports/.
    """
    (built / "grading" / "nbgrader_config.py").write_text(
        (root / "grading" / "nbgrader_config.py").read_text()
    )
    record_scores(workspace, {"ada": FULL_SCORES, "grace": FULL_SCORES})
    (workspace / "roster.csv").write_text(CANVAS)
    name = "course_grading.export.platforms.CanvasExportPlugin"
    command = [sys.executable, "-m", "nbgrader", "export", f"--exporter={name}"]
    original_files = set((built / "grading").iterdir())
    result = subprocess.run(command, cwd=built / "grading", capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert "grace" in result.stderr and "Traceback" not in result.stderr, result.stderr
    assert read_csv(workspace / "exports" / "canvas.csv")[2][-1] == "6"
    (workspace / "other.csv").write_text(CANVAS.replace("u2", "grace"))
    options = [f"--{name.rsplit('.')[-1]}.roster=workspace/other.csv", "--to", "workspace/x.csv"]
    command += options
    result = subprocess.run(command, cwd=built / "grading", capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert len(read_csv(workspace / "x.csv")) == 4
    assert set((built / "grading").iterdir()) == original_files
