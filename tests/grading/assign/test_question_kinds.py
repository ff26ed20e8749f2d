"""Number, ordering and hotspot questions, from their source to a release."""

import itertools
import re

import nbformat
import pytest
from course_grading.assign import question_figures, release_check, variants
from course_grading.assign.build import generate_release
from course_grading.assign.source import read_lesson
from course_grading.errors import SourceError
from PIL import Image, ImageDraw

from course_lib.quiz import question_bank
from course_lib.quiz.answers import order_share
from course_lib.quiz.number_text import parse_number
from tests.support.question_kinds import NUMBER, ORDER, POINT, write_lesson


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    return read_lesson(write_lesson(tmp_path_factory.mktemp("kinds")))


def test_question_of_each_kind_is_parsed(lesson) -> None:
    number, order, point, choice = lesson.questions
    assert (number.kind, number.right, number.wrong) == ("number", "400", "0.04; 100")
    assert (number.unit, number.key.tolerance) == ("MB", "1 %")
    assert (order.kind, sorted(order.right), order.wrong) == ("order", list("ABCD"), "")
    steps = [order.options[order.letters.index(letter)].text for letter in order.right]
    assert steps[1:] == [
        "Call `backward`.",
        "Call the optimiser's `step`.",
        "Set the gradients to zero.",
    ]
    assert (point.kind, point.figure.size) == ("point", (320, 180))
    assert choice.kind == "choice"
    for question in lesson.questions:
        assert question.key.grade(question.example_answer) == question.points


def test_order_as_shown_or_reversed_earns_almost_nothing(tmp_path) -> None:
    for count, name in itertools.product(range(3, 8), ("one", "two", "three")):
        steps = "".join(f"{number}. step {number} | why\n" for number in range(1, count + 1))
        source = f"\n```{{question}} {name}\n:points: 1\n:kind: order\nOrder?\n{steps}```\n"
        (question,) = read_lesson(write_lesson(tmp_path, source)).questions
        shown = question.letters
        worth = order_share(shown, question.right) + order_share(shown[::-1], question.right)
        assert worth <= 1.01 / (count * (count - 1) / 2)


def test_variants_sample_numbers_and_shuffle_steps(lesson) -> None:
    chosen = [variants.choose(lesson, bytes([seed]), f"seed {seed}") for seed in range(12)]
    assert {variant.questions[0].right for variant in chosen} == {"400", "6,400"}
    assert len({variant.questions[1].right for variant in chosen}) > 3
    assert {variant.questions[2].right for variant in chosen} == {"90, 30, 110, 50"}
    for variant in chosen:
        for question in variant.questions:
            assert question.key.grade(question.example_answer) == question.points


@pytest.mark.parametrize("graded", [False, True])
def test_release_shows_the_questions_without_the_key(lesson, tmp_path, graded: bool) -> None:
    text = generate_release([lesson], tmp_path, graded=graded, gradebook=False)[lesson.name]
    notebook = nbformat.reads(text, as_version=4)
    assert release_check.find_problems(notebook, lesson, graded=graded) == []
    cells = {cell["id"]: cell.source for cell in notebook.cells}
    heading = "**Question 1** · 2 points · a number in MB, to within 1 %"
    assert cells["layer-size-question"].startswith(heading)
    assert "- **D** · " in cells["training-step-question"]
    assert "![A white square from x 100" in cells["where-is-the-corner-question"]
    formats = ["number in MB", "order of ABCD", "point in 320x180", "any of ABCD"]
    for question, format in zip(lesson.questions, formats, strict=True):
        answer = cells[f"{question.name}-answer"]
        assert answer.startswith('answer = ""  # @param {type:"string"')
        assert (f', choose="{format}"' in answer) == graded
        assert "score" not in cells[question.name]
    assert "90, 30" not in text and "tolerance=" not in text


def test_question_bank_obfuscates_the_key_and_round_trips(lesson, tmp_path) -> None:
    text = question_bank.pack(lesson.name, lesson.questions)
    assert "100, 40" not in text and "90, 30" not in text and "row of the matrix" not in text
    assert text == question_bank.pack(lesson.name, lesson.questions)
    (tmp_path / f"{lesson.name}.json").write_text(text, encoding="utf-8")
    packed = question_bank.load(lesson.name, tmp_path)
    for question in lesson.questions:
        assert packed[question.name].key == question.key
        assert packed[question.name].format == question.answer_format
    values = packed["layer-size"].key.values
    explained = dict(zip(values, packed["layer-size"].explanations, strict=True))
    assert explained["100"].startswith("That is the number of weights")
    assert r"\(x_1 * x_2\)" in packed["why-share"].options[0]  # * in a formula is not emphasis


