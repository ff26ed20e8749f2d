"""Chromium, pages that fail the test on errors, and sites to open in them."""

import functools
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import question_page, small_site
from tests.support.browsers import launch_chromium

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
TIMEOUT = 120_000  # ms; on a busy machine


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser; the tests are skipped if none is installed."""
    with launch_chromium(FLAGS) as browser:
        yield browser


@pytest.fixture
def new_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages in new profiles; fails the test if one of them logs an error."""
    errors: list[str] = []
    contexts = []

    def log_error(message) -> None:
        if message.type == "error":
            errors.append(f"{message.text} {message.location['url']}")

    def open_page(**options) -> Page:
        options = {"viewport": {"width": 1000, "height": 800}} | options
        context = chromium.new_context(**options)
        context.set_default_timeout(TIMEOUT)
        contexts.append(context)
        page = context.new_page()
        page.on("console", log_error)
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    expect.set_options(timeout=TIMEOUT)
    yield open_page
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture(scope="session")
def small_course(tmp_path_factory: pytest.TempPathFactory) -> small_site.Built:
    """The small course and its site, shared by all test processes."""
    question_page.skip_without_packages()
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return small_site.build_once(shared / "small-course")


@pytest.fixture(scope="session")
def question_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small static site of questions."""
    question_page.skip_without_packages()
    return question_page.build_site(tmp_path_factory.mktemp("questions") / "site")


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a folder over HTTP on this machine; returns the URL."""
    servers = []

    def start(folder: Path) -> str:
        handler = functools.partial(_QuietHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
