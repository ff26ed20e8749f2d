"""Draw the README's picture of grading from the last ``uv run python -m benchmarks grading``."""

import json
from pathlib import Path

from matplotlib.figure import Figure

from course_lib.figures import png

FOLDER = Path(__file__).parent
# Okabe and Ito (2008)
NAMES = {
    "course grade": "#0072b2",
    "nbgrader autograde": "#e69f00",
    "otter run": "#999999",
}


def main() -> None:
    """Write ``grading.png`` beside this file."""
    rows = json.loads((FOLDER.parent / "benchmarks" / "results" / "grading.json").read_text())[
        "rows"
    ]
    beside = [row for row in rows if not row["what"].endswith("copies")]
    copies = [row for row in rows if row["what"].endswith("copies")]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for place, row in enumerate(reversed(beside)):
        name, lesson = row["what"].split(", ")
        seconds = row["seconds each"]
        left.plot(seconds, place, "o", markersize=10, color=NAMES[name])
        left.text(seconds * 1.3, place, f"{seconds:.2f} s" + (f", {row['x ours']:.0f} x" if row["x ours"] != 1 else ""),
                  va="center")  # fmt: skip
    left.set_yticks(range(len(beside)), [_said(row["what"]) for row in reversed(beside)])
    left.set_xscale("log")
    left.set_xlim(0.1, 400)
    left.set_xticks((0.1, 1, 10, 100), ("0.1", "1", "10", "100"))
    left.set_ylim(-0.5, len(beside) - 0.5)
    left.grid(axis="y", alpha=0.3)
    left.set_xlabel("seconds for a submission (two cores)")
    right.plot(
        [row["submissions"] for row in copies],
        [row["seconds each"] for row in copies],
        "o-",
        color="#0072b2",
    )
    for row in copies:
        right.annotate(f"{row['coordinator, MB']:.0f} MB", (row["submissions"], row["seconds each"]),
                       textcoords="offset points", xytext=(0, 9), ha="center")  # fmt: skip
    right.set_xscale("log")
    right.set_xticks(
        [row["submissions"] for row in copies], [f"{row['submissions']:,}" for row in copies]
    )
    right.minorticks_off()
    right.set_ylim(0, 1.25 * max(row["seconds each"] for row in copies))
    right.set_xlabel("submissions, graded by course grade")
    right.set_ylabel("seconds for one")
    right.margins(x=0.15)
    (FOLDER / "grading.png").write_bytes(png(figure, dpi=80))


def _said(what: str) -> str:
    name, lesson = what.split(", ")
    return (
        f"{name}\n{'sample, no torch' if 'sample' in lesson else 'lesson ' + str(int(lesson[:2]))}"
    )


if __name__ == "__main__":
    main()
