"""Questions as written in a lesson's source; the build parses them into these classes."""

import functools
import re
import struct
from dataclasses import dataclass, field

from course_lib.quiz import number_text
from course_lib.quiz.answers import AnswerFormat, Key, parse_box
from course_lib.quiz.scoring import LETTERS

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_CORRECT_FRACTION = 1 / 4  # of a figure's area, so that a random click usually fails
_MIN_STEPS, _MAX_STEPS = 3, 7


@dataclass(frozen=True)
class Option:
    """One option; ``text`` and ``explanation`` are inline Markdown.

    In a number question ``text`` is a value, in an ordering question a step, and in a point
    question a box ``x0, y0, x1, y1``; ``right`` is false for values and boxes of misconceptions.
    """

    text: str
    right: bool
    explanation: str


@dataclass(frozen=True)
class Figure:
    """The figure of a point question: a PNG file as bytes, and its alt text.

    Raises:
        ValueError: if it is not a PNG, or has no alt text.
    """

    png: bytes
    alt: str

    def __post_init__(self) -> None:
        if self.png[:8] != b"\x89PNG\r\n\x1a\n" or len(self.png) < 24:
            raise ValueError("the figure is not a PNG: give a PIL image or the path of a PNG")
        if not self.alt.strip():
            raise ValueError(
                "the figure has no alt text: write ':figure: expression | what it shows'"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, from the file's header.

        PNG specification, section 11.2.1, https://www.w3.org/TR/png-3/.
        """
        return struct.unpack(">II", self.png[16:24])


@dataclass(frozen=True)
class Question:
    """A question; ``text`` is Markdown.

    ``kind`` is ``"choice"``, ``"number"``, ``"order"`` or ``"point"``. The options of a choice
    question and the steps of an ordering question have the letters A, B, C... as listed;
    ``sequence`` holds the steps' letters in the right order. Only number questions have ``unit``
    and ``tolerance``, and only point questions ``figure``.

    Raises:
        ValueError: if the question is invalid; the message says what to change.
    """

    name: str
    points: float
    text: str
    options: list[Option] = field(default_factory=list)
    kind: str = "choice"
    unit: str = ""
    tolerance: str = ""
    sequence: str = ""
    figure: Figure | None = None

    def __post_init__(self) -> None:
        if not SLUG.fullmatch(self.name):
            raise ValueError(
                f"The name {self.name!r} must consist of lower-case letters, digits and single "
                "hyphens, like why-not-fc."
            )
        if not self.points > 0:
            raise ValueError(f"Question {self.name}: points must be positive, not {self.points}.")
        if not self.text.strip():
            raise ValueError(f"Question {self.name} has no text: write it above the options.")
        checks = {"number": _check_number, "order": _check_order, "point": _check_point}
        checks.get(self.kind, _check_choice)(self)
        for letter, option in zip(LETTERS, self.options, strict=False):
            if not option.text.strip() or not option.explanation.strip():
                raise ValueError(
                    f"Question {self.name}, option {letter}: "
                    "write it as '- [ ] text | explanation'."
                )

    @property
    def letters(self) -> str:
        """The letters of all options or steps, ``"ABCD"`` for four; empty for other kinds."""
        return LETTERS[: len(self.options)] if self.kind in ("choice", "order") else ""

    @functools.cached_property
    def right(self) -> str:
        """Choice: the letters of the right options, sorted. Order: the letters in the right order.
        Number or point: the right values, separated by ``"; "``.
        """
        if self.kind == "order":
            return self.sequence
        return self._marked(right=True)

    @functools.cached_property
    def wrong(self) -> str:
        """The same for wrong options or values; empty for an order."""
        return "" if self.kind == "order" else self._marked(right=False)

    @property
    def multiple(self) -> bool:
        """Whether several options are right: check boxes instead of radio buttons."""
        return self.kind == "choice" and len(self.right) > 1

    @property
    def answer_format(self) -> AnswerFormat:
        """The format that a learner's answer must have."""
        if self.kind == "number":
            return AnswerFormat("number", unit=self.unit)
        if self.kind == "point":
            assert self.figure is not None  # checked by __post_init__
            return AnswerFormat("point", size=self.figure.size)
        kind = "order" if self.kind == "order" else "any" if self.multiple else "one"
        return AnswerFormat(kind, letters=self.letters)

    @property
    def key(self) -> Key:
        """The answer key."""
        tolerance = self.tolerance
        if self.kind == "number" and not tolerance:
            tolerance = "0.5 %" if number_text.parse_tolerance("", self._right_text)[0] else "0"
        return Key(self.answer_format, self.right, self.wrong, self.points, tolerance)

    @property
    def example_answer(self) -> str:
        """A right answer as a learner would type it."""
        if self.kind != "point":
            return self.right
        x0, y0, x1, y1 = parse_box(self.right.split(";")[0])
        return self.answer_format.parse(f"{(x0 + x1) // 2:g}, {(y0 + y1) // 2:g}")

    @property
    def _right_text(self) -> str:
        return next(option.text for option in self.options if option.right)

    def _marked(self, right: bool) -> str:
        marked = [option.text.strip() for option in self.options if option.right == right]
        if self.kind == "number":
            return "; ".join(self._normalised_number(text) for text in marked)
        if self.kind == "point":
            return "; ".join(marked)
        return "".join(
            letter
            for letter, option in zip(self.letters, self.options, strict=True)
            if option.right == right
        )

    def _normalised_number(self, text: str) -> str:
        value = number_text.parse_number(text, self.unit)
        if value is None:
            raise ValueError("a value is missing before the '|'")
        return number_text.to_text(value)


def _check_choice(question: Question) -> None:
    name = question.name
    if question.kind != "choice":
        raise ValueError(
            f"Question {name}: there is no kind {question.kind!r}: write number, order or point, "
            "or leave ':kind:' out for a choice."
        )
    if not 2 <= len(question.options) <= len(LETTERS):
        raise ValueError(
            f"Question {name} has {len(question.options)} options: give it 2 to {len(LETTERS)}."
        )
    if not question.right:
        raise ValueError(f"Question {name} has no right option: mark at least one with [x].")
    if not question.wrong:
        raise ValueError(
            f"Question {name} has no wrong option: add one, or selecting all would always be right."
        )


def _check_number(question: Question) -> None:
    name = question.name
    if sum(option.right for option in question.options) != 1:
        raise ValueError(
            f"Question {name} needs one right value: write '- [=] value | explanation' once."
        )
    try:
        key = question.key
        number_text.parse_tolerance(question.tolerance, "1")
    except ValueError as error:
        raise ValueError(f"Question {name}: {error}") from error
    if key.tolerance.endswith("%") and number_text.parse_number(question.right) == 0:
        raise ValueError(
            f"Question {name}: a percentage of the right value, 0, is 0: give an absolute one, "
            "':tolerance: 0.5'."
        )
    for index, value in enumerate(key.values):
        if key.match(question.answer_format.parse(value)) != index:
            raise ValueError(
                f"Question {name}: {value} is within the tolerance of another value: make the "
                "tolerance smaller, or delete one of the two."
            )


def _check_order(question: Question) -> None:
    count = len(question.options)
    if not _MIN_STEPS <= count <= _MAX_STEPS:
        raise ValueError(
            f"Question {question.name} has {count} steps: give it {_MIN_STEPS} to {_MAX_STEPS}."
        )
    if sorted(question.sequence) != list(LETTERS[:count]):
        raise ValueError(
            f"Question {question.name}: the order {question.sequence!r} must list each step once."
        )


def _check_point(question: Question) -> None:
    name, figure = question.name, question.figure
    if figure is None:
        raise ValueError(
            f"Question {name} has no figure: write ':figure: expression | what it shows'."
        )
    if not question.right:
        raise ValueError(
            f"Question {name} has no right rectangle: write '- [=] x0, y0, x1, y1 | explanation'."
        )
    width, height = figure.size
    try:
        boxes = [(parse_box(option.text), option) for option in question.options]
    except ValueError as error:
        raise ValueError(f"Question {name}: {error}") from error
    for (x0, y0, x1, y1), option in boxes:
        if x0 < 0 or y0 < 0 or x1 >= width or y1 >= height:
            raise ValueError(
                f"Question {name}: the box {option.text!r} exceeds the figure: keep it within "
                f"{width} x {height} pixels."
            )
    area = sum((x1 - x0) * (y1 - y0) for (x0, y0, x1, y1), option in boxes if option.right)
    if area > MAX_CORRECT_FRACTION * width * height:
        raise ValueError(
            f"Question {name}: {area / width / height:.0%} of the figure is right, more "
            f"than {MAX_CORRECT_FRACTION:.0%}: a random click would often be right. Make the boxes "
            "smaller."
        )
    for index, (box, option) in enumerate(boxes):
        for other, other_option in boxes[:index]:
            apart = box[2] < other[0] or other[2] < box[0] or box[3] < other[1] or other[3] < box[1]
            if option.right != other_option.right and not apart:
                raise ValueError(
                    f"Question {name}: the boxes {other_option.text!r} and {option.text!r} "
                    "overlap, but only one is right: separate them."
                )
