"""A Sphinx extension: the names by which screen readers call what is in a page.

A name must contain the words that are visible (WCAG 2.5.3), so that speech-control
software finds it by them. MyST-NB gives every folded cell another one.
"""

from typing import Any

_FOLDED = '<summary aria-label="Toggle hidden content">'


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", _remove_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _remove_names(app: Any, page: str, template: str, context: dict, doctree: Any) -> None:
    """Leave a folded cell the name that its own words give it."""
    if "body" in context:
        context["body"] = context["body"].replace(_FOLDED, "<summary>")
