"""Convert the questions of lessons for quizzes of other platforms: HTML, images and the credit of
each option. ``questions_qti``, ``questions_moodle`` and ``questions_gift`` write the files.
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
# characters that XML 1.0 does not allow, not even escaped
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True)
class Image:
    """An image. Its name is a hash of its content, so that equal images are stored once."""

    name: str
    media_type: str
    data: bytes


ImageLink = Callable[[Image], str]  # the ``src`` of an image in a format


@dataclass(frozen=True)
class RichText:
    """HTML with its images. Formulas are LaTeX between ``\\(`` and ``\\)``, or
    ``\\[`` and ``\\]``, which the MathJax of Canvas and Moodle renders.
    """

    html: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True)
class QuizOption:
    """An option; ``feedback`` is its explanation."""

    letter: str
    text: RichText
    feedback: RichText
    right: bool


@dataclass(frozen=True)
class QuizValue:
    """A value of a numerical question: the right one, or the result of a misconception.

    ``margin`` is the absolute tolerance.
    """

    value: Fraction
    margin: Fraction
    feedback: RichText
    right: bool


@dataclass(frozen=True)
class QuizQuestion:
    """A question. ``identifier`` depends only on the names of lesson and question, so that a
    platform recognises the question when it is imported again.

    ``kind`` is ``"choice"``, ``"number"`` or ``"order"``. A numerical question has ``values``, the
    right one first. An ordering question has its steps as ``options``, in the order shown, and
    ``sequence``, their letters in the right order.
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
        """The credit for ticking this option, as a fraction of the points. The sum over the ticked
        options, but at least 0, is the course's score (``course_lib.quiz.scoring``).
        """
        same_kind = sum(other.right == option.right for other in self.options)
        if option.right:
            return Fraction(1, same_kind)
        return Fraction(-1, same_kind) if self.multiple else Fraction(0)

    @property
    def images(self) -> dict[str, Image]:
        """All images of the question by name."""
        texts = [self.text]
        for option in self.options:
            texts += [option.text, option.feedback]
        texts += [value.feedback for value in self.values]
        return {image.name: image for text in texts for image in text.images}


@dataclass(frozen=True)
class Bank:
    """The questions of one lesson."""

    lesson: str
    title: str
    questions: tuple[QuizQuestion, ...]


@dataclass(frozen=True)
class Banks:
    """The question banks of an export, and messages for the instructor."""

    banks: list[Bank]
    messages: list[str] = field(default_factory=list)


def read_banks(folder: Path, lessons: list[str], link: ImageLink) -> Banks:
    """Read the questions of these lessons, or of all lessons in the folder if none is named.

    Args:
        folder: a folder of lesson sources, such as ``solutions/``.
        lessons: names ``NN_name``; empty for all.
        link: returns the ``src`` of an image in the HTML.

    Raises:
        ExportError: if a lesson or an image is missing, or there are no questions.
        SourceError: for a mistake in a lesson's source.
    """
    paths = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.md"))}
    if not paths:
        raise ExportError(f"{folder} has no lesson NN_name.md: give the folder with --solutions")
    for lesson in lessons:
        if lesson not in paths:
            raise ExportError(f"{folder} has no lesson {lesson!r}. Its lessons: {', '.join(paths)}")
    banks: list[Bank] = []
    messages: list[str] = []
    for name in sorted(set(lessons or paths)):
        bank = _read_bank(paths[name], link, messages)
        if bank.questions:
            banks.append(bank)
        else:
            messages.append(f"{name} has no questions")
    if not banks:
        raise ExportError("nothing was exported: these lessons have no questions")
    return Banks(banks, messages)


