"""Question variants: parameters, checks, shuffled options, pools and seeded releases."""

import functools
import itertools
import math
import re
from collections import Counter
from dataclasses import replace

import pytest
from course_grading.assign import variants
from course_grading.assign.lesson import Lesson, QuestionPart, SourceLine
from course_grading.assign.source import read_lesson
from course_grading.errors import SourceError

from course_lib.quiz import scoring
from tests.support.checkout import LESSONS
from tests.support.lessons import course_lesson
from tests.support.variants import AREA, POOL, lesson_with


@pytest.fixture
def lesson(tmp_path) -> Lesson:
    return read_lesson(lesson_with(tmp_path, AREA, POOL))


def variant(lesson: Lesson, seed: object, student: str = "") -> Lesson:
    return variants.choose(lesson, f"{seed} {student}".encode(), "a test")


@functools.cache
def course_variant(name: str, seed: int) -> Lesson:
    """A variant of one of the course's lessons."""
    return variant(course_lesson(name), seed)


def question(lesson: Lesson, name: str):
    return next(question for question in lesson.questions if question.name == name)


def test_published_variant_has_the_first_values_and_all_questions(lesson):
    area = question(lesson, "area")
    assert area.text == "A square picture is 10 pixels wide. How many pixels has it, in words?"
    assert [(option.text, option.explanation) for option in area.options] == [
        ("40", "That is its edge: 4 x 10."),
        ("100", "10 x 10 = 100."),
        ("10", "That is one row."),
        ("50.0", "That is half,   100 / 2."),
    ]
    assert [q.name for q in lesson.questions][-3:] == ["north", "south", "east"]


def test_seeded_variants_cover_every_value_and_every_order(lesson):
    areas = [question(variant(lesson, seed), "area") for seed in range(300)]
    sides = {re.search(r"is (\d+) pixels", area.text)[1] for area in areas}
    assert sides == {"10", "12", "20"}
    for area in areas:
        side = int(re.search(r"is (\d+) pixels", area.text)[1])
        (right,) = [option for option in area.options if option.right]
        assert right.text == f"{side * side:,}"
    kinds = ("edge", " = ", "row", "half")  # of explanations, one for each option
    orders = {
        tuple(kind for o in area.options for kind in kinds if kind in o.explanation)
        for area in areas
    }
    assert len(orders) == math.factorial(4)
    counts = Counter(area.right for area in areas)
    # 300 / 4 = 75 each; 4 standard deviations are 30
    assert set(counts) == set("ABCD") and all(45 <= count <= 105 for count in counts.values())


def test_fixed_order_is_kept(lesson):
    for seed in range(50):
        for q in variant(lesson, seed).questions:
            if "east" in q.text:
                assert [option.text for option in q.options] == ["left", "right", "none of these"]


def test_pool_fills_its_slots_with_k_of_its_questions(lesson):
    chosen = set()
    for seed in range(60):
        questions = variant(lesson, seed).questions
        slots = [q for q in questions if q.name.startswith("compass")]
        assert [q.name for q in slots] == ["compass-1", "compass-2"]
        asked = tuple(re.search(r"Where is (\w+)", q.text)[1] for q in slots)
        assert asked in set(itertools.combinations(("north", "south", "east"), 2))
        chosen.add(asked)
        assert [q.points for q in questions] == [3, 1, 2, 1, 1]
    assert len(chosen) == 3


def test_equal_variants_are_checked_once(lesson, monkeypatch):
    """Equal values are checked once, also with draws in the text and with draws that depend on
    other values.
    """
    (template,) = [
        p.template
        for p in lesson.parts
        if getattr(p, "template", None) and p.template.name == "area"
    ]
    rows = (*template.params, SourceLine("more = draw(1, 2) if side == 10 else 0", template.line))
    text = (*template.text, SourceLine("{{draw('a', 'b')}}", template.line))
    template = replace(template, params=rows, text=text)
    render, rendered = variants._render, []

    def count(*arguments):
        question = render(*arguments)
        rendered.append(question.text)
        return question

    monkeypatch.setattr(variants, "_render", count)
    variants.check(template)
    assert len(rendered) == (2 + 1 + 1) * 2 and len(set(rendered)) == 3 * 2


