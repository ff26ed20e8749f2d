"""The questions of lessons in the form that quizzes of other platforms need: HTML, pictures and the
credit of each option. ``questions_qti``, ``questions_moodle`` and ``questions_gift`` write it.
"""

import functools
import hashlib
import re
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from course_grading.assign.source import read_lesson
from course_grading.errors import ExportError
from course_lib.quiz.question import Question

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MAX_IDENTIFIER = 100  # characters of an ID number in Moodle; Canvas accepts 255
_MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
# what XML 1.0 cannot hold, not even escaped
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True)
class Picture:
    """A picture; its name is a hash of its content, so that equal pictures are stored once."""

    name: str
    media_type: str
    data: bytes


PictureLink = Callable[[Picture], str]  # what a format writes as the picture's ``src``


@dataclass(frozen=True)
class RichText:
    """HTML and the pictures that it shows. Formulas are LaTeX between ``\\(`` and ``\\)``, or
    ``\\[`` and ``\\]``, which the MathJax of Canvas and Moodle renders.
    """

    html: str
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class QuizOption:
    """An option; ``feedback`` is its explanation."""

    letter: str
    text: RichText
    feedback: RichText
    right: bool


@dataclass(frozen=True)
class QuizValue:
    """A value of a question for a number: the right one, or one that a misconception leads to.

    ``margin`` is how far an answer may be from it.
    """

    value: Fraction
    margin: Fraction
    feedback: RichText
    right: bool


@dataclass(frozen=True)
class QuizQuestion:
    """A question. ``identifier`` depends only on the names of lesson and question, so that a
    platform can recognise the question when it is imported again.

    ``kind`` is ``"choice"``, ``"number"`` or ``"order"``. A number has ``values``, the right one
    first; an order has its steps as ``options``, as they are shown, and ``sequence``, the letters
    in the right order.
    """

    identifier: str
    title: str
    points: float
    text: RichText
    options: tuple[QuizOption, ...]
    kind: str = "choice"
    values: tuple[QuizValue, ...] = ()
    sequence: str = ""

    @property
    def multiple(self) -> bool:
        """Whether several options are right."""
        return self.kind == "choice" and sum(option.right for option in self.options) > 1

    def credit(self, option: QuizOption) -> Fraction:
        """What ticking this option adds to the score, as a share of the points. The sum over the
        ticked options, but at least 0, is the course's own score (``course_lib.quiz.scoring``).
        """
        same_kind = sum(other.right == option.right for other in self.options)
        if option.right:
            return Fraction(1, same_kind)
        return Fraction(-1, same_kind) if self.multiple else Fraction(0)

    @property
    def pictures(self) -> dict[str, Picture]:
        """All pictures of the question by name."""
        texts = [self.text]
        for option in self.options:
            texts += [option.text, option.feedback]
        texts += [value.feedback for value in self.values]
        return {picture.name: picture for text in texts for picture in text.pictures}


@dataclass(frozen=True)
class Bank:
    """The questions of one lesson."""

    lesson: str
    title: str
    questions: tuple[QuizQuestion, ...]


@dataclass(frozen=True)
class Banks:
    """The banks of an export, and what the instructor should know about them."""

    banks: list[Bank]
    messages: list[str] = field(default_factory=list)


def read_banks(folder: Path, lessons: list[str], link: PictureLink) -> Banks:
    """Read the questions of these lessons, or of all in the folder if none is named.

    Args:
        folder: a folder of lesson sources, such as ``solutions/``.
        lessons: names ``NN_name``; empty for all.
        link: gives the ``src`` of a picture in the HTML.

    Raises:
        ExportError: if a lesson or a picture is missing, or there is no question.
        SourceError: for a mistake in a lesson's source.
    """
    paths = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.md"))}
    if not paths:
        raise ExportError(f"{folder} has no lesson NN_name.md: give the folder with --solutions")
    for lesson in lessons:
        if lesson not in paths:
            raise ExportError(f"{folder} has no lesson {lesson!r}. There are: {', '.join(paths)}")
    banks: list[Bank] = []
    messages: list[str] = []
    for name in sorted(set(lessons or paths)):
        bank = _read_bank(paths[name], link, messages)
        if bank.questions:
            banks.append(bank)
        else:
            messages.append(f"{name} has no questions")
    if not banks:
        raise ExportError("nothing was exported: there is no question in these lessons")
    return Banks(banks, messages)


