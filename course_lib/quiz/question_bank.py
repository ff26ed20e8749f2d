"""What self-study needs beside a notebook: ``bank/NN_name.json`` with options, keys and
explanations.

The keys are salted digests and the explanations are encoded: *not in plain sight*, so that a
glance at the file spoils nothing. They are not secret: four options are tried in a moment, and
``PackedQuestion.right`` does just that. A classroom release never opens a bank.
"""

import base64
import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from course_lib.quiz.question import Question
from course_lib.quiz.scoring import LETTERS

_LESSON = re.compile(r"[0-9]{2}_[a-z0-9_]+")

FOLDER = Path(__file__).with_name("bank")


@dataclass(frozen=True)
class PackedQuestion:
    """A question as a bank holds it: option texts as HTML, in the order A, B, C...

    ``kind`` is ``"any"`` (tick all that are right) or ``"one"`` (choose one).
    """

    kind: str
    points: float
    options: list[str]
    digests: list[str]
    explanations_encoded: str
    salt: str

    @property
    def letters(self) -> str:
        """The letters of all options, ``"ABCD"`` for four."""
        return LETTERS[: len(self.options)]

    @property
    def right(self) -> str:
        """The letters of the right options, sorted, found by trying each."""
        return "".join(
            letter for letter in self.letters if _digest(self.salt, letter) in self.digests
        )

    @property
    def wrong(self) -> str:
        """The letters of the wrong options, sorted."""
        return "".join(letter for letter in self.letters if letter not in self.right)

    @property
    def explanations(self) -> list[str]:
        """One explanation an option, as HTML."""
        return json.loads(base64.b64decode(self.explanations_encoded))


def pack(lesson: str, questions: list[Question]) -> str:
    """The text of a lesson's bank (JSON). The same questions always give the same text.

    Explanations are base64 without compression: zlib's output differs between its implementations,
    and a bank must be byte-equal wherever it is built.

    Raises:
        ValueError: if two questions share a name, or the lesson is not called like ``01_pixels``.
        ModuleNotFoundError: without markdown-it-py, which only the build needs.
    """
    from markdown_it import MarkdownIt

    _check(lesson)
    # No raw HTML: what an author writes is shown, never executed.
    render = MarkdownIt("commonmark", {"html": False}).renderInline
    packed: dict[str, dict] = {}
    for question in questions:
        if question.name in packed:
            raise ValueError(
                f"Lesson {lesson} has two questions named {question.name!r}: rename one."
            )
        salt = f"{lesson}/{question.name}"
        explanations = json.dumps(
            [render(option.explanation.strip()) for option in question.options]
        )
        packed[question.name] = asdict(
            PackedQuestion(
                kind="any" if question.multiple else "one",
                points=question.points,
                options=[render(option.text.strip()) for option in question.options],
                # Sorted, so that their order says nothing about the letters.
                digests=sorted(_digest(salt, letter) for letter in question.right),
                explanations_encoded=base64.b64encode(explanations.encode()).decode(),
                salt=salt,
            )
        )
    return json.dumps(packed, indent=1, ensure_ascii=False) + "\n"


def load(lesson: str, folder: Path | None = None) -> dict[str, PackedQuestion]:
    """A lesson's questions by name, from ``folder``, else ``$COURSE_BANK``, else the course's own
    banks.

    Raises:
        ValueError: if the lesson is not called like ``01_pixels``.
        FileNotFoundError: if there is no such bank; the message says how to get it.
    """
    _check(lesson)
    folder = folder or Path(os.environ.get("COURSE_BANK") or FOLDER)
    path = folder / f"{lesson}.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"Lesson {lesson} has no questions in {folder}. Build them with `course build`, or reinstall the course."
        )
    packed = json.loads(path.read_text(encoding="utf-8"))
    return {name: PackedQuestion(**fields) for name, fields in packed.items()}


def _digest(salt: str, letter: str) -> str:
    return hashlib.sha256(f"{salt}/{letter}".encode()).hexdigest()[:16]


def _check(lesson: str) -> None:
    if not _LESSON.fullmatch(lesson):
        raise ValueError(
            f"A lesson has its file's name, such as '01_why_not_fully_connected': got {lesson!r}."
        )
