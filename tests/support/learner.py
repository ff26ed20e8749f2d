"""Edits notebooks of the small course as a learner does: answers, exercises, check outputs."""

import json
import os
from pathlib import Path

LESSON = "01_sample"
RIGHT = "def double(x):\n    return 2 * np.asarray(x)"
WRONG = "def double(x):\n    return np.asarray(x) + 2"  # passes the visible check only


def load(path: Path) -> dict:
    """A notebook's JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def edit(path: Path, **cells: str | dict) -> None:
    """Set the source or fields of cells, given by id with underscores for hyphens."""
    document = load(path)
    wanted = {name.replace("_", "-"): change for name, change in cells.items()}
    for cell in document["cells"]:
        change = wanted.pop(cell.get("id") or cell["metadata"].get("id"), {})
        cell.update({"source": change} if isinstance(change, str) else change)
    assert not wanted, f"{path} has no cell {sorted(wanted)}"
    path.write_text(json.dumps(document), encoding="utf-8")


def answer(path: Path, question: str, letters: str) -> None:
    """Type an answer."""
    source = f'answer = "{letters}"  # @param\nquiz.answer("{question}", answer)'
    edit(path, **{f"{question}-answer": source})


def solve(path: Path, code: str, exercise: str = "double") -> None:
    """Write the code of an exercise."""
    edit(path, **{f"{exercise}-code": f"# Exercise: {exercise} (2 points)\n{code}\n"})


def run_check(path: Path, *, passes: bool, exercise: str = "double", count: int = 9) -> None:
    """Save the outputs of a check cell, as after running it."""
    if passes:
        text = [f"✓ {exercise}: every check in this cell passed.\n"]
        outputs = [{"output_type": "stream", "name": "stdout", "text": text}]
    else:
        error = {"ename": "AssertionError", "evalue": "Twice two is four.", "traceback": []}
        outputs = [{"output_type": "error", **error}]
    edit(path, **{exercise: {"outputs": outputs, "execution_count": count}})


def set_time(path: Path, seconds: float) -> None:
    """Set the modification time of a notebook, in seconds since 1970."""
    os.utime(path, (seconds, seconds))


def as_from_colab(path: Path, target: Path) -> None:
    """Write a notebook as downloaded from Colab: format 4.0, cell ids in the metadata."""
    document = load(path)
    document["metadata"] |= {"colab": {"provenance": []}}
    document["nbformat_minor"] = 0
    for cell in document["cells"]:
        cell["metadata"]["id"] = cell.pop("id")
        cell["source"] = "".join(cell["source"]).splitlines(keepends=True)
    target.write_text(json.dumps(document), encoding="utf-8")
