"""Text to image in headless Chromium: the time from opening the page to the first image, and per
image of 20 steps, from ``file://`` and from a server; and the size of the download.

The page has the runtime and the models without a demo. In every round it is opened from ``file://``
and from the server, with an empty cache. Hosts compress scripts, so "downloaded" is the gzipped
size. CPU seconds are summed over all of the browser's processes, and depend less on the machine's
load.
"""

import gzip
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from course_lib.diffusion import text_to_image

REPEATS = 3
LATER_IMAGES = 3  # generated in every page after the first image
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PROMPT = "an owl on an orange background"
TIMEOUT = 600_000  # ms


def run() -> dict:
    """Medians over the rounds, and the sizes of the files."""
    import platformdirs
    from course_site.models import build

    cache = platformdirs.user_cache_path("pixels-to-diffusion") / "site" / "models"
    with tempfile.TemporaryDirectory() as folder:
        page = _write_page(Path(folder), build.model_files(cache, list(build.TEXT_TO_IMAGE)))
        times = _time_pages(page)
        download = sum(
            len(gzip.compress(file.read_bytes(), 6)) for file in page.parent.rglob("*.js")
        )
    rows = [
        {"what": f"{what}, {name}, s", "median": statistics.median(values)}
        for name, by_stage in times.items()
        for what, values in by_stage.items()
    ]
    rows.append({"what": "downloaded before the first image, MB", "median": download / 1e6})
    rows.append({"what": "load average (1 minute)", "median": os.getloadavg()[0]})
    return {"rows": rows, "all": times}


def _write_page(folder: Path, models: dict[str, bytes]) -> Path:
    from course_site import bundle
    from course_site.models import build, package

    package.write_assets(build.runtime_files() | models, folder / "_static" / "assets")
    bundle.bundle("tests/agreement-page.js", folder / "_static" / "course.js")
    page = folder / "index.html"
    page.write_text(
        '<!doctype html><html lang="en" data-root="./"><title>Models</title>'
        '<script src="_static/course.js"></script></html>'
    )
    return page


def _time_pages(page: Path) -> dict[str, dict[str, list[float]]]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    times: dict[str, dict[str, list[float]]] = {}
    with _serve(page.parent) as address, sync_playwright() as playwright:
        for _ in range(REPEATS):
            for name, url in (("file://", page.as_uri()), ("http://", f"{address}/index.html")):
                browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
                stages = times.setdefault(name, {})
                for what, seconds in _time_page(browser, url).items():
                    stages.setdefault(what, []).append(seconds)
                browser.close()
    return times


def _time_page(browser: Any, url: str) -> dict[str, float]:
    options = {
        "prompt": PROMPT,
        "seed": 0,
        "steps": text_to_image.STEPS,
        "guidance": text_to_image.GUIDANCE,
        "sampler": text_to_image.SAMPLER,
    }
    devtools, page = browser.new_browser_cdp_session(), browser.new_page()
    page.set_default_timeout(TIMEOUT)
    cpu_start, start = _cpu_seconds(devtools), time.perf_counter()
    page.goto(url)
    page.evaluate("options => course.draw(options)", options)
    first_image = time.perf_counter() - start
    cpu_first = _cpu_seconds(devtools)
    later = [
        page.evaluate("options => course.draw(options)", options)["times"]
        for _ in range(LATER_IMAGES)
    ]
    cpu_later = (_cpu_seconds(devtools) - cpu_first) / LATER_IMAGES
    return {
        "page opened to first image": first_image,
        "the same, CPU": cpu_first - cpu_start,
        "a later image, CPU": cpu_later,
        "a later image": statistics.median(sum(times) for times in later) / 1000,
        # Without the first, which waits for the text encoder.
        "a guided step": statistics.median(step for times in later for step in times[1:-1]) / 1000,
        "the decoder": statistics.median(times[-1] for times in later) / 1000,
    }


def _cpu_seconds(devtools: Any) -> float:
    """The CPU time that all processes of the browser have used."""
    processes = devtools.send("SystemInfo.getProcessInfo")["processInfo"]
    return sum(process["cpuTime"] for process in processes)


@contextmanager
def _serve(folder: Path) -> Iterator[str]:
    """Serve a folder as ``python -m http.server`` does; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass
