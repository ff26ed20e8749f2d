"""The outputs of executed cells as a page shows them: clean text, and figures in files."""

import base64
import html
import re

from bs4 import BeautifulSoup, Tag
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor
from nbformat import NotebookNode

from course_site.errors import SiteError
from course_site.pages import demos
from course_site.pages.images import Picture, PictureStore

_WIDGET = "application/vnd.jupyter.widget-view+json"
_STILL = re.compile("^still-")
_STILL_NOTE = "(A still picture; its controls are in the notebook.)"
_PROGRESS_BAR = re.compile(r"^.*\d+%\|.*\|.*\[.*\][^\n]*\n?", re.MULTILINE)
_DATA_ADDRESS = re.compile(r"data:image/[\w+.-]+;base64,(.+)", re.DOTALL)
_WIDTH = re.compile(r"\bwidth:\s*(\d+)px")


class Figures:
    """Turns the figures of one page into files. The first is loaded at once, the others when they
    come into view.
    """

    def __init__(self, store: PictureStore, address: str) -> None:
        """
        Args:
            store: where the files go.
            address: the folder of the files, as seen from the page; it ends with a slash.
        """
        self.store, self.address, self.count = store, address, 0

    def figure(self, image: bytes, alt: str, caption: str, width: int | None = None) -> str:
        """An HTML figure."""
        return (
            f'<figure class="course-figure">{self.image(image, alt, width)}'
            f"<figcaption>{caption}</figcaption></figure>"
        )

    def image(self, image: bytes, alt: str, width: int | None = None) -> str:
        """An HTML image of this width in CSS pixels."""
        picture = self.store.add(image, width)
        self.count += 1
        loading = "" if self.count == 1 else ' loading="lazy"'
        tag = (
            f'<img alt="{html.escape(alt)}" src="{self.address}{picture.files[0][0]}"'
            f"{self._densities(picture)}"
            f' width="{picture.width}" height="{picture.height}"{loading} decoding="async">'
        )
        if not picture.still:
            return tag
        return (
            '<picture><source media="(prefers-reduced-motion: reduce), print" '
            f'srcset="{self.address}{picture.still}">{tag}</picture>'
        )

    def _densities(self, picture: Picture) -> str:
        if len(picture.files) < 2:
            return ""
        files = ", ".join(f"{self.address}{name} {width}w" for name, width in picture.files)
        return f' srcset="{files}" sizes="min({picture.width}px, 94vw)"'


def clean(cell: NotebookNode, figures: Figures) -> list[NotebookNode]:
    """The outputs of a cell for its page: progress bars and scripts are dropped, figures go into
    files, and a widget is a demo or a still picture.

    Raises:
        SiteError: if an output shows a picture without alt text.
    """
    cell, _ = CoalesceStreamsPreprocessor().preprocess_cell(cell, {}, 0)
    demo = demos.find_demo(cell.source)
    outputs = []
    for output in cell.outputs:
        data = output.get("data", {})
        if output.output_type == "stream":
            output.text = _PROGRESS_BAR.sub("", output.text)
            if output.text.strip():
                outputs.append(output)
        elif _WIDGET in data:
            continue  # its still picture is the next output
        elif "text/html" in data:
            output["data"] = {"text/html": _clean_html(data["text/html"], demo, figures)}
            output["metadata"] = {}
            outputs.append(output)
        elif [kind for kind in data if kind.startswith("image/")]:
            raise SiteError(
                f"the cell {cell.source[:60]!r} shows a picture without alt text: "
                "show it with course_lib.figures.show"
            )
        else:
            outputs.append(output)
    return outputs


def _clean_html(text: str, demo: demos.Demo | None, figures: Figures) -> str:
    """HTML of an output. Only figures are rewritten."""
    soup = BeautifulSoup(text, "html.parser")
    for tag in soup.find_all(["script", "style"]):
        tag.decompose()
    for figure in soup.find_all("figure"):
        # A widget's still picture comes in a <div> that its live form would hide.
        is_still = figure.find_parent("div", id=_STILL) is not None
        rewritten = _rewrite_figure(figure, figures, _STILL_NOTE if is_still and not demo else "")
        if demo is not None:
            rewritten = demos.render(demo, rewritten)
        figure.replace_with(BeautifulSoup(rewritten, "html.parser"))
    for div in soup.find_all("div", id=_STILL):
        div.unwrap()
    return str(soup)


def _rewrite_figure(figure: Tag, figures: Figures, note: str = "") -> str:
    """The figure with its image in a file, and a note after its caption."""
    image, caption = figure.find("img"), figure.find("figcaption")
    if not isinstance(image, Tag) or not image.get("alt"):
        raise SiteError(f"a figure has no image with alt text: {str(figure)[:80]}")
    address = _DATA_ADDRESS.fullmatch(str(image["src"]))
    if not address:
        raise SiteError(f"a figure's image is not in the page: {str(image['src'])[:80]}")
    width = _WIDTH.search(str(image.get("style", "")))
    words = caption.decode_contents() if isinstance(caption, Tag) else ""
    words = f"{words} {note}".strip()
    return figures.figure(
        base64.b64decode(address[1]), str(image["alt"]), words, int(width[1]) if width else None
    )
