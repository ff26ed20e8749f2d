"""The item analysis: the numbers are those of the definitions, and the page shows them to
everybody.
"""

from html.parser import HTMLParser

import numpy as np
import pytest
from course_grading.assign import cells
from course_grading.assign.build import lessons
from course_grading.collect import cell_sources
from course_grading.gradebook.nbgrader_api import open_desk
from course_grading.reports import item_analysis, similarity

from tests.support.gradebook import NAME, a_class, hand_in, record

WHOLE = {"which-letters": 3.0, "how-many": 1.0, "double": 2.0}


@pytest.fixture
def workspace(built):
    return built / "grading" / "workspace"


@pytest.fixture
def page(workspace, tmp_path):
    def write():
        with open_desk(workspace).gradebook as book:
            return item_analysis.write(book, workspace, NAME, tmp_path / "analysis").read_text(
                encoding="utf-8"
            )

    return write


class Page(HTMLParser):
    """What a page's reader meets: tags in order, tables as rows of text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.tables = [], []
        self._cell = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = ""

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[-1][-1].append(" ".join(self._cell.split()))
            self._cell = None

    def every(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def test_discrimination_is_the_correlation_with_the_rest():
    rng = np.random.default_rng(0)
    able = rng.normal(size=(200, 1))
    points = (able + rng.normal(size=(200, 6)) > 0).astype(float)
    points[:, 5] = 1.0
    points[:, 4] = able[:, 0] < 0
    ours = item_analysis.discriminations(points)
    for k in range(5):
        rest = np.delete(points, k, axis=1).sum(axis=1)
        assert ours[k] == pytest.approx(np.corrcoef(points[:, k], rest)[0, 1])
    assert ours[4] < 0 < ours[0] and np.isnan(ours[5])
    assert np.isnan(item_analysis.discriminations(np.ones((5, 1)))).all()


def test_an_item_alone_does_not_correlate_with_itself():
    """What 'corrected' is for: two items of pure chance would otherwise seem to discriminate."""
    points = np.random.default_rng(1).integers(0, 2, size=(2000, 2)).astype(float)
    uncorrected = np.corrcoef(points[:, 0], points.sum(axis=1))[0, 1]
    assert uncorrected > 0.6 and abs(item_analysis.discriminations(points)[0]) < 0.1


def test_interval():
    assert (
        item_analysis.interval(0.35, item_analysis.MINIMUM)[0]
        < 0
        < item_analysis.interval(0.35, 40)[0]
    )
    low, high = item_analysis.interval(0.5, 103)  # Fisher: tanh(0.5493 -+ 0.196)
    assert (low, high) == (pytest.approx(0.3389, abs=1e-3), pytest.approx(0.6325, abs=1e-3))
    assert item_analysis.interval(1.0, 30)[1] <= 1


def test_questions_are_read_from_the_instructors_notebook(workspace):
    asked = item_analysis.questions(
        cell_sources.sources(workspace / "source" / NAME / f"{NAME}.ipynb")
    )
    assert {name: (question.right, list(question.options)) for name, question in asked.items()} == {
        "which-letters": ("AC", list("ABCD")),
        "how-many": ("B", list("AB")),
    }
    assert (
        "Which of these are vowels?" in asked["which-letters"].text
        and "**A**" not in asked["which-letters"].text
    )


def test_every_question_of_the_lessons_is_read_back(root):
    """What ``cells`` writes into the instructor's notebooks, ``questions`` reads."""
    count = 0
    for lesson in lessons(root / "solutions"):
        made = cells.notebook(lesson).cells
        sources = {c.metadata.nbgrader.grade_id: c.source for c in made if "nbgrader" in c.metadata}
        asked = item_analysis.questions(sources)
        for question in lesson.questions:
            read = asked.pop(question.name)
            options = dict(
                zip(question.letters, [option.text for option in question.options], strict=True)
            )
            assert (read.right, read.options) == (
                question.right,
                options,
            ) and question.text in read.text
            count += 1
        assert asked == {}
        assert [n.removesuffix("-code") for n in similarity.exercises(sources)] == [
            e.name for e in lesson.exercises
        ]
    assert count > 20


@pytest.mark.parametrize(
    ("source", "letters"),
    [('answer = "ca"', ["A", "C"]), ('answer = ""', ["nothing"]), ("answer = 3", ["no letters"]),
     ("answer = (", ["no letters"]), ('answer = "Z"', ["no letters"]), (None, ["not known"])],
)  # fmt: skip
def test_what_was_chosen(source, letters):
    asked = item_analysis.Asked("?", {"A": "", "B": "", "C": ""}, "AC")
    assert item_analysis.chosen({"q-answer": source} if source else None, "q", asked) == letters


