"""The load time of the website's pages at 10 Mbit/s, and the bytes transferred.

The site in the folder ``site`` (``course site``) is served without compression; hosts that compress
are faster. Chromium throttles the connection, with a latency of 40 ms.
"""

import functools
import http.server
import shutil
import statistics
import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

SITE = Path("site")
MBIT_PER_S, LATENCY_MS, REPEATS = 10, 40, 3
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_PAINTED = "performance.getEntriesByName('first-contentful-paint').length > 0"
# The first contentful paint, the time when the article's first image was loaded, and the bytes
# transferred by then.
_TIMES = """async () => {
  const image = document.querySelector("article img");
  if (image && !image.complete) await new Promise(done => image.addEventListener("load", done));
  const loaded = performance.now();
  const files = performance.getEntriesByType("resource").filter(e => e.responseEnd <= loaded);
  const page = performance.getEntriesByType("navigation")[0];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const imageFile = files.find(e => image && e.name === image.currentSrc);
  return {
    text: paint.startTime,
    figure: imageFile ? imageFile.responseEnd : paint.startTime,
    bytes: page.encodedBodySize + files.reduce((sum, e) => sum + e.encodedBodySize, 0),
  };
}"""


def run() -> dict[str, Any]:
    """Seconds until the text is painted and the first figure is loaded, for the front page and each
    lesson.

    Raises:
        FileNotFoundError: if there is no built site.
    """
    pages = [SITE / "index.html", *sorted((SITE / "lessons").glob("*.html"))]
    if not SITE.is_dir() or len(pages) < 2:
        raise FileNotFoundError(f"{SITE}/ has no website: build it with `uv run course site`")
    server = _serve(SITE)
    address = f"http://127.0.0.1:{server.server_port}"
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        rows = [_measure(browser, address, page.relative_to(SITE).as_posix()) for page in pages]
        browser.close()
    server.shutdown()
    return {"rows": rows, "mbit_per_s": MBIT_PER_S, "latency_ms": LATENCY_MS}


def _measure(browser: Browser, address: str, name: str) -> dict[str, Any]:
    """Medians of visits with an empty cache."""
    visits = []
    for _ in range(REPEATS):
        context = browser.new_context()
        page = context.new_page()
        network = context.new_cdp_session(page)
        network.send("Network.enable")
        bytes_per_s = MBIT_PER_S * 1e6 / 8
        network.send(
            "Network.emulateNetworkConditions",
            {
                "offline": False,
                "latency": LATENCY_MS,
                "downloadThroughput": bytes_per_s,
                "uploadThroughput": bytes_per_s,
            },
        )
        page.goto(f"{address}/{name}", wait_until="domcontentloaded")
        page.wait_for_function(_PAINTED, polling=100)
        visits.append(page.evaluate(_TIMES))
        context.close()
    median = {key: statistics.median(visit[key] for visit in visits) for key in visits[0]}
    return {
        "page": name,
        "text, s": median["text"] / 1000,
        "first figure, s": median["figure"] / 1000,
        "kB": median["bytes"] / 1000,
    }


def _serve(folder: Path) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keep-alive, as on usual hosts

        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
