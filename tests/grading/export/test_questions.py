"""Exported questions are read back by other libraries and by independent readers."""

import html
import itertools
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zipfile
from fractions import Fraction
from pathlib import Path

import moodle_xml_parser.parser
import pytest
import qti2latex
from course_grading.errors import ExportError
from course_grading.export import questions as questions_module
from course_grading.export.questions import QuizOption, QuizQuestion, RichText, read_banks
from course_grading.export.questions_formats import FORMATS, export_questions
from course_grading.export.questions_moodle import inexact_fractions, nearest_fraction
from markdown_it import MarkdownIt
from PIL import Image
from qti_package_maker.common import package_integrity
from typer.testing import CliRunner

from course_lib.assets import paths
from course_lib.cli import app
from course_lib.quiz import question_bank, scoring
from tests.support.checkout import FINAL_QUIZ, LESSONS, ROOT, SAMPLE
from tests.support.lessons import course_lesson, read_once
from tests.support.question_readers import read_gift, read_moodle_xml, read_qti

HEADER = SAMPLE.read_text(encoding="utf-8").split("# Lesson 1", 1)[0]
NASTY = r"""
````{question} all-characters
:points: 2.5
Is `{x} = ~#:` & a < b, {c} ~ d = e: "f" → é, C:\new\\table, $\frac{a_1*b*}{2} < 3 \nabla$, $5 or $6

![A green "square" & more](green%20square.png)

```python
f = {"a": 1}  # ~=

$x$ \( \n
```
- [x] `{"a": 1}` & \nu | Because $x_{1}$ = `\times`
- [ ] [x] {no} ~ | <b>shown</b>; $$a^2 \\ b$$ %50% -> x
- [ ] $\{1\}$ ![dot](data:image/gif;base64,R0lGODlhAQABAAAAACw=) | No ####
- [x] //comment | =yes
- [x] third | [html] \# ok
````
"""
NASTY_HTML = {
    "text": (
        "<p>Is <code>{x} = ~#:</code> &amp; a &lt; b, {c} ~ d = e: &quot;f&quot; → é, "
        r'C:\new\table, <span class="math inline">\(\frac{a_1*b*}{2} &lt; 3 \nabla\)</span>, '
        "$5 or $6</p>\n"
        '<p><img src="IMAGE" alt="A green &quot;square&quot; &amp; more" /></p>\n'
        '<pre><code class="language-python">f = {&quot;a&quot;: 1}  # ~=\n\n$x$ \\( \\n\n'
        "</code></pre>"
    ),
    "options": [
        r"<code>{&quot;a&quot;: 1}</code> &amp; \nu",
        "[x] {no} ~",
        r'<span class="math inline">\(\{1\}\)</span> <img src="IMAGE" alt="dot" />',
        "//comment",
        "third",
    ],
    "feedback": [
        r'Because <span class="math inline">\(x_{1}\)</span> = <code>\times</code>',
        r'&lt;b&gt;shown&lt;/b&gt;; <div class="math inline">\[a^2 \\ b\]</div> %50% -&gt; x',
        "No ####",
        "=yes",
        "[html] # ok",
    ],
}
IDENTIFIER = "question-01_nasty-all-characters"
CATEGORY = "$course$/top/From Pixels to Stable Diffusion/Lesson 1 · Either//or: a < b"


def write_lesson(folder: Path, text: str, name: str = "01_nasty") -> Path:
    """Write a lesson's source into ``folder``, which is created and returned."""
    folder.mkdir(exist_ok=True)
    heading = f"# Lesson {int(name[:2])} · Either/or: a < b\n"
    (folder / f"{name}.md").write_text(HEADER + heading + text, encoding="utf-8")
    return folder


def make_question(text: str) -> str:
    """A question with this text and plain options."""
    return f"\n```{{question}} one\n:points: 1\n{text}\n- [x] a | b\n- [ ] c | d\n```\n"


