"""Question banks for self-study: ``bank/NN_name.json`` with options, answer keys and explanations.

The keys are salted hashes and the explanations are base64, only so that a glance at the file
reveals nothing. They are not secret: the right letters are found by hashing each letter, as
``PackedQuestion.right`` does. A classroom release never reads a bank.
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
    """A question as stored in a bank: option texts as HTML, in the order A, B, C...

    ``kind`` is ``"any"`` (select all that apply) or ``"one"`` (single choice).
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
        """The letters of the right options, sorted; found by hashing each letter."""
        return "".join(
            letter for letter in self.letters if _digest(self.salt, letter) in self.digests
        )

    @property
    def wrong(self) -> str:
        """The letters of the wrong options, sorted."""
        return "".join(letter for letter in self.letters if letter not in self.right)

    @property
    def explanations(self) -> list[str]:
        """One explanation per option, as HTML."""
        return json.loads(base64.b64decode(self.explanations_encoded))


def pack(lesson: str, questions: list[Question]) -> str:
    """A lesson's question bank as JSON text. The same questions always give the same text.

    Explanations are not compressed, because zlib's output depends on its implementation, and banks
    must be reproducible byte for byte.

    Raises:
        ValueError: if two questions have the same name, or for a malformed lesson name.
        ModuleNotFoundError: without markdown-it-py, which only the build needs.
    """
    from markdown_it import MarkdownIt

    _check_lesson_name(lesson)
    # No raw HTML: an author's text is displayed, never executed.
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
                # sorted, so that the order does not reveal the letters
                digests=sorted(_digest(salt, letter) for letter in question.right),
                explanations_encoded=base64.b64encode(explanations.encode()).decode(),
                salt=salt,
            )
        )
    return json.dumps(packed, indent=1, ensure_ascii=False) + "\n"


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
