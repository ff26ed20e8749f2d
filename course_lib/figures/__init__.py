"""What lessons look at. One module a lesson; every picture is shown by :func:`show`, with alt
text.
"""

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
    """An HTML ``<figure>`` with the picture inside it, its alt text and its caption.

    Raises:
        ValueError: if the alt text or the caption is empty.
    """
    if not alt.strip() or not caption.strip():
        raise ValueError(
            "Every picture needs alt text (what is to be seen) and a caption (what to see in it)."
        )
    data = base64.b64encode(image).decode()
    size = f"width:{width}px;" if width else ""
    return (
        '<figure style="margin:0.5em 0">'
        f'<img alt="{html.escape(alt, quote=True)}" src="data:{mime};base64,{data}" '
        f'style="{size}max-width:100%;height:auto;background:#fff;border-radius:8px;padding:6px;box-sizing:border-box">'
        f'<figcaption style="font-size:0.9em;max-width:70ch">{html.escape(caption)}</figcaption></figure>'
    )


def png(figure: "Figure", dpi: int = 160) -> bytes:
    """The figure as PNG bytes, cropped to what is drawn, without a date so that two runs agree."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def show(figure: "Figure", alt: str, caption: str) -> None:
    """Show a matplotlib figure in the notebook, once, with alt text and caption, and close it.

    While grading nothing is drawn: nobody looks, and drawing takes longer than the exercises do.

    Args:
        figure: what to show.
        alt: what is to be seen, for someone who can't see it.
        caption: one sentence that says what to look at.
    """
    import matplotlib.pyplot as plt
    from IPython.display import HTML, display

    if mode() != "grading":
        inches = figure.get_size_inches()[0]
        display(HTML(figure_html(png(figure), alt, caption, width=round(inches * 100))))
    plt.close(figure)
