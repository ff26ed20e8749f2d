"""The format of an answer and its score: one :class:`AnswerFormat` and one :class:`Key` for each
question. Notebooks and grader share them.

====================  =============================  ==========================
kind                  an answer                      its format as text
====================  =============================  ==========================
letters, several      ``"AC"``                       ``any of ABCD``
letters, one          ``"B"``                        ``one of ABC``
a number              ``"196,608"``, ``"12 MB"``     ``number``, ``number in MB``
an order of steps     ``"CABD"``                     ``order of ABCD``
a point in a figure   ``"120, 45"``                  ``point in 640x480``
====================  =============================  ==========================
"""

import functools
import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

from course_lib.quiz import number_text, scoring

_LETTERS = re.compile(r"(any|one|order) of (A[B-H]+)")
_NUMBER = re.compile(r"number(?: in (.+))?")
_POINT = re.compile(r"point in (\d+)x(\d+)")
_COORDINATES = re.compile(
    r"[(\[]? *(?:x *[=:] *)?(\d+(?:\.\d+)?) *(?:[,; ]) *(?:y *[=:] *)?(\d+(?:\.\d+)?) *[)\]]?"
)
_STEP_SEPARATORS = re.compile(r"[-\s,;>.\u2192\u2013]+")
KINDS = ("any", "one", "number", "order", "point")

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels, the edges included


@dataclass(frozen=True)
class AnswerFormat:
    """The format of an answer; it reveals nothing about the key.

    ``kind`` is one of ``KINDS``. ``letters`` are those of the options or steps, ``unit`` is that of
    a number, and ``size`` the width and height of a figure in pixels.
    """

    kind: str
    letters: str = ""
    unit: str = ""
    size: tuple[int, int] = (0, 0)

    @staticmethod
    def from_text(text: str) -> "AnswerFormat":
        """The format that :meth:`to_text` describes.

        Raises:
            ValueError: for any other text.
        """
        if (match := _LETTERS.fullmatch(text)) and scoring.LETTERS.startswith(match[2]):
            return AnswerFormat(match[1], letters=match[2])
        if match := _NUMBER.fullmatch(text):
            return AnswerFormat("number", unit=match[1] or "")
        if match := _POINT.fullmatch(text):
            return AnswerFormat("point", size=(int(match[1]), int(match[2])))
        raise ValueError(
            "choose must be like 'any of ABCD', 'one of ABCD', 'order of ABCD', 'number in MB' or "
            f"'point in 640x480': got {text!r}."
        )

    def to_text(self) -> str:
        """The format as text: ``"any of ABCD"``."""
        if self.kind == "number":
            return f"number in {self.unit}" if self.unit else "number"
        if self.kind == "point":
            return f"point in {self.size[0]}x{self.size[1]}"
        return f"{self.kind} of {self.letters}"

    @property
    def example(self) -> str:
        """An example of an answer, to show where one is typed."""
        examples = {"number": "a number, e.g. 1,500", "point": "x, y, e.g. 120, 45"}
        if self.kind == "order":
            return f"letters in order, e.g. {self.letters[::-1]}"
        return examples.get(self.kind, "letters, e.g. AC")

    def parse(self, answer: object) -> str:
        """The answer as it is recorded: ``"AC"``, ``"196,608"``, ``"CABD"``, ``"120, 45"``; empty
        if it is blank. Idempotent.

        Raises:
            ValueError: for an invalid answer; the message tells the learner what to type instead.
        """
        if self.kind == "number":
            value = number_text.parse_number(answer, self.unit)
            return "" if value is None else number_text.to_text(value)
        if self.kind == "order":
            return _parse_order(answer, self.letters)
        if self.kind == "point":
            point = _parse_point(answer, self.size)
            return "" if point is None else ", ".join(f"{part:g}" for part in point)
        return scoring.parse(answer, self.letters, multiple=self.kind == "any")

    def is_readable(self, answer: str) -> bool:
        """Whether an answer that :meth:`parse` rejects has valid letters only, but too many or too
        few. Any other rejected answer is left to a person.
        """
        if self.kind == "order":
            answer = _STEP_SEPARATORS.sub("", answer)
        return bool(self.letters) and scoring.is_readable(answer, self.letters)

    def describe(self, recorded: str) -> str:
        """A recorded answer as the learner reads it; a number with its unit."""
        return f"{recorded} {self.unit}" if self.unit else recorded