def _read_bank(path: Path, link: PictureLink, messages: list[str]) -> Bank:
    lesson = read_lesson(path)
    questions = []
    for question in lesson.questions:
        if question.kind == "point":
            messages.append(
                f"{lesson.name}, question {question.name}: left out, because no format has a "
                "question for a place in a figure that Moodle and Canvas import: ask it there as "
                "a hotspot or drag-and-drop question"
            )
            continue
        renderer = _Renderer(f"{lesson.name}, question {question.name}", path.parent, link)
        questions.append(_convert(question, lesson.name, renderer))
        messages += renderer.messages
    return Bank(lesson.name, lesson.title, tuple(questions))


def _convert(question: Question, lesson: str, renderer: "_Renderer") -> QuizQuestion:
    options = tuple(
        QuizOption(
            letter,
            renderer.render_inline(option.text),
            renderer.render_inline(option.explanation),
            option.right,
        )
        for letter, option in zip(question.letters, question.options, strict=False)
    )
    text = question.text
    if question.kind == "number":
        unit = f" in {question.unit}, without the unit" if question.unit else ""
        text += f"\n\n(Answer with a number{unit}.)"
    if question.kind == "order":
        text += "\n\n(Give each step its place: 1 is the first one.)"
    return QuizQuestion(
        _make_identifier(lesson, question.name),
        question.name.replace("-", " ").capitalize(),
        question.points,
        renderer.render(text),
        options,
        kind=question.kind,
        values=_convert_values(question, renderer),
        sequence=question.sequence,
    )


def _convert_values(question: Question, renderer: "_Renderer") -> tuple[QuizValue, ...]:
    """The values of a question for a number; none for other kinds."""
    if question.kind != "number":
        return ()
    ordered = sorted(question.options, key=lambda option: not option.right)  # as in the key
    return tuple(
        QuizValue(value, margin, renderer.render_inline(option.explanation), option.right)
        for (value, margin), option in zip(question.key.margins, ordered, strict=True)
    )


def decimal(value: Fraction) -> str:
    """A number as a decimal that every platform reads: no thousands, no exponent."""
    text = f"{float(value):.15g}"
    return format(Decimal(text), "f") if "e" in text else text


def ordered_steps(question: QuizQuestion) -> RichText:
    """The steps of an order in the right order, with why each stands there."""
    by_letter = {option.letter: option for option in question.options}
    steps = [by_letter[letter] for letter in question.sequence]
    rows = "".join(f"<li>{step.text.html}: {step.feedback.html}</li>" for step in steps)
    pictures = [p for step in steps for text in (step.text, step.feedback) for p in text.pictures]
    return RichText(f"<ol>{rows}</ol>", tuple(pictures))


def differing_orders(question: QuizQuestion, where: str) -> list[str]:
    """A message on an order: other platforms count places, not pairs."""
    if question.kind != "order":
        return []
    return [
        f"{question.identifier}: {where} has it as a matching question, which gives credit for "
        "each step at its place; the course counts pairs of steps in the right order"
    ]


def _make_identifier(lesson: str, name: str) -> str:
    """An identifier that begins with a letter, as XML ids must; an over-long one ends in a hash."""
    identifier = f"question-{lesson}-{name}"
    if len(identifier) <= MAX_IDENTIFIER:
        return identifier
    digest = hashlib.sha256(identifier.encode()).hexdigest()[:16]
    return f"{identifier[: MAX_IDENTIFIER - 17]}-{digest}"


