"""Question banks for self-study: ``bank/NN_name.json`` with options, answer keys and explanations.

The keys are salted hashes and the explanations are base64, only so that a glance at the file
reveals nothing. They are not secret: the right letters are found by hashing each letter, as
``PackedQuestion.right`` does. A classroom release never reads a bank.
"""

import base64
import functools
import hashlib
import html
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.quiz.answers import AnswerFormat, Key
from course_lib.quiz.question import Question
from course_lib.quiz.scoring import LETTERS

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_LESSON = re.compile(r"[0-9]{2}_[a-z0-9_]+")

FOLDER = Path(__file__).with_name("bank")


@dataclass(frozen=True)
class PackedQuestion:
    """A question as stored in a bank: texts of options or steps as HTML, in the order A, B, C...

    ``kind`` is ``"any"`` (select all that apply), ``"one"`` (single choice), ``"number"``,
    ``"order"`` or ``"point"``. The last three have their format in ``choose``, their key in
    ``key_encoded`` (base64), and a point its ``figure`` (a PNG in base64) and ``alt`` text.
    """

    kind: str
    points: float
    options: list[str]
    digests: list[str]
    explanations_encoded: str
    salt: str
    choose: str = ""
    key_encoded: str = ""
    figure: str = ""
    alt: str = ""

    @property
    def letters(self) -> str:
        """The letters of all options or steps, ``"ABCD"`` for four."""
        return LETTERS[: len(self.options)]

    @property
    def format(self) -> AnswerFormat:
        """The format of an answer."""
        return AnswerFormat.from_text(self.choose or f"{self.kind} of {self.letters}")

    @property
    def key(self) -> Key:
        """The answer key."""
        tolerance = self._key.get("tolerance", "")
        return Key(self.format, self.right, self.wrong, self.points, tolerance)

    @property
    def _key(self) -> dict[str, str]:
        return json.loads(base64.b64decode(self.key_encoded)) if self.key_encoded else {}

    @property
    def right(self) -> str:
        """The letters of the right options, sorted, found by hashing each letter; for other kinds
        as in :class:`Key`.
        """
        if self.key_encoded:
            return self._key["right"]
        return "".join(
            letter for letter in self.letters if _digest(self.salt, letter) in self.digests
        )

    @property
    def wrong(self) -> str:
        """The letters of the wrong options, sorted; for other kinds as in :class:`Key`."""
        if self.key_encoded:
            return self._key["wrong"]
        return "".join(letter for letter in self.letters if letter not in self.right)

    @property
    def explanations(self) -> list[str]:
        """One explanation per option or step, as HTML; for a number or a point, one for each of the
        key's ``values``.
        """
        return json.loads(base64.b64decode(self.explanations_encoded))


def pack(lesson: str, questions: list[Question]) -> str:
    """A lesson's question bank as JSON text. The same questions always give the same text.

    Explanations are not compressed, because zlib's output depends on its implementation, and banks
    must be reproducible byte for byte.

    Raises:
        ValueError: if two questions have the same name, or for a malformed lesson name.
        ModuleNotFoundError: without markdown-it-py, which only the build needs.
    """
    _check_lesson_name(lesson)
    packed: dict[str, dict] = {}
    for question in questions:
        if question.name in packed:
            raise ValueError(
                f"Lesson {lesson} has two questions named {question.name!r}: rename one."
            )
        fields = asdict(_pack(question, f"{lesson}/{question.name}"))
        for name in ("choose", "key_encoded", "figure", "alt"):
            if not fields[name]:
                del fields[name]
        packed[question.name] = fields
    return json.dumps(packed, indent=1, ensure_ascii=False) + "\n"


def _pack(question: Question, salt: str) -> PackedQuestion:
    render = _markdown().renderInline
    options = question.options
    if question.kind in ("number", "point"):  # in the order of the key's values
        options = sorted(options, key=lambda option: not option.right)
    explanations = json.dumps([render(option.explanation.strip()) for option in options])
    packed = PackedQuestion(
        kind=question.answer_format.kind,
        points=question.points,
        options=[render(option.text.strip()) for option in options if question.letters],
        digests=[],
        explanations_encoded=_encode(explanations),
        salt=salt,
    )
    if question.kind == "choice":
        # sorted, so that the order does not reveal the letters
        digests = sorted(_digest(salt, letter) for letter in question.right)
        return replace(packed, digests=digests)
    key = question.key
    fields = {"right": key.right, "wrong": key.wrong, "tolerance": key.tolerance}
    figure = question.figure
    return replace(
        packed,
        choose=key.format.to_text(),
        key_encoded=_encode(json.dumps(fields)),
        figure=base64.b64encode(figure.png).decode() if figure else "",
        alt=figure.alt if figure else "",
    )


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@functools.cache
def _markdown() -> "MarkdownIt":
    """A renderer for the authors' Markdown; formulas get MathJax's default inline delimiters."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    # No raw HTML: an author's text is displayed, never executed.
    markdown = MarkdownIt("commonmark", {"html": False})
    # "$5 and $6" are prices: no space inside a formula's delimiters, and no digit next to them.
    markdown.use(
        dollarmath_plugin, allow_space=False, allow_digits=False, renderer=_delimit_formula
    )
    return markdown


def _delimit_formula(latex: str, settings: dict) -> str:
    return rf"\({html.escape(latex, quote=False)}\)"


def load(lesson: str, folder: Path | None = None) -> dict[str, PackedQuestion]:
    """A lesson's questions by name, from ``folder``, ``$COURSE_BANK``, or the course's own banks.

    Raises:
        ValueError: for a malformed lesson name.
        FileNotFoundError: if the lesson has no bank.
    """
    _check_lesson_name(lesson)
    folder = folder or Path(os.environ.get("COURSE_BANK") or FOLDER)
    path = folder / f"{lesson}.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"Lesson {lesson} has no question bank in {folder}. "
            "Build it with `course build`, or reinstall the course."
        )
    packed = json.loads(path.read_text(encoding="utf-8"))
    return {name: PackedQuestion(**fields) for name, fields in packed.items()}


def _digest(salt: str, letter: str) -> str:
    return hashlib.sha256(f"{salt}/{letter}".encode()).hexdigest()[:16]


def _check_lesson_name(lesson: str) -> None:
    if not _LESSON.fullmatch(lesson):
        raise ValueError(
            f"Give the lesson's file name, such as '01_why_not_fully_connected': got {lesson!r}."
        )
