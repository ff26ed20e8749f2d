"""Record an animation of the website's front page for the README:
``uv run python docs/draw_demo.py SITE``.

``SITE`` is a folder that ``course site`` has written. Headless Chromium opens it, generates an
image from a prompt, moves back and forth through the steps, and shows the attention map of a word.
Equal consecutive frames are merged into one; long waits are shortened.
"""

import argparse
import io
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FILE = Path(__file__).with_name("demo.webp")
WIDTH, HEIGHT = 1280, 800  # of the window, in pixels
FILM_WIDTH = 840
MAX_BYTES = 3_000_000
SENTENCE = "a fox and a banana on a blue background"
WORD = "banana"
# The minimum and maximum duration of a frame, and the duration of the last one, in milliseconds.
SHORTEST, LONGEST, LAST = 60, 1200, 3000


class Film:
    """Frames of a page, each with the time at which it was taken."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[tuple[float, Image.Image]] = []

    def take(self) -> None:
        """Add a screenshot of the page if it differs from the last frame."""
        png = self.page.screenshot(type="png")
        height = round(FILM_WIDTH * HEIGHT / WIDTH)
        image = Image.open(io.BytesIO(png)).convert("RGB").resize((FILM_WIDTH, height))
        if not self.frames or image != self.frames[-1][1]:
            self.frames.append((time.monotonic(), image))

    def take_until(self, selector: str, timeout: float = 120.0) -> None:
        """Take frames until an element that matches the selector is visible.

        Raises:
            TimeoutError: if none is visible after ``timeout`` seconds.
        """
        end = time.monotonic() + timeout
        while not self.page.locator(selector).first.is_visible():
            self.take()
            if time.monotonic() > end:
                raise TimeoutError(f"{selector} did not appear: does the demo work in this site?")
        self.take()

    def write(self, path: Path) -> None:
        """Write the film as an animated WebP of at most ``MAX_BYTES``.

        Raises:
            ValueError: if it is larger at every quality.
        """
        times, images = zip(*self.frames, strict=True)
        durations = [
            round(min(max((after - before) * 1000, SHORTEST), LONGEST))
            for before, after in zip(times, times[1:], strict=False)
        ]
        for quality in (80, 65, 50):
            file = io.BytesIO()
            images[0].save(
                file,
                "WEBP",
                save_all=True,
                append_images=images[1:],
                duration=[*durations, LAST],
                loop=0,
                quality=quality,
                method=6,
            )
            if file.tell() <= MAX_BYTES:
                path.write_bytes(file.getvalue())
                return
        raise ValueError(f"The film has {file.tell():,} bytes; at most {MAX_BYTES:,} are allowed.")


def main() -> None:
    """Record the demo, and write the animation next to this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, help="a folder that `course site` has written")
    page_file = parser.parse_args().site.resolve() / "index.html"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(page_file.as_uri())
        film = Film(page)
        generate_image(page, film)
        film.write(FILE)
        browser.close()


def generate_image(page: Page, film: Film) -> None:
    """Operate the demo as a visitor would, and record it."""
    demo = page.locator('[data-demo="text-to-image"]')
    demo.get_by_role("button", name="Generate").wait_for()
    page.wait_for_timeout(500)
    film.take()
    demo.get_by_label("Sentence").fill("")
    for end in range(0, len(SENTENCE) + 1, 3):
        demo.get_by_label("Sentence").fill(SENTENCE[:end])
        film.take()
    demo.get_by_label("Sentence").fill(SENTENCE)
    demo.get_by_role("button", name="Generate").click()
    film.take_until('[data-demo="text-to-image"] button:has-text("Save PNG")')
    page.wait_for_timeout(900)
    step = demo.get_by_label("Step", exact=True)
    step.focus()
    for key in ["ArrowLeft"] * 18 + ["ArrowRight"] * 18:
        page.keyboard.press(key)
        film.take()
    demo.get_by_role("button", name=WORD, exact=True).click()
    page.wait_for_timeout(900)
    film.take()


if __name__ == "__main__":
    main()
