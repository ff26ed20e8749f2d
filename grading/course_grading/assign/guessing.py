"""What a solver earns who has not read the lesson: measured over the choice questions of a course.

Three solvers are tried: one who always ticks the longest option, one who always ticks the same
letter, and one who always ticks the same two letters where several options are right ("two of
four"). Each may earn at most ``MARGIN`` points of 100 more than chance, which is the mean of all
ways to tick at least one option and not all of them.

Besides, the right options of a lesson may on average be at most ``LENGTH_TOLERANCE`` longer than
the wrong ones, and each letter A to D is the right one in 20 to 30 % of the single-choice questions
with four options (rounded outwards, for few questions).
"""

import functools
import itertools
import math
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from course_lib.quiz import scoring
from course_lib.quiz.question import Question

MARGIN = 5.0  # points of 100 above chance
LENGTH_TOLERANCE = 0.05  # of the wrong options' mean length
LETTER_SHARES = (0.2, 0.3)
_MARKUP = re.compile(r"[*_`$\\{}]|\]\([^)]*\)|[\[\]]")


@dataclass(frozen=True)
class Figures:
    """The figures of a lesson, or of the whole course.

    ``right`` and ``wrong`` are mean lengths in characters. ``chance`` and what the solvers earn are
    points of 100; ``letter`` and ``pair`` belong to the letters that earn most.
    """

    name: str
    questions: int
    right: float
    wrong: float
    chance: float
    longest: float
    letter: tuple[str, float]
    pair: tuple[str, float]

    def to_row(self) -> str:
        """A row of the table."""
        return (
            f"{self.name:28} {self.questions:3} choices, right {self.right:5.1f} and wrong "
            f"{self.wrong:5.1f} characters; of 100 points: chance {self.chance:4.1f}, longest "
            f"{self.longest:4.1f}, {self.letter[0]} {self.letter[1]:4.1f}, "
            f"{self.pair[0]} {self.pair[1]:4.1f}"
        )


@dataclass(frozen=True)
class GuessingReport:
    """The figures of each lesson and of the course, the count of right letters in single-choice
    questions with four options, and what is wrong.
    """

    lessons: tuple[Figures, ...]
    course: Figures | None
    letters: dict[str, int]
    problems: tuple[str, ...]

    @property
    def letters_are_even(self) -> bool:
        """Whether no letter, and no two letters, are right too often."""
        if self.course is None:
            return True
        best = max(self.course.letter[1], self.course.pair[1])
        return best <= self.course.chance + MARGIN and not _uneven_letters(self.letters)

    def to_lines(self) -> list[str]:
        """The table, with a row for each lesson and one for the course."""
        if self.course is None:
            return ["no question is a choice"]
        counts = ", ".join(f"{letter} {count}" for letter, count in self.letters.items())
        return [
            *(figures.to_row() for figures in (*self.lessons, self.course)),
            f"right letters of single-choice questions with four options: {counts}",
        ]


def measure(lessons: Iterable[tuple[str, Sequence[Question]]]) -> GuessingReport:
    """Measure how far the choice questions of a course can be guessed.

    Args:
        lessons: each lesson's name and questions, of which the choices count.
    """
    rows: list[Figures] = []
    everything: list[Question] = []
    for name, questions in lessons:
        choices = [question for question in questions if question.kind == "choice"]
        if choices:
            rows.append(_figures(name, choices))
            everything += choices
    if not everything:
        return GuessingReport((), None, {}, ())
    course = _figures("the course", everything)
    letters = {letter: 0 for letter in "ABCD"}
    for question in everything:
        if not question.multiple and len(question.options) == 4:
            letters[question.right] += 1
    problems = [*_long_options(rows), *_good_guesses(course), *_uneven_letters(letters)]
    return GuessingReport(tuple(rows), course, letters, tuple(problems))


def chance(question: Question) -> float:
    """The share of the points that an answer by chance earns: one letter where one option is right,
    else the mean of all ways to tick at least one option and not all.
    """
    return _chance(len(question.right), len(question.wrong))


