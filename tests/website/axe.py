"""Runs axe-core's rules of WCAG 2.2 A and AA on a page in the light and the dark theme."""

from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page

from tests.support.checkout import ROOT

SCRIPT: Path = ROOT / "website" / "web" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
THEMES = ("light", "dark")
# Finishes all transitions first, because contrast is computed from the current colours.
_RUN = """async (tags) => {
  document.getAnimations().forEach((animation) => {
    try { animation.finish(); } catch { animation.cancel(); }  // endless ones cannot finish
  });
  // From file:// a page may not fetch its style sheets again.
  const found = await axe.run(document, {
    preload: false, resultTypes: ["violations"], runOnly: { type: "tag", values: tags } });
  return found.violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary.split("\\n")[1]?.trim()}`));
}"""


def set_theme(page: Page, theme: str) -> None:
    """Set "light" or "dark" as the theme's switch does."""
    page.evaluate(
        "(theme) => { Object.assign(document.documentElement.dataset, {theme, mode: theme}); }",
        theme,
    )


def violations(page: Page, themes: Sequence[str] = THEMES) -> list[str]:
    """One line for each violating element: ``"dark: rule: selector: reason"``."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(SCRIPT.read_text(encoding="utf-8") + "; undefined")
    found = []
    for theme in themes:
        set_theme(page, theme)
        found += [f"{theme}: {line}" for line in page.evaluate(_RUN, TAGS)]
    set_theme(page, themes[0])
    return found


def assert_accessible(page: Page, themes: Sequence[str] = THEMES) -> None:
    """Fail with every violation by its selector."""
    found = violations(page, themes)
    assert not found, page.url + "\n" + "\n".join(found)


def find_overflow(page: Page) -> list[str]:
    """The elements that make the page wider than its window; empty if it fits."""
    return page.evaluate(
        """() => {
          const { clientWidth, scrollWidth } = document.documentElement;
          if (scrollWidth <= clientWidth) return [];
          const isClipped = (element) => {
            for (let box = element.parentElement; box !== document.body; box = box.parentElement)
              if (getComputedStyle(box).overflowX !== "visible") return true;
            return false;
          };
          // A long word does not widen its box, only the width of the box's contents.
          const end = (one) => one.getBoundingClientRect().left
            + (getComputedStyle(one).overflowX === "visible" ? one.scrollWidth : one.offsetWidth);
          const wide = [...document.body.querySelectorAll("*")]
            .filter((one) => end(one) > clientWidth + 1)
            .filter((one) => one.parentElement === document.body || !isClipped(one));
          const ends = wide.filter((one) => !wide.some((other) => other.parentElement === one));
          return [`${scrollWidth} px in a window of ${clientWidth} px`,
            ...ends.map((one) => `sticks out: ${one.outerHTML.slice(0, 120)}`)];
        }"""
    )
