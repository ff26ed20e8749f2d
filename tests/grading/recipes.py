"""Named recipes of :mod:`.hostile`: damage a notebook, or make a file that nobody wants to commit.

Each is given the notebook (plain JSON), the folder of its student and the world, and returns the notebook, or None
if it has written what is handed in itself.
"""

import copy
import io
import json
import os
import stat
import zipfile
from pathlib import Path

from tests.grading.hostile import LESSON

MB = 2**20
FILE = f"{LESSON}.ipynb"


def _graded(notebook: dict) -> list[dict]:
    """The ``nbgrader`` metadata of every cell that has any."""
    return [cell["metadata"]["nbgrader"] for cell in notebook["cells"] if "nbgrader" in cell["metadata"]]


def _cell(notebook: dict, id: str) -> dict:
    return next(cell for cell in notebook["cells"] if cell["id"] == id)


def _code(source: str, id: str, **metadata) -> dict:
    about = {"cell_type": "code", "id": id, "metadata": metadata, "source": source}
    return {**about, "outputs": [], "execution_count": None}


def _claim(grade_id: str, **more) -> dict:
    about = {"schema_version": 3, "grade_id": grade_id, "grade": True, "points": 100, "solution": False}
    return {**about, "locked": False, "task": False, **more}


# ---- notebooks that were altered on purpose ----


def more_points(notebook, folder, world):
    for about in _graded(notebook):
        about["points"], about["grade"] = 100, True
    return notebook


def swapped_ids(notebook, folder, world):
    swap = {"which-letters": "how-many", "how-many": "which-letters"}
    for about in _graded(notebook):
        about["grade_id"] = swap.get(about["grade_id"], about["grade_id"])
    return notebook


def all_ids_one(notebook, folder, world):
    for cell, about in zip(notebook["cells"], _graded(notebook), strict=False):
        cell["id"] = about["grade_id"] = "how-many"
    return notebook


def checks_as_markdown(notebook, folder, world):
    for cell in notebook["cells"]:
        if cell["id"] in ("which-letters", "how-many", "double"):
            cell["cell_type"] = "markdown"
            cell.pop("outputs"), cell.pop("execution_count")
    return notebook


def work_as_raw(notebook, folder, world):
    for cell in notebook["cells"]:
        if cell["id"].endswith(("-answer", "-code")):
            cell["cell_type"] = "raw"
            cell.pop("outputs"), cell.pop("execution_count")
    return notebook


def checks_as_solutions(notebook, folder, world):
    for about in _graded(notebook):
        about["solution"], about["grade"], about["locked"] = True, True, False
    return notebook


def future_schema(notebook, folder, world):
    for about in _graded(notebook):
        about["schema_version"] = 99
    return notebook


def ancient_schema(notebook, folder, world):
    for about in _graded(notebook):
        about["schema_version"] = 1
    return notebook


def nonsense_metadata(notebook, folder, world):
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"] = [{"nbgrader": 7}, {"nbgrader": [1]}, {"nbgrader": {"grade_id": {}}}, {}][number % 4]
    notebook["metadata"] = {"course": 3, "kernelspec": {"name": 4}}
    return notebook


def duplicated(notebook, folder, world):
    notebook["cells"] = [cell for cell in notebook["cells"] for cell in (cell, *[copy.deepcopy(cell)] * 4)]
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
    notebook["cells"] = [cell for cell in notebook["cells"] if not cell["metadata"].get("nbgrader", {}).get("grade")]
    return notebook


def prefilled_outputs(notebook, folder, world):
    for name in ("which-letters", "how-many", "double"):
        result = {"output_type": "execute_result", "data": {"text/plain": "100.0"}, "metadata": {}}
        _cell(notebook, name)["outputs"] = [{**result, "execution_count": 1}]
    return notebook


def extra_graded_cells(notebook, folder, world):
    notebook["cells"] += [_code("100.0", f"extra-{n}", nbgrader=_claim(f"extra-{n}")) for n in range(5)]
    task = _claim("extra-task", task=True, grade=False)
    notebook["cells"].append({"cell_type": "markdown", "id": "t", "metadata": {"nbgrader": task}, "source": "task"})
    return notebook