def test_the_page_of_a_class(workspace, page):
    a_class(workspace, 60)
    html = page()
    read = Page(html)
    items = {row[0]: row for row in read.tables[0][1:]}
    assert list(items) == ["which-letters", "how-many", "double"]
    assert all(" to " in row[5] for row in items.values())
    options = {row[0]: row for row in read.tables[1][1:]}
    assert (
        options["A"][2] == options["C"][2] == "right" and options["B"][2] == options["D"][2] == ""
    )
    assert int(options["A"][4]) > int(options["A"][5]) and int(options["D"][4]) < int(
        options["D"][5]
    )
    # everybody has one share of the exercise's points
    assert sum(int(row[1]) for row in read.tables[3][1:]) == 60
    assert "It is not known when the work was handed in." in html


def test_a_small_class_is_not_told_what_means_nothing(workspace, page):
    a_class(workspace, item_analysis.MINIMUM - 1)
    html = page()
    read = Page(html)
    assert "it would mean nothing" in html
    assert {row[5] for row in read.tables[0][1:]} == {"too few students"}
    assert {row[6] for row in read.tables[0][1:]} == {""}
    a_class(workspace, item_analysis.MINIMUM)
    assert "it would mean nothing" not in page()


def test_everybody_can_read_the_page(workspace, page):
    a_class(workspace, 40)
    html = page()
    read = Page(html)
    assert read.every("html") == [{"lang": "en"}] and len(read.every("h1")) == 1
    images = read.every("img")
    assert len(images) == 4 and all(len(image["alt"]) > 20 for image in images)
    assert all(image["src"].startswith("data:image/png") for image in images)
    assert len(read.every("caption")) == len(read.tables)
    assert all(attrs.get("scope") in ("col", "row") for attrs in read.every("th"))
    levels = [int(tag[1]) for tag, _ in read.tags if tag in ("h1", "h2", "h3", "h4")]
    assert all(below - above <= 1 for above, below in zip(levels, levels[1:], strict=False))
    linked = {attrs["href"][1:] for attrs in read.every("a")}
    assert linked <= {attrs.get("id") for _, attrs in read.tags}
    assert (
        "default-src 'none'" in html
        and "<script" not in html
        and "http" not in "".join(i["src"] for i in images)
    )


def test_who_is_not_wholly_graded_is_left_out_and_named(workspace, page):
    a_class(workspace, 5)
    record(workspace, {"waiting": {"double": 2.0}})
    assert (
        "5 students. Left out, because something of theirs is not graded yet: waiting. Scores"
        in " ".join(page().split())
    )


def test_a_wrong_option_that_the_best_choose_is_remarked(workspace, page):
    scores = {}
    for number in range(45):
        best = number >= 30
        student = f"s{number:02d}"
        # The best tick D besides what is right; nobody ticks B.
        hand_in(
            workspace,
            student,
            {"which-letters": "ACD" if best else "AC", "how-many": "B" if best else "A"},
        )
        scores[student] = {
            "which-letters": 1.5 if best else 3.0,
            "how-many": float(best),
            "double": 2.0 * best,
        }
    record(workspace, scores)
    items = {row[0]: row for row in Page(page()).tables[0][1:]}
    assert "students who know less do better at it" in items["which-letters"][6]
    assert "nobody chose B" in items["which-letters"][6]
    assert "D is wrong, but more of the upper third chose it" in items["which-letters"][6]


def test_what_students_wrote_stays_text(workspace, page):
    name = "<script>alert(1)</script>"
    record(workspace, {name: {"double": 2.0}, "ada": WHOLE})
    assert name not in page() and "&lt;script&gt;" in page()


def test_time(workspace, page):
    with open_desk(workspace).gradebook as book:
        book.update_or_create_assignment(NAME, duedate="2026-11-01 12:00:00")
    record(workspace, {"ada": WHOLE}, timestamp="2026-11-01 10:00:00")
    record(workspace, {"bob": WHOLE}, timestamp="2026-11-01 06:00:00")
    record(workspace, {"eve": WHOLE}, timestamp="2026-11-02 12:00:00")
    record(workspace, {"joe": WHOLE})
    html = page()
    assert (
        "Known for 3 of 4" in html and "in the middle 2 hours before the due date, 1 late." in html
    )


def test_nothing_to_analyse(workspace, page):
    with pytest.raises(item_analysis.AnalysisError, match="grade first"):
        page()
    (workspace / "source" / NAME / f"{NAME}.ipynb").write_text("{")
    with pytest.raises(item_analysis.AnalysisError, match="run course build first"):
        page()
