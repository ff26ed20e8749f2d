"""A Sphinx extension: links to terms of the glossary carry the definition.

Its setting ``course_definitions`` holds the definitions by anchor.
"""

from typing import Any

from course_site.pages import glossary


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_config_value("course_definitions", {}, "html")
    app.connect("html-page-context", _add_definitions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _add_definitions(app: Any, page: str, template: str, context: dict, doctree: Any) -> None:
    """Put the definitions into a page's links; not on the glossary's own page."""
    if "body" in context and page != "glossary":
        context["body"] = glossary.add_definitions(
            context["body"], app.config["course_definitions"]
        )
