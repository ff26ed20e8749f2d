"""Compares a prompt with the text-to-image model's training captions: form and words.

The website implements the same rules in ``website/web/diffusion/captions.js``; tests compare
both.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import regex

from course_lib.data.captioned import COLOURS, OBJECTS, make_caption
from course_lib.diffusion.judge import Verdict
from course_lib.sd.tokenizer import Tokenizer

NEGATIONS = ("no", "not", "without")
_ARTICLES = ("a", "an", "any", "the")
_KNOWN_WORDS = {"a", "an", "on", "background", *OBJECTS, *COLOURS}
_DEFAULT_OBJECTS = ("fox", *OBJECTS)  # the first one not excluded is used
_DEFAULT_COLOUR = "blue"
_MAX_TYPING_ERRORS = 2  # the maximum for a spelling correction


class PromptCheck(NamedTuple):
    """A prompt compared with the training captions.

    ``objects`` and ``colour`` are named in the prompt; ``excluded``: the objects after a negation
    such as "no"; ``unknown``: the words, in lower case, that no training caption contains.
    """

    is_trained: bool  # whether the prompt is a caption that the model could have been trained on
    nearest: str  # the nearest such caption
    unknown: tuple[str, ...]
    objects: tuple[str, ...]
    excluded: tuple[str, ...]
    colour: str | None


def check_prompt(prompt: str, tokenizer: Tokenizer) -> PromptCheck:
    """Compare a prompt with the training captions.

    ``tokenizer``: the model's; token ids are compared, so case and spaces do not matter.
    """
    ids = tokenizer.tokenize(prompt)
    words = [word for word in tokenizer.decode(ids).split() if regex.match(r"[\p{L}\p{N}]", word)]
    names = list(_named_objects(words))
    objects = tuple(dict.fromkeys(name for name, excluded in names if not excluded))
    excluded = tuple(dict.fromkeys(name for name, excluded in names if excluded))
    nearest = make_caption(_nearest_object(words, objects, excluded), _nearest_colour(words))
    return PromptCheck(
        is_trained=ids == tokenizer.tokenize(nearest),
        nearest=nearest,
        unknown=tuple(dict.fromkeys(word for word in words if word not in _KNOWN_WORDS)),
        objects=objects,
        excluded=excluded,
        colour=_named_colour(words),
    )


def warnings_about(prompt: str, tokenizer: Tokenizer) -> list[str]:
    """Warnings for the user, if the prompt is not a training caption; else an empty list."""
    check = check_prompt(prompt, tokenizer)
    if check.is_trained:
        return []
    if check.unknown:
        quoted = ", ".join(f"“{word}”" for word in check.unknown)
        reason = f"The model was never trained on {quoted}. It draws something, but not that."
    else:
        reason = "The model was trained on sentences of another form."
    warnings = [f"{reason} Nearest: “{check.nearest}”."]
    if check.excluded:
        warnings.append("What the picture must not show belongs in --negative.")
    if not check.objects:
        warnings.append(f"The objects that it knows: {', '.join(OBJECTS)}.")
    if check.colour is None:
        warnings.append(f"The background colours that it knows: {', '.join(COLOURS)}.")
    return warnings


def describe_difference(check: PromptCheck, verdict: Verdict) -> str:
    """What the judge sees in an image, if its prompt asks for something else; otherwise ``""``."""
    seen = f"the judge sees {make_caption(*verdict)}"
    if not check.objects:
        return f"{seen}."
    correct = check.objects == (verdict.name,) and check.colour in (None, verdict.colour)
    return "" if correct else f"{seen}: not what you asked."


def _named_objects(words: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """The known objects in order, each with whether a negation excludes it."""
    negated = False
    for word in words:
        name = _known_object(word)
        if name:
            yield name, negated
        if word in NEGATIONS:
            negated = True
        elif word not in _ARTICLES and word not in COLOURS:
            negated = False


def _known_object(word: str) -> str | None:
    """The object that a word names, also in the plural."""
    forms = (word, word.removesuffix("s"), word.removesuffix("es"))
    return next((form for form in forms if form in OBJECTS), None)


def _nearest_object(words: Sequence[str], objects: Sequence[str], excluded: Sequence[str]) -> str:
    guess = objects[0] if objects else _correct_spelling(words, OBJECTS)
    if guess is None or guess in excluded:
        return next(name for name in _DEFAULT_OBJECTS if name not in excluded)
    return guess


def _named_colour(words: Sequence[str]) -> str | None:
    """The colour before the last "background"; if there is none, the last colour in the prompt."""
    before = _word_before_background(words)
    if before in COLOURS:
        return before
    return next((word for word in reversed(words) if word in COLOURS), None)


def _nearest_colour(words: Sequence[str]) -> str:
    before = _word_before_background(words)
    if before not in COLOURS and (colour := _correct_spelling([before], COLOURS)):
        return colour
    return _named_colour(words) or _correct_spelling(words, COLOURS) or _DEFAULT_COLOUR


def _word_before_background(words: Sequence[str]) -> str:
    last = max((n for n, word in enumerate(words) if word == "background"), default=0)
    return words[last - 1] if last else ""


def _correct_spelling(words: Sequence[str], names: Collection[str]) -> str | None:
    """The name nearest to an unknown word by edit distance, if it is close enough."""
    best, fewest = None, _MAX_TYPING_ERRORS + 1
    for word in words:
        if len(word) < 3 or word in _KNOWN_WORDS:
            continue
        for name in names:
            if abs(len(word) - len(name)) >= fewest:
                continue  # a lower bound of the edit distance
            errors = _edit_distance(word, name)
            if errors < fewest and errors < len(name) / 2:
                best, fewest = name, errors
    return best


def _edit_distance(a: str, b: str) -> int:
    """Levenshtein distance: the minimum number of letters to change, insert or delete."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, start=1):
        above, row = row, [i]
        for j, other in enumerate(b, start=1):
            change = above[j - 1] + (letter != other)
            row.append(min(change, above[j] + 1, row[j - 1] + 1))
    return row[-1]