def strange_ids(notebook, folder, world):
    odd = ["../../gradebook", "'; DROP TABLE grade; --", "\x00", "a" * 100_000, "<script>"]
    notebook["cells"] += [_code("100.0", id, nbgrader=_claim(id)) for id in odd]
    return notebook


def own_kernel(notebook, folder, world):
    notebook["metadata"]["kernelspec"] = {"name": "bash", "display_name": "x", "argv": ["touch", f"{world.canary}/k"]}
    notebook["metadata"]["language_info"] = {"name": "bash"}
    return notebook


def future_nbformat(notebook, folder, world):
    notebook["nbformat"], notebook["nbformat_minor"] = 99, 99
    return notebook


# ---- notebooks that met a tool ----


def colab(notebook, folder, world):
    """No cell metadata but Colab's own, its ids, ``nbformat_minor`` 0, widget state."""
    for number, cell in enumerate(notebook["cells"]):
        cell.pop("id")
        cell["metadata"] = {"id": f"aB3_{number}", "executionInfo": {"status": "ok", "timestamp": 1_700_000_000_000}}
        cell["source"] = cell["source"].splitlines(keepends=True)
    state = {"application/vnd.jupyter.widget-state+json": {"abc": {"state": {}}}}
    notebook["metadata"] = {"colab": {"provenance": []}, "widgets": state}
    notebook["nbformat_minor"] = 0
    return notebook


def vscode(notebook, folder, world):
    """nbgrader's metadata lost, new ids, the formatter's quotes."""
    for number, cell in enumerate(notebook["cells"]):
        cell["id"], cell["metadata"] = f"{number:08x}", {"vscode": {"languageId": "python"}}
        cell["source"] = cell["source"].replace('quiz.answer("', "quiz.answer( '").replace('",', "',")
    return notebook


def copied(notebook, folder, world):
    """Every cell twice; the work was done in the second, which lost its metadata, as a paste does."""
    worked = copy.deepcopy(notebook["cells"])
    blank = {cell["id"]: cell for cell in json.loads(_release(world).read_text(encoding="utf-8"))["cells"]}
    for number, cell in enumerate(worked):
        cell["metadata"], cell["id"] = {}, f"copy-{number}"
    notebook["cells"] = [cell for pair in zip(blank.values(), worked, strict=True) for cell in pair]
    return notebook


def split(notebook, folder, world):
    """The exercise and an answer split in two cells; the second part has lost everything."""
    notebook = _split(notebook, "double-code", "    return")
    cells = notebook["cells"]
    code = next(place for place, cell in enumerate(cells) if cell["id"] == "double-code")
    whole = "from operator import add\n\n\ndef twice(x):\n    return add(x, x)"
    cells[code]["source"] = "# Exercise: double (2 points)\n" + whole
    cells[code + 1]["source"] = "def double(x):\n    return twice(x)"
    return _split(notebook, "which-letters-answer", "quiz.answer")


def split_by_lab(notebook, folder, world):
    """JupyterLab gives both parts of a split cell the metadata of the whole."""
    notebook = _split(notebook, "double-code", "    return", keep=True)
    return _split(notebook, "which-letters-answer", "quiz.answer", keep=True)


def _split(notebook, id, at, keep=False):
    place = next(place for place, cell in enumerate(notebook["cells"]) if cell["id"] == id)
    cell = notebook["cells"][place]
    first, second = cell["source"].split(at, 1)
    rest = copy.deepcopy(cell["metadata"]) if keep else {}
    cell["source"] = first.rstrip("\n")
    notebook["cells"].insert(place + 1, _code(at + second, f"{id}-part", **rest))
    return notebook


def merged(notebook, folder, world):
    """Cells merged with those below: both questions with all between them, the exercise with its check."""
    cells = notebook["cells"]
    place = {cell["id"]: number for number, cell in enumerate(cells)}
    for first, last in (("double-code", "double"), ("which-letters-answer", "how-many")):
        part = cells[place[first] : place[last] + 1]
        cells[place[first]]["source"] = "\n\n".join(cell["source"] for cell in part)
        del cells[place[first] + 1 : place[last] + 1]
    return notebook


