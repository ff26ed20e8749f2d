"""The demos compute correct values from ``file://``, work by keyboard, and explain failures."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from course_site import bundle, demo_data
from course_site.models import build, package
from platformdirs import user_cache_path
from playwright.sync_api import Page, expect

from course_lib.convolution import edge_kernels
from course_lib.convolution.layers import conv2d
from course_lib.data import photos
from course_lib.diffusion import small_denoiser
from tests.support import question_page
from tests.website import axe

PAGES = Path(__file__).parent / "pages"
DEMOS = ("text-to-image", "one-step", "five-levels", "kernel-editor", "autoencoder", "noise")
CACHE = user_cache_path("pixels-to-diffusion") / "site" / "models"
MODEL_TIMEOUT = 180_000  # ms, for a model on a busy machine
PHONE = {"viewport": {"width": 360, "height": 780}}


def _write_pages(folder: Path) -> Path:
    """Write a page for each demo, with the bundled script and the style sheet."""
    folder.mkdir()
    bundle.bundle("main.js", folder / "_static" / "course.js")
    shutil.copy(bundle.WEB / "demos.css", folder / "_static")
    shutil.copy(PAGES / "still.svg", folder)
    template = (PAGES / "demos.html").read_text(encoding="utf-8")
    for demo in DEMOS:
        (folder / f"{demo}.html").write_text(template.replace("DEMO", demo), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages with images and data, without models."""
    question_page.skip_without_packages()
    folder = _write_pages(tmp_path_factory.mktemp("demos") / "site")
    package.write_assets(demo_data.demo_files(CACHE), folder / "_static" / "assets")
    return folder


