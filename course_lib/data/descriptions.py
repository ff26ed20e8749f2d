"""Descriptions of pictures: objects with style, size and place on a coloured background.

A description becomes a sentence with :func:`describe`, and :func:`parse` reads a sentence back.
:mod:`course_lib.data.described` draws the pictures. The website implements the same rules in
``website/web/diffusion/sentences.js``; tests compare both.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import TypeVar

import numpy as np
import regex

from course_lib.data import captioned, captions

T = TypeVar("T")
COLOURS = tuple(captioned.COLOURS)
# Every name is one token among the first 16,384 ids of CLIP.
OBJECTS = (
    *captioned.OBJECTS,
    *("bear", "panda", "tiger", "monkey", "duck", "bee", "crab", "whale"),
    *("lemon", "pineapple", "carrot", "mushroom", "cake"),
    *("tractor", "helicopter", "ship", "bicycle"),
    *("balloon", "camera", "drum", "trophy", "bell", "diamond", "ghost"),
)
# word: the set of drawings that it describes
STYLES = {"shiny": "fluent", "detailed": "noto", "flat": "twemoji"}
SIZES = ("small", "large")  # an object without a size is between the two
# An object without a place is in the middle. Of two objects, each is at one of opposite places.
PLACES = {"left": "on the left", "right": "on the right"}
PLACES |= {"top": "at the top", "bottom": "at the bottom"}
OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
FORMS = (
    "{objects} on {article} {colour} background",
    "{article} {colour} background with {objects}",
    "a picture of {objects} on {article} {colour} background",
    "{objects}, {colour} background",
)
# What a sampled description tells in addition to objects and background; "mixed": all of it.
KINDS = ("one", "style", "size", "place", "two", "mixed")
_TWO_OBJECTS, _ONE_PLACED = 0.4, 0.4  # of the mixed descriptions; of those with one object
_OPEN_STYLES, _OPEN_PLACES = 0.25, 0.5  # in mixed sentences; the places of two objects
NEGATIONS = ("no", "not", "without")
_ARTICLES = ("a", "an", "any", "the")
# In the nearest sentence, if a sentence names no object or no colour: the first object that no
# negation excludes, and the colour.
_DEFAULT_OBJECTS = ("fox", *OBJECTS)
_DEFAULT_COLOUR = "blue"
_MAX_TYPING_ERRORS = 2  # the maximum for a spelling correction
# A word, or one other character; in JavaScript too.
_PARTS = regex.compile(r"[\p{L}\p{N}]+|(?!\.)[\p{P}\p{S}]")


@dataclass(frozen=True)
class Item:
    """An object: one of ``OBJECTS``, and one of ``STYLES``, ``SIZES`` and ``PLACES``, or None.

    Without a size it is of medium size. Without a style, and as one of two objects without a place,
    it can have any.
    """

    name: str
    style: str | None = None
    size: str | None = None
    place: str | None = None


@dataclass(frozen=True)
class Description:
    """What a picture shows: one or two objects, and the background colour, one of ``COLOURS``.

    Raises:
        ValueError: for unknown words, and for objects that can't be in one picture.
    """

    objects: tuple[Item, ...]
    colour: str

    def __post_init__(self) -> None:
        words: list[tuple[str | None, Iterable[str]]] = [(self.colour, COLOURS)]
        for item in self.objects:
            words += [(item.name, OBJECTS), (item.style, STYLES), (item.size, SIZES)]
            words.append((item.place, PLACES))
        for word, known in words:
            if word is not None and word not in known:
                raise ValueError(f"{word!r} is unknown: choose one of {', '.join(known)}.")
        count = len(self.objects)
        if count not in (1, 2) or len({item.name for item in self.objects}) < count:
            raise ValueError("Describe one object, or two different objects.")
        first, *others = (item.place for item in self.objects)
        if others and others[0] != (first and OPPOSITE[first]):
            raise ValueError("Two objects need opposite places, such as left and right, or none.")


class UnknownSentence(ValueError):
    """A sentence unlike those of the training; the message tells why, and the nearest sentence.

    Attributes:
        reason: why it is not such a sentence.
        nearest: the nearest sentence of the training.
        unknown: the words, in lower case, that no sentence of the training contains.
        objects: the objects that it names.
        excluded: the objects after a negation such as "no".
        colour: the background colour that it names, or None.
    """

    def __init__(
        self,
        reason: str,
        nearest: str,
        unknown: Sequence[str] = (),
        objects: Sequence[str] = (),
        excluded: Sequence[str] = (),
        colour: str | None = None,
    ) -> None:
        super().__init__(f"{reason} Nearest: “{nearest}”.")
        self.reason, self.nearest, self.unknown = reason, nearest, tuple(unknown)
        self.objects, self.excluded, self.colour = tuple(objects), tuple(excluded), colour


def describe(description: Description, form: int = 0) -> str:
    """The sentence of a description; ``form`` is an index of ``FORMS``.

    With form 0, ``"a small shiny fox on the left on a red background"``.
    """
    phrases = []
    for item in description.objects:
        noun = " ".join(word for word in (item.size, item.style, item.name) if word)
        phrases.append(f"{captions.with_article(noun)} {PLACES.get(item.place or '', '')}".strip())
    colour = description.colour
    article = captions.with_article(colour).split()[0]
    return FORMS[form].format(objects=" and ".join(phrases), article=article, colour=colour)


@cache
def known_words() -> frozenset[str]:
    """All words of the sentences, in lower case."""
    texts = (*PLACES.values(), *FORMS, "an and")
    others = re.findall(r"[a-z]+", re.sub(r"\{\w+\}", "", " ".join(texts)))
    return frozenset((*OBJECTS, *COLOURS, *STYLES, *SIZES, *others))


def parse(sentence: str) -> Description:
    """The description of a sentence in one of the ``FORMS``; case and full stops do not matter.

    Raises:
        UnknownSentence: for any other sentence.
    """
    parts = _PARTS.findall(sentence.lower())
    words = [part for part in parts if part.isalnum()]
    named, excluded = _named_items(words)
    nearest = _nearest(words)
    for form in range(len(FORMS)):
        if parts == _PARTS.findall(describe(nearest, form)):
            return nearest
    unknown = tuple(dict.fromkeys(word for word in words if word not in known_words()))
    objects = tuple(dict.fromkeys(item.name for item in named))
    coloured = [
        f"{word} {after}" for word, after in pairwise(parts) if word in COLOURS and after in OBJECTS
    ]
    if unknown:
        reason = f"Unknown: {', '.join(f'“{word}”' for word in unknown)}."
    elif coloured:
        reason = f"“{coloured[0]}”: only the colour of the background can be chosen."
    elif len(named) > 2:
        reason = f"A picture has at most two objects, not {len(named)}."
    elif len(objects) < len(named):
        reason = "The two objects of a picture are different."
    else:
        reason = "No sentence of the training has this form."
    raise UnknownSentence(
        reason, describe(nearest), unknown, objects, excluded, _named_colour(words)
    )


def vocabulary() -> dict[str, list[str] | dict[str, str]]:
    """The words of descriptions by kind, for model cards."""
    return {
        "objects": list(OBJECTS),
        "colours": list(COLOURS),
        "styles": STYLES,
        "sizes": list(SIZES),
        "places": list(PLACES),
    }


def combinations(description: Description) -> Iterator[str]:
    """The combinations of two words that can be held out from training: of an object and the
    background colour, of an object and its place, and of two objects.
    """
    for item in description.objects:
        yield f"{item.name} on {description.colour}"
        if item.place:
            yield f"{item.name} {PLACES[item.place]}"
    if len(description.objects) == 2:
        yield " and ".join(sorted(item.name for item in description.objects))


def is_held_out(description: Description) -> bool:
    """Whether any of its :func:`combinations` is excluded from training.

    About one combination in ten is, chosen by hash; of an object and a colour, the same as in
    :func:`course_lib.data.captioned.is_held_out`.
    """
    return any(zlib.crc32(text.encode()) % 10 == 0 for text in combinations(description))


def sample(rng: np.random.Generator, kind: str = "mixed", *, held_out: bool = False) -> Description:
    """A random description in which every object has a style, and every one of two has a place.

    Args:
        rng: the source of the random numbers.
        kind: one of ``KINDS``; only "size" and "mixed" have small and large objects.
        held_out: whether it has a held-out combination, also after :func:`leave_open`.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"There is no kind {kind!r}: choose one of {', '.join(KINDS)}.")
    while True:
        description = _sample_any(rng, kind)
        if is_held_out(leave_open(description, kind) if held_out else description) == held_out:
            return description


