"""Find similar solutions of code exercises: a hint for the instructor, not a verdict.

Solutions are compared by their :mod:`.fingerprints`. Fingerprints of the released cell are ignored,
and so are those that many students share, because right solutions of a short exercise are similar.
The others are weighted by their rarity.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from course_grading.collect.cell_sources import read_sources, read_submitted_sources
from course_grading.reports.fingerprints import (
    GUARANTEE_THRESHOLD,
    NOISE_THRESHOLD,
    Token,
    hash_kgrams,
    tokenise,
    winnow,
)
from course_grading.reports.templates import render

# A fingerprint is common if more than 5 % of the students have it, and more than 5 students.
MAX_COMMON_SHARE = 0.05
MAX_COMMON_STUDENTS = 5
# A pair is listed if it shares 4 fingerprints, and half of the smaller set of fingerprints.
MIN_SHARED = 4
MIN_OVERLAP = 0.5
MAX_PAIRS_SHOWN = 50

# The grade id of the exercise's cell, and the hash: different exercises are not compared.
Fingerprint = tuple[str, int]


@dataclass(frozen=True)
class Pair:
    """Two students with similar solutions.

    ``shared`` is the number of fingerprints in common, ``overlap`` this number as a share of the
    smaller set of fingerprints (0 to 1), and ``rarity`` the sum of log2(students / students with
    the fingerprint) over them.
    """

    first: str
    second: str
    shared: int
    overlap: float
    rarity: float


@dataclass
class SimilarityReport:
    """The pairs to inspect, rarest first.

    ``lines`` are the line numbers of each fingerprint, by student. ``left_out`` are students who
    were not compared, with the reason. ``undistinctive`` is the number of students with too few
    rare fingerprints for a comparison.
    """

    pairs: list[Pair]
    students: int
    lines: dict[str, dict[Fingerprint, set[int]]]
    left_out: list[tuple[str, str]]
    undistinctive: int


def compare(codes: dict[str, dict[str, str]], released: dict[str, str]) -> SimilarityReport:
    """Compare every student with every other.

    Args:
        codes: the sources of each student's exercise cells, by student and grade id.
        released: the released sources of these cells, by grade id.
    """
    released_hashes = {
        cell: set(hash_kgrams(tokenise(source))) for cell, source in released.items()
    }
    lines: dict[str, dict[Fingerprint, set[int]]] = {}
    left_out = []
    for student, cells in sorted(codes.items()):
        lines[student] = {}
        for cell in released.keys() & cells.keys():
            try:
                tokens = tokenise(cells[cell])
            except ValueError as error:
                left_out.append((student, f"{cell}: {error}"))
                continue
            for hash_, starts in winnow(hash_kgrams(tokens)).items():
                if hash_ not in released_hashes[cell]:
                    lines[student][cell, hash_] = _lines_of(tokens, starts)
    rows_of: dict[Fingerprint, list[int]] = defaultdict(list)
    for row, fingerprints in enumerate(lines.values()):
        for fingerprint in fingerprints:
            rows_of[fingerprint].append(row)
    max_students = max(MAX_COMMON_STUDENTS, MAX_COMMON_SHARE * len(lines))
    rare = [rows for rows in rows_of.values() if len(rows) <= max_students]
    pairs, undistinctive = _find_pairs(list(lines), rare)
    return SimilarityReport(pairs, len(lines), lines, left_out, undistinctive)


def _lines_of(tokens: list[Token], starts: list[int]) -> set[int]:
    return {token.line for start in starts for token in tokens[start : start + NOISE_THRESHOLD]}


def _find_pairs(students: list[str], rare: list[list[int]]) -> tuple[list[Pair], int]:
    """The pairs to list, and the number of undistinctive students.

    Args:
        students: all students.
        rare: for each fingerprint that is not common, the indices of the students who have it.
    """
    if not rare:
        return [], len(students)
    counts = np.array([len(rows) for rows in rare])
    rows = np.concatenate(rare)
    columns: np.ndarray = np.repeat(np.arange(len(rare)), counts)
    # (students, fingerprints), 1 where a student has a fingerprint
    has = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(students), len(rare)))
    sizes = np.asarray(has.sum(axis=1)).ravel()
    shared = sparse.triu(has @ has.T, k=1).tocoo()
    overlap = shared.data / np.minimum(sizes[shared.row], sizes[shared.col])
    listed = (shared.data >= MIN_SHARED) & (overlap >= MIN_OVERLAP)
    first = shared.row[listed]
    second = shared.col[listed]
    weighted = (has.multiply(np.log2(len(students) / counts)).tocsr() @ has.T).tocsr()
    rarity = np.asarray(weighted[first, second]).ravel() if len(first) else []
    pairs = [
        Pair(students[i], students[j], int(pair_shared), float(pair_overlap), float(pair_rarity))
        for i, j, pair_shared, pair_overlap, pair_rarity in zip(
            first, second, shared.data[listed], overlap[listed], rarity, strict=True
        )
    ]
    pairs.sort(key=lambda pair: (-pair.rarity, pair.first, pair.second))
    return pairs, int((sizes < MIN_SHARED).sum())


def exercise_stubs(released: Mapping[str, str]) -> dict[str, str]:
    """The released exercise cells by grade id, from all sources of a release."""
    return {name: source for name, source in released.items() if name.endswith("-code")}


def write(workspace: Path, lesson: str, out: Path) -> tuple[Path, SimilarityReport]:
    """Write the page of a lesson to ``out/NN_name.html``.

    Raises:
        ValueError: if the release can't be read.
    """
    stubs = exercise_stubs(read_sources(workspace / "release" / lesson / f"{lesson}.ipynb"))
    codes, unreadable = read_submitted_sources(workspace, lesson)
    report = compare(codes, stubs)
    report.left_out += [(student, "the notebook can't be read") for student in unreadable]
    page = render(
        "similarity",
        title=f"Nearly the same code: {lesson}",
        report=report,
        shown=[
            {"pair": pair, "exercises": _side_by_side(pair, codes, report.lines, list(stubs))}
            for pair in report.pairs[:MAX_PAIRS_SHOWN]
        ],
        noise_threshold=NOISE_THRESHOLD,
        guarantee_threshold=GUARANTEE_THRESHOLD,
        max_common_percent=100 * MAX_COMMON_SHARE,
        max_common_students=MAX_COMMON_STUDENTS,
        min_shared=MIN_SHARED,
        min_overlap_percent=100 * MIN_OVERLAP,
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{lesson}.html"
    path.write_text(page, encoding="utf-8")
    return path, report


def _side_by_side(
    pair: Pair,
    codes: dict[str, dict[str, str]],
    lines: dict[str, dict[Fingerprint, set[int]]],
    cells: list[str],
) -> list[dict]:
    """For each exercise with shared fingerprints, both solutions as ``(line, is_shared)``."""
    shared = lines[pair.first].keys() & lines[pair.second].keys()
    exercises = []
    for cell in cells:
        fingerprints = [fingerprint for fingerprint in shared if fingerprint[0] == cell]
        if not fingerprints:
            continue
        sides = []
        for student in (pair.first, pair.second):
            numbers = set().union(*(lines[student][fingerprint] for fingerprint in fingerprints))
            texts = enumerate(codes[student][cell].splitlines(), 1)
            sides.append((student, [(text, number in numbers) for number, text in texts]))
        exercises.append({"name": cell.removesuffix("-code"), "sides": sides})
    return exercises
