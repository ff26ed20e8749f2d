"""Where the tests find the checkout and the sample lesson."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests" / "sample" / "01_sample.md"
ATTACKS = ROOT / "tests" / "grading" / "attacks"
LESSONS = sorted(path.stem for path in (ROOT / "solutions").glob("[0-9][0-9]_*.md"))
