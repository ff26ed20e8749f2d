"""Pages that are documents of the repository: for instructors, measured results, credits."""

import re
import shutil
from functools import partial
from pathlib import Path

from course_site.errors import SiteError

# The pages of the site, and the document that each is made of.
PAGES = {
    "learners": "docs/learners.md",
    "glossary": "docs/glossary.md",
    "instructors": "docs/instructors.md",
    "architecture": "docs/architecture.md",
    "measured": "docs/measured.md",
    "licences": "data/LICENSES.md",
}
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_LESSON = re.compile(r"(?:notebooks|solutions)/(\d\d_\w+)\.(?:ipynb|md)")


def write(root: Path, source: Path, repository: str) -> None:
    """Copy the documents into Sphinx's source folder; their links lead to pages of the site, to the
    repository, or nowhere if it has no public address.

    Raises:
        SiteError: if a document links a file that does not exist.
    """
    for page, document in PAGES.items():
        path = root / document
        relink = partial(_relink, path=path, root=root, source=source, repository=repository)
        text = _LINK.sub(relink, path.read_text(encoding="utf-8"))
        (source / f"{page}.md").write_text(text, encoding="utf-8")


def _relink(match: re.Match, path: Path, root: Path, source: Path, repository: str) -> str:
    target, _, anchor = match["target"].partition("#")
    if not target or re.match(r"[a-z]+:", target):
        return match[0]
    file = (path.parent / target).resolve()
    if not file.is_relative_to(root) or not file.exists():
        raise SiteError(f"{path.relative_to(root)} links {target}, which does not exist")
    name = file.relative_to(root).as_posix()
    if match["image"]:
        shutil.copy(file, source / file.name)
        return f"![{match['text']}]({file.name})"
    page = next((page for page, document in PAGES.items() if document == name), None)
    if page:
        return f"[{match['text']}]({page}.md{'#' + anchor if anchor else ''})"
    if lesson := _LESSON.fullmatch(name):
        return f"[{match['text']}](lessons/{lesson[1]}.ipynb)"
    if repository:
        return f"[{match['text']}]({repository.rstrip('/')}/blob/main/{name})"
    return match["text"]
