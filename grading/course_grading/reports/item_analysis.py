"""The item analysis: how hard each question and exercise was, what it tells apart, and which
options were chosen.

The page describes one lesson and one class. It comes from nbgrader's gradebook, the answers that
were handed in and the instructor's notebook, which holds the questions; no student's code runs.
"""

import re
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nbgrader.api import Gradebook

from course_grading.collect import cell_sources
from course_grading.gradebook import scores
from course_grading.reports.templates import render
from course_lib.quiz import scoring

MINIMUM = 30  # students: even with these, the 95 % interval of a correlation of 0.35 still holds 0
WEAK = 0.1  # a discrimination below this is worth a look
_OPTION = re.compile(r"^- \*\*(?P<letter>[A-H])\*\* · (?P<text>.*)$", re.MULTILINE)
NOTHING, UNREADABLE, UNKNOWN = "nothing", "no letters", "not known"


class AnalysisError(Exception):
    """There is nothing to analyse; the message says what to do."""


@dataclass(frozen=True)
class Asked:
    """A question as the instructor's notebook has it: its Markdown, its options by letter, and the
    right letters.
    """

    text: str
    options: dict[str, str]
    right: str


def discriminations(points: np.ndarray) -> np.ndarray:
    """The corrected item-total correlation of each item: with the sum of all *other* items.

    For an item that is right or wrong this is the corrected point-biserial correlation. Source:
    Henrysson (1963), "Correction of item-total correlations in item analysis", Psychometrika 28,
    211-218.

    Args:
        points: (students, items).

    Returns:
        (items,), between -1 and 1; NaN where the item, or the rest, is the same for all students.
    """
    rest = points.sum(axis=1, keepdims=True) - points
    ours, theirs = points - points.mean(axis=0), rest - rest.mean(axis=0)
    scale = np.sqrt((ours**2).sum(axis=0) * (theirs**2).sum(axis=0))
    flat = np.isclose(scale, 0)
    return np.where(flat, np.nan, (ours * theirs).sum(axis=0) / np.where(flat, 1, scale))


def interval(r: float, students: int) -> tuple[float, float]:
    """The 95 % interval of a correlation, by Fisher's z (1921); rough, since points are no normal
    distribution.
    """
    z, half = np.arctanh(np.clip(r, -0.999999, 0.999999)), 1.96 / np.sqrt(students - 3)
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def questions(source: dict[str, str]) -> dict[str, Asked]:
    """The questions of an instructor's notebook, by name, from its cells by grade id."""
    asked = {}
    for grade_id, cell in source.items():
        name = grade_id.removesuffix("-question")
        options = {found["letter"]: found["text"] for found in _OPTION.finditer(cell)}
        if name != grade_id and options and f"{name}-answer" in source:
            text = _OPTION.sub("", cell).strip()
            asked[name] = Asked(text, options, scoring.literal(source[f"{name}-answer"]))
    return asked


def chosen(cells: dict[str, str] | None, name: str, asked: Asked) -> list[str]:
    """What a student chose: letters, or one of ``NOTHING``, ``UNREADABLE`` and, without a notebook,
    ``UNKNOWN``.
    """
    if cells is None or f"{name}-answer" not in cells:
        return [UNKNOWN]
    try:
        letters = scoring.parse(
            scoring.literal(cells[f"{name}-answer"]), "".join(asked.options), len(asked.right) > 1
        )
    except ValueError:
        return [UNREADABLE]
    return list(letters) or [NOTHING]


