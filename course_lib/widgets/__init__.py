"""What lessons touch. One module a lesson; every widget is shown by :func:`show_widget`."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipywidgets import Widget
    from PIL.ImageFont import FreeTypeFont


# Sliders of ipywidgets have a visible description but no name that a screen reader could read, and
# images no alt text. They are drawn some time after the cell has run, so this looks for them more
# than once.
_NAME_THEM = """<script>[0, 500, 2000, 8000].forEach(wait => setTimeout(() => {
  document.querySelectorAll(".widget-slider, .widget-hslider, .widget-vslider").forEach(box => {
    const label = box.querySelector(".widget-label")?.textContent;
    const handles = box.querySelectorAll("[role=slider], .ui-slider-handle");
    if (label) handles.forEach(handle => handle.setAttribute("aria-label", label));
  });
  document.querySelectorAll("img.widget-image:not([alt])").forEach(image => {
    image.alt = "The picture that the controls beside it change; the text beside it says what it shows.";
  });
}, wait));</script>"""


def show_widget(
    widget: "Widget", image: bytes, alt: str, caption: str, mime: str = "image/png"
) -> None:
    """Show a widget, and where it can't live (no kernel, GitHub, nbconvert) a still picture in its
    place.

    Both are put into the saved notebook. The living widget carries a style rule that hides the
    picture; where the widget is dead that rule never loads, and the picture is what one sees. While
    grading neither is shown.

    Args:
        widget: any ipywidgets widget.
        image: the bytes of a picture of the widget's subject, as it stands at the start.
        alt: what is to be seen in the picture.
        caption: one sentence that says what to look at.
        mime: the type of ``image``.
    """
    from IPython.display import HTML, display
    from ipywidgets import HTML as LiveHTML
    from ipywidgets import VBox

    from course_lib import mode
    from course_lib.figures import figure_html

    if mode() == "grading":
        return
    still = f"still-{widget.model_id}"
    living = VBox([widget, LiveHTML(f"<style>#{still} {{ display: none }}</style>")])
    view = {"model_id": living.model_id, "version_major": 2, "version_minor": 0}
    hint = (
        "The controls come alive when you run this cell; until then, a still picture stands below."
    )
    display({"application/vnd.jupyter.widget-view+json": view, "text/plain": hint}, raw=True)
    # JupyterLab writes a bare "model not found" where a widget has lost its kernel: hide that line.
    lost = "<style>.jp-OutputArea-output.jupyter-widgets:not(:has(*)) { display: none }</style>"
    picture = (
        f'<div id="{still}">{lost}{figure_html(image, alt, caption, mime=mime, width=720)}</div>'
    )
    display(HTML(picture + _NAME_THEM))


def named(widget: "Widget", name: str) -> "Widget":
    """Give a widget a name for whoever can't see it; ipywidgets 7 and 8 keep it in different
    places.
    """
    setattr(widget, "tooltip" if widget.has_trait("tooltip") else "description_tooltip", name)
    return widget


@lru_cache
def font(size: int, bold: bool = False) -> "FreeTypeFont":
    """DejaVu Sans, the font of every figure, from matplotlib's own files: for pictures that Pillow
    draws.
    """
    from matplotlib import get_data_path
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", name)), size)
