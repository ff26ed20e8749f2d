"""The tables of a run: the whole class, the run's own folder, and safe import into Excel."""

import csv
from datetime import UTC, datetime

from course_grading.autograde.grade import ItemResult, SubmissionResult
from course_grading.batch import Batch, Grade
from course_grading.collect.problems import Problem
from course_grading.export.class_list import MissingSubmission
from course_grading.gradebook.changes import Change
from course_grading.gradebook.scores import Item
from course_grading.reports import tables

NAME = "01_sample"
TIME = datetime(2026, 11, 28, 10, 30, tzinfo=UTC)
ADA = Grade("ada", NAME, 5.0, 6.0, False, True, "Ada Lovelace")
BOB = Grade("bob", NAME, 6.0, 6.0, True, False)


def read(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_main_tables_cover_the_class_and_the_run_folder_one_run(tmp_path):
    batch = Batch(grades=[BOB], class_grades=[ADA, BOB])
    batch.changes = [Change("ada", NAME, "score", "6", "5", "answer key")]
    ungraded = MissingSubmission("mal", NAME, "Mal", "submitted, but not graded: it is incomplete")
    batch.missing_submissions = [MissingSubmission("eve", NAME, "Eve"), ungraded]
    tables.write(batch, tmp_path, TIME)
    assert [row["student"] for row in read(tmp_path / "grades.csv")] == ["ada", "bob"]
    assert read(tmp_path / "grades.csv")[0]["name"] == "Ada Lovelace"
    assert read(tmp_path / "not_handed_in.csv") == [
        {"student": "eve", "name": "Eve", "lesson": NAME, "note": ""},
        {"student": "mal", "name": "Mal", "lesson": NAME, "note": ungraded.note},
    ]
    run = tmp_path / "runs" / "2026-11-28T103000Z"
    assert [row["student"] for row in read(run / "grades.csv")] == ["bob"]
    assert read(run / "changes.csv")[0]["after"] == "5"
    assert "ada, 01_sample: score 6 → 5 (answer key)" in (run / "summary.md").read_text()
    summary = (tmp_path / "summary.md").read_text()
    assert "Not submitted (1): eve." in summary
    assert "Submitted, but not graded (1): mal." in summary
    tables.write(batch, tmp_path, TIME)
    assert (tmp_path / "runs" / "2026-11-28T103000Z-2" / "grades.csv").is_file()


def test_items_that_need_manual_grading_are_listed_with_answer_and_link(tmp_path):
    source = 'answer = ["B"]  # @param ["", "A"]\nquiz.answer("q", answer)'
    result = SubmissionResult(
        "ada",
        NAME,
        "f",
        "d",
        items=(
            ItemResult("q", 0.0, 1.0, "Not read.", manual=True),
            ItemResult("r", 1.0, 1.0, "Recorded: A.", answer="A"),
        ),
        sources=(("q-answer", source), ("r-answer", 'answer = "A"')),
    )
    batch = Batch(class_grades=[ADA], class_results={("ada", NAME): result})
    batch.places = {NAME: {"q": "?index=1#q-answer-comment"}}
    batch.class_items = [
        Item("ada", NAME, "q", 0.0, 1.0, True, manual=True, notebook="4711"),
        Item("ada", NAME, "r", 1.0, 1.0, True, notebook="4711"),
    ]
    tables.write(batch, tmp_path, TIME)
    (row,) = read(tmp_path / "needs_manual.csv")
    assert row == {
        "student": "ada",
        "name": "Ada Lovelace",
        "lesson": NAME,
        "item": "q",
        "score": "0.0",
        "max_score": "1.0",
        "answer": '["B"]',
        "link": "http://localhost:8888/formgrader/submissions/4711/?index=1#q-answer-comment",
    }
    _, second = read(tmp_path / "items.csv")
    assert (second["answer"], second["message"], second["manual"]) == ("A", "Recorded: A.", "False")


def test_tables_begin_with_a_byte_order_mark(tmp_path):
    batch = Batch(grades=[Grade("Jürgen", NAME, 6.0, 6.0, False, False)])
    paths = tables.write(batch, tmp_path, TIME)
    tables_written = [path for path in paths if path.suffix == ".csv"]
    assert len(tables_written) == 6
    for path in tables_written:
        assert path.read_bytes()[:3] == b"\xef\xbb\xbf"


def test_summary_escapes_markup(tmp_path):
    name = "![x](http://a.example)<img>\n# big"
    tables.write(Batch(problems=[Problem("", "", name, "it is a link")]), tmp_path, TIME)
    summary = (tmp_path / "summary.md").read_text()
    assert "\\!\\[x\\](http://a.example)\\<img\\> \\# big" in summary and "\n# big" not in summary
