"""Opens notebooks, runs cells and saves in a JupyterLab page under Playwright."""

import json
import re
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

TIMEOUT = 180_000  # ms; a busy machine takes long to start a kernel
# The page's kernel indicator says "idle" before there is a kernel, too.
_CONNECTED = """() => {
  const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
  return context?.isReady && context.session?.kernel?.connectionStatus === "connected";
}"""
# The braces discard the command's result, which is the whole notebook.
_OPEN = """async (path) => {
  await window.jupyterapp.commands.execute("docmanager:open", { path });
}"""


def open_notebook(page: Page, url: str, path: str) -> Locator:
    """Open a notebook in the page's JupyterLab, which is started if needed; returns its panel.

    Args:
        url: the URL under which JupyterLab opens files, such as ``http://.../lab/tree``.
        path: the notebook's path on the server.
    """
    if page.evaluate("'jupyterapp' in window"):
        page.evaluate(_OPEN, path)
    else:
        page.goto(f"{url}/{path}")
    wait_for_kernel(page)
    return page.locator(".jp-NotebookPanel:visible")


def close_notebook(page: Page) -> None:
    """Close the current notebook; unsaved changes are discarded without a dialog."""
    page.evaluate("window.jupyterapp.shell.currentWidget.dispose()")
    expect(page.locator(".jp-NotebookPanel")).to_have_count(0)


def wait_for_kernel(page: Page) -> None:
    """Wait until the kernel of the current notebook is connected.

    Before that, running a cell has no effect, or opens a dialog for choosing a kernel.
    """
    page.wait_for_function(_CONNECTED, polling=100, timeout=TIMEOUT)


def run_cell(page: Page, cell: Locator) -> None:
    """Run a cell and wait until it has finished.

    A cell with collapsed input is selected by its prompt, so that it stays collapsed.
    """
    wait_for_kernel(page)
    if cell.locator(".jp-InputPlaceholder").is_visible():
        cell.locator(".jp-InputPrompt").click()
    else:
        cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    prompt = cell.locator(".jp-InputPrompt")
    expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=TIMEOUT)


def save(page: Page, path: Path) -> list[str]:
    """Press Ctrl+S, wait until the file changes, and return the sources of its cells."""
    before = path.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    for _ in range(2400):
        page.wait_for_timeout(50)
        with suppress(json.JSONDecodeError):  # the file is incomplete
            notebook = json.loads(path.read_text(encoding="utf-8"))
            if path.stat().st_mtime_ns != before:
                return ["".join(cell["source"]) for cell in notebook["cells"]]
    raise AssertionError("Ctrl+S did not save the notebook")