def leave_open(
    description: Description, kind: str = "mixed", rng: np.random.Generator | None = None
) -> Description:
    """The description without what a sentence of this kind leaves open.

    ``kind``: one of ``KINDS``. All but "style" leave the style open, and "two" also leaves the
    places of two objects open. "mixed" leaves a style open with a probability of one quarter, and
    the places with one half, drawn with ``rng``; without ``rng`` it leaves out nothing.
    """

    def is_open(default: bool, share: float) -> bool:
        return default if kind != "mixed" else rng is not None and bool(rng.random() < share)

    items = description.objects
    if len(items) == 2 and is_open(kind == "two", _OPEN_PLACES):
        items = tuple(replace(item, place=None) for item in items)
    items = tuple(
        replace(item, style=None) if is_open(kind != "style", _OPEN_STYLES) else item
        for item in items
    )
    return replace(description, objects=items)


def _sample_any(rng: np.random.Generator, kind: str) -> Description:
    mixed = kind == "mixed"
    count = 2 if kind == "two" or (mixed and rng.random() < _TWO_OBJECTS) else 1
    place = None
    if count == 2 or kind == "place" or (mixed and rng.random() < _ONE_PLACED):
        place = _choose(rng, tuple(PLACES))
    sizes: Sequence[str | None] = (
        (None, None, *SIZES) if mixed else SIZES if kind == "size" else (None,)
    )
    places = (place, OPPOSITE[place] if place else None)
    names = rng.choice(len(OBJECTS), count, replace=False)
    items = tuple(
        Item(OBJECTS[name], _choose(rng, tuple(STYLES)), _choose(rng, sizes), where)
        for name, where in zip(names, places, strict=False)
    )
    return Description(items, _choose(rng, COLOURS))


