"""Notebooks are read in every Unicode encoding; unreadable files are refused with a reason."""

import json

import nbformat
import pytest
from course_grading.collect import notebooks

from tests.support.submissions import sources_by_id, write_file


@pytest.mark.parametrize(
    "encode",
    [
        str.encode,
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
    ],
)
def test_read_accepts_every_encoding(encode, submitted, tmp_path):
    path = write_file(tmp_path, "a.ipynb", encode(nbformat.writes(submitted)))
    assert sources_by_id(notebooks.read(path)) == sources_by_id(submitted)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"{", "ask the student to resubmit"),
        (b"[]", "ask the student to resubmit"),
        (b'{"cells": 3}', "ask the student to resubmit"),
        (
            b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 3}',
            "ask the student to resubmit",
        ),
        (b'{"cells": [\n<<<<<<< HEAD\n=======\n>>>>>>> main\n]}', "merge conflict"),
    ],
)
def test_unreadable_file_is_refused_with_a_reason(content, reason, tmp_path):
    with pytest.raises(ValueError, match=reason):
        notebooks.read(write_file(tmp_path, "a.ipynb", content))


@pytest.mark.parametrize("many", ['{"cells": [%s]}', '{"cells": [], "metadata": {"a": [%s]}}'])
def test_too_many_lists_and_objects_are_refused(many, monkeypatch):
    monkeypatch.setattr(notebooks, "MAX_CONTAINERS", 100)
    with pytest.raises(ValueError, match="more than 100 lists and objects"):
        notebooks.parse((many % ("{}," * 100 + "[]")).encode())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_brackets_in_strings_do_not_count_as_lists(encoding, monkeypatch):
    monkeypatch.setattr(notebooks, "MAX_CONTAINERS", 100)
    cell = {"cell_type": "code", "source": "[{" * 100, "outputs": ['\\"[{\\' * 100]}
    raw = json.dumps({"cells": [cell]}).encode(encoding)
    assert notebooks.parse(raw).cells[0].source == "[{" * 100


def test_too_many_cells_are_refused():
    with pytest.raises(ValueError, match="20,000 cells"):
        notebooks.parse(json.dumps({"cells": [{}] * 20_000}).encode())


@pytest.mark.parametrize(
    "text", ['\\"' * 1_500_000, '"' + '\\"' * 1_500_000 + "\\", '"a' * 999_999]
)
def test_brackets_are_counted_in_linear_time(text):
    """Unterminated strings: a quadratic search for their ends took hours."""
    raw = ("[" * 1_000_001 + text).encode()
    with pytest.raises(ValueError, match="lists and objects"):
        notebooks.parse(raw)


def test_link_is_not_followed(tmp_path):
    write_file(tmp_path, "key.ipynb", '{"cells": []}')
    (tmp_path / "a.ipynb").symlink_to(tmp_path / "key.ipynb")
    with pytest.raises(ValueError, match="it is a link"):
        notebooks.read(tmp_path / "a.ipynb")
