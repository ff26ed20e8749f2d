"""Recipes of :mod:`.attacks` that alter a notebook; those in :mod:`.attack_files` write files.

Each takes the notebook (plain JSON), the student's folder and the world, and returns the notebook.
"""

import copy

from tests.support.attacks import released_notebook

MB = 2**20


def _nbgrader_metadata(notebook: dict) -> list[dict]:
    """The ``nbgrader`` metadata of every cell that has any."""
    return [
        cell["metadata"]["nbgrader"] for cell in notebook["cells"] if "nbgrader" in cell["metadata"]
    ]


def _cell(notebook: dict, id: str) -> dict:
    return next(cell for cell in notebook["cells"] if cell["id"] == id)


def code(source: str, id: str, **metadata) -> dict:
    """A code cell."""
    cell = {"cell_type": "code", "id": id, "metadata": metadata, "source": source}
    return {**cell, "outputs": [], "execution_count": None}


def _claim(grade_id: str, **more) -> dict:
    claim = {
        "schema_version": 3,
        "grade_id": grade_id,
        "grade": True,
        "points": 100,
        "solution": False,
    }
    return {**claim, "locked": False, "task": False, **more}


# ---- deliberately altered notebooks ----


def more_points(notebook, folder, world):
    for metadata in _nbgrader_metadata(notebook):
        metadata["points"], metadata["grade"] = 100, True
    return notebook


def swapped_ids(notebook, folder, world):
    swap = {"which-letters": "how-many", "how-many": "which-letters"}
    for metadata in _nbgrader_metadata(notebook):
        metadata["grade_id"] = swap.get(metadata["grade_id"], metadata["grade_id"])
    return notebook


def all_ids_one(notebook, folder, world):
    for cell, metadata in zip(notebook["cells"], _nbgrader_metadata(notebook), strict=False):
        cell["id"] = metadata["grade_id"] = "how-many"
    return notebook


def checks_as_markdown(notebook, folder, world):
    for cell in notebook["cells"]:
        if cell["id"] in ("which-letters", "how-many", "double"):
            cell["cell_type"] = "markdown"
            del cell["outputs"], cell["execution_count"]
    return notebook


def work_as_raw(notebook, folder, world):
    for cell in notebook["cells"]:
        if cell["id"].endswith(("-answer", "-code")):
            cell["cell_type"] = "raw"
            del cell["outputs"], cell["execution_count"]
    return notebook


def checks_as_solutions(notebook, folder, world):
    for metadata in _nbgrader_metadata(notebook):
        metadata["solution"], metadata["grade"], metadata["locked"] = True, True, False
    return notebook


def future_schema(notebook, folder, world):
    for metadata in _nbgrader_metadata(notebook):
        metadata["schema_version"] = 99
    return notebook


def ancient_schema(notebook, folder, world):
    for metadata in _nbgrader_metadata(notebook):
        metadata["schema_version"] = 1
    return notebook


def nonsense_metadata(notebook, folder, world):
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"] = [{"nbgrader": 7}, {"nbgrader": [1]}, {"nbgrader": {"grade_id": {}}}, {}][
            number % 4
        ]
    notebook["metadata"] = {"course": 3, "kernelspec": {"name": 4}}
    return notebook


def duplicated(notebook, folder, world):
    notebook["cells"] = [
        cell for cell in notebook["cells"] for cell in (cell, *[copy.deepcopy(cell)] * 4)
    ]
    return notebook


def reordered(notebook, folder, world):
    notebook["cells"].reverse()
    return notebook


def own_checks(notebook, folder, world):
    for name in ("which-letters", "how-many", "double"):
        cell = _cell(notebook, name)
        cell["source"], cell["metadata"]["nbgrader"]["locked"] = "100.0", False
    return notebook


def no_checks(notebook, folder, world):
    notebook["cells"] = [
        cell for cell in notebook["cells"] if not cell["metadata"].get("nbgrader", {}).get("grade")
    ]
    return notebook