def moved(notebook, folder, world):
    notebook["cells"] = notebook["cells"][::2] + notebook["cells"][1::2]
    return notebook


def deleted(notebook, folder, world):
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] != "double-code"]
    return notebook


def helper_above(notebook, folder, world):
    """The exercise calls a function that the learner defined in a cell of their own."""
    _cell(notebook, "double-code")["source"] = "# Exercise: double (2 points)\ndef double(x):\n    return twice(x)"
    notebook["cells"].insert(3, _code("%matplotlib inline\nimport operator", "i"))
    notebook["cells"].insert(4, _code("def twice(x):\n    return operator.add(x, x)", "h"))
    return notebook


def big_output(notebook, folder, world):
    output = {"output_type": "stream", "name": "stdout", "text": "0123456789" * (5 * MB)}
    _cell(notebook, "double-code")["outputs"] = [output]
    return notebook


def nbformat3(notebook, folder, world):
    cells = []
    for cell in notebook["cells"]:
        text = {"input": cell["source"], "prompt_number": 1, "language": "python", "outputs": [], "collapsed": False}
        text = text if cell["cell_type"] == "code" else {"source": cell["source"]}
        cells.append({"cell_type": cell["cell_type"], "metadata": cell["metadata"], **text})
    worksheets = [{"cells": cells, "metadata": {}}]
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": worksheets}


# ---- files ----


def _release(world) -> Path:
    return world.workspace / "release" / LESSON / FILE


def _bytes(notebook, folder, change, name=FILE):
    (folder / name).write_bytes(change(json.dumps(notebook, ensure_ascii=False)))


def bom(notebook, folder, world):
    return _bytes(notebook, folder, lambda text: text.encode("utf-8-sig"))


def utf16(notebook, folder, world):
    return _bytes(notebook, folder, lambda text: text.encode("utf-16"))


def utf16_without_bom(notebook, folder, world):
    return _bytes(notebook, folder, lambda text: text.encode("utf-16-be"))


def latin1(notebook, folder, world):
    notebook["cells"][0]["source"] += " caf\u00e9 na\u00efve"
    return _bytes(notebook, folder, lambda text: text.encode("latin-1", "ignore"))


def crlf(notebook, folder, world):
    """Line ends of Windows, in the file and inside the cells."""
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].replace("\n", "\r\n")
    text = json.dumps(notebook, indent=1).replace("\n", "\r\n")
    (folder / FILE).write_bytes(text.encode())


def surrogates(notebook, folder, world):
    """Half a character in every cell: JSON allows it, no file in UTF-8 can hold it."""
    for cell in notebook["cells"]:
        cell["source"] += "\n# \ud83d"
    (folder / FILE).write_text(json.dumps(notebook))


def renamed(notebook, folder, world):
    return _bytes(notebook, folder, str.encode, name="my homework (final).ipynb.txt")


def truncated(notebook, folder, world):
    return _bytes(notebook, folder, lambda text: text.encode()[: len(text) * 2 // 3])


def empty(notebook, folder, world):
    (folder / FILE).touch()


def a_picture(notebook, folder, world):
    (folder / FILE).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))


def a_web_page(notebook, folder, world):
    (folder / FILE).write_text("<!DOCTYPE html><title>Please log in</title>")


def another_lesson(notebook, folder, world):
    cells = [_code('answer = "A"\nquiz.answer("why-not-fc", answer)', "why-not-fc-answer")]
    about = {"course": {"lesson": "02_other"}}
    return _bytes({"nbformat": 4, "nbformat_minor": 5, "metadata": about, "cells": cells}, folder, str.encode)


def a_list(notebook, folder, world):
    (folder / FILE).write_text("[1, 2, 3]")


def cells_of_no_kind(notebook, folder, world):
    (folder / FILE).write_text('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": {"0": "code"}}')


def nested_json(notebook, folder, world):
    (folder / FILE).write_text("[" * 200_000 + "]" * 200_000)


def huge_number(notebook, folder, world):
    (folder / FILE).write_text('{"nbformat": %s, "cells": []}' % ("9" * 2_000_000))


def huge_cell(notebook, folder, world):
    _cell(notebook, "double-code")["source"] += "\n" + "# much\n" * MB
    return notebook


