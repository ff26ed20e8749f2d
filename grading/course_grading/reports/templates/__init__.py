"""HTML templates, each rendered to one self-contained page.

Students' text is escaped, and the content security policy forbids a page to load or run anything.
"""

from pathlib import Path


def render(name: str, **values: object) -> str:
    """Render ``name.html.j2`` with these values; a missing value raises an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{name}.html.j2").render(**values)
