"""The pages that instructors read: templates beside this file, one self-contained HTML file each.

Whatever a student wrote is escaped, and each page's own policy lets it load and run nothing.
"""

from pathlib import Path


def render(name: str, **values: object) -> str:
    """The page ``name.html.j2`` with these values. A value that the template misses is an error,
    not a blank.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    places = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=places,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{name}.html.j2").render(**values)