def prefilled_outputs(notebook, folder, world):
    for name in ("which-letters", "how-many", "double"):
        result = {"output_type": "execute_result", "data": {"text/plain": "100.0"}, "metadata": {}}
        _cell(notebook, name)["outputs"] = [{**result, "execution_count": 1}]
    return notebook


def extra_graded_cells(notebook, folder, world):
    notebook["cells"] += [
        code("100.0", f"extra-{n}", nbgrader=_claim(f"extra-{n}")) for n in range(5)
    ]
    task = _claim("extra-task", task=True, grade=False)
    notebook["cells"].append(
        {"cell_type": "markdown", "id": "t", "metadata": {"nbgrader": task}, "source": "task"}
    )
    return notebook


def strange_ids(notebook, folder, world):
    odd = ["../../gradebook", "'; DROP TABLE grade; --", "\x00", "a" * 100_000, "<script>"]
    notebook["cells"] += [code("100.0", id, nbgrader=_claim(id)) for id in odd]
    return notebook


def own_kernel(notebook, folder, world):
    notebook["metadata"]["kernelspec"] = {
        "name": "bash",
        "display_name": "x",
        "argv": ["touch", f"{world.canary}/k"],
    }
    notebook["metadata"]["language_info"] = {"name": "bash"}
    return notebook


def future_nbformat(notebook, folder, world):
    notebook["nbformat"], notebook["nbformat_minor"] = 99, 99
    return notebook


# ---- notebooks saved by other tools ----


def colab(notebook, folder, world):
    """As Colab saves it: Colab's cell metadata and ids, ``nbformat_minor`` 0, widget state."""
    for number, cell in enumerate(notebook["cells"]):
        cell.pop("id")
        cell["metadata"] = {
            "id": f"aB3_{number}",
            "executionInfo": {"status": "ok", "timestamp": 1_700_000_000_000},
        }
        cell["source"] = cell["source"].splitlines(keepends=True)
    state = {"application/vnd.jupyter.widget-state+json": {"abc": {"state": {}}}}
    notebook["metadata"] = {"colab": {"provenance": []}, "widgets": state}
    notebook["nbformat_minor"] = 0
    return notebook


def vscode(notebook, folder, world):
    """As VS Code saves it: no nbgrader metadata, new ids, quotes changed by a formatter."""
    for number, cell in enumerate(notebook["cells"]):
        cell["id"], cell["metadata"] = f"{number:08x}", {"vscode": {"languageId": "python"}}
        cell["source"] = (
            cell["source"].replace('quiz.answer("', "quiz.answer( '").replace('",', "',")
        )
    return notebook


def copied(notebook, folder, world):
    """Every cell twice; the work is in the pasted copies, which have no metadata."""
    worked = copy.deepcopy(notebook["cells"])
    blank = {cell["id"]: cell for cell in released_notebook(world)["cells"]}
    for number, cell in enumerate(worked):
        cell["metadata"], cell["id"] = {}, f"copy-{number}"
    notebook["cells"] = [cell for pair in zip(blank.values(), worked, strict=True) for cell in pair]
    return notebook


def split(notebook, folder, world):
    """The exercise and an answer, each split into two cells; the second cell has no metadata."""
    notebook = _split(notebook, "double-code", "    return")
    cells = notebook["cells"]
    code = next(index for index, cell in enumerate(cells) if cell["id"] == "double-code")
    whole = "from operator import add\n\n\ndef twice(x):\n    return add(x, x)"
    cells[code]["source"] = "# Exercise: double (2 points)\n" + whole
    cells[code + 1]["source"] = "def double(x):\n    return twice(x)"
    return _split(notebook, "which-letters-answer", "quiz.answer")


def split_by_lab(notebook, folder, world):
    """Split as by JupyterLab: both parts keep the metadata of the original cell."""
    notebook = _split(notebook, "double-code", "    return", keep=True)
    return _split(notebook, "which-letters-answer", "quiz.answer", keep=True)


