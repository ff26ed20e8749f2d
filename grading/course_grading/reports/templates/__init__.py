"""HTML templates, each rendered to one self-contained page.

Students' text is escaped, and the content security policy forbids a page to load or run anything.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def render(name: str, **values: object) -> str:
    """Render ``name.html.j2`` with these values; a missing value raises an error."""
    return _environment().get_template(f"{name}.html.j2").render(**values)


@functools.cache  # it keeps the compiled templates
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