@pytest.fixture
def nasty(tmp_path):
    """A folder with a lesson whose question has all special characters, and its image."""
    folder = write_lesson(tmp_path / "private", NASTY)
    Image.new("RGB", (8, 8), "green").save(folder / "green square.png")
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The exported file of all lessons and the messages, by format."""
    out = tmp_path_factory.mktemp("questions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions_module, "read_lesson", read_once)
        return {name: export_questions(name, ROOT / "solutions", [], out) for name in FORMATS}


@pytest.fixture(scope="module")
def expected():
    """Lesson, question and packed question for every question of the course, except points."""
    rows = []
    for name in [*LESSONS, FINAL_QUIZ]:
        lesson = course_lesson(name)
        packed = question_bank.load(name)
        assert [question.name for question in lesson.questions] == list(packed)
        rows += [
            (lesson, question, packed[question.name])
            for question in lesson.questions
            if question.kind != "point"
        ]
    assert len(rows) > 50
    assert {question.kind for _, question, _ in rows} == {"choice", "number", "order"}
    return rows


def assert_same(read, row, category: str) -> None:
    """Compare a question read from an export with the course's question."""
    lesson, question, packed = row
    assert read.category == category
    assert read.identifier == f"question-{lesson.name}-{question.name}"
    assert read.title == question.name.replace("-", " ").capitalize()
    assert (read.kind, read.points or question.points) == (question.kind, question.points)
    text = MarkdownIt("commonmark", {"html": False}).render(question.text).strip()
    text = re.sub(r"\$([^$\n]+)\$", r'<span class="math inline">\\(\1\\)</span>', text)
    if question.kind == "choice":
        assert read.text == text
        assert read.single == (packed.kind == "one")
    else:
        assert read.text.startswith(f"{text}\n<p>(")
    if question.kind != "number":
        assert [option.text for option in read.options] == packed.options
    if question.kind != "order":
        assert [option.feedback for option in read.options] == packed.explanations


def assert_same_key(read, packed) -> None:
    """Compare the key of a number or order question read from an export with the course's key."""
    if read.kind == "number":
        margins = [(float(value), float(margin)) for value, margin in packed.key.margins]
        assert [pair for *pair, _ in read.values] == [pytest.approx(pair) for pair in margins]
        right_count = 1 + packed.right.count(";")
        assert [fraction for *_, fraction in read.values] == [
            100 if index < right_count else 0 for index in range(len(margins))
        ]
    else:
        assert read.places == places(packed)


def places(packed) -> list[int]:
    """The correct place of each step, in the order in which they are shown."""
    return [packed.right.index(letter) + 1 for letter in packed.letters]


def choices(expected):
    return [row for row in expected if row[1].kind == "choice"]


def messages_on_kinds(expected, name: str) -> int:
    """The number of messages about point and order questions."""
    points = sum(
        question.kind == "point"
        for lesson in map(course_lesson, [*LESSONS, FINAL_QUIZ])
        for question in lesson.questions
    )
    assert points
    orders = sum(question.kind == "order" for _, question, _ in expected)
    return points + orders * (2 if name == "gift" else 1)


def subsets(packed, single: bool):
    """All answers: sets of indices of options."""
    indices = range(len(packed.options))
    sizes = (0, 1) if single else range(len(packed.options) + 1)
    return [set(chosen) for size in sizes for chosen in itertools.combinations(indices, size)]


def course_fraction(packed, ticked: set[int]) -> float:
    """The fraction of the points that the course gives for an answer."""
    letters = "".join(packed.letters[index] for index in ticked)
    return scoring.score(letters, packed.right, packed.wrong, 1)


def moodle_category(lesson) -> str:
    return f"$course$/top/From Pixels to Stable Diffusion/{lesson.title}"


@pytest.mark.parametrize("name", ["moodle", "gift"])
@pytest.mark.extended
def test_moodle_gives_the_course_s_scores_to_every_answer_of_every_lesson(exported, expected, name):
    path, messages = exported[name]
    read = read_moodle_xml(path) if name == "moodle" else read_gift(path.read_text("utf-8"))
    for question, row in zip(read, expected, strict=True):
        assert_same(question, row, moodle_category(row[0]))
        assert (question.points is None) == (name == "gift")
        packed = row[2]
        if question.kind != "choice":
            assert_same_key(question, packed)
            continue
        for ticked in subsets(packed, question.single):
            assert question.moodle_fraction(ticked) == pytest.approx(
                course_fraction(packed, ticked), abs=1e-6
            )
    assert len(messages) == (name == "gift") + messages_on_kinds(expected, name)


def test_moodle_xml_is_read_by_moodle_xml_parser(exported, expected, capsys):
    found = moodle_xml_parser.parser.parse_file(str(exported["moodle"][0]))["multichoice"]
    assert capsys.readouterr().out == ""  # where it reports mistakes
    for read, (_, question, packed) in zip(found, choices(expected), strict=True):
        assert read.name == question.name.replace("-", " ").capitalize()
        assert (read.default_grade, read.single) == (question.points, packed.kind == "one")
        # It decodes entities once more than Moodle.
        assert [option.answer for option in read.options] == list(
            map(html.unescape, packed.options)
        )
        assert [o.feedback for o in read.options] == list(map(html.unescape, packed.explanations))
        full = [option.score_fraction > 0 for option in read.options]
        assert full == [letter in packed.right for letter in packed.letters]