@pytest.fixture(scope="session")
def live_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages with models, which are cached because their export takes minutes."""
    question_page.skip_without_packages()
    folder = _write_pages(tmp_path_factory.mktemp("demos") / "site")
    build.build_assets(folder / "_static" / "assets", CACHE)
    return folder


def _open(page: Page, folder: Path, demo: str) -> Page:
    page.goto(f"{(folder / demo).as_uri()}.html")
    return page


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text.replace("−", "-"))]


# Without models


@pytest.mark.extended
def test_kernel_editor_agrees_with_the_library(new_page: Callable[..., Page], site: Path):
    page = _open(new_page(), site, "kernel-editor")
    total = page.locator(".demo-total")
    row, column, _, value = _numbers(total.inner_text())
    photo = photos.photo("camera", 256, grey=True)[None]
    sobel = edge_kernels.kernel("vertical edges (Sobel)")[None, None]
    expected = float(conv2d(photo, sobel)[0, 0, int(row), int(column)])
    assert value == pytest.approx(expected, abs=0.06)  # the page's photo is a WebP file

    page.get_by_role("application").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    expect(total).to_contain_text(f"Row {int(row) + 10}, column {int(column) + 1}")

    page.get_by_label("weight in row 2, column 2").fill("1")
    expect(page.get_by_label("Kernel", exact=True).locator("visible=true").first).to_be_visible()
    assert page.locator("select").first.input_value() == "your own"
    page.get_by_text("5 × 5").click()
    expect(page.locator(".demo-kernel input")).to_have_count(25)
    page.locator("select").first.select_option("blur")
    expect(page.get_by_text("0 is black, 1 is white")).to_be_visible()


@pytest.mark.extended
def test_kernel_editor_loads_a_photo_and_reports_an_unreadable_file(
    new_page: Callable[..., Page], site: Path, tmp_path: Path
):
    page = _open(new_page(), site, "kernel-editor")
    expect(page.locator(".demo-total")).to_be_visible()
    broken = tmp_path / "notes.png"
    broken.write_text("no picture")
    page.locator("input[type=file]").set_input_files(str(broken))
    expect(page.get_by_text("This browser can't read notes.png")).to_be_visible()
    photos.picture("brick").save(tmp_path / "mine.jpg")
    page.locator("input[type=file]").set_input_files(str(tmp_path / "mine.jpg"))
    expect(page.get_by_text("This browser can't read notes.png")).to_be_hidden()


@pytest.mark.extended
def test_noise_coefficients_agree_with_the_schedule(new_page: Callable[..., Page], site: Path):
    page = _open(new_page(), site, "noise")
    time = page.get_by_label("Time t")
    time.focus()
    page.keyboard.press("ArrowRight")
    alpha_bar = float(small_denoiser.SCHEDULE.alphas_cumprod[int(time.input_value())])
    alpha, sigma = _numbers(page.locator(".demo-total").inner_text())[:2]
    assert alpha == pytest.approx(alpha_bar**0.5, abs=1e-3)
    assert sigma == pytest.approx((1 - alpha_bar) ** 0.5, abs=1e-3)


@pytest.mark.parametrize("demo", DEMOS)
@pytest.mark.extended
def test_pages_fit_a_phone_and_axe_finds_nothing(
    new_page: Callable[..., Page], site: Path, demo: str
):
    page = _open(new_page(**PHONE), site, demo)
    expect(page.locator(".course-demo button").first).to_be_visible()
    assert not axe.find_overflow(page)
    axe.assert_accessible(page)


@pytest.mark.extended
def test_still_is_shown_without_javascript(new_page: Callable[..., Page], site: Path):
    page = _open(new_page(java_script_enabled=False), site, "five-levels")
    expect(page.get_by_alt_text("A still picture.")).to_be_visible()


@pytest.mark.parametrize("demo", ["text-to-image", "one-step", "autoencoder", "five-levels"])
@pytest.mark.extended
def test_missing_model_is_reported_and_the_still_is_shown(
    new_page: Callable[..., Page], site: Path, demo: str
):
    page = _open(new_page(), site, demo)
    page.locator(".demo-primary").click()
    expect(page.locator(".demo-problem")).to_contain_text("The site has no file")
    expect(page.get_by_alt_text("A still picture.")).to_be_visible()
    expect(page.locator(".demo-primary")).to_be_enabled()


@pytest.mark.extended
def test_unknown_words_are_marked_and_the_nearest_caption_is_offered(
    new_page: Callable[..., Page], site: Path
):
    page = _open(new_page(), site, "text-to-image")
    sentence = page.get_by_label("Sentence")
    sentence.fill("a purple dragon on a blue background")
    expect(page.locator("u.demo-unknown")).to_have_text(["dragon"])
    sentence.fill("a foks on a blue background")
    page.get_by_role("button", name="a fox on a blue background").click()
    expect(sentence).to_have_value("a fox on a blue background")
    expect(page.locator(".demo-notice")).to_be_empty()
    page.get_by_label("Object").select_option("owl")
    expect(sentence).to_have_value("an owl on a blue background")
    sentence.fill("a red owl on a blue background")
    expect(page.locator(".demo-notice")).to_contain_text("only the colour of the background")
    for _ in range(20):
        page.get_by_role("button", name="Surprise me").click()
        expect(page.locator(".demo-notice")).to_be_empty()


@pytest.mark.extended
def test_one_step_model_is_offered_captions_only(new_page: Callable[..., Page], site: Path):
    page = _open(new_page(), site, "one-step")
    sentence = page.get_by_label("Sentence")
    sentence.fill("a small fox and a banana, blue background")
    expect(page.locator(".demo-notice")).to_contain_text("one object and a background colour")
    page.get_by_role("button", name="a fox on a blue background").click()
    expect(page.locator(".demo-notice")).to_be_empty()


# With models


@pytest.mark.slow
def test_image_is_generated_from_a_sentence(new_page: Callable[..., Page], live_site: Path):
    page = _open(new_page(), live_site, "text-to-image")
    page.get_by_label("Steps", exact=True).fill("4")
    page.get_by_role("button", name="Generate").click()
    picture = page.get_by_role("img", name="The picture for “a fox on a blue background”")
    expect(picture).to_be_visible(timeout=MODEL_TIMEOUT)
    expect(page.get_by_alt_text("A still picture.")).to_be_hidden()
    page.get_by_role("button", name="fox", exact=True).click()
    expect(page.get_by_text("“fox” has")).to_be_visible()
    page.get_by_label("Step", exact=True).focus()
    page.keyboard.press("Home")
    expect(page.get_by_text("1 of 4")).to_be_visible()
    for name, start in (("Save PNG", b"\x89PNG"), ("Save animation", b"GIF89a")):
        with page.expect_download(timeout=MODEL_TIMEOUT) as download:
            page.get_by_role("button", name=name).click()
        assert Path(download.value.path()).read_bytes().startswith(start)
    assert not axe.find_overflow(page)
    axe.assert_accessible(page)


@pytest.mark.slow
def test_run_can_be_cancelled(new_page: Callable[..., Page], live_site: Path):
    page = _open(new_page(), live_site, "text-to-image")
    page.get_by_label("Steps", exact=True).fill("50")
    page.get_by_role("button", name="Generate").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled.")).to_be_visible(timeout=MODEL_TIMEOUT)
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()


@pytest.mark.slow
def test_key_press_draws_a_picture(new_page: Callable[..., Page], live_site: Path):
    page = _open(new_page(), live_site, "one-step")
    sentence = page.get_by_label("Sentence")
    sentence.focus()
    page.keyboard.press("Home")  # no change, so no picture
    expect(page.get_by_alt_text("A still picture.")).to_be_visible()
    page.keyboard.press("Enter")
    first = page.get_by_role("img", name="The picture for “a fox on a blue background”, seed 0")
    expect(first).to_be_visible(timeout=MODEL_TIMEOUT)
    expect(page.get_by_alt_text("A still picture.")).to_be_hidden()
    page.get_by_role("button", name="Next seed").click()
    expect(page.get_by_role("img", name=re.compile("seed 1$"))).to_be_visible()
    sentence.press("End")
    sentence.press("Backspace")  # an unknown word: the picture stays
    expect(page.locator("u.demo-unknown")).to_have_text(["background"[:-1]])
    expect(page.get_by_role("img", name=re.compile("blue background”, seed 1$"))).to_be_visible()
    sentence.fill("an owl on a red background")
    expect(page.get_by_role("img", name=re.compile("an owl on a red"))).to_be_visible()
    message = page.get_by_role("status").filter(has_text="an owl on a red background")
    expect(message).to_contain_text("ms after the key press")
    assert not axe.find_overflow(page)
    axe.assert_accessible(page)


@pytest.mark.slow
def test_five_networks_recognise_the_objects(new_page: Callable[..., Page], live_site: Path):
    page = _open(new_page(), live_site, "five-levels")
    page.get_by_role("button", name="Start").click()
    words = page.locator(".demo-words")
    for index in (2, 4):
        for name in ("house", "owl", "car"):
            expect(words.nth(index)).to_contain_text(name, timeout=MODEL_TIMEOUT)
    page.get_by_role("button", name=re.compile("^car")).focus()
    page.keyboard.press("Delete")
    expect(words.nth(2)).not_to_contain_text("car")
    before = page.get_by_role("button", name=re.compile("^owl")).get_attribute("aria-label")
    page.get_by_role("button", name=re.compile("^owl")).focus()
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("button", name=re.compile("^owl")).get_attribute("aria-label") != before
    axe.assert_accessible(page)


@pytest.mark.slow
def test_autoencoder_is_compared_with_jpeg(new_page: Callable[..., Page], live_site: Path):
    page = _open(new_page(), live_site, "autoencoder")
    page.get_by_role("button", name="Start").click()
    captions = page.locator(".demo-triple figcaption span")
    expect(captions.nth(2)).to_contain_text("quality", timeout=MODEL_TIMEOUT)
    latent, jpeg = (_numbers(captions.nth(index).inner_text()) for index in (1, 2))
    assert jpeg[0] <= latent[0]  # kB
    assert latent[1] > 20  # dB
    for mode, text in (
        ("change channels", "the changed latent"),
        ("interpolate", "interpolated pixels"),
    ):
        page.get_by_role("radio", name=mode, exact=True).check(force=True)
        expect(page.get_by_text(text).first).to_be_visible()
        axe.assert_accessible(page)
    expect(captions.nth(2)).to_contain_text("between these two", timeout=MODEL_TIMEOUT)
