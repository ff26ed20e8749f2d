"""User-typed text in figures, drawn literally: never as mathtext or as a missing glyph."""

import re
import unicodedata
from functools import cache
from itertools import groupby
from typing import Any

from course_lib.figures.style import font

# Keyword argument of matplotlib's texts and titles: "$5 or $10" is not mathtext.
AS_TYPED: dict[str, Any] = {"parse_math": False}
# Unicode categories: control, format, surrogate, unassigned, line and paragraph separator.
_INVISIBLE_CATEGORIES = {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}


def drawable(text: str, max_length: int | None = None) -> str:
    """The text on one line; characters that the figures' font lacks become their code points.

    ``"a fox 🦊"`` becomes ``"a fox U+1F98A"``.

    Args:
        text: what was typed.
        max_length: longer results are truncated to this many characters, the last an ellipsis.
    """
    parts: list[str] = []
    for is_drawable, run in groupby(text, _is_drawable):
        characters = list(run)
        part = "".join(characters)
        if not is_drawable:
            part = " ".join(f"U+{ord(character):X}" for character in characters)
        if parts and not (parts[-1].endswith(" ") or part.startswith(" ")):
            part = f" {part}"
        parts.append(part)
    result = "".join(parts)
    if max_length is None or len(result) <= max_length:
        return result
    return f"{result[: max_length - 1]}…"


def piece_text(piece: str) -> str:
    """A text from :meth:`Tokenizer.pieces`, with "bytes" for an incomplete UTF-8 character."""
    return re.sub("\ufffd+", "bytes", piece)


def _is_drawable(character: str) -> bool:
    category = unicodedata.category(character)
    return category not in _INVISIBLE_CATEGORIES and ord(character) in _font_code_points()


@cache
def _font_code_points() -> frozenset[int]:
    """The code points of the figures' font."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(font(12).path).get_charmap())
