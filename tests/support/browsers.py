"""Starts the installed Chromium under Playwright."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

# The features to disable. The pop-ups of the address bar are pages, and starting them in each new
# window takes longer than most tests. The flag replaces Playwright's list, so its relevant names
# are repeated here.
_FEATURES = (
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
    "PreloadTopChromeWebUI",
    "SpareRendererForSitePerProcess",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
)


@contextmanager
def launch_chromium(flags: Sequence[str]) -> Iterator[Browser]:
    """A browser for the duration of the block; the test is skipped if none is installed.

    While Playwright runs, ``asyncio.run`` fails in this process: never use it in a fixture of
    session scope.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no browser is installed: install the package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*flags, f"--disable-features={','.join(_FEATURES)}"]
        )
        yield browser
        browser.close()
