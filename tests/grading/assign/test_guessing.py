"""Questions that can be guessed are reported: by option length, by letter, by "two of four"."""

import itertools

import pytest
from course_grading.assign import build, guessing, variants
from course_grading.assign.source import read_lesson

from course_lib.quiz.question import Option, Question
from tests.support.question_kinds import NUMBER, write_lesson


def question(right: str, count: int = 4, right_text: str = "text", wrong_text: str = "text"):
    letters = "ABCDEFGH"[:count]
    options = [
        Option(f"{right_text if letter in right else wrong_text} {letter}", letter in right, "why")
        for letter in letters
    ]
    return Question("q", 1, "Which?", options)


EVEN = [question(letter) for letter in "ABCD"] * 3
PAIRS = [question("".join(pair)) for pair in itertools.combinations("ABCD", 2)]


def problems(*questions: Question) -> str:
    return "\n".join(guessing.measure([("01_a", questions)]).problems)


def test_even_questions_have_no_problem() -> None:
    report = guessing.measure([("01_a", EVEN), ("02_b", PAIRS)])
    assert report.problems == () and report.letters_are_even
    assert report.course.chance == pytest.approx(100 * (12 / 4 + 6 * 3 / 14) / 18)
    lines = report.to_lines()
    assert len(lines) == 4 and lines[0].startswith("01_a") and "A 3, B 3, C 3, D 3" in lines[-1]


def test_chance_is_the_mean_score_of_all_answers() -> None:
    assert guessing.chance(question("B")) == 1 / 4
    assert guessing.chance(question("BC")) == pytest.approx(3 / 14)
    assert guessing.chance(question("BC", 3)) == pytest.approx((0.5 + 0.5 + 1) / 6)


def test_long_correct_options_are_reported_by_lesson() -> None:
    long = [question(letter, right_text="a longer text") for letter in "ABCD"]
    report = guessing.measure([("01_a", EVEN), ("02_b", long)])
    assert report.problems[0].startswith("02_b: right options have 15.0 characters on average")
    assert "ticks the longest option" in "\n".join(report.problems)
    a_little = [question(x, right_text="x" * 41, wrong_text="x" * 40) for x in "ABCD"] + EVEN * 3
    assert "characters" not in problems(*a_little)  # within the tolerance


def test_markdown_syntax_does_not_count_as_length() -> None:
    assert guessing.option_length("**bold** `code` [link](https://example.org)") == len(
        "bold code link"
    )


def test_letter_that_is_correct_too_often_is_reported() -> None:
    found = problems(*EVEN, *[question("C")] * 4)
    assert "who always ticks C earns" in found and "C is right in 7 of 16" in found
    assert "ticks" not in problems(*EVEN) and "single-choice" not in problems(*EVEN)


def test_two_letters_that_are_correct_together_too_often_are_reported() -> None:
    assert "always ticks B and D, two of four" in problems(*PAIRS, *[question("BD")] * 2)


def test_other_kinds_of_questions_are_ignored(tmp_path) -> None:
    lesson = read_lesson(write_lesson(tmp_path, NUMBER))
    report = guessing.measure([(lesson.name, lesson.questions)])
    assert report.course is None and report.to_lines() == ["there are no choice questions"]


def source(name: str, count: int, right: int, fixed: bool = False) -> str:
    rows = [f"- [{'x' if n == right else ' '}] text {n} | why" for n in range(count)]
    order = ":order: fixed\n" if fixed else ""
    return f"\n```{{question}} {name}\n:points: 1\n{order}Which?\n" + "\n".join(rows) + "\n```\n"


def test_published_seed_distributes_correct_letters_evenly(tmp_path, monkeypatch) -> None:
    parts = [source(f"q-{number}", 4, 2, fixed=number == 0) for number in range(16)]
    path = write_lesson(tmp_path, *parts)
    lesson = read_lesson(path)
    assert {q.right for q in lesson.questions} == {"C"}
    seed = variants.find_published_seed([lesson], map(str, range(200)))
    assert seed is not None
    monkeypatch.setattr(variants, "PUBLISHED_SEED", seed)
    shuffled = read_lesson(path)
    assert guessing.measure([(shuffled.name, shuffled.questions)]).letters_are_even
    assert shuffled.questions[0].right == "C"  # :order: fixed
    assert variants.find_published_seed([lesson], []) is None


@pytest.mark.parametrize("count, refuse", [(4, False), (19, False), (20, True)])
def test_check_fails_if_20_or_more_questions_can_be_guessed(
    tmp_path, count: int, refuse: bool
) -> None:
    parts = [source(f"q-{number}", 4, 2) for number in range(count)]
    write_lesson(tmp_path, *parts)
    (tmp_path / "pyproject.toml").write_text("", encoding="utf-8")
    report = build.check(tmp_path)
    assert any("ticks C" in problem for problem in report.guessing.problems)
    assert any("ticks C" in problem for problem in report.problems) == refuse
