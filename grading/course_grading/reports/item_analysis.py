"""Item analysis: the difficulty and discrimination of each item, and the options that were chosen.

Each page describes one lesson and one class. Its data are nbgrader's gradebook, the submitted
answers, and the questions in the instructor's notebook. No student's code is run.
"""

import re
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nbgrader.api import Gradebook

from course_grading.collect.cell_sources import read_sources, read_submitted_sources
from course_grading.errors import AnalysisError
from course_grading.gradebook import scores
from course_grading.reports.templates import render
from course_lib.quiz import scoring

# With fewer students, discrimination is not shown: even with 30, the 95 % confidence interval of a
# correlation of 0.35 includes 0.
MIN_STUDENTS = 30
LOW_DISCRIMINATION = 0.1
_OPTION = re.compile(r"^- \*\*(?P<letter>[A-H])\*\* · (?P<text>.*)$", re.MULTILINE)
NO_ANSWER = "no answer"
UNREADABLE = "unreadable"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class QuestionText:
    """A choice question in the instructor's notebook: its Markdown, its options by letter, and the
    right letters.
    """

    text: str
    options: dict[str, str]
    right: str


def discriminations(points: np.ndarray) -> np.ndarray:
    """The corrected item-total correlation of each item, with the sum of all *other* items.

    For a dichotomous item this is the corrected point-biserial correlation.
    Source: Henrysson (1963), "Correction of item-total correlations in item analysis",
    Psychometrika 28, 211-218.

    Args:
        points: (students, items).

    Returns:
        (items,), from -1 to 1; NaN if the item's score, or the sum of the others, is the same for
        all students.
    """
    rest = points.sum(axis=1, keepdims=True) - points
    points_deviation = points - points.mean(axis=0)
    rest_deviation = rest - rest.mean(axis=0)
    scale = np.sqrt((points_deviation**2).sum(axis=0) * (rest_deviation**2).sum(axis=0))
    constant = np.isclose(scale, 0)
    covariance = (points_deviation * rest_deviation).sum(axis=0)
    return np.where(constant, np.nan, covariance / np.where(constant, 1, scale))


def confidence_interval(r: float, students: int) -> tuple[float, float]:
    """The 95 % confidence interval of a correlation by Fisher's z-transformation (1921), which is
    approximate, because scores are not normally distributed.
    """
    z = np.arctanh(np.clip(r, -0.999999, 0.999999))
    half_width = 1.96 / np.sqrt(students - 3)
    return float(np.tanh(z - half_width)), float(np.tanh(z + half_width))


def parse_questions(sources: dict[str, str]) -> dict[str, QuestionText]:
    """The choice questions of an instructor's notebook by name, from its sources by grade id."""
    questions = {}
    for grade_id, source in sources.items():
        name = grade_id.removesuffix("-question")
        options = {match["letter"]: match["text"] for match in _OPTION.finditer(source)}
        if name != grade_id and options and f"{name}-answer" in sources:
            if "choose=" in sources.get(name, ""):
                continue  # an ordering question
            text = _OPTION.sub("", source).strip()
            right = scoring.extract_answer(sources[f"{name}-answer"])
            questions[name] = QuestionText(text, options, right)
    return questions


def chosen_options(sources: dict[str, str] | None, name: str, question: QuestionText) -> list[str]:
    """The letters that a student chose; ``NO_ANSWER``, ``UNREADABLE``, or ``UNKNOWN`` without a
    notebook.
    """
    if sources is None or f"{name}-answer" not in sources:
        return [UNKNOWN]
    try:
        answer = scoring.extract_answer(sources[f"{name}-answer"])
        letters = scoring.parse(answer, "".join(question.options), len(question.right) > 1)
    except ValueError:
        return [UNREADABLE]
    return list(letters) or [NO_ANSWER]


