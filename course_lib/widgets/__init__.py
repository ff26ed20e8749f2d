"""The widgets of the lessons, each displayed by :func:`show_widget` with a still picture."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipywidgets import HBox, Image, Layout, SelectionSlider, Widget


# ipywidgets gives sliders a visible description but no accessible name, the number next to a slider
# and the buttons of a Play widget no name at all, and images no alt text. Widgets are rendered some
# time after the cell has run, on a busy machine long after, so the script polls for them.
# JupyterLab's shortcuts would take the arrow keys from a dropdown and move to another cell. The
# readout of a SelectionSlider is editable, but ipywidgets ignores what is typed: reject the typing.
_ACCESSIBLE_NAMES = """<script>[0, 500, 2000, 8000, 30000, 99000].forEach(wait => setTimeout(() => {
  document.querySelectorAll(".widget-slider, .widget-hslider, .widget-vslider").forEach(box => {
    const label = box.querySelector(".widget-label")?.textContent;
    const handles = box.querySelectorAll("[role=slider], .ui-slider-handle");
    if (label) handles.forEach(handle => handle.setAttribute("aria-label", label));
    const number = box.querySelector(".widget-readout[contenteditable]");
    if (label && number) {
      number.setAttribute("role", "textbox");
      number.setAttribute("aria-label", `${label}, as a number`);
    }
    if (number && box.classList.contains("fixed-values") && !number.hasAttribute("aria-readonly")) {
      number.setAttribute("aria-readonly", "true");
      number.addEventListener("beforeinput", event => event.preventDefault());
    }
  });
  document.querySelectorAll(".widget-play").forEach(box => {
    const names = ["Play or pause", "Stop: back to the start", "Repeat"];
    box.querySelectorAll("button").forEach((button, index) => {
      button.title = names[index];
      button.setAttribute("aria-label", names[index]);
    });
  });
  document.querySelectorAll(".jupyter-widgets select").forEach(select => {
    select.dataset.lmSuppressShortcuts = "true";
  });
  document.querySelectorAll("img.widget-image:not([alt])").forEach(image => {
    image.alt = "The image that the controls change; the text next to it describes it.";
  });
}, wait));</script>"""


def show_widget(
    widget: "Widget", image: bytes | memoryview, alt: str, caption: str, mime: str = "image/png"
) -> None:
    """Show a widget, or a still picture where no kernel runs (GitHub, nbconvert).

    Both are stored in the saved notebook. The live widget contains a CSS rule that hides the still
    picture; without a kernel that rule never loads, so the still picture stays visible. In grading
    mode neither is shown.

    Args:
        widget: any ipywidgets widget.
        image: an image file that shows the widget in its initial state.
        alt: what the still picture shows.
        caption: one sentence about what to notice.
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
    live = VBox([widget, LiveHTML(f"<style>#{still} {{ display: none }}</style>")])
    view = {"model_id": live.model_id, "version_major": 2, "version_minor": 0}
    hint = "Run this cell to activate the controls. Until then, a still picture is shown below."
    display({"application/vnd.jupyter.widget-view+json": view, "text/plain": hint}, raw=True)
    # JupyterLab prints "model not found" where a widget's kernel is gone: hide that line.
    hide = "<style>.jp-OutputArea-output.jupyter-widgets:not(:has(*)) { display: none }</style>"
    figure = figure_html(bytes(image), alt, caption, mime=mime, width=720)
    display(HTML(f'<div id="{still}">{hide}{figure}</div>{_ACCESSIBLE_NAMES}'))


def add_tooltip(widget: "Widget", text: str) -> "Widget":
    """Give a widget a tooltip, which is its accessible name, under ipywidgets 7 or 8."""
    setattr(widget, "tooltip" if widget.has_trait("tooltip") else "description_tooltip", text)
    return widget


def picture_widget(image_format: str = "jpeg") -> "Image":
    """An image widget that is never wider than its notebook cell."""
    from ipywidgets import Image, Layout

    return Image(format=image_format, layout=Layout(align_self="flex-start", max_width="100%"))


def wide_layout() -> "Layout":
    """The layout of a dropdown whose options are captions, not cut in a wide cell."""
    from ipywidgets import Layout

    return Layout(width="400px", max_width="100%")


def selection_slider(**options: Any) -> "SelectionSlider":
    """A slider over fixed values, whose readout can't be edited; the arguments are ipywidgets'."""
    from ipywidgets import SelectionSlider

    slider = SelectionSlider(**options)
    slider.add_class("fixed-values")  # for the script of show_widget
    return slider


def control_row(*controls: "Widget") -> "HBox":
    """Controls in a row that wraps where the cell is narrow."""
    from ipywidgets import HBox, Layout

    return HBox(controls, layout=Layout(flex_flow="row wrap"))
