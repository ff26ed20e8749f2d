"""A lesson's widget in a real JupyterLab: its controls have names and work by keyboard."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.live_jupyter import Jupyter
from tests.support.notebook_page import open_notebook, run_cell

pytestmark = pytest.mark.browser

CELL = """\
import io
import ipywidgets as widgets
from PIL import Image
from course_lib.widgets import control_row, picture_widget, selection_slider, show_widget

play, slider = widgets.Play(max=3), widgets.IntSlider(description="step", max=3)
side = selection_slider(options=[8, 16], description="side")
photo = widgets.Dropdown(options=["camera", "coins"], description="photo")
picture = picture_widget("png")
file = io.BytesIO()
Image.new("RGB", (900, 40), "red").save(file, "PNG")
picture.value = file.getvalue()
widget = widgets.VBox([control_row(play, slider), side, photo, picture])
show_widget(widget, picture.value, alt="A red rectangle.", caption="It is red.")"""


@pytest.mark.extended
def test_controls_of_a_widget_have_names_and_the_picture_fits(
    shared_page: Page, jupyter: Jupyter
) -> None:
    shared_page.set_viewport_size({"width": 700, "height": 900})
    jupyter.notebook("widget.ipynb", CELL)
    panel = open_notebook(shared_page, f"{jupyter.url}/doc/tree", "widget.ipynb")
    cell = panel.locator(".jp-CodeCell").first
    run_cell(shared_page, cell)
    for name in ("Play or pause", "Stop: back to the start", "Repeat"):
        expect(cell.get_by_role("button", name=name, exact=True)).to_be_visible()
    expect(cell.get_by_role("textbox", name="step, as a number")).to_be_visible()
    slider = cell.get_by_role("slider", name="step", exact=True)
    slider.focus()
    shared_page.keyboard.press("End")
    expect(cell.get_by_role("textbox", name="step, as a number")).to_have_text("3")
    side = cell.get_by_role("textbox", name="side, as a number")
    side.click()
    shared_page.keyboard.type("abc")
    expect(side).to_have_text("8")
    photo = cell.get_by_label("photo")
    photo.focus()
    shared_page.keyboard.press("ArrowDown")
    expect(photo).to_have_value("coins")
    image, output = cell.locator("img.widget-image"), cell.locator(".jp-OutputArea-output").first
    expect(image).to_have_attribute(
        "alt", "The image that the controls change; the text next to it describes it."
    )
    assert image.bounding_box()["width"] <= output.bounding_box()["width"]