@functools.cache
def _chance(right: int, wrong: int) -> float:
    """It depends on the numbers of right and wrong options alone."""
    letters = scoring.LETTERS[: right + wrong]
    sizes = range(1, len(letters)) if right > 1 else (1,)
    return statistics.fmean(
        scoring.score("".join(answer), letters[:right], letters[right:], 1)
        for size in sizes
        for answer in itertools.combinations(letters, size)
    )


def option_length(text: str) -> int:
    """The length of an option as it is read: without the marks of Markdown."""
    return len(_MARKUP.sub("", text).strip())


def longest_option(question: Question) -> str:
    """The letter of the longest option; of equal ones the first."""
    lengths = [option_length(option.text) for option in question.options]
    return question.letters[lengths.index(max(lengths))]


def _figures(name: str, questions: Sequence[Question]) -> Figures:
    lengths: dict[bool, list[int]] = {True: [], False: []}
    for question in questions:
        for option in question.options:
            lengths[option.right].append(option_length(option.text))
    by_letter = {letter: _earned(questions, _ticks(letter)) for letter in "ABCD"}
    pairs = ("".join(pair) for pair in itertools.combinations("ABCD", 2))
    by_pair = {pair: _earned(questions, _ticks(pair)) for pair in pairs}
    return Figures(
        name,
        len(questions),
        statistics.fmean(lengths[True]),
        statistics.fmean(lengths[False]),
        _weighted(questions, chance),
        _earned(questions, longest_option),
        max(by_letter.items(), key=lambda item: item[1]),
        max(by_pair.items(), key=lambda item: item[1]),
    )


def _ticks(letters: str) -> Callable[[Question], str | None]:
    """A solver who ticks these letters; None, for chance, where a question has not so many right
    options, or lacks one of the letters.
    """

    def answer(question: Question) -> str | None:
        fits = set(letters) <= set(question.letters) and (len(letters) == 1 or question.multiple)
        return letters if fits else None

    return answer


def _earned(questions: Sequence[Question], solver: Callable[[Question], str | None]) -> float:
    """What a solver earns, in points of 100."""

    def share(question: Question) -> float:
        answer = solver(question)
        return chance(question) if answer is None else _share(question, answer)

    return _weighted(questions, share)


def _weighted(questions: Sequence[Question], share: Callable[[Question], float]) -> float:
    total = sum(question.points for question in questions)
    return 100 * sum(question.points * share(question) for question in questions) / total


def _share(question: Question, answer: str) -> float:
    return scoring.score(answer, question.right, question.wrong, 1)


def _long_options(rows: Sequence[Figures]) -> list[str]:
    return [
        f"{row.name}: right options have {row.right:.1f} characters on average, wrong ones "
        f"{row.wrong:.1f}: shorten right ones, or give wrong ones as many details"
        for row in rows
        if row.right > row.wrong * (1 + LENGTH_TOLERANCE)
    ]


def _good_guesses(course: Figures) -> list[str]:
    solvers = {
        "always ticks the longest option": course.longest,
        f"always ticks {course.letter[0]}": course.letter[1],
        f"always ticks {' and '.join(course.pair[0])}, two of four": course.pair[1],
    }
    return [
        f"who {habit} earns {earned:.1f} of 100 points, chance {course.chance:.1f}: more than "
        f"{MARGIN:g} above it"
        for habit, earned in solvers.items()
        if earned > course.chance + MARGIN
    ]


def _uneven_letters(letters: dict[str, int]) -> list[str]:
    count = sum(letters.values())
    low, high = math.floor(LETTER_SHARES[0] * count), math.ceil(LETTER_SHARES[1] * count)
    return [
        f"{letter} is right in {found} of {count} single-choice questions with four options: "
        f"{low} to {high} would be even"
        for letter, found in letters.items()
        if not low <= found <= high
    ]
