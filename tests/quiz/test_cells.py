"""Questions, question banks, the functions that cells call, and the answer boxes' HTML.

``tests/browser`` tests the boxes in a browser.
"""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from course_lib import quiz
from course_lib.quiz import answer_boxes, cells, question_bank, scoring
from course_lib.quiz.answers import AnswerFormat
from course_lib.quiz.question import Option, Question

LESSON = "01_test"


def question(
    right: str = "BC", letters: str = "ABCD", name: str = "why-not-fc", points: float = 2
) -> Question:
    options = [
        Option(f"Text of {letter}", letter in right, f"Reason for {letter}") for letter in letters
    ]
    return Question(name, points, "Why?", options)


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bank with two questions, and the state of a new kernel."""
    monkeypatch.setenv("COURSE_BANK", str(tmp_path))
    monkeypatch.setenv("COURSE_MODE", "quick")
    monkeypatch.setattr(cells, "_lesson", None)
    monkeypatch.setattr(cells, "_records", {})
    questions = [question(), question("B", "ABC", "growth", 1)]
    path = tmp_path / f"{LESSON}.json"
    path.write_text(question_bank.pack(LESSON, questions), encoding="utf-8")
    return path


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[answer_boxes.View]:
    """The displayed views, in order of display."""
    views: list[answer_boxes.View] = []
    monkeypatch.setattr(answer_boxes, "show", views.append)
    return views


class Page(HTMLParser):
    """The tags and text of an HTML fragment; asserts that its tags are closed properly."""

    VOID = {"input", "img", "br"}

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.names: list[str] = []  # the text of each label
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "label":
            self.names.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data
            if "label" in self.open:
                self.names[-1] += data

    @property
    def classes(self) -> set[str | None]:
        return {attributes.get("class") for _, attributes in self.tags}

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


# Questions and banks


def test_letters_of_a_question() -> None:
    multiple = question()
    assert (multiple.letters, multiple.right, multiple.wrong) == ("ABCD", "BC", "AD")
    assert multiple.multiple
    single = question("B", "ABC")
    assert (single.letters, single.right, single.wrong) == ("ABC", "B", "AC")
    assert not single.multiple


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"right": ""}, "no right option"),
        ({"right": "ABCD"}, "no wrong option"),
        ({"right": "A", "letters": "A"}, "1 options"),
        ({"letters": "ABCDEFGHI"}, "9 options"),
        ({"points": 0}, "points must be positive"),
        ({"name": "Why not"}, "lower-case letters"),
    ],
)
def test_invalid_question_raises(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        question(**change)


def test_question_without_text_raises() -> None:
    good = Option("text", True, "because"), Option("other", False, "because")
    with pytest.raises(ValueError, match="has no text"):
        Question("q", 1, " ", list(good))
    with pytest.raises(ValueError, match="option B"):
        Question("q", 1, "Why?", [good[0], Option("other", False, "")])


def test_bank_round_trip(bank: Path) -> None:
    loaded = question_bank.load(LESSON)
    assert list(loaded) == ["why-not-fc", "growth"]
    multiple, single = loaded.values()
    assert (multiple.kind, multiple.points, multiple.letters) == ("any", 2, "ABCD")
    assert (multiple.right, multiple.wrong) == ("BC", "AD")
    assert multiple.options == [f"Text of {letter}" for letter in "ABCD"]
    assert multiple.explanations == [f"Reason for {letter}" for letter in "ABCD"]
    assert (single.kind, single.right, single.wrong) == ("one", "B", "AC")


def test_bank_is_reproducible_and_hides_the_key() -> None:
    text = question_bank.pack(LESSON, [question()])
    assert text == question_bank.pack(LESSON, [question()])
    assert "Reason" not in text and '"B' not in text
    assert list(json.loads(text)) == ["why-not-fc"]
    # The same letters under a different name have different digests.
    other = question_bank.pack(LESSON, [question(name="other")])
    assert json.loads(text)["why-not-fc"]["digests"] != json.loads(other)["other"]["digests"]


def test_markdown_becomes_html_when_packed_and_raw_html_stays_text() -> None:
    options = [
        Option("`a < b` & <b>", True, "*so*"),
        Option("[x](javascript:alert(1)) <script>", False, "no"),
    ]
    packed = json.loads(question_bank.pack(LESSON, [Question("q", 1, "Why?", options)]))["q"]
    assert packed["options"][0] == "<code>a &lt; b</code> &amp; &lt;b&gt;"
    assert "<script" not in packed["options"][1] and "href" not in packed["options"][1]


def test_invalid_banks_raise(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two questions named"):
        question_bank.pack(LESSON, [question(), question()])
    with pytest.raises(FileNotFoundError, match="course build"):
        question_bank.load("09_missing", tmp_path)
    for name in ("../01_test", "", "lesson"):
        with pytest.raises(ValueError, match="file name"):
            question_bank.load(name, tmp_path)


# In the kernel


def test_answer_recorded_and_score(
    bank: Path, shown: list[answer_boxes.View], capsys: pytest.CaptureFixture
) -> None:
    assert quiz.score("why-not-fc", right="BC", wrong="AD", points=2) == 0.0
    quiz.begin(LESSON)
    for answer, message, points in [
        ("", "No answer yet.", 0),
        ("b", "Recorded: B.", 1),
        ("x", "Not recorded: 'x' is not one of the letters A, B, C, D.", 0),
        (
            None,
            "Not recorded: the answer is None, not text. "
            'Write letters between quotes: answer = "A"',
            0,
        ),
        ("c, b", "Recorded: BC.", 2),
    ]:
        quiz.answer("why-not-fc", answer)
        assert shown[-1].message == message
        quiz.recorded("why-not-fc")
        assert quiz.score("why-not-fc", right="BC", wrong="AD", points=2) == points
    quiz.answer("growth", "AB")
    assert shown[-1].message == (
        "Not recorded: A, B are 2 letters, but only one option is right: type one."
    )
    quiz.passed("output-size")
    out, err = capsys.readouterr()
    # Nothing is printed below the boxes, whose status shows the recorded answer.
    assert out.splitlines() == ["✓ output-size: every check in this cell passed."]
    assert err == ""


def test_broken_lesson_raises(bank: Path, shown: list[answer_boxes.View]) -> None:
    with pytest.raises(RuntimeError, match="set-up"):
        quiz.answer("why-not-fc", "A")
    quiz.begin(LESSON)
    with pytest.raises(ValueError, match="has no question 'why'. It has: why-not-fc, growth"):
        quiz.answer("why", "A")
    for choose in (
        "any",
        "some of ABCD",
        "any of ABD",
        "one of BCD",
        "any of ABCDEFGHI",
        "any of A",
    ):
        with pytest.raises(ValueError, match="choose must be like"):
            quiz.answer("why-not-fc", "A", choose=choose)


def test_classroom_release_reads_no_bank_and_gives_no_feedback(
    bank: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(question_bank, "load", lambda *_: pytest.fail("the bank was read"))
    views: list[dict] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: views.append(bundle))
    quiz.begin(LESSON)
    quiz.answer("why-not-fc", "ac", choose="any of ABCD")
    assert views[0]["text/plain"] == "Recorded: AC."
    page = Page(views[0]["text/html"])
    assert page.all("button") == [] and "course-quiz-feedback" not in page.classes
    assert "points" not in page.text and "Text of" not in views[0]["text/html"]
    assert page.names == ["A ", "B ", "C ", "D "]
    quiz.answer("growth", "ac", choose="one of ABC")
    assert views[1]["text/plain"].startswith("Not recorded: A, C are 2 letters")


def test_grading_mode_needs_no_bank_and_writes_nothing_to_stderr(
    bank: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("COURSE_MODE", "grading")
    bank.unlink()
    quiz.begin(LESSON)
    quiz.answer("why-not-fc", "cb")
    quiz.recorded("why-not-fc")
    quiz.answer("growth", "AB")  # single choice: two letters are invalid
    assert quiz.score("why-not-fc", right="BC", wrong="AD", points=2) == 2.0
    assert quiz.score("growth", right="B", wrong="AC", points=1) == 0.0
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == ["Recorded: BC.", "Recorded: BC."]
    assert err == ""


# The boxes


def test_boxes_are_well_formed_and_have_accessible_names(bank: Path) -> None:
    multiple, single = question_bank.load(LESSON).values()
    format = AnswerFormat("any", "ABCD")
    view = answer_boxes.View("why-not-fc", format, "AB", "Recorded: AB.", multiple)
    page = Page(answer_boxes.render(view))
    assert page.all("div")[0]["data-answer"] == "AB"
    boxes = page.all("input")
    assert [box["type"] for box in boxes] == ["checkbox"] * 4
    assert page.names == [f"{letter} Text of {letter}" for letter in "ABCD"]
    assert ["checked" in box for box in boxes] == [True, True, False, False]
    assert {"fieldset", "legend", "button"} <= {tag for tag, _ in page.tags}
    (status,) = [tag for tag in page.all("p") if tag.get("role") == "status"]
    assert status["tabindex"] == "-1"
    assert "Recorded: AB. 0 of 2 points." in page.text
    # Correctness and choice are stated separately in words, not only by colour.
    assert "Wrong You chose itReason for A" in page.text
    assert "Right You chose itReason for B" in page.text
    assert "Right You missed itReason for C" in page.text
    assert "Wrong You left it outReason for D" in page.text
    assert "✓" not in page.text
    view = answer_boxes.View("growth", AnswerFormat("one", "ABC"), "", "No answer yet.", single)
    radios = Page(answer_boxes.render(view))
    assert [box["type"] for box in radios.all("input")] == ["radio"] * 3
    assert "course-quiz-feedback" not in radios.classes


def test_learners_and_authors_text_is_escaped() -> None:
    hostile = '"><script>alert(1)</script>'
    options = [Option(f"`{hostile}` {hostile}", True, hostile), Option("other", False, "no")]
    text = question_bank.pack(LESSON, [Question("q", 1, "Why?", options)])
    packed = question_bank.PackedQuestion(**json.loads(text)["q"])
    format = AnswerFormat("one", "AB")
    message = f"Not recorded: {hostile}"
    page = Page(
        answer_boxes.render(answer_boxes.View(hostile, format, "A", message, packed, hostile))
    )
    assert len(page.all("script")) == 1
    assert page.all("div")[0]["data-question"] == page.all("div")[0]["data-literal"] == hostile
    assert page.names[0] == f"A {hostile} {hostile}"


def test_output_is_self_contained() -> None:
    """The boxes load no file, and neither file closes its inline style or script element."""
    for name, end in (("answer_boxes.css", "</style"), ("answer_boxes.js", "</script")):
        text = Path(answer_boxes.__file__).with_name(name).read_text(encoding="utf-8")
        assert end not in text
        assert not re.search(r"https?:|@import|url\(|import\(", text)


def test_extension_has_the_name_that_jupyterlab_expects() -> None:
    folder = Path(answer_boxes.__file__).with_name("labextension")
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    script = (folder / package["jupyterlab"]["_build"]["load"]).read_text(encoding="utf-8")
    assert f'["{package["name"]}"]' in script
    assert "__esModule: true" in script  # without it JupyterLab does not start


def test_status_shows_the_answer_and_its_points(bank: Path, shown: list[answer_boxes.View]) -> None:
    quiz.begin(LESSON)
    for letters in ("", "A", "BC", "ABD", "ABCD"):
        quiz.answer("why-not-fc", letters)
        assert shown[-1].recorded == letters
        earned = scoring.score(letters, "BC", "AD", 2)
        assert quiz.score("why-not-fc", right="BC", wrong="AD", points=2) == earned
        if letters:
            assert answer_boxes.status(shown[-1]) == f"Recorded: {letters}. {earned:g} of 2 points."
