"""The page's JavaScript: its types by the TypeScript compiler, its unit tests by node."""

import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from course_lib.quiz.scoring import LETTERS, score
from tests.support import question_page
from tests.support.checkout import ROOT

WEB = ROOT / "website" / "web"


@pytest.fixture(autouse=True)
def node() -> str:
    """The path of node; the tests are skipped without it or without npm's packages."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("node is not installed: install the package nodejs")
    question_page.skip_without_packages()
    return path


def run(command: list[str | Path], **variables: str) -> None:
    result = subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


def subsets(letters: str) -> list[str]:
    """Every subset of the letters as a string, the empty one first."""
    return [
        "".join(chosen)
        for size in range(len(letters) + 1)
        for chosen in itertools.combinations(letters, size)
    ]


def scoring_table() -> list[tuple[str, str, str, float, float]]:
    """(selected, right, letters, points, earned) for every key and answer of 2 to 6 options."""
    rows = []
    for count, points in itertools.product(range(2, 7), (1, 1.5)):
        letters = LETTERS[:count]
        answers = subsets(letters)
        for right in answers[1:-1]:
            wrong = "".join(letter for letter in letters if letter not in right)
            rows += [
                (answer, right, letters, points, score(answer, right, wrong, points))
                for answer in answers
            ]
    return rows


def test_types(node):
    run([node, WEB / "node_modules" / "typescript" / "bin" / "tsc", "-p", WEB])


def test_units(node, tmp_path):
    table = tmp_path / "scoring.json"
    table.write_text(json.dumps(scoring_table()), encoding="utf-8")
    tests = sorted((WEB / "tests").glob("*.test.js"))
    run([node, "--test", *tests], COURSE_SCORING_TABLE=str(table))
