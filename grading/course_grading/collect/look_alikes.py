"""Names that look alike: they must never be two students."""

import unicodedata

# Letters that look like one of ASCII's, after case folding: the most common ones of Unicode's list
# of confusables (UTS #39).
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
    """What remains of a name without differences that are hard to see: case, compatibility forms,
    invisible characters, and letters of other scripts that look like Latin ones. Names with the
    same skeleton look alike.
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
