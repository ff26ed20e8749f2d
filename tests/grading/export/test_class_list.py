"""The class list: every platform's roster in one format, and the missing submissions."""

import csv

import pytest
from course_grading.collect.problems import Problem
from course_grading.errors import RosterError
from course_grading.export import class_list
from course_grading.export.class_list import MissingSubmission
from course_grading.gradebook.nbgrader_api import open_api

from tests.support.gradebook import record_scores

NAME = "01_sample"
CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,01_sample (77)\n"
    "    Points Possible,,,,,6\n"
    '"Lovelace, Ada",101,u1,ada,Group 1,\n'
    '"Turing, Alan",102,u2,alan,Group 1,\n'
    '"Student, Test",998,,5d41402abc4b2a76b9719d911017c592,Group 1,\n'
)
MOODLE_GERMAN = (
    "Vorname;Nachname;ID-Nummer;E-Mail-Adresse;Gruppen\n"
    "Ada;Lovelace;u1;ada@uni.example;Team 1\n"
    "Jörg;Müller;u2;joerg@uni.example;\n"
)
GENERIC = "student_id,first_name,last_name,extension_days\nada,Ada,Lovelace,2\nbob,Bob,,\n"


@pytest.fixture
def import_roster(tmp_path):
    """A function that imports a roster and returns the class list and the messages."""

    def run(text: str, encoding: str = "utf-8"):
        (tmp_path / "file.csv").write_bytes(text.encode(encoding))
        (tmp_path / "workspace").mkdir(exist_ok=True)
        return class_list.import_roster(tmp_path / "file.csv", tmp_path / "workspace")

    return run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CANVAS, [("ada", "Ada Lovelace", "Group 1", ""), ("alan", "Alan Turing", "Group 1", "")]),
        (
            MOODLE_GERMAN,
            [
                ("ada@uni.example", "Ada Lovelace", "", "Team 1"),
                ("joerg@uni.example", "Jörg Müller", "", ""),
            ],
        ),
        (GENERIC, [("ada", "Ada Lovelace", "", ""), ("bob", "Bob", "", "")]),
        (
            "sep=;\nName;Email\nAda Lovelace;a@b.example\n",
            [("a@b.example", "Ada Lovelace", "", "")],
        ),
        ("\n\nLastName,FirstName,ID\nLee,Ann,7\n", [("7", "Ann Lee", "", "")]),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_rosters_are_read(import_roster, text, expected, encoding):
    members = import_roster(text, encoding)[0].members
    assert [(m.id, m.name, m.section, m.group) for m in members] == expected


def test_written_file_keeps_the_platform_columns_for_exports(import_roster, tmp_path):
    import_roster(CANVAS)
    with (tmp_path / "workspace" / "roster.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[: len(class_list.COLUMNS)] == list(class_list.COLUMNS)
    assert rows[0]["Student"] == "Lovelace, Ada" and "01_sample (77)" in rows[0]


def test_edits_are_kept_and_new_and_removed_students_listed(import_roster, tmp_path):
    import_roster(GENERIC)
    path = tmp_path / "workspace" / "roster.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("bob,Bob,,,,,", "bob,Bob,,,S2,G1,7"))
    members, messages = import_roster("student_id,first_name\nbob,Bob\neve,Eve\n")
    kept = [(m.id, m.section, m.group, m.extension_days) for m in members.members]
    assert kept == [("bob", "S2", "G1", 7.0), ("eve", "", "", None)]
    assert messages == ["new: eve", "no longer listed: ada"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("student_id,first_name\nada,Ada\nada,Eva\n", "ada. Remove the duplicates"),
        ("student_id,extension_days\nada,soon\n", "'soon': write a number of days"),
        ("colour\nred\n", "none of the columns"),
        ("student_id,Email\n,\n", "lists no students"),
    ],
)
def test_error_message_names_the_fix(import_roster, tmp_path, text, message):
    with pytest.raises(RosterError, match=message):
        import_roster(text)
    assert not (tmp_path / "workspace" / "roster.csv").exists()


def test_missing_submissions_are_listed_with_their_problem(import_roster):
    members, _ = import_roster(CANVAS)
    # by the login, or by the name of a file in a download from Canvas
    graded = [("ada", NAME), ("turingalan_102_98766", NAME), ("ada", "02_other")]
    assert members.missing_submissions(graded) == [
        MissingSubmission("alan", "02_other", "Alan Turing")
    ]
    broken = Problem("turingalan_102", "02_other", "x.ipynb", "the file is empty")
    (alan,) = members.missing_submissions(graded, [broken])
    assert alan.note == "submitted, but not graded: x.ipynb: the file is empty"
    no_notebook = Problem("turingalan_102", "", "x.py", "it is not a notebook")
    (alan,) = members.missing_submissions(graded, [no_notebook])
    assert alan.note == "submitted, but not graded: x.py: it is not a notebook"


def test_formgrader_shows_names(import_roster, built):
    workspace = built / "grading" / "workspace"
    record_scores(workspace, {"turingalan_102_98766": {}, "somebody": {}})
    members, _ = import_roster(CANVAS)
    with open_api(workspace).gradebook as book:
        members.fill_names(book)
        names = {s.id: (s.first_name, s.last_name) for s in book.students}
    assert names == {"turingalan_102_98766": ("Alan", "Turing"), "somebody": (None, None)}