def test_qti_scores_and_explains_every_question_of_every_lesson(exported, expected):
    path, _ = exported["qti"]
    for item, row in zip(read_qti(path), expected, strict=True):
        lesson, _, packed = row
        assert_same(item.question, row, lesson.title)
        if item.question.kind == "number":
            key = packed.key
            for number, (value, _) in enumerate(key.margins):
                score, feedback = item.respond_number(float(value))
                assert score == (100 if key.is_right(key.values[number]) else 0)
                assert feedback == [packed.explanations[number]]
            continue
        if item.question.kind == "order":
            assert item.respond_order(places(packed)) == pytest.approx(100)
            swapped = places(packed)
            swapped[:2] = swapped[1::-1]
            assert item.respond_order(swapped) == pytest.approx(100 - 200 / len(swapped), abs=0.1)
            continue
        right = {index for index, letter in enumerate(packed.letters) if letter in packed.right}
        for ticked in subsets(packed, item.question.single):
            score, feedback = item.respond(ticked)
            assert score == (100 if ticked == right else 0)
            assert feedback == [packed.explanations[index] for index in sorted(ticked)]


def test_qti_package_is_consistent_for_qti_package_maker(exported):
    assert package_integrity.check_package(str(exported["qti"][0])) == []


def test_qti_is_read_by_qti2latex(exported, expected, tmp_path):
    with zipfile.ZipFile(exported["qti"][0]) as archive:
        archive.extractall(tmp_path)
    items = [
        item
        for path in sorted(qti2latex.read_qti_dir(tmp_path))
        for item in qti2latex.findall_anyns(ET.parse(path).getroot(), "item")
    ]
    for item, (_, question, packed) in zip(items, expected, strict=True):
        fields = qti2latex.get_qti_metadata(item)
        kind = {
            "one": "multiple_choice",
            "any": "multiple_answers",
            "number": "numerical",
            "order": "matching",
        }[packed.kind]
        assert qti2latex.guess_type(fields, item) == f"{kind}_question"
        assert float(fields["points_possible"]) == question.points
        if question.kind != "choice":
            continue
        assert [text for _, text in qti2latex.get_choices(item)] == packed.options
        rendered = MarkdownIt("commonmark").render(question.text).strip()
        assert qti2latex.get_item_stem(item) == rendered


def read_with_gift_pegjs(path: Path) -> list[dict]:
    """The questions and categories that gift-pegjs finds."""
    folder = Path(__file__).parent
    node = shutil.which("node")
    if node is None or not (folder / "node_modules" / "gift-pegjs").is_dir():
        pytest.skip("needs npm install --no-package-lock --prefix tests/grading/export")
    code = (
        "const {parse} = require('gift-pegjs'); "
        "console.log(JSON.stringify(parse(require('fs').readFileSync(process.argv[1], 'utf8'))))"
    )
    command = [node, "-e", code, str(path)]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=True)
    return json.loads(done.stdout)


def test_gift_is_read_by_gift_pegjs(exported, expected):
    found = read_with_gift_pegjs(exported["gift"][0])
    titles = list(dict.fromkeys(moodle_category(lesson) for lesson, _, _ in expected))
    assert [entry["title"] for entry in found if entry["type"] == "Category"] == titles
    read = [entry for entry in found if entry["type"] != "Category"]
    for entry, (lesson, question, packed) in zip(read, expected, strict=True):
        kind = {"choice": "MC", "number": "Numerical", "order": "Matching"}[question.kind]
        assert entry["type"] == kind and entry["id"] == f"question-{lesson.name}-{question.name}"
        if kind != "MC":
            continue
        assert [choice["text"]["text"] for choice in entry["choices"]] == packed.options
        assert [choice["feedback"]["text"] for choice in entry["choices"]] == packed.explanations
        right = [c["isCorrect"] or (c["weight"] or 0) > 0 for c in entry["choices"]]
        assert right == [letter in packed.right for letter in packed.letters]


def test_differences_of_canvas_scoring_are_reported(exported, expected):
    differing = []
    for lesson, question, packed in choices(expected):
        right = {index for index, letter in enumerate(packed.letters) if letter in packed.right}
        for ticked in subsets(packed, packed.kind == "one"):
            canvas = max(0, len(ticked & right) - len(ticked - right)) / len(right)
            if canvas != pytest.approx(course_fraction(packed, ticked)):
                differing.append(f"question-{lesson.name}-{question.name}")
                break
    messages = exported["qti"][1]
    assert len(messages) == 1 + messages_on_kinds(expected, "qti")
    (message,) = (text for text in messages if text.startswith("Canvas takes off"))
    assert message.endswith(", ".join(differing)) and len(differing) > 3


