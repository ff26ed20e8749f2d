"""How the pages look: Sphinx's configuration, templates and the site's own style sheet."""

import re
from pathlib import Path
from typing import Any

from course_site import formulas
from course_site.theme import names, terms

FOLDER = Path(__file__).parent
TITLE = "From Pixels to Stable Diffusion"
SCRIPT, STYLES = "course.js", "course.css"


def configuration(repository: str, static: Path) -> dict[str, Any]:
    """Sphinx's configuration. Pages send no request to another host.

    Args:
        repository: the course's public address; empty if it has none yet.
        static: a folder with the bundled script and style sheet.
    """
    options: dict[str, Any] = {
        "show_toc_level": 2,
        "home_page_in_toc": True,
        "use_download_button": False,  # it offers the page's source
        "use_fullscreen_button": False,
        "pygments_light_style": "a11y-high-contrast-light",
        "pygments_dark_style": "a11y-high-contrast-dark",
        "logo": {"text": TITLE},
        "toc_title": "On this page",
        "footer_content_items": ["copyright"],
        # One header for all pages, as the front page shows no side bar that could hold these.
        "navbar_start": ["navbar-logo"],
        "navbar_center": [],
        "navbar_persistent": ["search-button-field"],
        "navbar_end": ["theme-switcher"],
        "article_header_start": [],
        "article_header_end": [],
    }
    if repository:
        options["icon_links"] = [
            {"name": "Repository", "url": repository, "icon": "fa-solid fa-code-branch"}
        ]
        options["navbar_end"].append("navbar-icon-links")
    return {
        "project": TITLE,
        "author": "The authors of From Pixels to Stable Diffusion",
        "copyright": "The authors of From Pixels to Stable Diffusion. Text and figures: CC BY 4.0. "
        "Code: MIT",
        "language": "en",
        "extensions": [
            "myst_nb",
            "sphinx_copybutton",
            formulas.__name__,
            names.__name__,
            terms.__name__,
        ],
        "root_doc": "index",
        "myst_enable_extensions": ["dollarmath"],
        "myst_heading_anchors": 3,
        "nb_execution_mode": "off",
        "nb_ipywidgets_js": {},
        "nb_merge_streams": True,
        # IPython's magics are not Python; the highlighter then shows them as plain text.
        "suppress_warnings": ["misc.highlighting_failure"],
        "html_theme": "sphinx_book_theme",
        "html_theme_options": options,
        "html_title": TITLE,
        "html_baseurl": pages_address(repository),
        "html_math_renderer": formulas.RENDERER,
        "html_copy_source": False,  # would publish each page's source too
        "html_show_sourcelink": False,
        "html_sidebars": {"**": ["sbt-sidebar-nav"]},
        "html_context": {"default_mode": "auto"},
        "html_static_path": [str(FOLDER / "static"), str(static)],
        "html_css_files": ["site.css", STYLES],
        "html_js_files": [(SCRIPT, {"defer": "defer"}), "offline.js"],
        "html_favicon": str(FOLDER / "static" / "favicon.svg"),
        "templates_path": [str(FOLDER / "templates")],
        "copybutton_selector": ", ".join(
            f"div.{kind} div.highlight pre" for kind in ("cell_input", "highlight-sh")
        ),
    }


def pages_address(repository: str) -> str:
    """Where GitHub Pages publishes a repository; empty for one that is elsewhere."""
    match = re.fullmatch(r"https://github\.com/([^/]+)/([^/]+?)(\.git)?/?", repository)
    return f"https://{match[1].lower()}.github.io/{match[2]}/" if match else ""