def test_variants_with_the_same_values_are_rendered_once(tmp_path, monkeypatch):
    """Variants with the same values share one rendering, and equal those rendered separately."""
    path = lesson_with(tmp_path, AREA, POOL)
    alone = []
    for seed in range(12):
        variants._rendered_variants.cache_clear()
        alone.append(variant(read_lesson(path), seed))
    render, rendered = variants._render, []

    def count(template, *arguments):
        rendered.append(template.name)
        return render(template, *arguments)

    variants._rendered_variants.cache_clear()
    lesson = read_lesson(path)
    monkeypatch.setattr(variants, "_render", count)
    assert [variant(lesson, seed) for seed in range(12)] == alone
    assert rendered.count("area") == 3  # one rendering per possible value
    assert len({str(question(lesson, "area").options) for lesson in alone}) > 3


def test_variant_is_a_function_of_its_key(lesson):
    assert variant(lesson, 2027) == variant(lesson, 2027)
    assert variant(lesson, 2027, "ada") != variant(lesson, 2027, "bob")


def test_variants_are_stable_across_versions():
    """The choices for a key never change: grading needs the variant that was released."""
    draws = variants.Draws(b"key", "01_sample", "area")
    assert [draws.draw(*"abcdefgh") for _ in range(6)] == list("ghbfeg")
    assert draws.number("option", "0") % 10**9 == 875_847_900


