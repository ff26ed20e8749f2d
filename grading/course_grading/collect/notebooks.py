"""Read the cells of submitted notebooks, even if the rest is damaged.

nbformat is not used for reading: it validates and upgrades, which takes seconds for a notebook with
large outputs, and fails if an attacker or a tool has damaged the metadata.
"""

import json
import re
from pathlib import Path

import nbformat

from course_grading.collect import files

MAX_BYTES = 100 * 2**20  # of a file
TOO_LARGE = f"it is larger than {MAX_BYTES // 2**20} MB: ask for a copy without outputs"
MAX_CELL_LENGTH = 2**20  # characters
MAX_CELLS = 10_000
# lists and objects: an empty one takes thirty times its size in the file
MAX_CONTAINERS = 1_000_000
# An unterminated string is matched to the end of the text: otherwise each quotation mark in it
# would be tried as a beginning, in quadratic time.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)


def read(path: Path):
    """Read a submitted notebook; see :func:`parse`. Links are not followed.

    Raises:
        OSError: if it can't be opened.
        ValueError: if it can't be read; the message says why and what to ask the student for.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(TOO_LARGE)
    return parse(files.read_bytes(path, MAX_BYTES))


def parse(raw: bytes):
    """The cells of a notebook, in any format version and encoding, as an
    ``nbformat.NotebookNode``.

    Each cell has ``cell_type``, ``metadata``, ``source`` and ``id`` (empty if it was lost); outputs
    are dropped. Sources have Unix line endings and no lone surrogates.

    Raises:
        ValueError: if it can't be read; the message says why and what to ask the student for.
    """
    if len(raw) > MAX_BYTES:
        raise ValueError(TOO_LARGE)
    if not raw.strip():
        raise ValueError("the file is empty")
    text = _decode(raw)
    if (
        _count_containers(text) > MAX_CONTAINERS
        and _count_containers(_STRING.sub("", text)) > MAX_CONTAINERS
    ):
        raise ValueError(
            f"it holds more than {MAX_CONTAINERS:,} lists and objects: ask for a copy "
            "without outputs"
        )
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(_explain(raw, error)) from error
    if not isinstance(document, dict):
        raise ValueError("it is JSON but not a notebook: ask the student to resubmit")
    cells = document.get("cells")
    if "cells" not in document and isinstance(document.get("worksheets"), list):
        cells = _cells_of_worksheets(document["worksheets"])
    if not isinstance(cells, list):
        raise ValueError("it has no list of cells: ask the student to resubmit")
    if len(cells) > MAX_CELLS:
        raise ValueError(
            f"it has {len(cells):,} cells, more than {MAX_CELLS:,}: inspect it manually"
        )
    metadata = document.get("metadata")
    cells = [
        _clean_cell(number, cell) for number, cell in enumerate(cells, 1) if isinstance(cell, dict)
    ]
    try:
        return nbformat.from_dict(
            {"metadata": metadata if isinstance(metadata, dict) else {}, "cells": cells}
        )
    except RecursionError as error:
        raise ValueError(
            "it is nested too deeply to be a notebook: ask the student to resubmit"
        ) from error


def _cells_of_worksheets(worksheets: list) -> list:
    """The cells of a notebook in nbformat 3 or older."""
    sheets = [sheet.get("cells") for sheet in worksheets if isinstance(sheet, dict)]
    return [cell for cells in sheets if isinstance(cells, list) for cell in cells]


def _count_containers(text: str) -> int:
    return text.count("[") + text.count("{")


def _decode(raw: bytes) -> str:
    try:
        # json detects the Unicode encoding from the first bytes, with or without a BOM.
        return raw.decode(json.detect_encoding(raw))
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _clean_cell(number: int, cell: dict) -> dict:
    source = cell.get("source", cell.get("input", ""))  # nbformat 3 has code under "input"
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    source = source if isinstance(source, str) else ""
    if len(source) > MAX_CELL_LENGTH:
        raise ValueError(
            f"its cell {number} has more than {MAX_CELL_LENGTH // 2**20} MB of text: "
            "ask for a copy without that cell"
        )
    # A lone surrogate can't be encoded in UTF-8.
    source = source.encode("utf-8", "replace").decode("utf-8")
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    id = cell.get("id")
    metadata = cell.get("metadata")
    return {
        "cell_type": str(cell.get("cell_type")),
        "id": id if isinstance(id, str) else "",
        "metadata": metadata if isinstance(metadata, dict) else {},
        "source": source,
    }


def _explain(raw: bytes, error: Exception) -> str:
    start = raw[:200].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        return (
            "it is a web page, perhaps a login page, and not a notebook: ask the student to "
            "resubmit"
        )
    if start.startswith(b"pk\x03\x04"):
        return "it is a zip file with a notebook's name, not a notebook: rename it to .zip"
    if b"<<<<<<< " in raw and b">>>>>>> " in raw:
        return "it has an unresolved Git merge conflict: ask the student to resubmit"
    if (
        isinstance(error, json.JSONDecodeError)
        and start.startswith(b"{")
        and not raw.rstrip(b"\0 \r\n").endswith(b"}")
    ):
        return (
            "it is incomplete, perhaps because an upload was cut short: ask the student to resubmit"
        )
    return f"it is no readable notebook ({type(error).__name__}): ask the student to resubmit"
