"""Item analysis: the statistics equal their definitions, and the page is accessible."""

import shutil

import numpy as np
import pytest
from course_grading.assign import cells
from course_grading.collect.cell_sources import read_sources
from course_grading.errors import AnalysisError
from course_grading.gradebook.nbgrader_api import open_api
from course_grading.reports import item_analysis, similarity

from tests.support.checkout import LESSONS
from tests.support.gradebook import NAME, record_class, record_scores, submit
from tests.support.html_page import Page
from tests.support.lessons import course_lesson

FULL_SCORES = {"which-letters": 3.0, "how-many": 1.0, "double": 2.0}


@pytest.fixture
def workspace(built):
    return built / "grading" / "workspace"


@pytest.fixture
def page(workspace, tmp_path):
    def write():
        with open_api(workspace).gradebook as book:
            path = item_analysis.write(book, workspace, NAME, tmp_path / "analysis")
        return path.read_text(encoding="utf-8")

    return write


def test_discrimination_is_the_correlation_with_the_other_items():
    rng = np.random.default_rng(0)
    ability = rng.normal(size=(200, 1))
    points = (ability + rng.normal(size=(200, 6)) > 0).astype(float)
    points[:, 5] = 1.0
    points[:, 4] = ability[:, 0] < 0
    values = item_analysis.discriminations(points)
    for k in range(5):
        rest = np.delete(points, k, axis=1).sum(axis=1)
        assert values[k] == pytest.approx(np.corrcoef(points[:, k], rest)[0, 1])
    assert values[4] < 0 < values[0] and np.isnan(values[5])
    assert np.isnan(item_analysis.discriminations(np.ones((5, 1)))).all()


def test_discrimination_excludes_the_item_itself():
    """The discrimination of two random items is near 0; without this correction it is about 0.7."""
    points = np.random.default_rng(1).integers(0, 2, size=(2000, 2)).astype(float)
    uncorrected = np.corrcoef(points[:, 0], points.sum(axis=1))[0, 1]
    assert uncorrected > 0.6 and abs(item_analysis.discriminations(points)[0]) < 0.1


def test_confidence_interval():
    confidence_interval = item_analysis.confidence_interval
    assert confidence_interval(0.35, item_analysis.MIN_STUDENTS)[0] < 0
    assert confidence_interval(0.35, 40)[0] > 0
    # Fisher: tanh(0.5493 -+ 0.196)
    assert confidence_interval(0.5, 103) == pytest.approx((0.3389, 0.6325), abs=1e-3)
    assert confidence_interval(1.0, 30)[1] <= 1


def test_questions_of_the_instructors_notebook(workspace):
    sources = read_sources(workspace / "source" / NAME / f"{NAME}.ipynb")
    questions = item_analysis.parse_questions(sources)
    assert {name: (q.right, list(q.options)) for name, q in questions.items()} == {
        "which-letters": ("AC", list("ABCD")),
        "how-many": ("B", list("AB")),
    }
    text = questions["which-letters"].text
    assert "Which of these are vowels?" in text and "**A**" not in text


def test_every_question_of_the_lessons_is_parsed():
    """``parse_questions`` reads back every choice question that ``cells`` writes, and no other
    kind.
    """
    count = 0
    for lesson in map(course_lesson, LESSONS):
        notebook = cells.build_notebook(lesson)
        sources = {
            cell.metadata.nbgrader.grade_id: cell.source
            for cell in notebook.cells
            if "nbgrader" in cell.metadata
        }
        parsed = item_analysis.parse_questions(sources)
        choices = [question for question in lesson.questions if question.kind == "choice"]
        for question in choices:
            actual = parsed.pop(question.name)
            texts = [option.text for option in question.options]
            assert actual.right == question.right
            assert actual.options == dict(zip(question.letters, texts, strict=True))
            assert question.text in actual.text
            count += 1
        assert parsed == {}
        stubs = [name.removesuffix("-code") for name in similarity.exercise_stubs(sources)]
        assert stubs == [exercise.name for exercise in lesson.exercises]
    assert count > 20


@pytest.mark.parametrize(
    ("source", "letters"),
    [
        ('answer = "ca"', ["A", "C"]),
        ('answer = ""', ["no answer"]),
        ("answer = 3", ["unreadable"]),
        ("answer = (", ["unreadable"]),
        ('answer = "Z"', ["unreadable"]),
        (None, ["unknown"]),
    ],
)
def test_chosen_options(source, letters):
    question = item_analysis.QuestionText("?", {"A": "", "B": "", "C": ""}, "AC")
    sources = {"q-answer": source} if source else None
    assert item_analysis.chosen_options(sources, "q", question) == letters


@pytest.fixture(scope="module")
def page_of_60(_built, tmp_path_factory) -> str:
    """The item analysis page of a class of 60."""
    folder = tmp_path_factory.mktemp("class-of-60")
    workspace = shutil.copytree(_built, folder / "course") / "grading" / "workspace"
    record_class(workspace, 60)
    with open_api(workspace).gradebook as book:
        path = item_analysis.write(book, workspace, NAME, folder / "analysis")
    return path.read_text(encoding="utf-8")