def sparse(notebook, folder, world):
    """Nothing but zeros, and more of them than anybody reads."""
    with (folder / FILE).open("wb") as file:
        file.truncate(300 * MB)


def a_folder(notebook, folder, world):
    (folder / FILE).mkdir()


def a_pipe(notebook, folder, world):
    """Who opens a pipe without a writer waits for ever."""
    os.mkfifo(folder / FILE)


def link_to_source(notebook, folder, world):
    (folder / FILE).symlink_to(world.workspace / "source" / LESSON / FILE)


def linked_folder(notebook, folder, world):
    folder.rmdir()
    folder.symlink_to(world.workspace / "source" / LESSON)


def link_beside(notebook, folder, world):
    (folder / "keys.ipynb.txt.data").symlink_to(world.workspace / "source" / LESSON / FILE)
    (folder / "workspace").symlink_to(world.workspace)
    return notebook


def two_files(notebook, folder, world):
    """The newer by the times in its cells has the work; the file system says the opposite."""
    old = json.loads(_release(world).read_text(encoding="utf-8"))
    for made, name, day in ((old, f"{LESSON} (1).ipynb", 1), (notebook, FILE, 2)):
        for cell in made["cells"]:
            cell["metadata"]["execution"] = {"iopub.execute_input": f"2026-11-0{day}T10:00:00.000000Z"}
        (folder / name).write_text(json.dumps(made))
        os.utime(folder / name, (2_000_000_000 - day * 1000,) * 2)


# ---- zip files ----


def _zip(notebook, target, *entries: tuple[str | zipfile.ZipInfo, bytes | str], work: str = ""):
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        if work:
            made.writestr(work, json.dumps(notebook))
        for name, content in entries:
            made.writestr(name, content)


def zipped(notebook, folder, world):
    _zip(notebook, folder / "homework.zip", ("__MACOSX/._x", "x"), work=f"week 1/{FILE}")


def zipped_twice(notebook, folder, world):
    inner = io.BytesIO()
    _zip(notebook, inner, work=f"a/b/{FILE}")
    _zip(notebook, folder / "homework.zip", ("week 1/inner.ZIP", inner.getvalue()))


def zip_traversal(notebook, folder, world):
    names = ["../../../canary/escaped", "a/../../../../canary/e", f"{world.canary}/absolute", "..\\..\\canary\\back"]
    _zip(notebook, folder / "homework.zip", *[(name, "x") for name in names], work=FILE)


def zip_link(notebook, folder, world):
    """A link out of the archive, and then an entry below that link."""
    link = zipfile.ZipInfo("out")
    link.external_attr, link.create_system = (stat.S_IFLNK | 0o777) << 16, 3
    work = zipfile.ZipInfo(FILE)
    work.external_attr, work.create_system = (stat.S_IFLNK | 0o777) << 16, 3
    source = str(world.workspace / "source" / LESSON / FILE)
    _zip(notebook, folder / "homework.zip", (link, str(world.canary)), ("out/escaped", "x"), (work, source))


def zip_bomb(notebook, folder, world):
    """320 MB of zeros in 320 kB."""
    with zipfile.ZipFile(folder / "homework.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        made.writestr(FILE, json.dumps(notebook))
        for number in range(4):
            with made.open(f"{number}/{FILE}", "w") as file:
                for _ in range(80):
                    file.write(bytes(MB))


def zip_of_many(notebook, folder, world):
    """A hundred thousand empty files."""
    with zipfile.ZipFile(folder / "homework.zip", "w") as made:
        for number in range(100_000):
            made.writestr(f"{number}", b"")


def zip_in_zip_in_zip(notebook, folder, world):
    """Eight zips, one in the other."""
    inner = json.dumps(notebook).encode()
    for depth in range(8):
        outer = io.BytesIO()
        _zip(notebook, outer, (FILE if depth == 0 else f"{depth}.zip", inner))
        inner = outer.getvalue()
    (folder / "homework.zip").write_bytes(inner)


def zip_cut_short(notebook, folder, world):
    zipped(notebook, folder, world)
    path = folder / "homework.zip"
    path.write_bytes(path.read_bytes()[:-40])
