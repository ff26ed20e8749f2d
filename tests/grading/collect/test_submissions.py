"""Intake: what instructors really have is found, rebuilt from the release, and nothing
disappears.
"""

import io
import json
import os
import time
import zipfile

import nbformat
import pytest
from course_grading.collect import notebooks, submissions

NAME = "01_sample"


@pytest.fixture
def release(built):
    return nbformat.read(built / "notebooks" / f"{NAME}.ipynb", as_version=4)


@pytest.fixture
def answered(release):
    notebook = nbformat.from_dict(release)
    for cell in notebook.cells:
        if cell["id"] == "which-letters-answer":
            cell.source = cell.source.replace('answer = ""', 'answer = "AC"')
        if cell["id"] == "double-code":
            cell.source = "# Exercise: double (2 points)\ndef double(x):\n    return x + x"
    return notebook


def put(folder, path, text="{}"):
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text if isinstance(text, bytes) else text.encode())
    return target


def sources(notebook):
    return {cell["id"]: cell.source for cell in notebook.cells}


@pytest.mark.parametrize(
    ("path", "student"),
    [
        (f"ada/{NAME}.ipynb", "ada"),
        (f"submitted/ada/{NAME}/{NAME}.ipynb", "ada"),
        (f"ada_123_{NAME}.ipynb", "ada_123"),
        (f"ada/{NAME} (1).ipynb", "ada"),
        (f"Ada Lovelace_77_assignsubmission_file_/{NAME}.ipynb", "Ada_Lovelace_77"),
        (f"ada@school.org/{NAME}-2.ipynb", "ada@school.org"),
    ],
)
def test_students_are_found(path, student, tmp_path):
    put(tmp_path, path)
    found, problems = submissions.find(tmp_path, [NAME])
    assert [(s.student, s.lesson) for s in found] == [(student, NAME)] and not problems


def test_a_renamed_notebook_is_known_by_what_the_build_wrote(answered, tmp_path):
    put(tmp_path / "class", "ada/homework.ipynb", nbformat.writes(answered))
    found, problems = submissions.find(tmp_path / "class", [NAME])
    assert [s.lesson for s in found] == [NAME] and not problems


def test_checkpoints_are_passed_over(tmp_path):
    put(tmp_path, f"ada/.ipynb_checkpoints/{NAME}-checkpoint.ipynb")
    put(tmp_path, f"__MACOSX/ada/._{NAME}.ipynb")
    found, problems = submissions.find(tmp_path, [NAME])
    assert found == [] and [(p.file, p.reason) for p in problems] == [
        ("ada", "it holds no notebook")
    ]


def test_what_cannot_be_graded_is_listed_with_its_reason(tmp_path):
    put(tmp_path, "ada/other.ipynb")
    put(tmp_path, f"{NAME}.ipynb")
    os.symlink("/etc/hostname", put(tmp_path, "eve/x").with_name(f"{NAME}.ipynb"))
    found, problems = submissions.find(tmp_path, [NAME])
    assert found == []
    assert sorted((p.file, p.reason.split(":")[0]) for p in problems) == [
        (f"{NAME}.ipynb", "no student is named"),
        ("ada/other.ipynb", "it is none of the released lessons"),
        (f"eve/{NAME}.ipynb", "it is a link, not a file"),
    ]


def test_the_newest_of_two_files_counts_and_both_are_told(tmp_path):
    old, new = put(tmp_path, f"ada/{NAME}.ipynb"), put(tmp_path, f"ada/{NAME} (1).ipynb")
    os.utime(old, (1_000_000, 1_000_000))
    (found,), (problem,) = submissions.find(tmp_path, [NAME])
    assert found.path == new and problem.file == f"ada/{NAME}.ipynb" and "newer" in problem.reason


def test_a_zip_is_opened_and_never_leaves_its_folder(tmp_path):
    archive = tmp_path / "class.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(f"ada/{NAME}.ipynb", "{}")
        made.writestr(f"../../escaped/{NAME}.ipynb", "{}")
    with submissions.opened(archive) as (files, problems):
        found, _ = submissions.find(files, [NAME])
        assert {s.student for s in found} == {"ada"} and found[0].path.exists()
    assert [(p.file, p.reason.split(": ")[1]) for p in problems] == [
        (f"../../escaped/{NAME}.ipynb", "its path leads out of the archive")
    ]
    assert not (tmp_path.parent / "escaped").exists() and not found[0].path.exists()


