"""What others wrote, in Markdown."""

import re


def inline(text: str) -> str:
    """A text that somebody else chose, as it is in Markdown: without markup or new lines."""
    return re.sub(r"([\\`*_<>\[\]!#|&])", r"\\\1", " ".join(text.split()))
