"""Sentences about pictures, from the names of what is in them."""

from collections import Counter
from collections.abc import Sequence

_NUMBERS = [
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
_PLURAL = {
    "mouse": "mice",
    "fish": "fish",
    "cactus": "cacti",
    "tomato": "tomatoes",
    "maple leaf": "maple leaves",
    "snowman": "snowmen",
    "person": "people",
    "sheep": "sheep",
}
# Names that take no article and no number, and what one counts them in.
_COUNTED_IN = {
    "grapes": "bunches",
    "cherries": "pairs",
    "glasses": "pairs",
    "bread": "loaves",
    "corn": "cobs",
}


def with_article(name: str) -> str:
    """``"owl"`` becomes ``"an owl"``; what can't be counted, as ``"glasses"`` and ``"bread"``,
    stays as it is.
    """
    if name in _COUNTED_IN:
        return name
    sound = name.lower()
    vowel = sound[0] in "aeiou" and not sound.startswith(("uni", "eu"))
    return f"{'an' if vowel else 'a'} {name}"


def counted(count: int, name: str) -> str:
    """``(1, "owl")`` becomes ``"an owl"``, and 2 of them ``"two owls"``; 2 glasses are
    ``"two pairs of glasses"``.

    Args:
        count: 0 or more; from thirteen on it is written in digits.
        name: in the singular, as in :func:`course_lib.data.sprites.names`.
    """
    if count == 1:
        return with_article(name)
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    if name in _COUNTED_IN:
        return f"{number} {_COUNTED_IN[name]} of {name}"
    if name in _PLURAL:
        return f"{number} {_PLURAL[name]}"
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{number} {name}es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return f"{number} {name[:-1]}ies"
    return f"{number} {name}s"


def listed(names: Sequence[str]) -> str:
    """``["owl", "car", "owl"]`` becomes ``"two owls and a car"``; an empty list becomes
    ``"nothing"``.
    """
    parts = [counted(count, name) for name, count in Counter(names).items()]
    if len(parts) < 2:
        return parts[0] if parts else "nothing"
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