def write(book: Gradebook, workspace: Path, lesson: str, out: Path) -> Path:
    """Write the page of a lesson to ``out/NN_name.html``.

    Raises:
        AnalysisError: if nothing of the lesson is graded, or its instructor's notebook can't be
            read.
    """
    source = workspace / "source" / lesson / f"{lesson}.ipynb"
    try:
        asked = questions(cell_sources.sources(source))
    except ValueError as error:
        raise AnalysisError(
            f"the instructor's notebook of {lesson} is missing: run course build first"
        ) from error
    graded = scores.items(book, lesson)
    waiting = {item.student for item in graded if not item.scored}
    counted = [item for item in graded if item.student not in waiting]
    if not counted:
        raise AnalysisError(
            f"the gradebook holds no submission of {lesson} that is wholly graded: grade first"
        )
    students = sorted({item.student for item in counted})
    worth = {item.name: item.max_score for item in counted}
    order = [name for name in cell_sources.sources(source) if name in worth]
    names = order + sorted(set(worth) - set(order))
    points = np.zeros((len(students), len(names)))
    places = {name: number for number, name in enumerate(names)}
    rows = {student: number for number, student in enumerate(students)}
    for item in counted:
        points[rows[item.student], places[item.name]] = item.score
    cells, _ = cell_sources.of_lesson(workspace, lesson)
    answers = {
        name: [chosen(cells.get(s), name, asked[name]) for s in students]
        for name in names
        if name in asked
    }
    times = [total for total in scores.totals(book, [lesson]) if total.student in rows]
    values = _page(lesson, points, [worth[name] for name in names], names, asked, answers)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{lesson}.html"
    path.write_text(
        render("analysis", **values, left_out=sorted(waiting), time=_time(times)), encoding="utf-8"
    )
    return path


def _page(
    lesson: str,
    points: np.ndarray,
    worth: list[float],
    names: list[str],
    asked: dict,
    answers: dict,
) -> dict:
    """Everything that the template shows, but what is known of time."""
    from course_grading.reports import charts

    n, third = len(points), len(points) // 3
    totals = points.sum(axis=1)
    ranked = np.argsort(totals, kind="stable")  # students come by name: ties are broken by it
    lower, upper = set(ranked[:third].tolist()), set(ranked[n - third :].tolist())
    shares = points / np.array(worth)
    strength = discriminations(points) if n >= MINIMUM else np.full(len(names), np.nan)
    items = []
    for k, name in enumerate(names):
        item = {
            "name": name,
            "points": worth[k],
            "mean": shares[:, k].mean(),
            "options": [],
            "figure": "",
        }
        item |= {"full": int((shares[:, k] >= 1).sum()), "none": int((shares[:, k] <= 0).sum())}
        item["discrimination"], item["remarks"] = _told(strength[k], shares[:, k])
        if name in answers:
            _options(item, asked[name], answers[name], upper, lower)
        else:
            percents = [round(100 * share) for share in shares[:, k]]
            item["shares"] = [
                {"share": p / 100, **_counts([q == p for q in percents], upper, lower)}
                for p in sorted(set(percents))
            ]
        items.append(item)
    whole = sum(worth)
    quartiles = statistics.quantiles(totals / whole, n=4) if n > 1 else [totals[0] / whole] * 3
    known = {name: r for name, r in zip(names, strength, strict=True) if not np.isnan(r)}
    difficulty = {item["name"]: item["mean"] for item in items}
    figure = _figure(
        charts.totals(totals / whole),
        "A histogram of the students' totals.",
        _in_words(totals / whole),
    )
    scatter = _figure(
        charts.items(difficulty, known),
        "Items by mean share of the points and discrimination: "
        + "; ".join(f"{name} {100 * difficulty[name]:.0f} %, {r:.2f}" for name, r in known.items()),
        "Low and near the line: hard, and of no use for telling who knows more.",
    )
    return {
        **{
            "title": f"Item analysis: {lesson}",
            "n": n,
            "minimum": MINIMUM,
            "third": third,
            "items": items,
        },
        **{"mean": float((totals / whole).mean()), "quartiles": quartiles, "points": whole},
        **{"totals_figure": figure, "items_figure": scatter if known else ""},
    }