class _Renderer:
    """Renders the Markdown of one question and collects its pictures.

    Args:
        where: lesson and question, for messages.
        folder: the folder that paths of pictures are relative to.
    """

    def __init__(self, where: str, folder: Path, link: PictureLink):
        self.where = where
        self.folder = folder
        self.link = link
        self.messages: list[str] = []

    def render(self, text: str) -> RichText:
        """HTML of paragraphs, lists and other blocks."""
        return self._finish(_markdown().parse(text))

    def render_inline(self, text: str) -> RichText:
        """HTML of a line, without a paragraph around it."""
        return self._finish(_markdown().parseInline(text))

    def _finish(self, tokens: list["Token"]) -> RichText:
        pictures = []
        for token in _walk(tokens):
            if token.type == "image":
                if not token.content.strip():
                    self.messages.append(
                        f"{self.where}: a picture has no text for those who can't see it: "
                        "write ![text](path)"
                    )
                picture = self._read_picture(str(token.attrs["src"]))
                if picture:
                    token.attrs["src"] = self.link(picture)
                    pictures.append(picture)
        markdown = _markdown()
        html = markdown.renderer.render(tokens, markdown.options, {})
        if character := _NOT_IN_XML.search(html):
            raise ExportError(
                f"{self.where}: the text holds the control character {character[0]!r}, which no "
                "platform accepts: delete it"
            )
        return RichText(html.strip(), tuple(pictures))

    def _read_picture(self, source: str) -> Picture | None:
        """The picture; None for one on the web, which stays there."""
        if re.match(r"(https?:)?//", source):
            self.messages.append(f"{self.where}: the picture {source} stays on the web")
            return None
        try:
            data, media_type = self._read_source(source)
        except OSError as error:
            raise ExportError(
                f"{self.where}: the picture {source} can't be read ({error.strerror}): its path is "
                f"relative to {self.folder}"
            ) from error
        except ValueError as error:
            raise ExportError(
                f"{self.where}: the picture {source[:60]} can't be read ({error}): correct it"
            ) from error
        suffixes = [suffix for suffix, known in _MEDIA_TYPES.items() if known == media_type]
        if not suffixes:
            raise ExportError(
                f"{self.where}: the picture {source[:60]} is of a kind that browsers don't show: "
                f"use one of {', '.join(_MEDIA_TYPES)}"
            )
        digest = hashlib.sha256(data).hexdigest()[:16]
        return Picture(f"{digest}{suffixes[0]}", media_type, data)

    def _read_source(self, source: str) -> tuple[bytes, str]:
        """A picture's bytes and media type, which is empty for an unknown kind of file."""
        if source.startswith("data:"):
            with urllib.request.urlopen(source) as response:
                return response.read(), response.headers.get_content_type()
        path = self.folder / unquote(source)
        return path.read_bytes(), _MEDIA_TYPES.get(path.suffix.lower(), "")


@functools.cache
def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    # As in course_lib.quiz.question_bank: an author's HTML is shown, never interpreted.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    # "$5 and $6" are prices: a formula begins and ends without a space, and beside no digit.
    markdown.use(
        dollarmath_plugin,
        allow_labels=False,
        allow_space=False,
        allow_digits=False,
        double_inline=True,
        renderer=_delimit_formula,
    )
    accept = markdown.validateLink
    # markdown-it accepts embedded pictures of every usual kind except SVG.
    markdown.validateLink = lambda url: url.startswith("data:image/svg+xml") or accept(url)  # type: ignore[method-assign]
    return markdown


def _delimit_formula(latex: str, settings: dict) -> str:
    from markdown_it.common.utils import escapeHtml

    left, right = (r"\[", r"\]") if settings["display_mode"] else (r"\(", r"\)")
    return f"{left}{escapeHtml(latex)}{right}"


def _walk(tokens: list["Token"]) -> Iterator["Token"]:
    for token in tokens:
        yield token
        yield from _walk(token.children or [])
