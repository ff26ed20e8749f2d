"""Running cells and saving in a JupyterLab page that Playwright drives."""

import json
import re
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Locator, Page, expect


def run_cell(page: Page, cell: Locator) -> None:
    """Run a cell, with retries: JupyterLab drops requests before the kernel is connected.

    A cell whose source is folded is selected as a learner does it, beside the button that unfolds.
    """
    for timeout in (3_000, 3_000, 3_000, 20_000):
        if cell.locator(".jp-InputPlaceholder").is_visible():
            cell.locator(".jp-InputPrompt").click()
        else:
            cell.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        with suppress(AssertionError):
            prompt = cell.locator(".jp-InputPrompt")
            expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=timeout)
            return
    raise AssertionError("the cell does not run")


def save(page: Page, path: Path) -> list[str]:
    """Press Ctrl+S, wait until the file changes, and return the sources of its cells."""
    before = path.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    for _ in range(200):
        page.wait_for_timeout(50)
        with suppress(json.JSONDecodeError):  # the file is incomplete
            notebook = json.loads(path.read_text(encoding="utf-8"))
            if path.stat().st_mtime_ns != before:
                return ["".join(cell["source"]) for cell in notebook["cells"]]
    raise AssertionError("Ctrl+S did not save the notebook")