def test_of_a_zip_the_newest_file_counts_too(tmp_path):
    archive = tmp_path / "class.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for year, name in ((2026, f"ada/{NAME}.ipynb"), (2020, f"ada/{NAME} (1).ipynb")):
            made.writestr(zipfile.ZipInfo(name, (year, 1, 2, 3, 4, 6)), "{}")
    with submissions.opened(archive) as (files, _):
        (found,), _ = submissions.find(files, [NAME])
        assert found.path.name == f"{NAME}.ipynb"


def test_a_broken_entry_of_a_zip_is_listed(tmp_path):
    archive = tmp_path / "class.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(f"ada/{NAME}.ipynb", "{}")
        made.writestr(f"bob/{NAME}.ipynb", "unmistakable")
    archive.write_bytes(archive.read_bytes().replace(b"unmistakable", b"altered bits"))
    with submissions.opened(archive) as (files, problems):
        found, empty = submissions.find(files, [NAME])
        assert [s.student for s in found] == ["ada"] and [p.file for p in empty] == ["bob"]
    assert [(p.file, p.reason.split(":")[0]) for p in problems] == [
        (f"bob/{NAME}.ipynb", "it could not be unpacked")
    ]


@pytest.mark.parametrize(
    ("paths", "students"),
    [
        ([f"class/ada_1_{NAME}.ipynb", f"class/alan_2_{NAME}.ipynb"], {"ada_1", "alan_2"}),
        ([f"ada/attachments/{NAME}.ipynb", f"alan/attachments/{NAME}.ipynb"], {"ada", "alan"}),
        ([f"class/ada/{NAME}.ipynb", f"class/alan/{NAME}.ipynb"], {"ada", "alan"}),
        (
            [f"submitted/ada/{NAME}/{NAME}.ipynb", f"submitted/alan/{NAME}/{NAME}.ipynb"],
            {"ada", "alan"},
        ),
        ([f"Rene\u0301/{NAME}.ipynb"], {"Ren\u00e9"}),
        ([f"कि/{NAME}.ipynb", f"की/{NAME}.ipynb"], {"कि", "की"}),
        ([f"ada/{NAME}.IPYNB"], {"ada"}),
    ],
)
def test_no_student_disappears(paths, students, tmp_path):
    for path in paths:
        put(tmp_path, path)
    found, problems = submissions.find(tmp_path, [NAME])
    assert {s.student for s in found} == students and problems == []


def test_two_names_that_become_one_are_both_listed(tmp_path):
    put(tmp_path, f"a b/{NAME}.ipynb"), put(tmp_path, f"a_b/{NAME}.ipynb")
    found, problems = submissions.find(tmp_path, [NAME])
    assert found == [] and len(problems) == 2 and all("rename" in p.reason for p in problems)


def test_what_is_no_notebook_is_listed(tmp_path):
    (
        put(tmp_path, f"ada/{NAME}.ipynb"),
        put(tmp_path, "ada/notes.txt"),
        put(tmp_path, "bob/work.pdf"),
    )
    (tmp_path / "eve").mkdir()
    put(tmp_path, "loose.zip")
    found, problems = submissions.find(tmp_path, [NAME])
    assert [s.student for s in found] == ["ada"]
    assert [(p.file, p.reason) for p in problems] == [
        ("bob", "it holds no notebook, only bob/work.pdf"),
        ("eve", "it holds no notebook"),
        ("loose.zip", "it holds no notebook"),
    ]


def test_an_answer_without_its_second_line_is_still_an_answer(release, answered):
    for cell in answered.cells:
        if cell["id"] == "which-letters-answer":
            cell.source = 'answer = "AC"'
    rebuilt, _ = submissions.rebuild(answered, release)
    assert sources(rebuilt)["which-letters-answer"].startswith('answer = "AC"  # @param')
    assert 'quiz.answer("which-letters"' in sources(rebuilt)["which-letters-answer"]


