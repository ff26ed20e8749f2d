"""The command ``course site``. It imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from course_lib.console import fail, require_checkout, require_modules

_MODULES = ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx_copybutton", "onnx", "onnxruntime")


def site(
    out: Annotated[Path, typer.Option(help="The folder of the site.")] = Path("site"),
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the front page in the browser afterwards.")
    ] = False,
    mode: Annotated[
        str, typer.Option(help="How the lessons run, COURSE_MODE: quick or full.")
    ] = "quick",
    cache: Annotated[
        Path | None,
        typer.Option(help="The folder of executed lessons; by default in your cache folder."),
    ] = None,
) -> None:
    """Build the website: every lesson as a page, the course's models in the browser.

    The first build executes all lessons, which takes minutes; later ones execute what changed.
    """
    from rich.console import Console

    if mode not in ("quick", "full"):
        fail(f"--mode is quick or full, not {mode!r}: in other modes lessons draw no figures")
    root, console = require_checkout(), Console(soft_wrap=True, highlight=False)
    require_modules(*_MODULES, extra="site")
    import platformdirs
    from course_grading.errors import GradingError

    from course_site.build import LIMIT, build
    from course_site.bundle import BundleError
    from course_site.errors import SiteError

    folder = cache or platformdirs.user_cache_path("pixels-to-diffusion") / "site"
    try:
        sizes = build(root, out.resolve(), mode, folder.resolve(), console.print)
    except (SiteError, BundleError, GradingError, OSError) as error:
        fail(str(error))
    for purpose, size in sizes.items():
        console.print(f"{purpose:18} {size / 1e6:6.1f} MB")
    page = out.resolve() / "index.html"
    console.print(f"Written: {page} (at most {LIMIT / 1e6:.0f} MB are allowed)")
    if open_page:
        import webbrowser

        webbrowser.open(page.as_uri())
