"""Which prompts the course's text-to-image model understands: one form of sentence, and 34 words.

It was trained on ``make_caption`` only. Any other sentence gives *some* picture, and often not the
one that its words name.
"""

import difflib
import re
from collections.abc import Sequence

from course_lib.data.captioned import COLOURS, OBJECTS, make_caption

FORM = "a(n) OBJECT on a(n) COLOUR background"
_FORM = re.compile(r"an? (?P<name>\w+) on an? (?P<colour>\w+) background\.?")
_WORDS = {"a", "an", "on", "background", *OBJECTS, *COLOURS}


def parse(prompt: str) -> tuple[str, str] | None:
    """The object and the colour of a sentence of the trained form; None for any other prompt.

    Capitals and spaces don't matter: the tokenizer drops them, too.
    """
    match = _FORM.fullmatch(" ".join(prompt.lower().split()))
    if match is None or match["name"] not in OBJECTS or match["colour"] not in COLOURS:
        return None
    return match["name"], match["colour"]


def warnings(prompt: str) -> list[str]:
    """What to expect of a prompt: nothing if it has the trained form.

    Otherwise the form, the words that the model never saw, and the nearest sentence of the form.
    """
    if parse(prompt):
        return []
    words = re.findall(r"[^\W\d_]+|\d+", prompt.lower())
    unknown = list(dict.fromkeys(word for word in words if word not in _WORDS))
    lines = [f"The model knows sentences of one form: {FORM}. This prompt has another."]
    if unknown:
        lines.append(f"Words that it never saw: {', '.join(unknown)}.")
    suggestion = _nearest(words)
    if suggestion:
        lines.append(f"The nearest sentence of the form: {suggestion!r}.")
    else:
        lines.append(f"Objects: {', '.join(OBJECTS)}. Colours: {', '.join(COLOURS)}.")
    return lines


def verdict(prompt: str, name: str, colour: str) -> str:
    """What the judge sees in a picture, and whether the prompt asked for it.

    Args:
        prompt: of the picture.
        name, colour: the judge's choice; it always makes one.
    """
    seen = f"{name}, {colour}"
    if parse(prompt) == (name, colour):
        return f"the judge sees {seen}"
    words = set(re.findall(r"\w+", prompt.lower()))
    if parse(prompt) is None and {name, colour} <= words:
        return f"the judge sees {seen}, which the prompt names"
    return f"the judge sees {seen}: not what you asked for"


def _nearest(words: Sequence[str]) -> str | None:
    """A sentence with the first object and the colour of the background that the words name."""
    names = [found for word in words if (found := _closest(word, OBJECTS))]
    colours = [found for word in words if (found := _closest(word, list(COLOURS)))]
    if not names and not colours:
        return None
    before = [a for a, b in zip(words, words[1:], strict=False) if b == "background"]
    of_background = [found for word in before if (found := _closest(word, list(COLOURS)))]
    colour = (of_background or colours or ["white"])[-1]
    return make_caption((names or ["fox"])[0], colour)


def _closest(word: str, known: Sequence[str]) -> str | None:
    """The known word, also for its plural and for small mistakes in longer words."""
    singular = {word, word.removesuffix("s"), word.removesuffix("es")}
    for candidate in known:
        if candidate in singular:
            return candidate
    close = difflib.get_close_matches(word, known, 1, cutoff=0.8) if len(word) > 4 else []
    return close[0] if close else None