@pytest.mark.extended
def test_page_of_a_class(page_of_60):
    item_table, options_table, _, shares_table = Page(page_of_60).tables
    items = {row[0]: row for row in item_table[1:]}
    assert list(items) == ["which-letters", "how-many", "double"]
    assert all(" to " in row[5] for row in items.values())
    options = {row[0]: row for row in options_table[1:]}
    assert [options[letter][2] for letter in "ABCD"] == ["right", "", "right", ""]
    upper, lower = 4, 5
    assert int(options["A"][upper]) > int(options["A"][lower])
    assert int(options["D"][upper]) < int(options["D"][lower])
    # every student is in one row of the exercise's score distribution
    assert sum(int(row[1]) for row in shares_table[1:]) == 60
    assert "The times of the submissions are not known." in page_of_60


@pytest.mark.extended
def test_small_class_has_no_discrimination(workspace, page):
    record_class(workspace, item_analysis.MIN_STUDENTS - 1)
    html = page()
    rows = Page(html).tables[0][1:]
    assert "it would be meaningless" in html
    assert {row[5] for row in rows} == {"too few students"}
    assert {row[6] for row in rows} == {""}
    record_scores(workspace, {"one more": FULL_SCORES})
    assert "it would be meaningless" not in page()


def test_page_is_accessible(page_of_60):
    parsed = Page(page_of_60)
    assert parsed.attributes_of("html") == [{"lang": "en"}]
    assert len(parsed.attributes_of("h1")) == 1
    images = parsed.attributes_of("img")
    assert len(images) == 4 and all(len(image["alt"]) > 20 for image in images)
    assert all(image["src"].startswith("data:image/png") for image in images)
    assert len(parsed.attributes_of("caption")) == len(parsed.tables)
    assert all(attrs.get("scope") in ("col", "row") for attrs in parsed.attributes_of("th"))
    levels = [int(tag[1]) for tag, _ in parsed.tags if tag in ("h1", "h2", "h3", "h4")]
    assert all(below - above <= 1 for above, below in zip(levels, levels[1:], strict=False))
    targets = {attrs["href"][1:] for attrs in parsed.attributes_of("a")}
    assert targets <= {attrs.get("id") for _, attrs in parsed.tags}
    assert "default-src 'none'" in page_of_60 and "<script" not in page_of_60


def test_incompletely_graded_student_is_excluded_and_listed(workspace, page):
    record_class(workspace, 5)
    record_scores(workspace, {"waiting": {"double": 2.0}})
    text = " ".join(page().split())
    assert "5 students. Left out, because some of their work is not graded yet: waiting. " in text


@pytest.mark.extended
def test_wrong_option_chosen_by_the_best_students_is_remarked(workspace, page):
    scores = {}
    for number in range(45):
        best = number >= 30
        student = f"s{number:02d}"
        # The best students also tick D; nobody ticks B.
        answers = {"which-letters": "ACD" if best else "AC", "how-many": "B" if best else "A"}
        submit(workspace, student, answers)
        scores[student] = {
            "which-letters": 1.5 if best else 3.0,
            "how-many": float(best),
            "double": 2.0 * best,
        }
    record_scores(workspace, scores)
    items = {row[0]: row for row in Page(page()).tables[0][1:]}
    remarks = items["which-letters"][6]
    assert "students with lower scores do better on it" in remarks
    assert "nobody chose B" in remarks
    assert "D is wrong, but more of the upper third chose it" in remarks


def test_student_text_is_escaped(workspace, page):
    name = "<script>alert(1)</script>"
    record_scores(workspace, {name: {"double": 2.0}, "ada": FULL_SCORES})
    assert name not in page() and "&lt;script&gt;" in page()


def test_submission_times(workspace, page):
    with open_api(workspace).gradebook as book:
        book.update_or_create_assignment(NAME, duedate="2026-11-01 12:00:00")
    record_scores(workspace, {"ada": FULL_SCORES}, timestamp="2026-11-01 10:00:00")
    record_scores(workspace, {"bob": FULL_SCORES}, timestamp="2026-11-01 06:00:00")
    record_scores(workspace, {"eve": FULL_SCORES}, timestamp="2026-11-02 12:00:00")
    record_scores(workspace, {"joe": FULL_SCORES})
    html = page()
    assert "Times are known for 3 of 4 submissions" in html
    assert "the median is 2 hours before the due date, 1 late." in html


def test_analysis_without_submissions_is_refused(workspace, page):
    with pytest.raises(AnalysisError, match="grade first"):
        page()
    (workspace / "source" / NAME / f"{NAME}.ipynb").write_text("{")
    with pytest.raises(AnalysisError, match="run course build first"):
        page()
