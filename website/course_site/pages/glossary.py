"""Rewrites links to the glossary: to its page on the site, with the definition as title."""

import html
import re
from pathlib import Path

from course_grading.assign import glossary

_LINK = re.compile(
    r'<a class="reference internal" href="(?P<page>(?:\.\./)*glossary\.html)#(?P<slug>[\w-]+)">'
)


def read_definitions(root: Path) -> dict[str, str]:
    """The definition of each term of a checkout's glossary, as plain text, by its anchor.

    Raises:
        BuildError: if the glossary has a mistake.
    """
    return {slug: term.definition for slug, term in glossary.read(root / glossary.PATH).items()}


def relink(markdown: str) -> str:
    """A lesson's text with links to the glossary's page on the site."""
    return markdown.replace("(../docs/glossary.md#", "(../glossary.md#")


def add_definitions(page: str, definitions: dict[str, str]) -> str:
    """A page's HTML with the definition as title of every link to a term.

    Without JavaScript it is the link's title. ``web/terms.js`` shows it on hover and on focus.
    """

    def add(match: re.Match) -> str:
        if match["slug"] not in definitions:
            return match[0]
        title = html.escape(definitions[match["slug"]])
        return (
            f'<a class="reference internal course-term" href="{match["page"]}#{match["slug"]}"'
            f' title="{title}">'
        )

    return _LINK.sub(add, page)
