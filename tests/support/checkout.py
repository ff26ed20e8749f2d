"""Paths in the checkout, and the names of the lessons."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests" / "sample" / "01_sample.md"
ATTACKS_FOLDER = ROOT / "tests" / "grading" / "attacks"
FINAL_QUIZ = "99_check_of_the_course"  # questions on all lessons, without code
LESSONS = sorted(
    path.stem for path in (ROOT / "solutions").glob("[0-9][0-9]_*.md") if path.stem != FINAL_QUIZ
)