@dataclass(frozen=True)
class Key:
    """The answer key of a question.

    ``right`` and ``wrong`` are letters; for an order ``right`` is the right order of all letters.
    For a number they are values, ``"196,608; 65,536"``, and for a point boxes,
    ``"10, 10, 90, 40; 5, 50, 20, 60"``; the wrong ones are those that the author explains.
    """

    format: AnswerFormat
    right: str
    wrong: str
    points: float
    tolerance: str = ""

    @staticmethod
    def make(right: str, wrong: str, points: float, choose: str = "", tolerance: str = "") -> "Key":
        """The key that a hidden test states. Without ``choose`` the question is a choice."""
        if choose:
            return Key(AnswerFormat.from_text(choose), right, wrong, points, tolerance)
        letters = "".join(sorted(right + wrong))
        return Key(AnswerFormat("any" if len(right) > 1 else "one", letters), right, wrong, points)

    def score(self, recorded: str) -> float:
        """Points for a recorded answer, between 0 and ``points``; 0 for a blank one."""
        if self.format.kind == "order":
            return self.points * order_share(recorded, self.right)
        if self.format.kind in ("number", "point"):
            return self.points if recorded and self.is_right(recorded) else 0.0
        return scoring.score(recorded, self.right, self.wrong, self.points)

    def grade(self, answer: object) -> float:
        """Points for a learner's answer as it was typed; 0 for an invalid one."""
        try:
            return self.score(self.format.parse(answer))
        except ValueError:
            return 0.0

    @property
    def values(self) -> list[str]:
        """The values of a number, or the boxes of a point: the right ones, then the wrong ones that
        the author explains.
        """
        return [text.strip() for text in f"{self.right};{self.wrong}".split(";") if text.strip()]

    @functools.cached_property
    def margins(self) -> list[tuple[Fraction, Fraction]]:
        """The values of a number, each with the largest accepted difference of an answer."""
        return list(_margins(self))

    def match(self, recorded: str) -> int | None:
        """The index in ``values`` of the value or box that an answer matches; None without one."""
        if self.format.kind == "point":
            x, y = (float(part) for part in recorded.split(","))
            boxes = [parse_box(text) for text in self.values]
            hits = [x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in boxes]
        else:
            typed = number_text.parse_number(recorded)
            if typed is None:
                return None
            hits = [abs(typed - value) <= margin for value, margin in self.margins]
        return hits.index(True) if True in hits else None

    def is_right(self, recorded: str) -> bool:
        """Whether a number or a point matches a right value or box."""
        index = self.match(recorded)
        return index is not None and index <= self.right.count(";")


@functools.lru_cache(maxsize=1024)
def _margins(key: Key) -> tuple[tuple[Fraction, Fraction], ...]:
    tolerance, relative = number_text.parse_tolerance(key.tolerance, key.right)
    pairs = []
    for text in key.values:
        value = number_text.parse_number(text, key.format.unit) or Fraction(0)
        margin = tolerance * abs(value) if relative else tolerance
        # to_text rounds a long fraction to 12 significant digits: the recorded number may differ.
        is_exact = Fraction(f"{float(value):.12g}") == value
        rounding = Fraction(0) if is_exact else Fraction(1, 10**11)
        pairs.append((value, margin + abs(value) * rounding))
    return tuple(pairs)


def order_share(recorded: str, right: str) -> float:
    """Kendall's tau, at least 0: max(0, 2 x fraction of pairs of steps in the right order - 1).

    A random order has half of its pairs right on average, which earns nothing. Kendall, "A New
    Measure of Rank Correlation", Biometrika 30 (1938), https://doi.org/10.1093/biomet/30.1-2.81.
    """
    if sorted(recorded) != sorted(right):
        return 0.0
    position = {letter: index for index, letter in enumerate(recorded)}
    pairs = [(a, b) for index, a in enumerate(right) for b in right[index + 1 :]]
    in_order = sum(position[a] < position[b] for a, b in pairs)
    return max(0.0, 2 * in_order / len(pairs) - 1)


def parse_box(text: str) -> Box:
    """A box ``"x0, y0, x1, y1"`` in pixels.

    Raises:
        ValueError: if the text is malformed, or the box has no area.
    """
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"a box is written 'x0, y0, x1, y1' in pixels, not {text!r}") from None
    if not (x0 < x1 and y0 < y1):
        raise ValueError(f"the box {text!r} has no area: write 'x0, y0, x1, y1' with x0 < x1")
    return x0, y0, x1, y1


def _parse_order(answer: object, letters: str) -> str:
    if not isinstance(answer, str):
        raise ValueError(
            f"the answer is {answer!r}, not text. Write letters between quotes: "
            f'answer = "{letters}"'
        )
    text = _STEP_SEPARATORS.sub("", unicodedata.normalize("NFKC", answer))
    scoring.parse(text, letters)  # rejects other characters with a suitable message
    typed = text.upper()
    if not typed:
        return ""
    twice = sorted({letter for letter in typed if typed.count(letter) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} occurs more than once: write each letter once.")
    missing = [letter for letter in letters if letter not in typed]
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing: write all {len(letters)} letters.")
    return typed


def _parse_point(answer: object, size: tuple[int, int]) -> tuple[float, float] | None:
    if not isinstance(answer, str):
        raise ValueError(
            f'the answer is {answer!r}, not text. Write x and y between quotes: answer = "120, 45"'
        )
    text = unicodedata.normalize("NFKC", answer[:60]).strip()
    if not text:
        return None
    match = _COORDINATES.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a point in the figure: write x and y in pixels, such as 120, 45."
        )
    x, y = float(match[1]), float(match[2])
    for name, value, length in (("x", x, size[0]), ("y", y, size[1])):
        if value >= length:
            raise ValueError(f"{name} = {value:g} is outside the figure: give 0 to {length - 1}.")
    return x, y
