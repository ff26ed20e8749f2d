"""Named recipes of :mod:`.hostile` that write a file or folder which nobody wants to commit.

Each is given the notebook (plain JSON), the folder of its student and the world, and returns the notebook if that is
still to be written, else None.
"""

import io
import json
import os
import stat
import zipfile

from tests.grading.hostile import LESSON, released
from tests.grading.recipes import code

MB = 2**20
FILE = f"{LESSON}.ipynb"


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
    cells = [code('answer = "A"\nquiz.answer("why-not-fc", answer)', "why-not-fc-answer")]
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
    old = released(world)
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
