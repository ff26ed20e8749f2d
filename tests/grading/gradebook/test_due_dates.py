"""Due dates and extensions in due_dates.toml are read in the class's time zone, validated and
applied.
"""

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from course_grading.collect.submissions import Submission
from course_grading.errors import DueDateError
from course_grading.export import class_list
from course_grading.gradebook import due_dates
from course_grading.gradebook.nbgrader_api import open_api

from tests.support.gradebook import record_scores

NAME = "01_sample"


@pytest.fixture
def read(tmp_path):
    def run(text: str) -> due_dates.DueDates:
        (tmp_path / "due_dates.toml").write_text(text)
        return due_dates.read(tmp_path / "workspace", [NAME])

    return run


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2026-10-31 23:59:00", datetime(2026, 10, 31, 22, 59)),  # winter time
        ("2026-07-01T12:00:00", datetime(2026, 7, 1, 10)),  # summer time
        ("2026-10-31", datetime(2026, 10, 31, 22, 59, 59)),  # the whole day
        ("2026-10-31T10:00:00+09:00", datetime(2026, 10, 31, 1)),
        ('"2026-07-01 12:00"', datetime(2026, 7, 1, 10)),
        ("2026-10-25 02:30:00", datetime(2026, 10, 25, 1, 30)),  # ambiguous: the later time
    ],
)
def test_times_are_read_in_the_time_zone_of_the_class(read, written, utc):
    dates = read(f'timezone = "Europe/Berlin"\n[due]\n{NAME} = {written}\n')
    assert dates.due == {NAME: utc}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"[due]\n{NAME} = 2026-10-31\n", "names no time zone"),
        ('timezone = "Berlin"\n', "unknown time zone 'Berlin'.*Continent/City"),
        ('timezone = "UTC"\n[due]\n02_other = 2026-10-31\n', "02_other is not a released lesson"),
        (f'timezone = "UTC"\n[due]\n{NAME} = 31\n', "is 31, not a date"),
        (f'timezone = "UTC"\n[due]\n{NAME} = "31.10.2026"\n', "not a date: write for example"),
        (f'timezone = "UTC"\n[due]\n{NAME} = 31.10.2026\n', "is invalid TOML.*Write a date"),
        (f'timezone = "UTC"\n[extensions.ada]\n{NAME} = 2026-10-31\n', "due date under .due."),
        (
            f'timezone = "UTC"\n[due]\n{NAME} = 2026-10-31\n[extensions.ada]\n{NAME} = 2026-10-01',
            "before the due date",
        ),
        ('timezone = "UTC"\n[dues]\n', "unknown setting dues"),
        (
            'timezone = "UTC"\n[extensions]\nada = 2026-10-31\n',
            "extensions.ada is not a table: write .extensions.ada. on its own line",
        ),
        (
            f'timezone = "Europe/Berlin"\n[due]\n{NAME} = 2026-03-29 02:30:00\n',
            "02:30 does not exist in Europe/Berlin",
        ),
    ],
)
def test_error_message_says_what_to_write(read, text, message):
    with pytest.raises(DueDateError, match=message):
        read(text)


def test_former_name_of_time_zone_and_given_submission_times_are_read(read, tmp_path):
    new = f'time_zone = "Asia/Tokyo"\n[handed_in.bob]\n{NAME} = 2026-05-02 08:30:00\n'
    dates = read(new)
    assert dates.time_zone == ZoneInfo("Asia/Tokyo") and dates.due == {}
    assert dates.submission_times == {("bob", NAME): datetime(2026, 5, 1, 23, 30)}
    assert due_dates.read_zone(tmp_path / "workspace") == ZoneInfo("Asia/Tokyo")
    assert read(new.replace("time_zone", "timezone")) == dates
    with pytest.raises(DueDateError, match="twice: keep time_zone, remove timezone"):
        read(f'timezone = "UTC"\n{new}')
    assert due_dates.read_zone(tmp_path / "workspace") == ZoneInfo("UTC")
    with pytest.raises(DueDateError, match="02_x is not a released lesson"):
        read('time_zone = "UTC"\n[handed_in.bob]\n02_x = 2026-05-01\n')


def test_submission_time_given_by_the_instructor_takes_precedence(read):
    dates = read(f'time_zone = "UTC"\n[handed_in.bob]\n{NAME} = 2026-05-02 08:30:00\n')
    ada, bob = (Submission(who, NAME, Path(who), who) for who in ("ada", "bob"))
    applied = due_dates.apply_submission_times([ada, bob], dates)
    assert [s.timestamp for s in applied] == [None, "2026-05-02 08:30:00.000000 UTC"]


