"""The figures of the lessons. :func:`show` displays them with alt text and a caption."""

import base64
import html
import io
from typing import TYPE_CHECKING

from course_lib import mode

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_html(
    image: bytes, alt: str, caption: str, mime: str = "image/png", width: int | None = None
) -> str:
    """An HTML ``<figure>`` with an embedded image, its alt text and its caption.

    Raises:
        ValueError: if the alt text or the caption is empty.
    """
    if not alt.strip() or not caption.strip():
        raise ValueError(
            "Every figure needs alt text (what it shows) and a caption (what to notice in it)."
        )
    data = base64.b64encode(image).decode()
    size = f"width:{width}px;" if width else ""
    image_style = (
        f"{size}max-width:100%;height:auto;"
        "background:#fff;border-radius:8px;padding:6px;box-sizing:border-box"
    )
    return (
        '<figure style="margin:0.5em 0">'
        f'<img alt="{html.escape(alt, quote=True)}" src="data:{mime};base64,{data}" '
        f'style="{image_style}">'
        '<figcaption style="font-size:0.9em;max-width:70ch">'
        f"{html.escape(caption)}</figcaption></figure>"
    )


def figure_png(figure: "Figure", dpi: int = 160) -> bytes:
    """The figure as PNG bytes, cropped to its content.

    Without the ``Software`` entry, which would record matplotlib's version.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def show(figure: "Figure", alt: str, caption: str) -> None:
    """Show a matplotlib figure in the notebook, with alt text and caption, and close it.

    In grading mode it is only closed: rendering would take longer than the exercises.

    Args:
        figure: the figure to show.
        alt: what the figure shows, for readers who can't see it.
        caption: one sentence about what to notice.
    """
    import matplotlib.pyplot as plt
    from IPython.display import HTML, display

    if mode() != "grading":
        inches = float(figure.get_size_inches()[0])
        display(HTML(figure_html(figure_png(figure), alt, caption, width=round(inches * 100))))
    plt.close(figure)
