"""Text that somebody typed, in figures: as it was typed, never a formula or an empty box."""

import re
import unicodedata
from functools import cache
from itertools import groupby
from typing import Any

from course_lib.figures.style import font

# For matplotlib's texts and titles: "$5 or $10" has no formula.
AS_TYPED: dict[str, Any] = {"parse_math": False}
# Line breaks and other controls, marks of direction, halves of characters, unassigned ones.
_INVISIBLE = {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}


def drawable(text: str, most: int | None = None) -> str:
    """A text of one line with characters that the figures' font has; others by their code point.

    ``"a fox 🦊"`` becomes ``"a fox U+1F98A"``.

    Args:
        text: what was typed.
        most: cut it to this number of characters, the last of which is then an ellipsis.
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
    return result if most is None or len(result) <= most else f"{result[: most - 1]}…"


def piece_text(piece: str) -> str:
    """The text of a token, of :meth:`Tokenizer.pieces`; "bytes" for a part of a character."""
    return re.sub("\ufffd+", "bytes", piece)


def _is_drawable(character: str) -> bool:
    return unicodedata.category(character) not in _INVISIBLE and ord(character) in _characters()


@cache
def _characters() -> frozenset[int]:
    """The code points of the figures' font."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(font(12).path).get_charmap())
