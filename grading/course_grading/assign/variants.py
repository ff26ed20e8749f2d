"""Variants of a lesson: draw the parameters of questions, shuffle options, choose from pools.

The self-study notebooks have the published variant: first values, options in the author's order,
every question; only the steps of ordering questions are shuffled. A seeded variant is computed from
a secret key and names by HMAC-SHA-256 alone, so it is the same with every version of Python, and
nobody without the key can compute it.
"""

import ast
import functools
import hmac
import math
import re
import types
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from course_grading.assign import guessing, question_figures
from course_grading.assign.lesson import Lesson, Part, QuestionPart, QuestionTemplate, SourceLine
from course_grading.errors import SourceError
from course_lib.quiz.answers import order_share
from course_lib.quiz.question import Figure, Option, Question
from course_lib.quiz.scoring import LETTERS

# The seed that shuffles the options of choice questions in published lessons; None keeps the
# author's order. :func:`find_published_seed` finds one with which no letter is right too often.
PUBLISHED_SEED: str | None = None
CHECKED_SEEDS = 200
CHECKED_FIGURES = 10  # the same, for a question whose figure depends on its parameters
MAX_KEPT = 500  # variants of a question that a process remembers, of a few kilobytes each
_PLACEHOLDER = re.compile(r"\{\{((?:(?!\{\{).)*?)\}\}")
_NUMBER = re.compile(r"\d[\d,]*(\.\d+)?")
_BUILTINS = {
    function.__name__: function
    for function in (
        *(abs, all, any, bool, dict, divmod, enumerate, float, int, len, list, map, max, min, pow),
        *(range, reversed, round, set, sorted, str, sum, tuple, zip),
    )
}


class Draws:
    """The pseudo-random draws of one question; ``key`` is None for the published variant."""

    def __init__(self, key: bytes | None, *names: str):
        self.key = key
        self._names = names
        self.drawn: list[tuple[int, int]] = []  # (number of values, index drawn)

    def draw(self, published: Any, *others: Any) -> Any:
        """One of the values; the first one in the published variant."""
        values = (published, *others)
        index = self.index(len(self.drawn), len(values))
        self.drawn.append((len(values), index))
        return values[index]

    def index(self, draw: int, count: int) -> int:
        """The index, from 0, that draw number ``draw`` takes among ``count`` values."""
        return 0 if self.key is None else self.number("draw", str(draw + 1)) % count

    def number(self, *names: str) -> int:
        """A pseudo-random number below 2^128, a function of the key and the names."""
        assert self.key is not None
        message = "\0".join((*self._names, *names)).encode()
        return int.from_bytes(hmac.digest(self.key, message, "sha256")[:16])


@dataclass
class _Rendering:
    """A variant of a question during rendering: ``names`` are the values of its parameters."""

    template: QuestionTemplate
    origin: str  # "seed 3", for messages
    names: dict[str, Any] = field(default_factory=dict)

    def error(self, line: int, message: str) -> SourceError:
        """The error for a mistake, with the seed and the drawn values that cause it."""
        provided = ("__builtins__", "math", "draw", "right", "wrong")
        values = [
            f"{name} = {value!r}"
            for name, value in self.names.items()
            if name not in provided and not callable(value)
        ]
        where = ", ".join([self.origin, *values])
        return SourceError(
            self.template.path, line, f"question {self.template.name!r} ({where}): {message}"
        )

    def run(self, line: SourceLine, mode: str = "exec") -> Any:
        """Execute a statement, or evaluate an expression."""
        try:
            return eval(_compile(line.source.strip(), mode), self.names)
        except Exception as error:  # the author's code may raise anything
            raise self.error(line.line, _failure(repr(line.source.strip()), error)) from error

    def fill(self, text: str, line: int) -> str:
        """The text with its placeholders filled in."""

        def value(match: re.Match) -> str:
            try:
                expression, format_spec = _split_placeholder(match[1])
                return format(eval(_compile(expression, "eval"), self.names), format_spec)
            except Exception as error:  # the author's code may raise anything
                raise self.error(line, _failure(match[0], error)) from error

        filled = _PLACEHOLDER.sub(value, text)
        if "{{" in filled:
            raise self.error(line, "'{{' without '}}': a placeholder is {{expression:format}}")
        return filled


def published(template: QuestionTemplate) -> Question:
    """The published variant.

    Raises:
        SourceError: if the question has a mistake with its published values.
    """
    question = _render(template, Draws(None), "as published")
    if PUBLISHED_SEED is not None:
        question = shuffle_published(question, template, PUBLISHED_SEED)
    return _shuffle_steps(question, Draws(b"published", template.name))


def shuffle_published(question: Question, template: QuestionTemplate, seed: str) -> Question:
    """The published question with its options shuffled by a seed."""
    if template.fixed_order or template.kind != "choice":
        return question
    return _shuffle_options(question, Draws(seed.encode(), template.path.stem, template.name))