def changed(source: str, old: str, new: str) -> str:
    assert old in source
    return source.replace(old, new, 1)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (changed(NUMBER, ":kind: number", ":kind: numeric"), "write number, order or point"),
        (changed(NUMBER, "- [=] {{", "- [~] {{"), "write '- [=] value | explanation' once"),
        (changed(NUMBER, "- [~] {{side**2", "- [=] {{side**2"), "once"),
        (changed(NUMBER, "- [~] {{side**2", "- [ ] {{side**2"), "- [~] 24 | mistake"),
        (changed(NUMBER, "{{side**2 * 4 / 1e6}} |", "many |"), "'many' is not a number"),
        (changed(NUMBER, "{{side**2 * 4 / 1e6}} |", "401 |"), "make the tolerance smaller"),
        (changed(NUMBER, ":tolerance: 1 %", ":tolerance: some"), "the tolerance is 'some'"),
        (changed(NUMBER, ":tolerance: 1 %", ":order: fixed"), ":order: applies to ':kind: choice'"),
        (changed(NUMBER, "{{side**4 * 4 / 1e6}}", "0"), "a percentage of the right value, 0, is 0"),
        (changed(NUMBER, " | That is one row of the matrix.", ""), "needs an explanation"),
        (changed(ORDER, "3. Call", "5. Call"), "this is step 3"),
        (changed(ORDER, "1. Compute", "- [x] Compute"), "| why this step comes here'"),
        (changed(ORDER, ":kind: order", ":kind: order\n:unit: MB"), ":unit: applies"),
        (re.sub(r"[34]\. .*\n", "", ORDER), "has 2 steps: give it 3 to 7"),
        (re.sub(r" \| A white.*", "", POINT), "what the figure shows"),
        (changed(POINT, "square.png", "gone.png"), "FileNotFoundError"),
        (changed(POINT, '"solutions/square.png"', '"../../etc/passwd"'), "outside the checkout"),
        (changed(POINT, '"solutions/square.png"', "3"), "give a PIL image or the path of a PNG"),
        (changed(POINT, '"solutions/square.png"', "course_lib.figures.gone()"), "AttributeError"),
        (changed(POINT, '"solutions/square.png"', "1 +"), "invalid Python"),
        (changed(POINT, "90, 30, 110, 50", "90, 30, 110"), "a box is written 'x0, y0, x1, y1'"),
        (changed(POINT, "90, 30, 110, 50", "110, 30, 90, 50"), "has no area"),
        (changed(POINT, "90, 30, 110, 50", "90, 30, 330, 50"), "exceeds the figure"),
        (changed(POINT, "90, 30, 110, 50", "0, 0, 180, 100"), "a random click"),
        (changed(POINT, "190, 130, 210, 150", "100, 40, 120, 60"), "overlap"),
        (changed(POINT, "- [=] ", "- [~] "), "has no right rectangle"),
        (re.sub(":figure:.*\n", "", POINT), "has no figure"),
    ],
)  # fmt: skip
def test_error_message_says_what_to_write(tmp_path, source: str, message: str) -> None:
    with pytest.raises(SourceError, match=re.escape(message)) as caught:
        read_lesson(write_lesson(tmp_path, source))
    assert re.match(r".*01_kinds\.md:\d+: ", str(caught.value))


def test_figure_expression_may_depend_on_parameters(tmp_path) -> None:
    source = changed(POINT, '"solutions/square.png"', 'Image.new("RGB", (60 * n, 40), "red")')
    source = changed(source, ":figure:", ":params: n = draw(5, 6)\n:figure:")
    lesson = read_lesson(
        write_lesson(
            tmp_path,
            changed(source, "190, 130, 210, 150", "200, 0, 220, 9").replace(
                "30, 110, 50", "30, 110, 39"
            ),
        )
    )
    assert lesson.questions[0].figure.size == (300, 40)
    chosen = [variants.choose(lesson, bytes([seed]), "seed") for seed in range(8)]
    assert {variant.questions[0].figure.size for variant in chosen} == {(300, 40), (360, 40)}


@pytest.mark.parametrize("colours", [2, 300])
def test_figure_is_stored_losslessly(tmp_path, colours: int) -> None:
    image = Image.new("RGB", (100, 60), "white")
    for number in range(colours):
        ImageDraw.Draw(image).point((number % 100, number // 100), (number % 256, number // 256, 9))
    png = question_figures._encode_png(image)
    path = tmp_path / "figure.png"
    path.write_bytes(png)
    assert Image.open(path).convert("RGB").tobytes() == image.tobytes()
    assert parse_number(str(len(png))) < question_figures.MAX_BYTES
