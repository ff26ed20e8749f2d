"""Recipes of :mod:`.attacks` that write files and folders unsuitable for a repository.

Each takes the notebook (plain JSON), the student's folder and the world. It returns the notebook if
the caller must still write it, otherwise None.
"""

import io
import json
import os
import stat
import warnings
import zipfile

from course_grading.collect import archives

from tests.support.attack_recipes import code
from tests.support.attacks import LESSON, released_notebook

MB = 2**20
FILE = f"{LESSON}.ipynb"


def _write(notebook, folder, encode, name=FILE):
    (folder / name).write_bytes(encode(json.dumps(notebook, ensure_ascii=False)))


def bom(notebook, folder, world):
    _write(notebook, folder, lambda text: text.encode("utf-8-sig"))


def utf16(notebook, folder, world):
    _write(notebook, folder, lambda text: text.encode("utf-16"))


def utf16_without_bom(notebook, folder, world):
    _write(notebook, folder, lambda text: text.encode("utf-16-be"))


def latin1(notebook, folder, world):
    notebook["cells"][0]["source"] += " caf\u00e9 na\u00efve"
    _write(notebook, folder, lambda text: text.encode("latin-1", "ignore"))


def crlf(notebook, folder, world):
    """Windows line endings, in the file and in the cells."""
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].replace("\n", "\r\n")
    text = json.dumps(notebook, indent=1).replace("\n", "\r\n")
    (folder / FILE).write_bytes(text.encode())


def surrogates(notebook, folder, world):
    """A lone surrogate in every cell: JSON allows it, UTF-8 can't encode it."""
    for cell in notebook["cells"]:
        cell["source"] += "\n# \ud83d"
    (folder / FILE).write_text(json.dumps(notebook))


def renamed(notebook, folder, world):
    _write(notebook, folder, str.encode, name="my homework (final).ipynb.txt")


def truncated(notebook, folder, world):
    _write(notebook, folder, lambda text: text.encode()[: len(text) * 2 // 3])


def empty(notebook, folder, world):
    (folder / FILE).touch()


def a_picture(notebook, folder, world):
    (folder / FILE).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))


def a_web_page(notebook, folder, world):
    (folder / FILE).write_text("<!DOCTYPE html><title>Please log in</title>")


def another_lesson(notebook, folder, world):
    cells = [code('answer = "A"\nquiz.answer("why-not-fc", answer)', "why-not-fc-answer")]
    metadata = {"course": {"lesson": "02_other"}}
    _write(
        {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells},
        folder,
        str.encode,
    )


def a_list(notebook, folder, world):
    (folder / FILE).write_text("[1, 2, 3]")


def cells_of_no_kind(notebook, folder, world):
    (folder / FILE).write_text(
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": {"0": "code"}}'
    )


def nested_json(notebook, folder, world):
    (folder / FILE).write_text("[" * 200_000 + "]" * 200_000)


def huge_number(notebook, folder, world):
    (folder / FILE).write_text('{"nbformat": %s, "cells": []}' % ("9" * 2_000_000))


def sparse(notebook, folder, world):
    """A sparse file of zeros, larger than the size limit."""
    with (folder / FILE).open("wb") as file:
        file.truncate(300 * MB)


def a_folder(notebook, folder, world):
    (folder / FILE).mkdir()


def a_pipe(notebook, folder, world):
    """Opening a pipe without a writer blocks."""
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
    """The file with the work has the newer execution times, but the older modification time."""
    old = released_notebook(world)
    for content, name, day in ((old, f"{LESSON} (1).ipynb", 1), (notebook, FILE, 2)):
        for cell in content["cells"]:
            cell["metadata"]["execution"] = {
                "iopub.execute_input": f"2026-11-0{day}T10:00:00.000000Z"
            }
        (folder / name).write_text(json.dumps(content))
        os.utime(folder / name, (2_000_000_000 - day * 1000,) * 2)


def many_cells(notebook, folder, world):
    (folder / FILE).write_text('{"cells": [' + "{}," * (20 * MB) + "{}]}")


def many_lists(notebook, folder, world):
    (folder / FILE).write_text('{"cells": [], "metadata": {"a": [' + "[]," * (20 * MB) + "[]]}}")


def deep_metadata(notebook, folder, world):
    notebook["metadata"]["deep"] = 0
    deep = '"deep": ' + '{"a": ' * 700 + "0" + "}" * 700
    _write(
        notebook,
        folder,
        lambda text: text.replace('"deep": 0', deep).encode(),
        name="homework.ipynb",
    )


