"""The glossary, ``docs/glossary.md``: its terms, where lessons use them, and links to them.

The document is the source, in plain Markdown, so that GitHub, JupyterLab and the website can show
it. Each term is a heading, which gives it an anchor, ``docs/glossary.md#feature-map``. Below it are
one or two sentences, and a line with other forms of the word and its first lesson.
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
_FENCE = re.compile(r"(?P<fence>`{3,})(?P<info>.*)")
_SOURCES = re.compile(r"^## Sources$.*", re.MULTILINE | re.DOTALL)
_NON_PROSE = re.compile(
    r"\A---\n.*?^---$|`[^`\n]*`|\$[^$]*\$|\]\([^)\n]*\)|https?://\S+", re.M | re.S
)


@dataclass(frozen=True)
class Term:
    """A term. ``forms`` are other words for it, such as plurals and abbreviations; ``text`` is its
    definition in Markdown, with ``*emphasis*`` only; ``lesson`` is the first lesson that uses it.
    """

    name: str
    text: str
    lesson: str
    forms: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """Its anchor, as GitHub derives it from the heading."""
        return re.sub(r"[^\w\- ]", "", self.name.lower()).replace(" ", "-")

    @property
    def definition(self) -> str:
        """The definition as plain text."""
        return self.text.replace("*", "")

    def search(self, prose: str) -> re.Match | None:
        """The first whole-word match of the term or one of its forms."""
        forms = sorted((self.name, *self.forms), key=len, reverse=True)
        words = "|".join(_pattern(form) for form in forms)
        return re.search(rf"(?<![\w-])(?:{words})(?![\w-])", prose)


@dataclass(frozen=True)
class Place:
    """Where a lesson uses a term: the lesson's name, the section, the line number in the source,
    and the form of the term (``words``).
    """

    lesson: str
    section: str
    line: int
    words: str


def read(path: Path) -> dict[str, Term]:
    """The terms of the glossary by slug, in its order.

    Raises:
        BuildError: if an entry does not have the form that CONTRIBUTING.md describes, or two terms
            have the same anchor.
    """
    text = path.read_text(encoding="utf-8")
    terms: dict[str, Term] = {}
    for match in _ENTRY.finditer(text):
        term = _parse(match)
        if term.slug in terms:
            raise BuildError(f"{path.name} has two terms with the anchor #{term.slug}: rename one")
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
    """A lesson's text without code, questions, formulas, URLs and the list of sources, with the
    line numbers of the source. Questions only use terms that the text above has introduced.
    """
    lines, fence = [], ""
    for line in source.split("\n"):
        match = _FENCE.match(line)
        if match and not fence:
            fence, line = match["fence"], ""
        elif match and match["fence"] == fence and not match["info"].strip():
            fence, line = "", ""
        lines.append("" if fence else line)
    text = "\n".join(lines)
    for pattern in (_SOURCES, _NON_PROSE):
        text = pattern.sub(lambda match: "\n" * match[0].count("\n"), text)
    return text


def first_place(term: Term, sources: Mapping[str, str]) -> Place | None:
    """The first use of a term; None if no lesson uses it.

    Args:
        term: the term.
        sources: the lessons' sources by name, in their order.
    """
    for lesson, source in sources.items():
        text = prose(source)
        if match := term.search(text):
            end = text.find("\n", match.end())
            headings = re.findall(r"^#{1,4} +(.+)$", text[:end], re.MULTILINE)
            line = text.count("\n", 0, match.start()) + 1
            return Place(lesson, headings[-1] if headings else "", line, match[0])
    return None


def links(markdown: str) -> Iterator[tuple[str, str]]:
    """The links of a text to the glossary: their words and the slug of the term."""
    for match in _LINK.finditer(markdown):
        yield match["text"], match["slug"]


def unlinked(lesson: str, source: str, terms: Mapping[str, Term]) -> list[Term]:
    """The terms that are first used in this lesson, but not linked in it."""
    linked = {slug for _, slug in links(source)}
    return [term for slug, term in terms.items() if term.lesson == lesson and slug not in linked]


@functools.cache
def read_beside(solutions: Path) -> Mapping[str, Term]:
    """The terms of the glossary beside the folder ``solutions``; empty if there is none, as beside
    a private copy of the lessons.
    """
    path = solutions.parent / PATH
    return read(path) if path.is_file() else {}


def add_definitions(markdown: str, terms: Mapping[str, Term]) -> str:
    """The text with definitions as the titles of glossary links, which notebooks and web pages show
    as tooltips; unchanged if there are no terms.

    Raises:
        BuildError: for a link to a term that the glossary does not have.
    """

    def add(match: re.Match) -> str:
        if match["slug"] not in terms:
            raise BuildError(
                f"the glossary has no term #{match['slug']}: add it to {PATH}, or correct the link"
            )
        title = terms[match["slug"]].definition.replace('"', "'")
        return f'[{match["text"]}]({match["path"]}#{match["slug"]} "{title}")'

    return _LINK.sub(add, markdown) if terms else markdown


def with_first_lessons(text: str, sources: Mapping[str, str]) -> str:
    """The glossary with the first lesson of every term updated.

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
    if form[0].isalpha() and form[0].islower():
        first = f"[{form[0]}{form[0].upper()}]"
    return first + rest