def _read_bank(path: Path, link: ImageLink, messages: list[str]) -> Bank:
    lesson = read_lesson(path)
    questions = []
    for question in lesson.questions:
        if question.kind == "point":
            messages.append(
                f"{lesson.name}, question {question.name}: left out, because Moodle and Canvas "
                "import hotspot questions from none of these formats: create it there as a "
                "hotspot or drag-and-drop question"
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
        text += "\n\n(Number the steps in the right order: 1 is the first.)"
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
    """The values of a numerical question; none for other kinds."""
    if question.kind != "number":
        return ()
    ordered = sorted(question.options, key=lambda option: not option.right)  # as in the key
    return tuple(
        QuizValue(value, margin, renderer.render_inline(option.explanation), option.right)
        for (value, margin), option in zip(question.key.margins, ordered, strict=True)
    )


def decimal(value: Fraction) -> str:
    """A number in decimal notation that every platform reads: no separators, no exponent."""
    text = f"{float(value):.15g}"
    return format(Decimal(text), "f") if "e" in text else text


def ordered_steps(question: QuizQuestion) -> RichText:
    """The steps of an ordering question in the right order, with their explanations."""
    by_letter = {option.letter: option for option in question.options}
    steps = [by_letter[letter] for letter in question.sequence]
    items = "".join(f"<li>{step.text.html}: {step.feedback.html}</li>" for step in steps)
    images = [p for step in steps for text in (step.text, step.feedback) for p in text.images]
    return RichText(f"<ol>{items}</ol>", tuple(images))


def differing_orders(question: QuizQuestion, platform: str) -> list[str]:
    """A message on an ordering question, whose partial credit differs on other platforms."""
    if question.kind != "order":
        return []
    return [
        f"{question.identifier}: in {platform} it is a matching question, which gives credit for "
        "each step in its place; the course gives credit for pairs of steps in the right order"
    ]


def _make_identifier(lesson: str, name: str) -> str:
    """An identifier, with a letter first, as XML requires; long ones end in a hash."""
    identifier = f"question-{lesson}-{name}"
    if len(identifier) <= MAX_IDENTIFIER:
        return identifier
    digest = hashlib.sha256(identifier.encode()).hexdigest()[:16]
    return f"{identifier[: MAX_IDENTIFIER - 17]}-{digest}"


class _Renderer:
    """Renders the Markdown of one question and collects its images.

    Args:
        where: lesson and question, for messages.
        folder: the folder to which paths of images are relative.
        link: returns the ``src`` of an image.
    """

    def __init__(self, where: str, folder: Path, link: ImageLink):
        self.where = where
        self.folder = folder
        self.link = link
        self.messages: list[str] = []

    def render(self, text: str) -> RichText:
        """Render blocks, such as paragraphs and lists."""
        return self._finish(_markdown().parse(text))

    def render_inline(self, text: str) -> RichText:
        """Render a line, without a paragraph around it."""
        return self._finish(_markdown().parseInline(text))

    def _finish(self, tokens: list["Token"]) -> RichText:
        images = []
        for token in _walk(tokens):
            if token.type == "image":
                if not token.content.strip():
                    self.messages.append(
                        f"{self.where}: an image has no alt text: write ![alt text](path)"
                    )
                image = self._read_image(str(token.attrs["src"]))
                if image:
                    token.attrs["src"] = self.link(image)
                    images.append(image)
        markdown = _markdown()
        html = markdown.renderer.render(tokens, markdown.options, {})
        if character := _NOT_IN_XML.search(html):
            raise ExportError(
                f"{self.where}: the text contains the control character {character[0]!r}, which no "
                "platform accepts: delete it"
            )
        return RichText(html.strip(), tuple(images))

    def _read_image(self, source: str) -> Image | None:
        """Read an image; None for a URL, which is kept as it is."""
        if re.match(r"(https?:)?//", source):
            self.messages.append(f"{self.where}: the image {source} is linked, not included")
            return None
        try:
            data, media_type = self._read_source(source)
        except OSError as error:
            raise ExportError(
                f"{self.where}: the image {source} can't be read ({error.strerror}): its path is "
                f"relative to {self.folder}"
            ) from error
        except ValueError as error:
            raise ExportError(
                f"{self.where}: the image {source[:60]} can't be read ({error}): correct its URL"
            ) from error
        suffixes = [suffix for suffix, known in _MEDIA_TYPES.items() if known == media_type]
        if not suffixes:
            raise ExportError(
                f"{self.where}: the image {source[:60]} has a format that no browser shows: "
                f"use one of {', '.join(_MEDIA_TYPES)}"
            )
        digest = hashlib.sha256(data).hexdigest()[:16]
        return Image(f"{digest}{suffixes[0]}", media_type, data)

    def _read_source(self, source: str) -> tuple[bytes, str]:
        """An image's bytes and media type, which is empty for an unknown file format."""
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
    # "$5 and $6" are prices: a formula does not begin or end with a space or next to a digit.
    markdown.use(
        dollarmath_plugin,
        allow_labels=False,
        allow_space=False,
        allow_digits=False,
        double_inline=True,
        renderer=_delimit_formula,
    )
    accept = markdown.validateLink
    # markdown-it accepts data URIs of the usual image formats except SVG.
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