def _split(notebook, id, at, keep=False):
    index = next(index for index, cell in enumerate(notebook["cells"]) if cell["id"] == id)
    cell = notebook["cells"][index]
    first, second = cell["source"].split(at, 1)
    rest = copy.deepcopy(cell["metadata"]) if keep else {}
    cell["source"] = first.rstrip("\n")
    notebook["cells"].insert(index + 1, code(at + second, f"{id}-part", **rest))
    return notebook


def merged(notebook, folder, world):
    """Merged cells: both questions with all cells between them, and the exercise with its check."""
    cells = notebook["cells"]
    indices = {cell["id"]: index for index, cell in enumerate(cells)}
    for first, last in (("double-code", "double"), ("which-letters-answer", "how-many")):
        part = cells[indices[first] : indices[last] + 1]
        cells[indices[first]]["source"] = "\n\n".join(cell["source"] for cell in part)
        del cells[indices[first] + 1 : indices[last] + 1]
    return notebook


def moved(notebook, folder, world):
    notebook["cells"] = notebook["cells"][::2] + notebook["cells"][1::2]
    return notebook


def deleted(notebook, folder, world):
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] != "double-code"]
    return notebook


def helper_above(notebook, folder, world):
    """The exercise calls a function that the learner defined in an added cell."""
    _cell(notebook, "double-code")["source"] = (
        "# Exercise: double (2 points)\ndef double(x):\n    return twice(x)"
    )
    notebook["cells"].insert(3, code("%matplotlib inline\nimport operator", "i"))
    notebook["cells"].insert(4, code("def twice(x):\n    return operator.add(x, x)", "h"))
    return notebook


def deep_expression(notebook, folder, world):
    """Answers nested as deeply as Python's parser allows, and far deeper."""
    letters = "(" * 180 + '"AC"' + ")" * 180
    _cell(notebook, "which-letters-answer")["source"] = (
        f'answer = {letters}\nquiz.answer("which-letters", answer)'
    )
    _cell(notebook, "how-many-answer")["source"] = (
        f'answer = {"-" * 5000}"B"\nquiz.answer("how-many", answer)'
    )
    return notebook


def huge_cell(notebook, folder, world):
    _cell(notebook, "double-code")["source"] += "\n" + "# much\n" * MB
    return notebook


def big_output(notebook, folder, world):
    output = {"output_type": "stream", "name": "stdout", "text": "0123456789" * (5 * MB)}
    _cell(notebook, "double-code")["outputs"] = [output]
    return notebook


def nbformat3(notebook, folder, world):
    cells = []
    for cell in notebook["cells"]:
        text = {
            "input": cell["source"],
            "prompt_number": 1,
            "language": "python",
            "outputs": [],
            "collapsed": False,
        }
        text = text if cell["cell_type"] == "code" else {"source": cell["source"]}
        cells.append({"cell_type": cell["cell_type"], "metadata": cell["metadata"], **text})
    worksheets = [{"cells": cells, "metadata": {}}]
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": worksheets}


def endless_line(notebook, folder, world):
    cell = _cell(notebook, "which-letters-answer")
    cell["source"] = 'quiz.answer("which-letters", ' + "answer " * 149_000
    return notebook


def cells_of_nothing(notebook, folder, world):
    notebook["cells"][:0] = [
        None,
        3,
        "code",
        [],
        {},
        {"cell_type": None, "source": None, "metadata": None, "id": None},
    ]
    return notebook


def odd_types(notebook, folder, world):
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = [number, None, [], {}][number % 4]
        cell["metadata"] = [
            [],
            "x",
            {"nbgrader": None, "id": 3},
            {"execution": 3, "executionInfo": []},
        ][number % 4]
        cell["outputs"], cell["execution_count"] = "none", "many"
    notebook["metadata"], notebook["nbformat"], notebook["nbformat_minor"] = [], "four", None
    return notebook
