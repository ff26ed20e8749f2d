"""Which code answers are nearly the same: a hint for a person to look at, never a verdict.

Two answers are compared by their `fingerprints`. What stands in the release counts for nothing, nor
does what many students wrote: on a short exercise, right answers are alike. The rest is weighed by
how rare it is.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from course_grading.collect import cell_sources
from course_grading.reports.fingerprints import LONGEST, NOISE, WINDOW, grams, tokens, winnow
from course_grading.reports.templates import render

# a fragment that more than 5 % of the students have, and more than 5, is common
COMMON, COMMON_AT_LEAST = (
    0.05,
    5,
)
# a pair is listed from 4 fingerprints in common that are half of all that the shorter answer has
SHARED, PART = (
    4,
    0.5,
)
SHOWN = 50  # pairs on the page, the strongest first

# the exercise's cell and the fingerprint: answers to different exercises are not compared
Print = tuple[str, int]


@dataclass(frozen=True)
class Pair:
    """Two students whose answers are nearly the same.

    ``shared`` fingerprints they have in common, ``part`` of those of the shorter answer (0 to 1).
    ``weight`` is how
    rare they are: the sum of log2(students / students who have it), by which pairs are ordered.
    """

    one: str
    other: str
    shared: int
    part: float
    weight: float


@dataclass
class Compared:
    """What a comparison found: the pairs to look at, strongest first, and who could not be
    compared, and why.
    """

    pairs: list[Pair]
    students: int
    # by student: the lines on which a fingerprint was chosen
    places: dict[str, dict[Print, set[int]]]
    left_out: list[tuple[str, str]]
    plain: int  # students without anything that is theirs alone: their answers are the usual ones


def compare(codes: dict[str, dict[str, str]], released: dict[str, str]) -> Compared:
    """Compare all students with each other.

    Args:
        codes: the sources of each student's exercise cells, by student and grade id.
        released: the sources of these cells in the release.
    """
    known = {cell: set(grams(tokens(source))) for cell, source in released.items()}
    places: dict[str, dict[Print, set[int]]] = {}
    left_out = []
    for student, cells in sorted(codes.items()):
        places[student] = {}
        for cell in released.keys() & cells.keys():
            try:
                found = tokens(cells[cell])
            except ValueError as error:
                left_out.append((student, f"{cell}: {error}"))
                continue
            for number, starts in winnow(grams(found)).items():
                if number not in known[cell]:
                    lines = {
                        token.line for start in starts for token in found[start : start + NOISE]
                    }
                    places[student][cell, number] = lines
    who: dict[Print, list[int]] = defaultdict(list)
    names = list(places)
    for row, student in enumerate(names):
        for print_ in places[student]:
            who[print_].append(row)
    most = max(COMMON_AT_LEAST, COMMON * len(names))
    rare = [rows for rows in who.values() if len(rows) <= most]
    pairs, plain = _pairs(names, rare)
    return Compared(pairs, len(names), places, left_out, plain)


def _pairs(names: list[str], rare: list[list[int]]) -> tuple[list[Pair], int]:
    """The pairs to look at; ``rare`` are, for each fingerprint that counts, the rows of ``names``
    that have it.
    """
    if not rare:
        return [], len(names)
    holders = np.array([len(rows) for rows in rare])
    flat, columns = np.concatenate(rare), np.repeat(np.arange(len(rare)), holders)
    has = sparse.csr_matrix((np.ones(len(flat)), (flat, columns)), shape=(len(names), len(rare)))
    sizes = np.asarray(has.sum(axis=1)).ravel()
    shared = sparse.triu(has @ has.T, k=1).tocoo()
    part = shared.data / np.minimum(sizes[shared.row], sizes[shared.col])
    listed = (shared.data >= SHARED) & (part >= PART)
    one, other = shared.row[listed], shared.col[listed]
    weights = (has.multiply(np.log2(len(names) / holders)).tocsr() @ has.T).tocsr()
    rarity = np.asarray(weights[one, other]).ravel() if len(one) else []
    figures = zip(one, other, shared.data[listed], part[listed], rarity, strict=True)
    pairs = [
        Pair(names[i], names[k], int(count), float(p), float(weight))
        for i, k, count, p, weight in figures
    ]
    return sorted(pairs, key=lambda pair: (-pair.weight, pair.one, pair.other)), int(
        (sizes < SHARED).sum()
    )


def exercises(released: dict[str, str]) -> dict[str, str]:
    """The stubs of a release's exercises, by grade id, from its cells."""
    return {name: source for name, source in released.items() if name.endswith("-code")}


def write(workspace: Path, lesson: str, out: Path) -> tuple[Path, Compared]:
    """Write the page of a lesson to ``out/NN_name.html``.

    Raises:
        ValueError: if the release can't be read.
    """
    stubs = exercises(cell_sources.sources(workspace / "release" / lesson / f"{lesson}.ipynb"))
    codes, unreadable = cell_sources.of_lesson(workspace, lesson)
    compared = compare(codes, stubs)
    compared.left_out += [(student, "the notebook can't be read") for student in unreadable]
    shown = [
        _side_by_side(pair, codes, compared.places, list(stubs)) for pair in compared.pairs[:SHOWN]
    ]
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{lesson}.html"
    about = {
        "noise": NOISE,
        "always": NOISE + WINDOW - 1,
        "common": 100 * COMMON,
        "at_least": COMMON_AT_LEAST,
    }
    about |= {"shared": SHARED, "part": PART, "longest": LONGEST}
    page = render(
        "likeness", title=f"Nearly the same code: {lesson}", compared=compared, shown=shown, **about
    )
    path.write_text(page, encoding="utf-8")
    return path, compared


def _side_by_side(pair: Pair, codes: dict, places: dict, cells: list[str]) -> dict:
    """A pair for the page: for each exercise in which they share something, both codes with the
    shared lines marked.
    """
    both = places[pair.one].keys() & places[pair.other].keys()
    views = []
    for cell in cells:
        prints = [print_ for print_ in both if print_[0] == cell]
        if prints:
            sides = [
                (
                    student,
                    _marked(
                        codes[student][cell], set().union(*(places[student][p] for p in prints))
                    ),
                )
                for student in (pair.one, pair.other)
            ]
            views.append({"exercise": cell.removesuffix("-code"), "sides": sides})
    return {"pair": pair, "views": views}


def _marked(source: str, lines: set[int]) -> list[tuple[str, bool]]:
    return [(text, number in lines) for number, text in enumerate(source.splitlines(), 1)]
