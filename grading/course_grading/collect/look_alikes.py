"""Detect confusable names (UTS #39), which must not be two students."""

import unicodedata

# Letters that look like an ASCII letter after case folding: the most common ones from Unicode's
# list of confusables (UTS #39).
_LATIN = {
    "а": "a", "ɑ": "a", "α": "a", "ạ": "a", "Ь": "b", "ь": "b", "в": "b", "с": "c", "ϲ": "c",
    "ԁ": "d", "ɗ": "d", "е": "e", "ҽ": "e", "є": "e", "ε": "e", "ɡ": "g", "ց": "g", "һ": "h",
    "հ": "h", "н": "h", "і": "i", "ı": "i", "ι": "i", "ɩ": "i", "ӏ": "l", "ⅼ": "l", "ј": "j",
    "ϳ": "j", "к": "k", "κ": "k", "м": "m", "ո": "n", "п": "n", "η": "n", "о": "o", "ο": "o",
    "օ": "o", "σ": "o", "р": "p", "ρ": "p", "ԛ": "q", "г": "r", "ѕ": "s", "т": "t", "τ": "t",
    "ս": "u", "υ": "u", "ц": "u", "ν": "v", "ѵ": "v", "ѡ": "w", "ԝ": "w", "ω": "w", "х": "x",
    "χ": "x", "у": "y", "γ": "y", "ү": "y", "ʏ": "y", "ᴢ": "z", "ζ": "z", "‐": "-", "‑": "-",
    "‒": "-", "–": "-", "—": "-", "−": "-", "’": "'", "ʼ": "'",
}  # fmt: skip
_INVISIBLE = {"\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u3164", "\uffa0", "\u2800"}


def skeleton(name: str) -> str:
    """Reduce a name to its skeleton: without case, compatibility forms and invisible characters,
    and with Latin letters for similar letters of other scripts. Names with the same skeleton look
    alike.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    visible = (
        character
        for character in folded
        if character not in _INVISIBLE
        and unicodedata.category(character) not in ("Cf", "Cc")
        and not 0xFE00 <= ord(character) <= 0xFE0F
    )
    return "".join(_LATIN.get(character, character) for character in visible)