def assert_nasty(read, image_url: str) -> None:
    def without_source(text: str) -> str:
        return re.sub(rf'src="{image_url}"', 'src="IMAGE"', text)

    assert (read.identifier, read.title) == (IDENTIFIER, "All characters")
    assert without_source(read.text) == NASTY_HTML["text"]
    assert [without_source(option.text) for option in read.options] == NASTY_HTML["options"]
    assert [option.feedback for option in read.options] == NASTY_HTML["feedback"]


def test_special_characters_formulas_and_images_are_kept_in_moodle_xml(nasty, tmp_path):
    path, messages = export_questions("moodle", nasty, [], tmp_path)
    (read,) = read_moodle_xml(path)
    assert_nasty(read, '@@PLUGINFILE@@/[^"]+')
    assert messages == [] and read.category == CATEGORY and read.points == 2.5
    assert [option.fraction for option in read.options] == [33.33333, -50, -50, 33.33333, 33.33333]
    assert (nasty / "green square.png").read_bytes() in read.files.values() and len(read.files) == 2


def test_special_characters_formulas_and_images_are_kept_in_gift(nasty, tmp_path):
    path, _ = export_questions("gift", nasty, [], tmp_path)
    text = path.read_text(encoding="utf-8")
    (read,) = read_gift(text)
    assert_nasty(read, 'data:image/[^"]+')
    assert read.category == CATEGORY and f"// [id:{IDENTIFIER}] points: 2.5\n" in text
    _, entry = read_with_gift_pegjs(path)
    assert entry["stem"] == {"format": "html", "text": read.text}
    choices = [(c["text"]["text"], c["feedback"]["text"], c["weight"]) for c in entry["choices"]]
    assert choices == [(o.text, o.feedback, o.fraction) for o in read.options]


def test_special_characters_formulas_and_images_are_kept_in_qti(nasty, tmp_path):
    path, messages = export_questions("qti", nasty, [], tmp_path)
    (item,) = read_qti(path)
    assert_nasty(item.question, r"\$IMS-CC-FILEBASE\$/pictures/[^\"]+")
    assert item.question.points == 2.5 and item.question.category == "Lesson 1 · Either/or: a < b"
    assert (nasty / "green square.png").read_bytes() in item.question.files.values()
    assert item.respond({0, 3, 4})[0] == 100 and item.respond({0, 3})[0] == 0
    assert len(messages) == 1 and IDENTIFIER in messages[0]
    # The embedded image has one pixel.
    (problem,) = package_integrity.check_package(str(path))
    assert "1x1" in problem


@pytest.mark.parametrize("name", FORMATS)
def test_two_exports_are_identical(nasty, tmp_path, name):
    contents = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        contents.append(export_questions(name, nasty, [], folder)[0].read_bytes())
    assert contents[0] == contents[1]


def question_with(right: int, wrong: int) -> QuizQuestion:
    text = RichText("text")
    kinds = [True] * right + [False] * wrong
    options = [QuizOption(str(n), text, text, kind) for n, kind in enumerate(kinds)]
    return QuizQuestion("question-x", "x", 1, text, tuple(options))


def test_moodle_has_the_fractions_of_all_possible_questions():
    most = len(scoring.LETTERS)
    for right, wrong in itertools.product(range(1, most), repeat=2):
        if right + wrong <= most:
            assert inexact_fractions(question_with(right, wrong)) == []


def test_unsupported_fractions_are_rounded_and_reported():
    question = question_with(2, 13)
    assert nearest_fraction(question.credit(question.options[-1])) == "-10"
    assert nearest_fraction(Fraction(1, 13)) == "10" and nearest_fraction(Fraction(-1, 50)) == "0"
    messages = inexact_fractions(question)
    assert len(messages) == 13
    assert messages[0] == (
        "question-x, option 2: Moodle has no fraction -7.69231 %, so it was given -10 %"
    )


def test_identifiers_are_short_and_do_not_depend_on_the_order(tmp_path):
    def identifiers(names):
        text = "".join(make_question("Text").replace("one", name) for name in names)
        banks = read_banks(write_lesson(tmp_path / "s", text), [], lambda picture: "").banks
        return {question.title: question.identifier for question in banks[0].questions}

    long_names = [f"{'very-' * 25}long-{number}" for number in (1, 2)]
    found = identifiers(["a", "b", *long_names])
    assert found == identifiers([*long_names, "b", "a"])
    assert found["A"] == "question-01_nasty-a"
    assert len(set(found.values())) == 4 and max(map(len, found.values())) == 100