def test_missing_file_means_no_due_dates(tmp_path):
    assert due_dates.read(tmp_path / "workspace", [NAME]) == due_dates.DueDates()


def test_dates_removed_from_the_file_are_removed_from_the_gradebook(built):
    workspace = built / "grading" / "workspace"
    record_scores(workspace, {"ada": {}, "bob": {}, "eve": {}})

    def apply(text: str) -> tuple[datetime | None, dict[str, timedelta | None]]:
        (built / "grading" / "due_dates.toml").write_text(text)
        with open_api(workspace).gradebook as book:
            dates = due_dates.read(workspace, [NAME])
            due_dates.apply(book, workspace, dates, {"bob": 2.0})
            assignment = book.find_assignment(NAME)
            return assignment.duedate, {s.student_id: s.extension for s in assignment.submissions}

    with open_api(workspace).gradebook as book:
        book.update_or_create_assignment(NAME, duedate="2026-01-01")
        book.grant_extension(NAME, "eve", days=5)
    dates = f'timezone = "UTC"\n[due]\n{NAME} = 2026-10-01 12:00:00\n'
    extension = f"[extensions.ada]\n{NAME} = 2026-10-04 12:00:00\n"
    due, extensions = apply(dates + extension)
    assert due == datetime(2026, 10, 1, 12)
    assert extensions == {
        "ada": timedelta(days=3),
        "bob": timedelta(days=2),
        "eve": timedelta(days=5),  # given in nbgrader
    }
    assert apply(dates)[1]["ada"] is None
    due, extensions = apply('timezone = "UTC"\n')
    assert due is None and extensions["eve"] == timedelta(days=5)


ROSTER = 'Student,ID,SIS Login ID\n"Lovelace, Ada",101,ada\n"Turing, Alan",102,alan\n'
DUE = f'timezone = "UTC"\n[due]\n{NAME} = 2026-10-01 12:00:00\n'


@pytest.fixture
def members(built, tmp_path):
    """The class list; the gradebook has two students under the ids of Canvas's download."""
    workspace = built / "grading" / "workspace"
    (tmp_path / "canvas.csv").write_text(ROSTER)
    record_scores(workspace, {"lovelaceada_101": {}, "turingalan_102": {}})
    return class_list.import_roster(tmp_path / "canvas.csv", workspace)[0]


def doubts(built, members, text: str) -> list[str]:
    workspace = built / "grading" / "workspace"
    (built / "grading" / "due_dates.toml").write_text(text)
    dates = due_dates.read(workspace, [NAME])
    with open_api(workspace).gradebook as book:
        due_dates.apply(book, workspace, dates, members=members)
        return due_dates.find_warnings(book, workspace, dates, members)


@pytest.mark.parametrize("name", ["ada", "lovelaceada_101", '"101"'])
def test_extension_accepts_class_list_ids_and_gradebook_ids(built, members, name):
    doubts(built, members, DUE + f"[extensions.{name}]\n{NAME} = 2026-10-04 12:00:00\n")
    with open_api(built / "grading" / "workspace").gradebook as book:
        extensions = {s.student_id: s.extension for s in book.find_assignment(NAME).submissions}
    assert extensions == {"lovelaceada_101": timedelta(days=3), "turingalan_102": None}


def test_extension_of_an_unknown_student_is_reported(built, members):
    text = DUE + f"[extensions.eda]\n{NAME} = 2026-10-04\n"
    assert doubts(built, members, text)[0] == (
        "[extensions.eda]: no student of the class has this id: take it from the column "
        "student_id of roster.csv"
    )
    assert "no student with this id has submitted yet" in doubts(built, None, text)[0]


def test_due_date_with_unknown_submission_times_is_reported(built, members):
    workspace = built / "grading" / "workspace"
    (doubt,) = doubts(built, members, DUE)
    assert "2 of 2 submissions have no submission time" in doubt
    assert doubts(built, members, 'timezone = "UTC"\n') == []
    record_scores(workspace, {"lovelaceada_101": {}}, timestamp="2026-10-01 11:00:00")
    (doubt,) = doubts(built, members, DUE)
    assert "1 of 2 submissions have no submission time" in doubt
    record_scores(workspace, {"turingalan_102": {}}, timestamp="2026-10-01 11:00:00")
    assert doubts(built, members, DUE) == []
