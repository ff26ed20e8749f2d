"""A lesson as its author writes it: prose, code, questions and exercises, in order.

Each part has ``line``, the line of the source on which it begins.
"""

import ast
from dataclasses import dataclass, field
from pathlib import Path

from course_lib.quiz.question import Question


@dataclass(frozen=True)
class MarkdownCell:
    """A Markdown cell."""

    source: str
    line: int


@dataclass(frozen=True)
class CodeCell:
    """A code cell that is neither an exercise nor a check."""

    source: str
    line: int
    tags: list[str] = field(default_factory=list)

    def only_shows_figures(self) -> bool:
        """Whether the code consists of imports and calls of ``show``.

        Such a cell is folded: its alt text and caption tell what a learner is asked to predict.
        """
        try:
            statements = ast.parse(self.source).body
        except SyntaxError:  # one of IPython's magics
            return False
        others = [each for each in statements if not isinstance(each, ast.Import | ast.ImportFrom)]
        return bool(others) and all(
            isinstance(each, ast.Expr)
            and isinstance(each.value, ast.Call)
            and isinstance(each.value.func, ast.Name)
            and each.value.func.id == "show"
            for each in others
        )


@dataclass(frozen=True)
class SourceLine:
    """A line of a question's source, and its line number."""

    source: str
    line: int


@dataclass(frozen=True)
class OptionTemplate:
    """An option as its author writes it, with placeholders ``{{expression}}``."""

    text: str
    right: bool
    explanation: str
    line: int


@dataclass(frozen=True)
class FigureTemplate:
    """The figure of a question: a Python expression for the image, and its alt text."""

    expression: SourceLine
    alt: str


@dataclass(frozen=True)
class Pool:
    """A question pool: a seeded release draws ``size`` of its questions."""

    name: str
    size: int


@dataclass(frozen=True)
class QuestionTemplate:
    """A question as its author writes it; :mod:`.variants` renders its variants.

    ``params`` are the statements that sample and compute the parameters, ``checks`` the expressions
    that must hold for them. ``text`` holds the lines above the options. The steps of an ordering
    question are in the correct order.
    """

    name: str
    points: float
    text: tuple[SourceLine, ...]
    options: tuple[OptionTemplate, ...]
    path: Path
    line: int
    params: tuple[SourceLine, ...] = ()
    checks: tuple[SourceLine, ...] = ()
    fixed_order: bool = False
    pool: Pool | None = None
    kind: str = "choice"
    unit: str = ""
    tolerance: str = ""
    figure: FigureTemplate | None = None


@dataclass(frozen=True)
class QuestionPart:
    """A question in the lesson: the published variant, or the variant that :mod:`.variants` chose
    for a seeded release.
    """

    question: Question
    line: int
    template: QuestionTemplate


@dataclass(frozen=True)
class Exercise:
    """A code exercise with its reference solution and its check.

    ``function`` is the function under test. ``visible_check`` holds the asserts that students see,
    ``hidden_tests`` defines ``cases(rng)`` and either ``tolerance`` or
    ``agrees(output, reference, *arguments)``; ``comparison`` is "tolerance" or "agrees".
    ``formerly`` is the function's signature in an earlier release, ``name`` or ``name(a, b)``, so
    that submissions from that release can be graded; empty if it has not changed.
    """

    name: str
    points: float
    solution: str
    function: str
    visible_check: str
    hidden_tests: str
    comparison: str
    line: int
    formerly: str = ""


Part = MarkdownCell | CodeCell | QuestionPart | Exercise


@dataclass(frozen=True)
class Lesson:
    """A lesson. ``name`` is ``NN_name``, ``title`` its first heading."""

    name: str
    title: str
    path: Path
    parts: list[Part]

    @property
    def questions(self) -> list[Question]:
        return [part.question for part in self.parts if isinstance(part, QuestionPart)]

    @property
    def exercises(self) -> list[Exercise]:
        return [part for part in self.parts if isinstance(part, Exercise)]

    @property
    def points(self) -> float:
        items: list[Question | Exercise] = [*self.questions, *self.exercises]
        return sum(item.points for item in items)
