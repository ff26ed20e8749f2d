"""Platform timestamps are converted to UTC; unreadable ones are noted."""

from zoneinfo import ZoneInfo

import pytest
from course_grading.collect import submissions
from course_grading.collect.timestamps import read_submission_time

from tests.support.submissions import ITEMS_BY_LESSON, NAME, write_file


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-07-01 23:30:00.000000 UTC", "2026-07-01 23:30"),
        ("2026-07-01 23:30:00", "2026-07-01 23:30"),
        ("2026-07-01 23:30:00.000000 CEST", "2026-07-01 21:30"),
        ("2026-07-01 23:30:00.000000 +0200", "2026-07-01 21:30"),
        ("2026-07-01 23:30:00 UTC+02", "2026-07-01 21:30"),
        ("2026-07-02 06:00:00.000000 JST", "2026-07-01 21:00"),
        ("2026-07-01 18:00:00.000000 PDT", "2026-07-02 01:00"),
        ("2026-07-01T23:30:00Z", "2026-07-01 23:30"),
        ("May 1, 2026 1020 AM", "2026-05-01 10:20"),
        ("2026-05-01-10-20-00", "2026-05-01 10:20"),
    ],
)
def test_times_are_read(text, time):
    assert read_submission_time(text, "x").timestamp == f"{time}:00.000000 UTC"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-07-01 23:30 IST", "'IST' is unknown or ambiguous"),
        ("2026-07-01 23:30 XYZ", "'XYZ' is unknown or ambiguous"),
        ("yesterday", "which is not a date"),
        ("10", "which is not a date"),
        ("0001-01-01 00:00:00 +1400", "which is not a date"),
        ("2026-07-01 " * 50, "which is not a date"),
    ],
)
def test_unreadable_times_are_noted(text, reason):
    handed_in = read_submission_time(text, "x")
    assert handed_in.timestamp is None and reason in handed_in.note
    assert "graded as not late" in handed_in.note


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("May 1, 2026 1020 AM", "2026-05-01 08:20"),
        ("2026-01-10-10-20-00", "2026-01-10 09:20"),
        ("2026-10-25-02-30-00", "2026-10-25 00:30"),  # ambiguous: the earlier one
        ("2026-05-01 10:20:00 -0400", "2026-05-01 14:20"),  # has an offset
    ],
)
def test_times_without_a_zone_are_in_the_time_zone_of_the_class(text, time):
    zone = ZoneInfo("Europe/Berlin")
    handed_in = read_submission_time(text, "x", assume_utc=False, zone=zone)
    assert handed_in.timestamp == f"{time}:00.000000 UTC" and handed_in.note == ""
    # nbgrader's own times are in UTC by definition
    assert read_submission_time("2026-05-01 10:20", "x", zone=zone).time.hour == 10


def test_time_zone_of_the_class_is_used_for_times_in_folder_names(tmp_path):
    write_file(tmp_path, f"11-678 - Ann - May 1, 2026 1020 AM/{NAME}.ipynb")
    (found,), _ = submissions.find(tmp_path, ITEMS_BY_LESSON, zone=ZoneInfo("America/New_York"))
    assert found.timestamp == "2026-05-01 14:20:00.000000 UTC"
    assert submissions.notes([found]) == []


def test_missing_time_zone_is_noted_once_for_a_class(tmp_path):
    for number in range(5):
        write_file(tmp_path, f"1{number}-678 - Ann - May 1, 2026 1020 AM/{NAME}.ipynb")
    accepted, _ = submissions.find(tmp_path, ITEMS_BY_LESSON)
    (note,) = submissions.notes(accepted)
    assert "read as UTC. Set time_zone in grading/due_dates.toml; so do 4 others" in note.reason
