"""English phrases for lists of object names: articles, plurals, enumerations."""

from collections import Counter
from collections.abc import Sequence

_NUMBER_WORDS = [
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
_IRREGULAR_PLURALS = {
    "mouse": "mice",
    "fish": "fish",
    "cactus": "cacti",
    "tomato": "tomatoes",
    "maple leaf": "maple leaves",
    "snowman": "snowmen",
    "person": "people",
    "sheep": "sheep",
}
# Names without article or plural, and the unit they are counted in.
_UNITS = {
    "grapes": "bunches",
    "cherries": "pairs",
    "glasses": "pairs",
    "bread": "loaves",
    "corn": "cobs",
}


def with_article(name: str) -> str:
    """``"owl"`` becomes ``"an owl"``; uncountable names such as ``"bread"`` stay unchanged."""
    if name in _UNITS:
        return name
    sound = name.lower()
    vowel = sound[0] in "aeiou" and not sound.startswith(("uni", "eu"))
    return f"{'an' if vowel else 'a'} {name}"


def with_count(count: int, name: str) -> str:
    """``(1, "owl")`` becomes ``"an owl"``, ``(2, "owl")`` becomes ``"two owls"``, and
    ``(2, "glasses")`` becomes ``"two pairs of glasses"``.

    Args:
        count: 0 or more; written in digits from 13 upwards.
        name: singular, as in :func:`course_lib.data.sprites.names`.
    """
    if count == 1:
        return with_article(name)
    number = _NUMBER_WORDS[count] if count < len(_NUMBER_WORDS) else str(count)
    if name in _UNITS:
        return f"{number} {_UNITS[name]} of {name}"
    if name in _IRREGULAR_PLURALS:
        return f"{number} {_IRREGULAR_PLURALS[name]}"
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{number} {name}es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return f"{number} {name[:-1]}ies"
    return f"{number} {name}s"


def join_names(names: Sequence[str]) -> str:
    """``["owl", "car", "owl"]`` becomes ``"two owls and a car"``, ``[]`` becomes ``"nothing"``."""
    parts = [with_count(count, name) for name, count in Counter(names).items()]
    if len(parts) < 2:
        return parts[0] if parts else "nothing"
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
