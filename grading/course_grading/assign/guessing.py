"""What guessing strategies earn in the choice questions of a course, without reading a lesson.

Three strategies are measured: always tick the longest option; always tick the same letter; always
tick the same two letters where several options are right ("two of four"). Each may earn at most
``MARGIN`` points of 100 above chance, the expected score of a random answer (:func:`chance`).

In each lesson, the right options may on average be at most ``LENGTH_TOLERANCE`` longer than the
wrong ones. In the course, each letter A to D must be right in 20 to 30 % of the single-choice
questions with four options (rounded outwards, for few questions).
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
class GuessingStats:
    """The statistics of a lesson, or of the whole course.

    ``right`` and ``wrong`` are mean lengths in characters. ``chance`` and what the strategies earn
    are points of 100. ``letter`` and ``pair`` are the letters that earn most, with their score.
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
    """The statistics of each lesson and of the course; ``letters`` counts how often each letter is
    right in single-choice questions with four options.
    """

    lessons: tuple[GuessingStats, ...]
    course: GuessingStats | None
    letters: dict[str, int]
    problems: tuple[str, ...]

    @property
    def letters_are_even(self) -> bool:
        """Whether no letter, and no pair of letters, is right too often."""
        if self.course is None:
            return True
        best = max(self.course.letter[1], self.course.pair[1])
        return best <= self.course.chance + MARGIN and not _uneven_letters(self.letters)

    def to_lines(self) -> list[str]:
        """The table, with a row for each lesson and one for the course."""
        if self.course is None:
            return ["there are no choice questions"]
        counts = ", ".join(f"{letter} {count}" for letter, count in self.letters.items())
        return [
            *(stats.to_row() for stats in (*self.lessons, self.course)),
            f"right letters of single-choice questions with four options: {counts}",
        ]


def measure(lessons: Iterable[tuple[str, Sequence[Question]]]) -> GuessingReport:
    """Measure what guessing earns in the choice questions of a course.

    Args:
        lessons: each lesson's name and questions; only choice questions count.
    """
    by_lesson: list[GuessingStats] = []
    all_choices: list[Question] = []
    for name, questions in lessons:
        choices = [question for question in questions if question.kind == "choice"]
        if choices:
            by_lesson.append(_measure(name, choices))
            all_choices += choices
    if not all_choices:
        return GuessingReport((), None, {}, ())
    course = _measure("the course", all_choices)
    letters = {letter: 0 for letter in "ABCD"}
    for question in all_choices:
        if not question.multiple and len(question.options) == 4:
            letters[question.right] += 1
    problems = [*_long_options(by_lesson), *_guessable(course), *_uneven_letters(letters)]
    return GuessingReport(tuple(by_lesson), course, letters, tuple(problems))


def chance(question: Question) -> float:
    """The expected score of a random answer, as a fraction of the points: one letter if one option
    is right, otherwise any set of letters except the empty set and all of them.
    """
    return _chance(len(question.right), len(question.wrong))


@functools.cache
def _chance(right: int, wrong: int) -> float:
    """The same, from the numbers of right and wrong options."""
    letters = scoring.LETTERS[: right + wrong]
    sizes = range(1, len(letters)) if right > 1 else (1,)
    return statistics.fmean(
        scoring.score("".join(answer), letters[:right], letters[right:], 1)
        for size in sizes
        for answer in itertools.combinations(letters, size)
    )


def option_length(text: str) -> int:
    """The length of an option without Markdown markup."""
    return len(_MARKUP.sub("", text).strip())


def longest_option(question: Question) -> str:
    """The letter of the longest option; the first of equally long ones."""
    lengths = [option_length(option.text) for option in question.options]
    return question.letters[lengths.index(max(lengths))]


def _measure(name: str, questions: Sequence[Question]) -> GuessingStats:
    lengths: dict[bool, list[int]] = {True: [], False: []}
    for question in questions:
        for option in question.options:
            lengths[option.right].append(option_length(option.text))
    by_letter = {letter: _earned(questions, _always(letter)) for letter in "ABCD"}
    pairs = ("".join(pair) for pair in itertools.combinations("ABCD", 2))
    by_pair = {pair: _earned(questions, _always(pair)) for pair in pairs}
    return GuessingStats(
        name,
        len(questions),
        statistics.fmean(lengths[True]),
        statistics.fmean(lengths[False]),
        _weighted(questions, chance),
        _earned(questions, longest_option),
        max(by_letter.items(), key=lambda item: item[1]),
        max(by_pair.items(), key=lambda item: item[1]),
    )


def _always(letters: str) -> Callable[[Question], str | None]:
    """The strategy that always ticks these letters. It returns None, which counts as chance, for a
    question that lacks one of them, and with two letters for a single-choice question.
    """

    def answer(question: Question) -> str | None:
        fits = set(letters) <= set(question.letters) and (len(letters) == 1 or question.multiple)
        return letters if fits else None

    return answer


def _earned(questions: Sequence[Question], strategy: Callable[[Question], str | None]) -> float:
    """What a strategy earns, in points of 100."""

    def share(question: Question) -> float:
        answer = strategy(question)
        return chance(question) if answer is None else _share(question, answer)

    return _weighted(questions, share)


def _weighted(questions: Sequence[Question], share: Callable[[Question], float]) -> float:
    total = sum(question.points for question in questions)
    return 100 * sum(question.points * share(question) for question in questions) / total


def _share(question: Question, answer: str) -> float:
    return scoring.score(answer, question.right, question.wrong, 1)


def _long_options(lessons: Sequence[GuessingStats]) -> list[str]:
    return [
        f"{lesson.name}: right options have {lesson.right:.1f} characters on average, wrong ones "
        f"{lesson.wrong:.1f}: shorten right ones, or give wrong ones as many details"
        for lesson in lessons
        if lesson.right > lesson.wrong * (1 + LENGTH_TOLERANCE)
    ]


def _guessable(course: GuessingStats) -> list[str]:
    strategies = {
        "always ticks the longest option": course.longest,
        f"always ticks {course.letter[0]}": course.letter[1],
        f"always ticks {' and '.join(course.pair[0])}, two of four": course.pair[1],
    }
    return [
        f"who {strategy} earns {earned:.1f} of 100 points, chance {course.chance:.1f}: more than "
        f"{MARGIN:g} above it"
        for strategy, earned in strategies.items()
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
