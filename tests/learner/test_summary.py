"""The summary of all lessons: the cell to resume at, items to revise, text, HTML and JSON."""

import html.parser
import json
import re
import shutil
import subprocess
import sys

import pytest

import course_lib
from course_lib.learner import summary, table
from course_lib.quiz import question_bank
from tests.support import learner as work
from tests.support.checkout import LESSONS, ROOT


@pytest.fixture
def two_lessons(learner, notebook):
    """A folder with a second lesson, a copy of the first."""
    name = "02_second"
    text = notebook.read_text().replace("01_sample", name).replace("Lesson 1", "Lesson 2")
    (learner / f"{name}.ipynb").write_text(text)
    bank = question_bank.FOLDER
    shutil.copy(bank / "01_sample.json", bank / f"{name}.json")
    packed = (bank / f"{name}.json").read_text()
    (bank / f"{name}.json").write_text(packed)
    return notebook, learner / f"{name}.ipynb"


def current(folder) -> tuple[str, str]:
    found = summary.read(folder).current
    return ("", "") if found is None else (found.name, summary.next_cell(found))


def finish(notebook) -> None:
    """Answer every question and write every exercise, all incorrectly."""
    work.answer(notebook, "which-letters", "BD")
    work.answer(notebook, "how-many", "A")
    work.solve(notebook, work.WRONG)
    work.run_check(notebook, passes=True)


def test_first_lesson_is_current_at_the_start(two_lessons, learner):
    assert current(learner) == ("01_sample", "")


def test_most_recently_edited_lesson_is_current(two_lessons, learner):
    first, second = two_lessons
    work.answer(second, "which-letters", "AC")
    work.answer(first, "which-letters", "AC")
    work.set_time(first, 2000)
    work.set_time(second, 1000)
    assert current(learner) == ("01_sample", "how-many-answer")
    work.set_time(second, 3000)
    assert current(learner) == ("02_second", "how-many-answer")


def test_times_of_untouched_notebooks_are_ignored(two_lessons, learner):
    first, second = two_lessons
    work.answer(first, "which-letters", "AC")
    work.set_time(first, 1000)
    work.set_time(second, 2000)  # as written by an update of the course
    assert current(learner) == ("01_sample", "how-many-answer")


def test_running_a_cell_starts_the_lesson(two_lessons, learner):
    _, second = two_lessons
    work.edit(second, setup={"execution_count": 1})
    assert current(learner) == ("02_second", "which-letters-answer")


def test_next_lesson_is_current_after_a_finished_one(two_lessons, learner):
    first, second = two_lessons
    finish(first)
    assert current(learner) == ("02_second", "")
    finish(second)
    work.set_time(first, 1000)
    name, cell = current(learner)  # now the wrong answers are to be revised
    assert (name, cell) == ("01_sample", "which-letters-answer")


def test_no_lesson_is_current_when_everything_is_correct(learner, notebook):
    from course_lib.learner import files, record

    work.answer(notebook, "which-letters", "AC")
    work.answer(notebook, "how-many", "B")
    work.solve(notebook, work.RIGHT)
    result = record.CheckedExercise(
        files.digest(files.read(notebook), "double"), summary.source_digest("01_sample"), 2, 2, ""
    )
    record.save(learner, record.Record(exercises={"01_sample": {"double": result}}))
    progress = summary.read(learner)
    assert progress.current is None and progress.lessons[0].is_done
    assert "Go on with" not in "\n".join(table.as_lines(progress)) + table.as_html(progress)


def test_text_lists_items_to_revise(learner, notebook):
    finish(notebook)
    text = "\n".join(table.as_lines(summary.read(learner)))
    assert "Lesson 1 · A sample" in text and "2 of 2, 0 right" in text and "0 of 6 (+2)" in text
    assert "“A section”: How many is two and two? (wrong, 0 of 1)" in text
    assert "course progress --checks" in text


def test_text_of_one_lesson_lists_every_item(learner, notebook):
    work.answer(notebook, "how-many", "B")
    text = "\n".join(table.as_lines(summary.read(learner, "01_sample"), every_item=True))
    assert "question: How many is two and two? (right, 1 of 1)" in text
    assert "exercise: double (not done, 0 of 2)" in text


class _Tags(html.parser.HTMLParser):
    """Collects the elements, and asserts that each is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_table_has_a_caption_and_headers(two_lessons, learner):
    first, _ = two_lessons
    finish(first)
    tags = _Tags(table.as_html(summary.read(learner))).found
    names = [tag for tag, _ in tags]
    assert names.count("caption") == 1 and names.count("tr") == 4
    scopes = [attributes.get("scope") for tag, attributes in tags if tag == "th"]
    assert scopes == ["col"] * 4 + ["row"] * 3
    addresses = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert addresses[0] == "01_sample.ipynb#cell-id=which-letters-answer"
    assert addresses[-1] == "02_second.ipynb"


def test_lesson_text_is_escaped(learner, notebook):
    text = notebook.read_text().replace("How many is two and two?", "Is <b onclick=x>1</b> < 2?")
    notebook.write_text(text)
    work.answer(notebook, "how-many", "A")
    assert "<b onclick" not in table.as_html(summary.read(learner))


def test_json_contains_points_items_and_links(learner, notebook):
    work.answer(notebook, "how-many", "B")
    report = json.loads(json.dumps(summary.read(learner).as_json()))
    assert (report["points"], report["earned"]) == (6, 1)
    assert report["next"] == {"lesson": "01_sample", "cell": "which-letters-answer"}
    items = {item["name"]: item for item in report["lessons"][0]["items"]}
    assert items["how-many"]["state"] == "right" and items["how-many"]["answer"] == "B"
    assert items["double"]["link"] == "01_sample.ipynb#cell-id=double-code"


def test_progress_displays_html_and_text(learner, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    course_lib.progress()
    (data,) = shown
    assert "<table" in data["text/html"] and "Lesson 1 · A sample" in data["text/plain"]


def test_neither_torch_nor_the_grader_is_imported():
    code = (
        "import sys; from course_lib.learner import table, summary; "
        "print(table.as_html(summary.read())[:1]); "
        "print([m for m in ('torch', 'matplotlib', 'nbformat', 'course_grading', 'numpy') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["<", "[]"]


@pytest.mark.parametrize("lesson", LESSONS)
def test_lesson_is_found_by_number_and_name(lesson):
    assert summary.find_lesson(str(int(lesson[:2]))) == lesson
    assert summary.find_lesson(f"notebooks/{lesson}.ipynb") == lesson


@pytest.mark.parametrize("text", ["98", "", "²", "_", "nothing"])
def test_unknown_lesson_is_refused_with_the_list(text):
    with pytest.raises(ValueError, match=re.escape(LESSONS[0])):
        summary.find_lesson(text)
