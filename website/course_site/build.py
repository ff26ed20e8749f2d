"""Build the site: execute the lessons, write Sphinx's sources, run Sphinx, typeset the formulas."""

import io
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from course_grading.assign.build import read_lessons, repository_url
from course_grading.assign.lesson import Lesson
from nbformat import NotebookNode

from course_site import bundle, execute, formulas, theme
from course_site.errors import SiteError
from course_site.models import build as models
from course_site.pages import documents, front, glossary
from course_site.pages import lesson as lesson_pages
from course_site.pages.images import PictureStore
from course_site.pages.outputs import Figures
from course_site.theme import icons

LIMIT = 40_000_000  # bytes of the whole site
# Files of web/, and their bundles in _static: every page loads both.
BUNDLES = {"main.js": theme.SCRIPT, "main.css": theme.STYLES}
# Marks a folder as a built site. Without it GitHub Pages ignores folders that begin with "_".
_MARK = ".nojekyll"


def build(
    root: Path, out: Path, mode: str, cache: Path, report: Callable[[str], None] = print
) -> dict[str, int]:
    """Build the site of a checkout.

    The folder ``out`` is replaced at the end, so a failed build leaves the old site as it was.

    Args:
        root: the checkout.
        out: the folder of the site.
        mode: how the lessons run: quick, full or grading.
        cache: the folder of results that later builds reuse.
        report: called with progress messages.

    Returns:
        What :func:`measure` returns.

    Raises:
        SiteError: if the site can't be built; the message says what to do.
        BundleError: if npm or esbuild fails.
        GradingError: if a lesson's source has a mistake.
    """
    lessons = read_lessons(root / "solutions")
    repository = repository_url(root)

    def executed(lesson: Lesson) -> NotebookNode:
        report(f"{lesson.name}: executing, unless it is cached")
        return execute.execute(lesson, mode, cache)

    with tempfile.TemporaryDirectory() as folder:
        source, site = Path(folder, "source"), Path(folder, "site")
        store = PictureStore(Path(folder, "pictures"), cache / "pictures")
        _write_sources(root, lessons, source, store, repository, executed)
        report("writing the pages")
        static = Path(folder, "static")
        for entry, name in BUNDLES.items():
            bundle.bundle(entry, static / name)
        configuration = theme.configuration(repository, static)
        configuration["course_definitions"] = glossary.read_definitions(root)
        _run_sphinx(source, site, Path(folder, "doctrees"), configuration)
        shutil.copytree(store.folder, site / "_static" / "pictures")
        formulas.typeset(site, bundle.WEB)
        report("packing the models, exporting what is not cached")
        models.build_assets(site / "_static" / "assets", cache / "models")
        _trim(site)
        sizes = measure(site)
        _replace(out, site)
    return sizes


def _write_sources(
    root: Path,
    lessons: Iterable[Lesson],
    source: Path,
    store: PictureStore,
    repository: str,
    executed: Callable[[Lesson], NotebookNode],
) -> None:
    """Write what Sphinx reads: the front page, the lessons and the documents."""
    (source / "lessons").mkdir(parents=True)
    lessons = list(lessons)
    for lesson in lessons:
        figures = Figures(store, "../_static/pictures/")
        text = lesson_pages.make_page(
            lesson, executed(lesson), figures, _notebook_address(lesson, repository)
        )
        (source / "lessons" / f"{lesson.name}.ipynb").write_text(text, encoding="utf-8")
    text = front.make_page(root, lessons, Figures(store, "_static/pictures/"), repository)
    (source / "index.md").write_text(text, encoding="utf-8")
    documents.write(root, source, repository)


def _notebook_address(lesson: Lesson, repository: str) -> str:
    """The target of "Do it in the notebook": Colab, or the page on how to run lessons."""
    if not repository.startswith("https://github.com/"):
        return "../learners.html"
    name = repository.removeprefix("https://github.com/").rstrip("/").removesuffix(".git")
    colab = "https://colab.research.google.com/github"
    return f"{colab}/{name}/blob/main/notebooks/{lesson.name}.ipynb"


def _run_sphinx(source: Path, site: Path, doctrees: Path, configuration: dict[str, Any]) -> None:
    """Write the pages.

    Raises:
        SiteError: for any warning, such as a broken link.
    """
    from sphinx.application import Sphinx

    problems = io.StringIO()
    with warnings.catch_warnings():
        # The theme and the extensions warn about Sphinx's next release, not about our pages.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        app = Sphinx(
            source,
            None,
            site,
            doctrees,
            "html",
            confoverrides=configuration,
            status=None,
            warning=problems,
            freshenv=True,
        )
        app.build()
    found = re.sub(r"\x1b\[[0-9;]*m", "", problems.getvalue()).replace(f"{source}/", "").strip()
    if found or app.statuscode:
        raise SiteError(f"Sphinx reports problems in the pages; fix their sources:\n{found}")


def _trim(site: Path) -> None:
    """Remove what no page needs of the theme: source maps, translations, most icons."""
    for path in site.rglob("*.map"):
        path.unlink()
    for name in ("_static/locales", "_sources"):
        shutil.rmtree(site / name, ignore_errors=True)
    icons.remove_unused(site)


def _replace(out: Path, site: Path) -> None:
    """Replace the old site with the new site.

    Raises:
        SiteError: if the folder contains files that are not a built site.
    """
    if out.exists():
        if any(out.iterdir()) and not (out / _MARK).exists():
            raise SiteError(f"{out} holds other files: give an empty or a new folder with --out")
        shutil.rmtree(out)
    (site / _MARK).touch()
    shutil.copytree(site, out)


def measure(site: Path) -> dict[str, int]:
    """Bytes of a site by purpose; the last entry is their sum.

    Raises:
        SiteError: if the site is larger than :data:`LIMIT`.
    """
    sizes = dict.fromkeys(("pages", "pictures", "models", "search", "theme and scripts"), 0)
    for path in site.rglob("*"):
        if path.is_file():
            sizes[_purpose(path.relative_to(site))] += path.stat().st_size
    sizes["all"] = sum(sizes.values())
    if sizes["all"] > LIMIT:
        parts = ", ".join(f"{purpose} {size / 1e6:.1f} MB" for purpose, size in sizes.items())
        raise SiteError(f"the site is larger than {LIMIT / 1e6:.0f} MB: {parts}")
    return sizes


def _purpose(path: Path) -> str:
    match path.parts:
        case ["_static", "assets", *_]:
            return "models"
        case ["_static", "pictures", *_] | ["_images", *_]:
            return "pictures"
        case ["searchindex.js"]:
            return "search"
        case _ if path.suffix == ".html":
            return "pages"
    return "theme and scripts"
