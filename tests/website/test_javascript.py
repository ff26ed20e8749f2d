"""The page's JavaScript passes the TypeScript compiler and its unit tests in node."""

import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from platformdirs import user_cache_path

from course_lib.quiz.answers import order_share
from course_lib.quiz.number_text import parse_number
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


NUMBERS = [
    *(
        "196,608",
        "1.5e3",
        "1 500",
        "1'500",
        "1_500",
        "0,5",
        "0,500",
        "1,50",
        "12 MB",
        "12MB",
        "12 mb.",
    ),
    *("12 GB", "3/4", "1/0", "1.500.000", "1.500,5", "-3", "\u22123", "1.5 x 10^6", "2\u00d710^3"),
    *(
        "10\u00b2",
        "\u00bd",
        "1\u00bd",
        "1e999",
        "5k",
        "x",
        "",
        "  ",
        "~5",
        "= 7",
        ".5",
        "5.",
        "1,500.25",
    ),
    *(
        "1,5.2",
        "1 5",
        "1e3/2",
        "12,345,67",
        "1.5.2",
        "three",
        "1 234 567",
        "\uff11\uff12",
        "1\u202f500",
    ),
]


def number_table() -> list[tuple[str, float | str | None]]:
    """(text, value in MB) for each text; the value is "refused" if it is not a number."""
    rows: list[tuple[str, float | str | None]] = []
    for text in NUMBERS:
        try:
            value = parse_number(text, "MB")
        except ValueError:
            rows.append((text, "refused"))
        else:
            rows.append((text, None if value is None else float(value)))
    return rows


def order_table() -> list[tuple[str, str, float]]:
    """(answer, right, fraction of the points) for every order of 3 to 5 steps."""
    rows = []
    for right in ("BCA", "CABD", "EDCAB"):
        answers = ("".join(order) for order in itertools.permutations(right))
        rows += [(answer, right, order_share(answer, right)) for answer in answers]
    return rows


def test_types(node):
    """The compiler's results are cached for the next run."""
    cache = user_cache_path("pixels-to-diffusion") / "site" / "types.tsbuildinfo"
    compiler = WEB / "node_modules" / "typescript" / "bin" / "tsc"
    run([node, compiler, "-p", WEB, "--incremental", "--tsBuildInfoFile", cache])


def test_units(node, tmp_path):
    table = tmp_path / "scoring.json"
    tables = {"letters": scoring_table(), "numbers": number_table(), "orders": order_table()}
    table.write_text(json.dumps(tables), encoding="utf-8")
    tests = sorted((WEB / "tests").glob("*.test.js"))
    run([node, "--test", *tests], COURSE_SCORING_TABLE=str(table))
