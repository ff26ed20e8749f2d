"""The HTML pages, one template each, rendered to one self-contained file.

Everything that students wrote is escaped, and each page's content security policy lets it load and
run nothing.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def render(name: str, **values: object) -> str:
    """Render ``name.html.j2`` with these values; a value that is missing is an error."""
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
