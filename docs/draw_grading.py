"""Draw the comparison of graders in docs/measured.md: ``uv run python docs/draw_grading.py``.

It needs the results of ``uv run python -m benchmarks grading``.
"""

import json
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.figures import figure_png
from course_lib.figures.style import BLUE, ORANGE

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "benchmarks" / "results" / "grading.json"
COLOURS = {"course grade": BLUE, "nbgrader autograde": ORANGE, "otter run": "#999999"}


def main() -> None:
    """Write ``grading.png`` next to this file."""
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    compare_graders(left, [row for row in rows if not row["what"].endswith("copies")])
    time_by_count(right, [row for row in rows if row["what"].endswith("copies")])
    (FOLDER / "grading.png").write_bytes(figure_png(figure, dpi=80))


def compare_graders(axes: Axes, rows: list[dict]) -> None:
    """Seconds per submission of each grader, on a logarithmic axis."""
    for place, row in enumerate(reversed(rows)):
        seconds, ratio = row["seconds each"], row["x ours"]
        axes.plot(seconds, place, "o", markersize=10, color=COLOURS[row["what"].split(", ")[0]])
        text = f"{seconds:.2f} s" if ratio == 1 else f"{seconds:.2f} s, {ratio:.0f} x"
        axes.text(seconds * 1.3, place, text, va="center")
    axes.set_yticks(range(len(rows)), [label(row["what"]) for row in reversed(rows)])
    axes.set_xscale("log")
    axes.set_xlim(0.1, 400)
    axes.set_xticks((0.1, 1, 10, 100), ("0.1", "1", "10", "100"))
    axes.set_ylim(-0.5, len(rows) - 0.5)
    axes.grid(axis="y", alpha=0.3)
    axes.set_xlabel("seconds per submission (two cores)")


def time_by_count(axes: Axes, rows: list[dict]) -> None:
    """Seconds per submission of ``course grade`` for batches of different sizes."""
    counts = [row["submissions"] for row in rows]
    seconds = [row["seconds each"] for row in rows]
    axes.plot(counts, seconds, "o-", color=BLUE)
    for row, point in zip(rows, zip(counts, seconds, strict=True), strict=True):
        text = f"{row['coordinator, MB']:.0f} MB"
        axes.annotate(text, point, textcoords="offset points", xytext=(0, 9), ha="center")
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.set_ylim(0, 1.25 * max(seconds))
    axes.set_xlabel("submissions in one run of course grade")
    axes.set_ylabel("seconds per submission")
    axes.margins(x=0.15)


def label(what: str) -> str:
    """The axis label of a row, from its ``what``: ``"grader, lesson"``."""
    name, lesson = what.split(", ")
    return f"{name}\n{'sample, no torch' if 'sample' in lesson else f'lesson {int(lesson[:2])}'}"


if __name__ == "__main__":
    main()