MISTAKES = {
    "a parameter that fails": (
        "draw(10, 12, 20)",
        "100 // draw(10, 0)",
        ":params: side",
        r"seed \d+\): 'side = 100 // draw\(10, 0\)' fails: ZeroDivisionError",
    ),
    "a parameter that is no assignment": (
        "pixels = side**2",
        "print(side)",
        ":params: print",
        "write an assignment",
    ),
    "a parameter that is not Python": (
        "pixels = side**2",
        "pixels = = 2",
        ":params: pixels",
        "invalid Python",
    ),
    "a draw of nothing": ("draw(10, 12, 20)", "draw()", ":params: side", "missing 1 required"),
    "a name that is not allowed": (
        "pixels = side**2",
        "pixels = open('/etc/passwd')",
        ":params: pixels",
        "name 'open' is not defined",
    ),
    "a placeholder with an unknown name": (
        "4 x {{side}}",
        "4 x {{width}}",
        "- [ ] {{4",
        "{{width}} fails: NameError",
    ),
    "a format that does not fit": ("{{pixels:,}} |", "{{pixels:s}} |", "- [x]", "ValueError"),
    "a placeholder that is not closed": ("is {{side}}", "is {{side", "A square", "without '}}'"),
    "options that coincide for some values": (
        "draw(10, 12, 20)",
        "draw(10, 12, 4)",
        "- [x] {{pixels",
        r"seed \d+, side = 4, pixels = 16\): two options are the same: '16' and '16'",
    ),
    "options that are the same number": (
        "{{pixels / 2:.1f}}",
        "{{pixels:.2f}}",
        "- [ ] {{pixels:.2f}}",
        "two options are the same: '100' and '100.00'",
    ),
    "a check that does not hold for every seed": (
        "pixels == sum(side for _ in range(side))",
        "pixels < 400",
        ":check: pixels < 400",
        r"seed \d+, side = 20, pixels = 400\): the check 'pixels < 400' does not hold",
    ),
    "a check that fails": (":check: pixels ==", ":check: area ==", ":check: area", "NameError"),
    "an unknown order": (
        "```{question} east\n:points: 1\n:pool: compass 2\n:order: fixed",
        "```{question} east\n:points: 1\n:pool: compass 2\n:order: random",
        ":order: random",
        "':order: fixed'",
    ),
    "a second setting": (":points: 2\n", ":points: 2\n:points: 3\n", ":points: 3", "duplicate"),
    "a pool without a number": (":pool: compass 2\n", ":pool: compass\n", ":pool:", "name k"),
    "a pool of other points": (
        "```{question} south\n:points: 1",
        "```{question} south\n:points: 2",
        "```{question} south",
        "same points",
    ),
    "a pool of another number": (
        "```{question} south\n:points: 1\n:pool: compass 2",
        "```{question} south\n:points: 1\n:pool: compass 1",
        "```{question} south",
        "same ':pool:'",
    ),
    "a pool that is too small": (
        "compass 2",
        "compass 4",
        "```{question} north",
        "has 3 questions, fewer than the 4",
    ),
    "a slot's name that is used": (
        "```{question} area",
        "```{question} compass-1",
        "```{question} north",
        "rename the pool",
    ),
    "an option that is named by its letter": (
        "That is its edge",
        "Option B is its area, this is its edge",
        "- [ ] {{4",
        "'Option B' refers to a different option",
    ),
    "an option that is named by its position": (
        "- [ ] {{side}} |",
        "- [ ] all of the above |",
        "- [ ] all of",
        "add ':order: fixed'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_reported_with_file_line_seed_and_values(mistake, tmp_path):
    old, new, row_start, expected = MISTAKES[mistake]
    text = AREA + POOL
    assert old in text
    everywhere = -1 if old == "compass 2" else 1
    path = lesson_with(tmp_path, text.replace(old, new, everywhere))
    with pytest.raises(SourceError) as error:
        read_lesson(path)
    file, line, message = re.fullmatch(r"(.*?):(\d+): (.*)", str(error.value), re.DOTALL).groups()
    assert file == str(path)
    assert expected in message or re.search(expected, message), message
    assert path.read_text().splitlines()[int(line) - 1].startswith(row_start), (line, message)


def expected_score(count: int, right: int, points: float) -> tuple[float, float]:
    """Mean and variance of the score when ``right`` of ``count`` letters are chosen at random, of
    which ``right`` are correct: the number of hits is hypergeometric.
    """
    wrong = count - right
    outcomes = []
    for hits in range(right + 1):
        misses = right - hits
        if misses <= wrong:
            p = math.comb(right, hits) * math.comb(wrong, misses) / math.comb(count, right)
            outcomes.append((p, points * max(0.0, hits / right - misses / wrong)))
    mean = sum(p * score for p, score in outcomes)
    return mean, sum(p * (score - mean) ** 2 for p, score in outcomes)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name.startswith("01") else pytest.mark.extended)
        for name in LESSONS
    ],
)
def test_published_key_earns_no_more_than_guessing_in_seeded_releases(name):
    """Over many seeds, copying the published answers of choice questions earns the expected score
    of guessing.
    """
    lesson = course_lesson(name)
    choices = [q for q in lesson.questions if q.kind == "choice"]
    public = {q.name: q.right for q in choices}
    seeds = 200
    total, mean, variance = 0.0, 0.0, 0.0
    for q in choices:
        expected, question_variance = expected_score(len(q.options), len(q.right), q.points)
        mean, variance = mean + expected, variance + question_variance
    for seed in range(seeds):
        for q in course_variant(name, seed).questions:
            if q.kind == "choice":
                total += scoring.grade(public[q.name], q.right, q.wrong, q.points)
    # four standard errors of the mean: one run of seven comparisons in 2,000 fails by chance
    tolerance = 4 * math.sqrt(variance / seeds)
    assert total / seeds == pytest.approx(mean, abs=tolerance)
    assert tolerance < 0.12 * sum(q.points for q in choices)
    assert mean < 0.4 * sum(q.points for q in choices)


@pytest.mark.parametrize("name", LESSONS)
def test_published_key_of_sampled_numbers_and_shuffled_orders_is_rarely_correct(name):
    """Copied numbers earn points only if the published value is sampled; copied orders earn no more
    than a random order.
    """
    lesson = course_lesson(name)
    public = {q.name: q.key.right for q in lesson.questions}
    varying = {
        part.template.name
        for part in lesson.parts
        if isinstance(part, QuestionPart)
        and (
            part.template.kind == "order"
            or (part.template.kind == "number" and part.template.params)
        )
    }
    seeds = 100
    earned = Counter()
    for seed in range(seeds):
        for q in course_variant(name, seed).questions:
            if q.name in varying:
                earned[q.name] += q.key.grade(public[q.name]) / q.points
    # each of three values is sampled with probability 1/3; 4 standard deviations of 100 are 0.19
    assert {q: earned[q] / seeds for q in varying if earned[q] / seeds > 1 / 3 + 0.19} == {}
