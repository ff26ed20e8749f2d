"""The glossary, ``docs/glossary.md``: its terms, where lessons use them, and links to them.

The document is the source, in plain Markdown, so that GitHub, JupyterLab and the website can show
it. Each term is a heading, which gives it an address, ``docs/glossary.md#feature-map``; below it
are one or two sentences, and a line with other forms of the word and its first lesson.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from course_grading.errors import BuildError

PATH = "docs/glossary.md"
_ENTRY = re.compile(
    r"^## (?P<name>.+)\n\n(?P<text>[^#\n][^\n]*)\n\n"
    r"(?:Also: (?P<forms>[^\n]+?)\. )?"
    r"(?P<first>First in \[lesson (?P<number>\d)\]\(\.\./notebooks/(?P<lesson>\w+)\.ipynb\)\.)$",
    re.MULTILINE,
)
_LINK = re.compile(
    r"\[(?P<text>[^\]\n]+)\]\((?P<path>(?:\.\./)?docs/glossary\.md)#(?P<slug>[^)\s]*)"
    r'(?: "[^"\n]*")?\)'
)
_FENCE = re.compile(r"(?P<fence>`{3,})(?P<what>.*)")
_SOURCES = re.compile(r"^## Sources$.*", re.MULTILINE | re.DOTALL)
_NO_PROSE = re.compile(
    r"\A---\n.*?^---$|`[^`\n]*`|\$[^$]*\$|\]\([^)\n]*\)|https?://\S+", re.M | re.S
)


@dataclass(frozen=True)
class Term:
    """A term. ``forms`` are other words for it, such as plurals and abbreviations; ``text`` is its
    definition, plain text with ``*emphasis*`` at most; ``lesson`` names the first that uses it.
    """

    name: str
    text: str
    lesson: str
    forms: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """Its anchor, made of the name as GitHub makes it of a heading."""
        return re.sub(r"[^\w\- ]", "", self.name.lower()).replace(" ", "-")

    @property
    def definition(self) -> str:
        """The definition as plain text."""
        return self.text.replace("*", "")

    def search(self, prose: str) -> re.Match | None:
        """The first place in a text where the term or one of its forms stands as a word."""
        forms = sorted((self.name, *self.forms), key=len, reverse=True)
        words = "|".join(_pattern(form) for form in forms)
        return re.search(rf"(?<![\w-])(?:{words})(?![\w-])", prose)


@dataclass(frozen=True)
class Place:
    """Where a lesson uses a term: its name, the section, and the line of the source."""

    lesson: str
    section: str
    line: int
    words: str


def read(path: Path) -> dict[str, Term]:
    """The terms of the glossary by slug, in its order.

    Raises:
        BuildError: if an entry does not have the form that CONTRIBUTING.md describes, or two terms
            have the same address.
    """
    text = path.read_text(encoding="utf-8")
    terms: dict[str, Term] = {}
    for match in _ENTRY.finditer(text):
        term = _parse(match)
        if term.slug in terms:
            raise BuildError(f"{path.name} has two terms with the address #{term.slug}")
        terms[term.slug] = term
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    wrong = [name for name in headings if name.strip() not in {t.name for t in terms.values()}]
    if wrong:
        raise BuildError(
            f"{path.name}: the entry {wrong[0]!r} needs a heading, a paragraph, and a line "
            '"First in [lesson N](../notebooks/NN_name.ipynb)."'
        )
    return terms


def read_sources(folder: Path) -> dict[str, str]:
    """The sources of all lessons in a folder, by name and in their order."""
    paths = sorted(folder.glob("[0-9][0-9]_*.md"))
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


def prose(source: str) -> str:
    """A lesson's text without code, questions, formulas, addresses and its list of sources, on as
    many lines as the source has. A question uses terms that the text above it has introduced.
    """
    rows, fence = [], ""
    for row in source.split("\n"):
        match = _FENCE.match(row)
        if match and not fence:
            fence, row = match["fence"], ""
        elif match and match["fence"] == fence and not match["what"].strip():
            fence, row = "", ""
        rows.append("" if fence else row)
    text = "\n".join(rows)
    for pattern in (_SOURCES, _NO_PROSE):
        text = pattern.sub(lambda match: "\n" * match[0].count("\n"), text)
    return text


def first_place(term: Term, sources: Mapping[str, str]) -> Place | None:
    """Where a term stands first; None if no lesson uses it.

    Args:
        term: the term.
        sources: the lessons' sources by name, in their order.
    """
    for lesson, source in sources.items():
        text = prose(source)
        if match := term.search(text):
            end = text.find("\n", match.end())
            above = re.findall(r"^#{1,4} +(.+)$", text[:end], re.MULTILINE)
            line = text.count("\n", 0, match.start()) + 1
            return Place(lesson, above[-1] if above else "", line, match[0])
    return None


def links(markdown: str) -> Iterator[tuple[str, str]]:
    """The links of a text to the glossary: their words and the slug of the term."""
    for match in _LINK.finditer(markdown):
        yield match["text"], match["slug"]


def unlinked(lesson: str, source: str, terms: Mapping[str, Term]) -> list[Term]:
    """The terms that stand first in this lesson and that it does not link."""
    linked = {slug for _, slug in links(source)}
    return [term for slug, term in terms.items() if term.lesson == lesson and slug not in linked]


@functools.cache
def read_beside(solutions: Path) -> Mapping[str, Term]:
    """The terms of the course whose lessons are in the folder ``solutions``; none if it has no
    glossary, such as a private copy of the lessons.
    """
    path = solutions.parent / PATH
    return read(path) if path.is_file() else {}


def add_definitions(markdown: str, terms: Mapping[str, Term]) -> str:
    """A text whose links to the glossary have the definition as their title, which notebooks and
    web pages show when the pointer is on the link. Without terms it stays as it is.

    Raises:
        BuildError: for a link to a term that the glossary does not have.
    """

    def add(match: re.Match) -> str:
        if match["slug"] not in terms:
            raise BuildError(f"the glossary has no term #{match['slug']}: see {PATH}")
        title = terms[match["slug"]].definition.replace('"', "'")
        return f'[{match["text"]}]({match["path"]}#{match["slug"]} "{title}")'

    return _LINK.sub(add, markdown) if terms else markdown


def with_first_lessons(text: str, sources: Mapping[str, str]) -> str:
    """The glossary with the line about the first lesson of every term brought up to date.

    Args:
        text: the document.
        sources: the lessons' sources by name, in their order.
    """

    def update(match: re.Match) -> str:
        place = first_place(_parse(match), sources)
        if place is None:
            return match[0]
        return match[0].replace(match["first"], first_line(place.lesson))

    return _ENTRY.sub(update, text)


def first_line(lesson: str) -> str:
    """The sentence of an entry that names a term's first lesson."""
    return f"First in [lesson {int(lesson[:2])}](../notebooks/{lesson}.ipynb)."


def _parse(match: re.Match) -> Term:
    forms = tuple(form.strip() for form in (match["forms"] or "").split(",") if form.strip())
    return Term(match["name"].strip(), match["text"].strip(), match["lesson"], forms)


def _pattern(form: str) -> str:
    """A form of a term as a regular expression; its first letter may be a capital."""
    first, rest = re.escape(form[0]), re.escape(form[1:]).replace(r"\ ", r"\s+")
    either = f"[{form[0]}{form[0].upper()}]" if form[0].isalpha() and form[0].islower() else first
    return either + rest