def odd_times(notebook, folder, world):
    odd = [
        {"execution": {"a": 1, "b": None, "c": "0001-01-01T00:00:00+14:00"}},
        {"executionInfo": {"timestamp": 10**400}},
    ]
    odd += [
        {"executionInfo": {"timestamp": time}}
        for time in (float("nan"), float("inf"), "yesterday", None, [])
    ]
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"] |= odd[number % len(odd)]
    for name in (FILE, f"{LESSON} (1).ipynb"):
        _write(notebook, folder, str.encode, name)


def stamp_pipe(notebook, folder, world):
    os.mkfifo(folder / "timestamp.txt")
    for name in (FILE, f"{LESSON} (1).ipynb"):
        _write(notebook, folder, str.encode, name)


def stamp_link(notebook, folder, world):
    (folder / "timestamp.txt").symlink_to(world.workspace / "secret")
    return notebook


def stamp_huge(notebook, folder, world):
    with (folder / "timestamp.txt").open("wb") as file:
        file.truncate(300 * MB)
    return notebook


def named_by_bytes(notebook, folder, world):
    _write(
        notebook, folder, str.encode, os.fsdecode(f"{LESSON} na\u00efve.ipynb".encode("latin-1"))
    )


def named_to_harm(notebook, folder, world):
    (folder / "=HYPERLINK(1)").mkdir()
    _write(notebook, folder, str.encode, "\x1b[2J\r\n\x07homework.ipynb")


# ---- zip files ----


def _zip(notebook, target, *entries: tuple[str | zipfile.ZipInfo, bytes | str], work: str = ""):
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        if work:
            archive.writestr(work, json.dumps(notebook))
        for name, content in entries:
            archive.writestr(name, content)


def zipped(notebook, folder, world):
    _zip(notebook, folder / "homework.zip", ("__MACOSX/._x", "x"), work=f"week 1/{FILE}")


def zipped_twice(notebook, folder, world):
    inner = io.BytesIO()
    _zip(notebook, inner, work=f"a/b/{FILE}")
    _zip(notebook, folder / "homework.zip", ("week 1/inner.ZIP", inner.getvalue()))


def zip_traversal(notebook, folder, world):
    names = [
        "../../../canary/escaped",
        "a/../../../../canary/e",
        f"{world.canary}/absolute",
        "..\\..\\canary\\back",
    ]
    _zip(notebook, folder / "homework.zip", *[(name, "x") for name in names], work=FILE)


def zip_link(notebook, folder, world):
    """A symbolic link to outside the archive, and an entry below this link."""
    link = zipfile.ZipInfo("out")
    link.external_attr, link.create_system = (stat.S_IFLNK | 0o777) << 16, 3
    work = zipfile.ZipInfo(FILE)
    work.external_attr, work.create_system = (stat.S_IFLNK | 0o777) << 16, 3
    source = str(world.workspace / "source" / LESSON / FILE)
    _zip(
        notebook,
        folder / "homework.zip",
        (link, str(world.canary)),
        ("out/escaped", "x"),
        (work, source),
    )


def zip_bomb(notebook, folder, world):
    """320 MB of zeros in 320 kB."""
    with zipfile.ZipFile(
        folder / "homework.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as archive:
        archive.writestr(FILE, json.dumps(notebook))
        for number in range(4):
            with archive.open(f"{number}/{FILE}", "w") as file:
                for _ in range(80):
                    file.write(bytes(MB))


def zip_of_many(notebook, folder, world):
    """More empty files than are allowed: sixty thousand."""
    with zipfile.ZipFile(folder / "homework.zip", "w") as archive:
        for number in range(archives.MAX_FILES * 6 // 5):
            archive.writestr(f"{number}", b"")


def zip_in_zip_in_zip(notebook, folder, world):
    """Eight nested zip files."""
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


def zip_of_zips(notebook, folder, world):
    """Forty times as many empty files as are allowed: two million."""
    inner = io.BytesIO()
    _zip(notebook, inner, *[(str(number), b"") for number in range(archives.MAX_FILES // 5)])
    with zipfile.ZipFile(
        folder / "homework.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as archive:
        for number in range(200):
            archive.writestr(f"{number}.zip", inner.getvalue())


def zip_twins(notebook, folder, world):
    blank = zipfile.ZipInfo(FILE, (2020, 1, 1, 0, 0, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about the duplicate name
        _zip(
            notebook,
            folder / "homework.zip",
            (blank, json.dumps(released_notebook(world))),
            work=FILE,
        )