def _choose(rng: np.random.Generator, values: Sequence[T]) -> T:
    return values[int(rng.integers(len(values)))]


def _named_items(words: Sequence[str]) -> tuple[list[Item], list[str]]:
    """The objects that the words name, in order, and the objects that a negation excludes."""
    items: list[Item] = []
    excluded: list[str] = []
    style = size = None
    negated = False
    for word in words:
        name = _singular(word)
        if name and negated:
            excluded.append(name)
        elif name:
            items.append(Item(name, style, size))
        if name:
            style = size = None
        elif word in STYLES:
            style = word
        elif word in SIZES:
            size = word
        elif word in PLACES and items:
            items[-1] = replace(items[-1], place=word)
        if word in NEGATIONS:
            negated = True
        elif word not in (*_ARTICLES, *COLOURS, *STYLES, *SIZES):
            negated = False
    return items, list(dict.fromkeys(excluded))


def _singular(word: str) -> str | None:
    """The object that a word names, also in the plural."""
    forms = (word, word.removesuffix("s"), word.removesuffix("es"))
    return next((form for form in forms if form in OBJECTS), None)


def _named_colour(words: Sequence[str]) -> str | None:
    """The colour before the last "background"; if there is none, the last colour in the words."""
    before = _word_before_background(words)
    if before in COLOURS:
        return before
    return next((word for word in reversed(words) if word in COLOURS), None)


def _word_before_background(words: Sequence[str]) -> str:
    last = max((n for n, word in enumerate(words) if word == "background"), default=0)
    return words[last - 1] if last else ""


def _nearest(words: Sequence[str]) -> Description:
    """The description that has most in common with the words."""
    items, excluded = _named_items(words)
    if not items:
        items, excluded = _named_items(_correct_spelling(words, OBJECTS))
    different: dict[str, Item] = {}
    for item in items:
        different.setdefault(item.name, item)
    items = [item for name, item in different.items() if name not in excluded][:2]
    if not items:
        items = [Item(next(name for name in _DEFAULT_OBJECTS if name not in excluded))]
    if len(items) == 2:
        first, second = items
        place = first.place or (OPPOSITE[second.place] if second.place else None)
        other = OPPOSITE[place] if place else None
        items = [replace(first, place=place), replace(second, place=other)]
    return Description(tuple(items), _nearest_colour(words))


def _nearest_colour(words: Sequence[str]) -> str:
    before = _word_before_background(words)
    return (
        _named_colour(_correct_spelling([before], COLOURS))
        or _named_colour(words)
        or _named_colour(_correct_spelling(words, COLOURS))
        or _DEFAULT_COLOUR
    )


def _correct_spelling(words: Sequence[str], names: Sequence[str]) -> list[str]:
    """The words; the unknown one with the fewest typing errors, if few enough, becomes a name."""
    best, fewest = ("", ""), _MAX_TYPING_ERRORS + 1
    for word in words:
        if len(word) < 3 or word in known_words():
            continue
        for name in names:
            if abs(len(word) - len(name)) >= fewest:
                continue  # a lower bound of the edit distance
            errors = _edit_distance(word, name)
            if errors < fewest and errors < len(name) / 2:
                best, fewest = (word, name), errors
    return [best[1] if word == best[0] else word for word in words]


def _edit_distance(a: str, b: str) -> int:
    """Levenshtein distance: the minimum number of letters to change, insert or delete."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, start=1):
        above, row = row, [i]
        for j, other in enumerate(b, start=1):
            change = above[j - 1] + (letter != other)
            row.append(min(change, above[j] + 1, row[j - 1] + 1))
    return row[-1]