def find_published_seed(lessons: Iterable[Lesson], seeds: Iterable[str]) -> str | None:
    """The first seed for ``PUBLISHED_SEED`` with which no letter is right too often, if any.

    Args:
        lessons: built without a seed.
        seeds: the candidates.
    """
    lessons = list(lessons)
    for seed in seeds:
        shuffled = [
            (
                lesson.name,
                [
                    shuffle_published(part.question, part.template, seed)
                    for part in lesson.parts
                    if isinstance(part, QuestionPart)
                ],
            )
            for lesson in lessons
        ]
        if guessing.measure(shuffled).letters_are_even:
            return seed
    return None


def seeded(template: QuestionTemplate, draws: Draws, origin: str) -> Question:
    """The variant that ``draws`` determines, with its options shuffled.

    Raises:
        SourceError: if the question has a mistake with these values.
    """
    question = _render_once(template, draws, origin)
    if template.kind == "order":
        return _shuffle_steps(question, draws)
    if template.fixed_order or template.kind != "choice":
        return question
    return _shuffle_options(question, draws)


def _shuffle_options(question: Question, draws: Draws) -> Question:
    order = sorted(range(len(question.options)), key=lambda i: draws.number("option", str(i)))
    return replace(question, options=[question.options[index] for index in order])


@functools.lru_cache(maxsize=1024)  # for a process that reads a lesson more than once
def check(template: QuestionTemplate, seeds: int = CHECKED_SEEDS) -> None:
    """Render ``seeds`` variants of a question with parameters, each set of draws once.

    Raises:
        SourceError: for the first one in which a placeholder fails, two options are the same, or a
            ``:check:`` does not hold.
    """
    if template.figure and question_figures.depends_on(template):
        seeds = min(seeds, CHECKED_FIGURES)
    rendered = _RenderedVariants()
    for seed in range(seeds if template.params else 0):
        draws = Draws(str(seed).encode(), template.name)
        if rendered.find(draws) is None:
            # in the author's order: shuffling can't cause a mistake
            rendered.add(draws, _render(template, draws, f"seed {seed}"))


class _RenderedVariants:
    """The rendered variants of one question by the values they drew: two variants with the same
    drawn values are identical.
    """

    def __init__(self) -> None:
        # Maps each prefix of a variant's drawn indices to the number of values in its next draw.
        self._counts: dict[tuple[int, ...], int] = {}
        self._questions: dict[tuple[int, ...], Question] = {}

    def __len__(self) -> int:
        return len(self._questions)

    def find(self, draws: Draws) -> Question | None:
        """The variant that drew the same values; None if it was not rendered yet."""
        indices: tuple[int, ...] = ()
        while count := self._counts.get(indices):
            indices += (draws.index(len(indices), count),)
        return self._questions.get(indices)

    def add(self, draws: Draws, question: Question) -> None:
        """Keep the variant that was rendered with these draws."""
        indices = tuple(index for _, index in draws.drawn)
        for number, (count, _) in enumerate(draws.drawn):
            self._counts[indices[:number]] = count
        self._questions[indices] = question


@functools.lru_cache(maxsize=256)
def _rendered_variants(template: QuestionTemplate) -> _RenderedVariants:
    return _RenderedVariants()


def _render_once(template: QuestionTemplate, draws: Draws, origin: str) -> Question:
    """As :func:`_render`, but identical variants are rendered once in a process: students of a
    class often draw the same values. Figures are too large to be kept.
    """
    if template.figure:
        return _render(template, draws, origin)
    rendered = _rendered_variants(template)
    question = rendered.find(draws)
    if question is None:
        question = _render(template, draws, origin)
        if len(rendered) < MAX_KEPT:
            rendered.add(draws, question)
    return question


def choose(lesson: Lesson, key: bytes, origin: str) -> Lesson:
    """The variant of a lesson that ``key`` determines.

    The questions chosen from each pool stay at their places and are named ``name-1`` to
    ``name-k``, so that all variants have the same question names and points.

    Args:
        lesson: the lesson, read from its source.
        key: a secret; without it nobody can compute the variant.
        origin: the variant's name, for messages.
    """
    chosen = _choose_from_pools(lesson, key)
    slots: dict[str, int] = {}
    parts: list[Part] = []
    for part in lesson.parts:
        if not isinstance(part, QuestionPart):
            parts.append(part)
            continue
        template = part.template
        if template.pool and template.name not in chosen:
            continue
        question = seeded(template, Draws(key, lesson.name, template.name), origin)
        if template.pool:
            pool = template.pool.name
            slots[pool] = slots.get(pool, 0) + 1
            question = replace(question, name=f"{pool}-{slots[pool]}")
        parts.append(replace(part, question=question))
    return replace(lesson, parts=parts)