def test_of_two_copies_the_one_that_was_worked_in_counts(release, answered):
    blank = [cell for cell in nbformat.from_dict(release).cells if cell["id"] == "double-code"]
    answered.cells[:0] = blank
    rebuilt, _ = submissions.rebuild(answered, release)
    assert "return x + x" in sources(rebuilt)["double-code"]


def test_neither_folder_nor_zip_is_said(tmp_path):
    with (
        pytest.raises(submissions.IntakeError, match="neither a folder nor a zip"),
        submissions.opened(put(tmp_path, "a.tar")),
    ):
        pass


def test_rebuild_takes_answers_and_exercises_only(release, answered):
    answered.cells.insert(0, nbformat.v4.new_code_cell("import os"))
    for cell in answered.cells:
        if cell.get("id") == "double":
            cell.source = "pass"
    rebuilt, missing = submissions.rebuild(answered, release)
    assert missing == [] and "import os" not in sources(rebuilt).values()
    assert sources(rebuilt)["double"] == sources(release)["double"]
    assert 'answer = "AC"' in sources(rebuilt)["which-letters-answer"]
    assert "return x + x" in sources(rebuilt)["double-code"]


def strip_nbgrader(notebook):
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)


def strip_everything(notebook):
    """What is left when a tool keeps sources only: found by the marker comments."""
    for number, cell in enumerate(notebook.cells):
        cell.metadata.clear()
        cell["id"] = f"cell-{number}"


def shuffle(notebook):
    notebook.cells.reverse()


@pytest.mark.parametrize("damage", [strip_nbgrader, strip_everything, shuffle])
def test_rebuild_survives(damage, release, answered):
    expected, _ = submissions.rebuild(answered, release)
    damage(answered)
    rebuilt, missing = submissions.rebuild(answered, release)
    assert sources(rebuilt) == sources(expected) and missing == []


def test_a_deleted_cell_stays_blank(release, answered):
    answered.cells = [cell for cell in answered.cells if cell["id"] != "double-code"]
    rebuilt, missing = submissions.rebuild(answered, release)
    assert (
        missing == ["double-code"]
        and sources(rebuilt)["double-code"] == sources(release)["double-code"]
    )


@pytest.mark.parametrize("encode", [str.encode, lambda t: t.encode("utf-8-sig"), lambda t: t.encode("utf-16"),
                                    lambda t: t.replace("\n", "\r\n").encode()])  # fmt: skip
def test_read_copes_with_encodings(encode, answered, tmp_path):
    path = put(tmp_path, "a.ipynb", encode(nbformat.writes(answered)))
    assert sources(submissions.read(path)) == sources(answered)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"{", "ask for it again"), (b"[]", "ask for it again"), (b'{"cells": 3}', "ask for it again"),
     (json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 3}).encode(), "again")],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_words(content, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        submissions.read(put(tmp_path, "a.ipynb", io.BytesIO(content).getvalue()))


def test_a_long_line_is_read_in_a_moment(release, answered):
    """A pattern that looks for one word from each place of another needs hours for a megabyte."""
    for cell in answered.cells:
        if cell["id"] == "which-letters-answer":
            cell.source = 'quiz.answer("which-letters", ' + "answer " * 140_000
    begun = time.process_time()
    submissions.rebuild(answered, release)
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("many", ['{"cells": [%s]}', '{"cells": [], "metadata": {"a": [%s]}}'])
def test_more_parts_than_memory_should_hold_are_refused(many, monkeypatch):
    monkeypatch.setattr(notebooks, "MAX_PARTS", 100)
    with pytest.raises(ValueError, match="more than 100 lists and objects"):
        submissions.parse((many % ("{}," * 100 + "[]")).encode())
    text = {"cells": [{"cell_type": "code", "source": "[{" * 100, "outputs": ['\\"[{\\' * 100]}]}
    # in texts they cost nothing
    assert submissions.parse(json.dumps(text).encode()).cells[0].source == "[{" * 100
    assert submissions.parse(json.dumps(text).encode("utf-16")).cells[0].source == "[{" * 100


def test_more_cells_than_anybody_writes_are_refused():
    with pytest.raises(ValueError, match="20,000 cells"):
        submissions.parse(json.dumps({"cells": [{}] * 20_000}).encode())