def _told(r: float, shares: np.ndarray) -> tuple[str, list[str]]:
    """An item's discrimination in words, and why somebody should look at the item."""
    remarks = []
    if len(shares) >= MINIMUM:
        remarks += ["nearly all have it"] if shares.mean() > 0.95 else []
        remarks += ["nearly nobody has it"] if shares.mean() < 0.2 else []
        remarks += (
            ["students who know less do better at it"]
            if r < 0
            else ["it tells little"]
            if r < WEAK
            else []
        )
    if np.isnan(r):
        return ("too few students" if len(shares) < MINIMUM else "none: all are alike"), remarks
    low, high = interval(r, len(shares))
    return f"{r:.2f} ({low:.2f} to {high:.2f})", remarks


def _options(
    item: dict, asked: Asked, answers: list[list[str]], upper: set[int], lower: set[int]
) -> None:
    """Which options were chosen, by whom: rows for the table, a figure, and remarks on wrong
    options.
    """
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    from course_grading.reports import charts

    # what an author wrote is shown, never executed
    markdown = MarkdownIt("commonmark", {"html": False})
    item["text"] = Markup(markdown.render(asked.text))
    extra = [
        other
        for other in (NOTHING, UNREADABLE, UNKNOWN)
        if any(other in answer for answer in answers)
    ]
    for letter in [*asked.options, *extra]:
        text = Markup(markdown.renderInline(asked.options.get(letter, "")))
        counts = _counts([letter in answer for answer in answers], upper, lower)
        item["options"].append(
            {"letter": letter, "text": text, "right": letter in asked.right, **counts}
        )
        if letter in asked.options and letter not in asked.right and len(answers) >= MINIMUM:
            item["remarks"] += [f"nobody chose {letter}"] if not counts["all"] else []
            worrying = counts["upper"] > counts["lower"]
            item["remarks"] += (
                [f"{letter} is wrong, but more of the upper third chose it"] if worrying else []
            )
    if upper:
        figures = [option for option in item["options"] if option["letter"] in asked.options]
        labels = [
            f"{option['letter']}{' (right)' if option['right'] else ''}" for option in figures
        ]
        sides = [[option[side] / len(upper) for option in figures] for side in ("upper", "lower")]
        alt = "; ".join(
            f"{label}: {100 * u:.0f} % of the upper third, {100 * low:.0f} % of the lower"
            for label, u, low in zip(labels, *sides, strict=True)
        )
        caption = "A good wrong option is chosen by more of the lower third."
        item["figure"] = _figure(charts.options(labels, *sides), f"Bars: {alt}.", caption)


def _counts(holds: list[bool], upper: set[int], lower: set[int]) -> dict[str, int]:
    who = {number for number, true in enumerate(holds) if true}
    return {"all": len(who), "upper": len(who & upper), "lower": len(who & lower)}


def _figure(figure, alt: str, caption: str):
    from markupsafe import Markup

    from course_lib.figures import figure_html, png

    return Markup(
        figure_html(
            png(figure, dpi=110), alt, caption, width=round(figure.get_size_inches()[0] * 100)
        )
    )


def _in_words(shares: np.ndarray) -> str:
    counts = Counter(min(9, max(0, int(share * 10 + 1e-9))) for share in shares)
    return ", ".join(f"{10 * k}-{10 * k + 10} %: {counts[k]}" for k in sorted(counts))


def _time(totals: list[scores.Total]) -> str:
    """What the gradebook knows of time, in a sentence: when work was handed in."""
    known = [total for total in totals if total.handed_in]
    if not known:
        return "It is not known when the work was handed in."
    first, last = min(t.handed_in for t in known), max(t.handed_in for t in known)
    told = f"Known for {len(known)} of {len(totals)}: handed in from {first:%d %B %Y %H:%M} to {last:%d %B %Y %H:%M} UTC"
    hours = [(total.due - total.handed_in).total_seconds() / 3600 for total in known if total.due]
    if not hours:
        return f"{told}."
    middle = statistics.median(hours)
    before = f"{abs(middle):.0f} hours {'before' if middle >= 0 else 'after'} the due date"
    return f"{told}; in the middle {before}, {sum(hour < 0 for hour in hours)} late."