def _choose_from_pools(lesson: Lesson, key: bytes) -> set[str]:
    """The names of the questions chosen from the pools."""
    pools: dict[str, list[QuestionTemplate]] = {}
    for part in lesson.parts:
        if isinstance(part, QuestionPart) and part.template.pool:
            pools.setdefault(part.template.pool.name, []).append(part.template)
    chosen: set[str] = set()
    for name, templates in pools.items():
        draws = Draws(key, lesson.name, "pool", name)
        names = sorted((t.name for t in templates), key=lambda question: draws.number(question))
        pool = templates[0].pool
        assert pool is not None  # as collected above
        chosen.update(names[: pool.size])
    return chosen


def _render(template: QuestionTemplate, draws: Draws, origin: str) -> Question:
    """A variant with its options in the author's order."""
    rendering = _Rendering(template, origin)
    rendering.names = {"__builtins__": _BUILTINS, "math": math, "draw": draws.draw}
    for line in template.params:
        rendering.run(line)
    text = "\n".join(rendering.fill(line.source, line.line) for line in template.text)
    options = [
        Option(
            rendering.fill(option.text, option.line),
            option.right,
            rendering.fill(option.explanation, option.line),
        )
        for option in template.options
    ]
    try:
        question = Question(
            template.name,
            template.points,
            text.strip(),
            options,
            kind=template.kind,
            unit=rendering.fill(template.unit, template.line),
            tolerance=template.tolerance,
            sequence=LETTERS[: len(options)] if template.kind == "order" else "",
            figure=_make_figure(rendering),
        )
    except ValueError as error:
        if template.kind != "choice":  # the answer may depend on the drawn values
            raise rendering.error(template.line, str(error)) from error
        raise SourceError(
            template.path, template.line, f"question {template.name!r}: {error}"
        ) from error
    _check_distinct(rendering, options)
    rendering.names["right"] = [option.text for option in options if option.right]
    rendering.names["wrong"] = [option.text for option in options if not option.right]
    for check in template.checks:
        if not rendering.run(check, "eval"):
            raise rendering.error(check.line, f"the check {check.source.strip()!r} does not hold")
    return question


def _make_figure(rendering: _Rendering) -> Figure | None:
    template = rendering.template.figure
    if template is None:
        return None
    expression = template.expression
    try:
        png = question_figures.evaluate(rendering.template, rendering.names)
    except Exception as error:  # the author's code may raise anything
        raise rendering.error(expression.line, _failure(repr(expression.source), error)) from error
    return Figure(png, rendering.fill(template.alt, expression.line))


def _shuffle_steps(question: Question, draws: Draws) -> Question:
    """Shuffle the steps of an ordering question; other questions are returned unchanged.

    Answering with the letters as shown, or in reverse, must earn nothing. With an odd number of
    pairs of steps that is impossible: one of the two answers then earns one pair's share.
    """
    if question.kind != "order":
        return question
    count = len(question.options)
    pairs = count * (count - 1) // 2
    attempt = 0
    while True:
        attempt += 1
        order = sorted(range(count), key=lambda n: draws.number("step", str(attempt), str(n)))
        sequence = "".join(LETTERS[order.index(step)] for step in range(count))
        letters = question.letters
        share = order_share(letters, sequence) + order_share(letters[::-1], sequence)
        if share * pairs <= 1.5:  # at most one pair's share, for an odd number of pairs
            options = [question.options[step] for step in order]
            return replace(question, options=options, sequence=sequence)


def _check_distinct(rendering: _Rendering, options: Iterable[Option]) -> None:
    """Check that no two options are equal; 1,200 and 1200.0 are."""
    seen: dict[str, str] = {}
    for option, template in zip(options, rendering.template.options, strict=True):
        normalised = _NUMBER.sub(lambda match: repr(float(match[0].replace(",", ""))), option.text)
        normalised = " ".join(normalised.split()).casefold()
        if normalised in seen:
            raise rendering.error(
                template.line, f"two options are the same: {seen[normalised]!r} and {option.text!r}"
            )
        seen[normalised] = option.text


def _failure(code: str, error: Exception) -> str:
    reason = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{code} fails: {type(error).__name__}: {reason}"


@functools.lru_cache(maxsize=4096)
def _compile(source: str, mode: str) -> types.CodeType:
    return compile(source, "<the question>", mode)


@functools.lru_cache(maxsize=4096)
def _split_placeholder(content: str) -> tuple[str, str]:
    """The expression and the format of a placeholder, separated by the first colon after a complete
    expression: the second colon in ``sides[0:2]:,``.
    """
    colons = [position for position, character in enumerate(content) if character == ":"]
    for end in [len(content), *colons]:
        expression = content[:end].strip()
        try:
            ast.parse(expression, mode="eval")
        except SyntaxError:
            continue
        return expression, content[end + 1 :]
    return content.strip(), ""  # compiling it reports the mistake
