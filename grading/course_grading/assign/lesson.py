"""A lesson as its author means it: prose, code, questions and exercises, in order, each with its
line.
"""

from dataclasses import dataclass, field
from pathlib import Path

from course_lib.quiz.question import Question


@dataclass(frozen=True)
class Prose:
    """A Markdown cell."""

    source: str
    line: int


@dataclass(frozen=True)
class Code:
    """A code cell that is neither exercise nor check."""

    source: str
    line: int
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ask:
    """A question, where it is asked."""

    question: Question
    line: int


@dataclass(frozen=True)
class Exercise:
    """A code exercise with its reference solution and its check.

    ``visible`` are the asserts that students see. ``hidden`` defines ``cases(rng)`` and either
    ``tolerance`` or ``agrees(output, reference, *arguments)``. ``function`` is what is called.
    """

    name: str
    points: float
    solution: str
    function: str
    visible: str
    hidden: str
    compares: str
    line: int


Part = Prose | Code | Ask | Exercise


@dataclass(frozen=True)
class Lesson:
    """A lesson as its author means it. ``name`` is ``NN_name``, ``title`` its first heading."""

    name: str
    title: str
    path: Path
    parts: list[Part]

    @property
    def questions(self) -> list[Question]:
        return [part.question for part in self.parts if isinstance(part, Ask)]

    @property
    def exercises(self) -> list[Exercise]:
        return [part for part in self.parts if isinstance(part, Exercise)]

    @property
    def points(self) -> float:
        return sum(item.points for item in [*self.questions, *self.exercises])