@pytest.mark.parametrize(
    "text, message",
    [
        ("![a](missing.png)", "missing.png can't be read"),
        ("![a](private.txt)", "no browser shows"),
        ("![a](a%00b.png)", "correct it"),
        ("![a](data:image/png;base64,A)", "correct it"),
        ("a \x01 b", "control character"),
    ],
)
def test_invalid_content_raises(tmp_path, text, message):
    folder = write_lesson(tmp_path / "s", make_question(text))
    (folder / "private.txt").write_text("text")
    with pytest.raises(ExportError, match=f"01_nasty, question one: .*{message}"):
        export_questions("moodle", folder, [], tmp_path)


def test_linked_images_and_missing_alt_text_are_reported(tmp_path):
    text = "![](https://example.org/a.png) and ![b](//example.org/b.png)"
    folder = write_lesson(tmp_path / "s", make_question(text))
    path, messages = export_questions("moodle", folder, [], tmp_path)
    assert 'src="https://example.org/a.png"' in read_moodle_xml(path)[0].text
    where = "01_nasty, question one"
    assert messages == [
        f"{where}: an image has no alt text: write ![alt text](path)",
        f"{where}: the image https://example.org/a.png is linked, not included",
        f"{where}: the image //example.org/b.png is linked, not included",
    ]


def test_svg_images_and_tables(tmp_path):
    text = "![s](data:image/svg+xml,%3Csvg/%3E)\n\n| a |\n| --- |\n| b |"
    folder = write_lesson(tmp_path / "s", make_question(text))
    (read,) = read_moodle_xml(export_questions("moodle", folder, [], tmp_path)[0])
    assert list(read.files.values()) == [b"<svg/>"] and "<td>b</td>" in read.text


@pytest.fixture
def command(course, monkeypatch, tmp_path):
    """Runs ``course export`` in the unbuilt sample course; returns the exit code and the output."""
    monkeypatch.setattr(paths, "checkout", lambda: course)

    def run(*arguments: object) -> tuple[int, str]:
        options = ["--out", str(tmp_path / "out")]
        result = CliRunner().invoke(app, ["export", *map(str, arguments), *options])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, " ".join((result.stdout + result.stderr).split())

    return run


def test_command_exports_an_unbuilt_course(command, tmp_path):
    code, output = command("--questions", "moodle")
    assert (code, output) == (0, f"Written: {tmp_path / 'out' / 'questions-moodle.xml'}")
    read = read_moodle_xml(tmp_path / "out" / "questions-moodle.xml")
    assert [(question.title, question.points) for question in read] == [
        ("Which letters", 3),
        ("How many", 1),
    ]


def test_command_exports_chosen_lessons_of_a_private_folder(command, nasty, tmp_path):
    write_lesson(nasty, make_question("Text"), "02_other")
    write_lesson(nasty, "\nNo question.\n", "03_none")
    arguments = ["--questions", "gift", "--solutions", nasty]
    code, output = command(*arguments, "--lesson", "02_other", "--lesson", "03_none")
    assert code == 0 and "03_none has no questions" in output and "has no points" in output
    (read,) = read_gift((tmp_path / "out" / "questions-gift.txt").read_text(encoding="utf-8"))
    assert read.identifier == "question-02_other-one"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "give --to PLATFORM"),
        (["--to", "canvas", "--questions", "qti"], "give --to PLATFORM"),
        (["--to", "canvas", "--solutions", "s"], "--solutions with --questions FORMAT"),
        (["--questions", "qti", "--roster", "r.csv"], "--roster with --to PLATFORM"),
        (["--questions", "word"], "choose qti, moodle, gift"),
        (["--questions", "qti", "--lesson", "09_none"], "Its lessons: 01_sample"),
        (["--questions", "qti", "--solutions", "nowhere"], "nowhere has no lesson"),
    ],
)
def test_command_names_the_fix(command, arguments, message):
    code, output = command(*arguments)
    assert code == 1 and message in output


def test_invalid_lesson_is_reported_with_file_and_line(command, nasty):
    source = nasty / "01_nasty.md"
    source.write_text(source.read_text("utf-8").replace(":points: 2.5", ":points: no"), "utf-8")
    code, output = command("--questions", "qti", "--solutions", nasty)
    assert code == 1 and "01_nasty.md:" in output and "needs points" in output
    source.write_text(HEADER + "# Lesson 1\n", "utf-8")
    code, output = command("--questions", "qti", "--solutions", nasty)
    assert code == 1 and "these lessons have no questions" in output
