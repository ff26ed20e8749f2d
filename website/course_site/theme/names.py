"""A Sphinx extension that corrects accessible names.

An accessible name must contain the visible text (WCAG 2.5.3), so that speech control works. MyST-NB
gives folded cells an ``aria-label`` that does not.
"""

from typing import Any

_FOLDED = '<summary aria-label="Toggle hidden content">'


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", _remove_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _remove_names(app: Any, page: str, template: str, context: dict, doctree: Any) -> None:
    """Remove the ``aria-label`` of folded cells, so that their visible text names them."""
    if "body" in context:
        context["body"] = context["body"].replace(_FOLDED, "<summary>")