def write(book: Gradebook, workspace: Path, lesson: str, out: Path) -> Path:
    """Write the page of a lesson to ``out/NN_name.html``.

    Raises:
        AnalysisError: if no submission of the lesson is completely graded, or the instructor's
            notebook can't be read.
    """
    try:
        sources = read_sources(workspace / "source" / lesson / f"{lesson}.ipynb")
        questions = parse_questions(sources)
    except ValueError as error:
        raise AnalysisError(
            f"the instructor's notebook of {lesson} is missing: run course build first"
        ) from error
    items = [item for item in scores.items(book, lesson) if item.max_score]  # not void
    ungraded = {item.student for item in items if not item.scored}
    items = [item for item in items if item.student not in ungraded]
    if not items:
        raise AnalysisError(
            f"the gradebook has no completely graded submission of {lesson}: grade first"
        )
    students = sorted({item.student for item in items})
    max_scores = {item.name: item.max_score for item in items}
    names = [name for name in sources if name in max_scores]  # in the lesson's order
    names += sorted(max_scores.keys() - set(names))
    row_of = {student: row for row, student in enumerate(students)}
    column_of = {name: column for column, name in enumerate(names)}
    points = np.zeros((len(students), len(names)))
    for item in items:
        points[row_of[item.student], column_of[item.name]] = item.score
    submitted, _ = read_submitted_sources(workspace, lesson)
    answers = {
        name: [chosen_options(submitted.get(s), name, questions[name]) for s in students]
        for name in names
        if name in questions
    }
    totals = [total for total in scores.totals(book, [lesson]) if total.student in row_of]
    page = render(
        "item_analysis",
        title=f"Item analysis: {lesson}",
        left_out=sorted(ungraded),
        submission_times=_submission_times(totals),
        **_page_values(points, {name: max_scores[name] for name in names}, questions, answers),
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{lesson}.html"
    path.write_text(page, encoding="utf-8")
    return path


def _page_values(
    points: np.ndarray,
    max_scores: dict[str, float],
    questions: dict[str, QuestionText],
    answers: dict[str, list[list[str]]],
) -> dict:
    """The template's values for the class and its items.

    Args:
        points: (students, items), students sorted by name.
        max_scores: the maximum score of each item, in the order of the columns.
        questions: the lesson's questions by name.
        answers: each student's chosen options, by question.
    """
    from course_grading.reports import charts

    student_count = len(points)
    third = student_count // 3
    totals = points.sum(axis=1)
    ranking = np.argsort(totals, kind="stable")  # equal totals are ordered by name
    lower = set(ranking[:third].tolist())
    upper = set(ranking[student_count - third :].tolist())
    shares = points / np.array(list(max_scores.values()))
    if student_count >= MIN_STUDENTS:
        correlations = discriminations(points)
    else:
        correlations = np.full(len(max_scores), np.nan)
    items = []
    for column, name in enumerate(max_scores):
        share = shares[:, column]
        discrimination, remarks = _describe_discrimination(float(correlations[column]), share)
        item = {
            "name": name,
            "points": max_scores[name],
            "mean": share.mean(),
            "full": int((share >= 1).sum()),
            "none": int((share <= 0).sum()),
            "discrimination": discrimination,
            "remarks": remarks,
            "options": [],
            "shares": [],
            "figure": "",
        }
        if name in answers:
            _add_options(item, questions[name], answers[name], upper, lower)
        else:
            percents = [round(100 * value) for value in share]
            item["shares"] = [
                {"share": p / 100, **_count([q == p for q in percents], upper, lower)}
                for p in sorted(set(percents))
            ]
        items.append(item)
    max_total = sum(max_scores.values())
    total_shares = totals / max_total
    if student_count > 1:
        quartiles = statistics.quantiles(total_shares, n=4)
    else:
        quartiles = [total_shares[0]] * 3
    totals_figure = _figure_html(
        charts.plot_totals(total_shares),
        alt="A histogram of the students' totals.",
        caption=_histogram_text(total_shares),
    )
    return {
        "student_count": student_count,
        "min_students": MIN_STUDENTS,
        "third": third,
        "items": items,
        "mean": float(total_shares.mean()),
        "quartiles": quartiles,
        "max_total": max_total,
        "totals_figure": totals_figure,
        "items_figure": _items_figure(items, correlations),
    }


def _items_figure(items: list[dict], correlations: np.ndarray) -> str:
    """The chart of all items with a discrimination; empty if there are none."""
    from course_grading.reports import charts

    difficulty = {item["name"]: item["mean"] for item in items}
    discrimination = {
        name: r for name, r in zip(difficulty, correlations, strict=True) if not np.isnan(r)
    }
    if not discrimination:
        return ""
    descriptions = [
        f"{name} {100 * difficulty[name]:.0f} %, {r:.2f}" for name, r in discrimination.items()
    ]
    return _figure_html(
        charts.plot_items(difficulty, discrimination),
        alt=f"Items by mean share of the points and discrimination: {'; '.join(descriptions)}",
        caption="Left and near the line: a hard item that hardly discriminates between students.",
    )


def _describe_discrimination(r: float, shares: np.ndarray) -> tuple[str, list[str]]:
    """An item's discrimination as text, and remarks: reasons to check the item."""
    remarks = []
    if len(shares) >= MIN_STUDENTS:
        if shares.mean() > 0.95:
            remarks.append("very easy")
        if shares.mean() < 0.2:
            remarks.append("very hard")
        if r < 0:
            remarks.append("students with lower scores do better on it")
        elif r < LOW_DISCRIMINATION:
            remarks.append("low discrimination")
    if np.isnan(r):
        few = len(shares) < MIN_STUDENTS
        return ("too few students" if few else "none: all scores are equal"), remarks
    low, high = confidence_interval(r, len(shares))
    return f"{r:.2f} ({low:.2f} to {high:.2f})", remarks


def _add_options(
    item: dict,
    question: QuestionText,
    answers: list[list[str]],
    upper: set[int],
    lower: set[int],
) -> None:
    """Add to an item how often each option was chosen: table rows, a figure, and remarks on
    distractors.
    """
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    # Raw HTML is escaped.
    markdown = MarkdownIt("commonmark", {"html": False})
    item["text"] = Markup(markdown.render(question.text))
    other_answers = [
        answer for answer in (NO_ANSWER, UNREADABLE, UNKNOWN) if any(answer in a for a in answers)
    ]
    for letter in [*question.options, *other_answers]:
        counts = _count([letter in answer for answer in answers], upper, lower)
        item["options"].append(
            {
                "letter": letter,
                "text": Markup(markdown.renderInline(question.options.get(letter, ""))),
                "right": letter in question.right,
                **counts,
            }
        )
        is_wrong = letter in question.options and letter not in question.right
        if is_wrong and len(answers) >= MIN_STUDENTS:
            if not counts["all"]:
                item["remarks"].append(f"nobody chose {letter}")
            if counts["upper"] > counts["lower"]:
                item["remarks"].append(f"{letter} is wrong, but more of the upper third chose it")
    if upper:
        item["figure"] = _options_figure(item["options"][: len(question.options)], len(upper))


def _options_figure(options: list[dict], third: int) -> str:
    from course_grading.reports import charts

    labels = [f"{option['letter']}{' (right)' if option['right'] else ''}" for option in options]
    upper = [option["upper"] / third for option in options]
    lower = [option["lower"] / third for option in options]
    descriptions = [
        f"{label}: {100 * u:.0f} % of the upper third, {100 * v:.0f} % of the lower"
        for label, u, v in zip(labels, upper, lower, strict=True)
    ]
    return _figure_html(
        charts.plot_options(labels, upper, lower),
        alt=f"Bars: {'; '.join(descriptions)}.",
        caption="A good distractor is chosen by more of the lower third.",
    )


def _count(selected: list[bool], upper: set[int], lower: set[int]) -> dict[str, int]:
    students = {index for index, value in enumerate(selected) if value}
    return {
        "all": len(students),
        "upper": len(students & upper),
        "lower": len(students & lower),
    }


def _figure_html(figure, alt: str, caption: str):
    from markupsafe import Markup

    from course_lib.figures import figure_html, figure_png

    width = round(figure.get_size_inches()[0] * 100)
    return Markup(figure_html(figure_png(figure, dpi=110), alt, caption, width=width))


def _histogram_text(shares: np.ndarray) -> str:
    counts = Counter(min(9, max(0, int(share * 10 + 1e-9))) for share in shares)
    return ", ".join(f"{10 * k}-{10 * k + 10} %: {counts[k]}" for k in sorted(counts))


def _submission_times(totals: list[scores.Total]) -> str:
    """A sentence about the times of submission."""
    timed = [(total.handed_in, total.due) for total in totals if total.handed_in]
    if not timed:
        return "The times of the submissions are not known."
    first = min(handed_in for handed_in, _ in timed)
    last = max(handed_in for handed_in, _ in timed)
    sentence = (
        f"Times are known for {len(timed)} of {len(totals)} submissions: from "
        f"{first:%d %B %Y %H:%M} to {last:%d %B %Y %H:%M} UTC"
    )
    hours = [(due - handed_in).total_seconds() / 3600 for handed_in, due in timed if due]
    if not hours:
        return f"{sentence}."
    median = statistics.median(hours)
    side = "before" if median >= 0 else "after"
    late = sum(value < 0 for value in hours)
    return f"{sentence}; the median is {abs(median):.0f} hours {side} the due date, {late} late."
