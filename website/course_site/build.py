"""Build the site: execute the lessons, write Sphinx's sources, run Sphinx, typeset the formulas."""

import io
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from course_grading.assign.build import read_lessons, repository_url
from course_grading.assign.lesson import Lesson

from course_site import execute, formulas, theme
from course_site.errors import SiteError
from course_site.pages import documents, front
from course_site.pages import lesson as lesson_pages
from course_site.pages.images import PictureStore
from course_site.pages.outputs import Figures

LIMIT = 40_000_000  # bytes of the whole site
Report = Callable[[str], None]


@dataclass(frozen=True)
class Sizes:
    """Bytes of the finished site by kind of file."""

    pages: int
    pictures: int
    models: int
    theme: int

    @property
    def total(self) -> int:
        return self.pages + self.pictures + self.models + self.theme


def build(root: Path, out: Path, mode: str, cache: Path, report: Report = print) -> Sizes:
    """Build the site of a checkout.

    The folder ``out`` is replaced at the end, so that a failed build leaves the old site.

    Args:
        root: the checkout.
        out: the folder of the site.
        mode: how the lessons run: quick, full or grading.
        cache: the folder for what later builds can use again.
        report: called with a sentence for each thing that is done.

    Raises:
        SiteError: if the site can't be built; the message names the fix.
        GradingError: if a lesson's source has a mistake.
    """
    lessons = read_lessons(root / "solutions")
    repository = repository_url(root)
    with tempfile.TemporaryDirectory() as folder:
        source, site = Path(folder, "source"), Path(folder, "site")
        pictures = Path(folder, "pictures")
        _write_sources(root, lessons, source, pictures, mode, cache, repository, report)
        report("Writing pages")
        static = site / "_static"
        styles, scripts = _bundle(root, static, cache, report)
        _run_sphinx(source, site, Path(folder, "doctrees"), repository, styles, scripts)
        shutil.copytree(pictures, static / "pictures")
        count = formulas.typeset(site, root / "website" / "web")
        report(f"{count} formulas typeset")
        _replace(out, site)
    return measure(out)
