"""Read a notebook that someone handed in, whatever has happened to it: only its cells matter here.

nbformat is not asked: it validates and upgrades, which takes seconds for a notebook with much
output and fails for one whose metadata an attacker or a tool has spoilt. What is wanted is what its
cells say.
"""

import json
import re
from pathlib import Path

import nbformat

MAX_BYTES = 100 * 2**20  # of a file
TOO_LARGE = f"it is larger than {MAX_BYTES // 2**20} MB: ask for it without outputs"
MAX_CELL = 2**20  # characters of a cell
MAX_CELLS = 10_000
# lists and objects: empty ones take thirty times the memory that they take in the file
MAX_PARTS = 1_000_000
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


def read(path: Path):
    """Read a notebook that someone handed in; see :func:`parse`.

    Raises:
        ValueError: if it can't be read; the message says why, for the person who has to ask for it
            again.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(TOO_LARGE)
    return parse(path.read_bytes())


def parse(raw: bytes):
    """The cells of a notebook of any format version, in any encoding, as an
    ``nbformat.NotebookNode``.

    Each cell has ``cell_type``, ``metadata``, ``source`` and ``id`` (empty if it was lost); outputs
    are dropped. A source has Unix line ends and holds whole characters only.

    Raises:
        ValueError: if it can't be read; the message says why, for the person who has to ask for it
            again.
    """
    if len(raw) > MAX_BYTES:
        raise ValueError(TOO_LARGE)
    if not raw.strip():
        raise ValueError("the file is empty")
    text = _text(raw)
    if _parts(text) > MAX_PARTS and _parts(_STRING.sub("", text)) > MAX_PARTS:
        raise ValueError(
            f"it holds more than {MAX_PARTS:,} lists and objects: ask for it without outputs"
        )
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(_why(raw, error)) from error
    if not isinstance(told, dict):
        raise ValueError("it is JSON but not a notebook: ask for it again")
    cells = told.get("cells")
    if "cells" not in told and isinstance(told.get("worksheets"), list):  # nbformat 3 and older
        sheets = [sheet.get("cells") for sheet in told["worksheets"] if isinstance(sheet, dict)]
        cells = [cell for sheet in sheets if isinstance(sheet, list) for cell in sheet]
    if not isinstance(cells, list):
        raise ValueError("it holds no list of cells: ask for it again")
    if len(cells) > MAX_CELLS:
        raise ValueError(f"it holds {len(cells):,} cells, more than {MAX_CELLS:,}: look at it")
    about = told.get("metadata")
    cells = [_cell(number, cell) for number, cell in enumerate(cells, 1) if isinstance(cell, dict)]
    try:
        return nbformat.from_dict(
            {"metadata": about if isinstance(about, dict) else {}, "cells": cells}
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply to be a notebook: ask for it again") from error


def _parts(text: str) -> int:
    return text.count("[") + text.count("{")


def _text(raw: bytes) -> str:
    try:
        # json knows the Unicode encodings by their first bytes, with or without a byte order mark.
        return raw.decode(json.detect_encoding(raw))
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _cell(number: int, cell: dict) -> dict:
    source = cell.get("source", cell.get("input", ""))  # code stood under "input" in nbformat 3
    if isinstance(source, list):
        source = "".join(row for row in source if isinstance(row, str))
    source = source if isinstance(source, str) else ""
    if len(source) > MAX_CELL:
        raise ValueError(
            f"its cell {number} holds more than {MAX_CELL // 2**20} MB of text: ask for it without"
        )
    # Half of a character can't be written to any file.
    source = (
        source.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    )
    about, id = cell.get("metadata"), cell.get("id")
    return {
        "cell_type": str(cell.get("cell_type")),
        "id": id if isinstance(id, str) else "",
        "metadata": about if isinstance(about, dict) else {},
        "source": source,
    }


def _why(raw: bytes, error: Exception) -> str:
    start = raw[:200].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        return "it is a web page, perhaps a login page, and not a notebook: ask for it again"
    if start.startswith(b"pk\x03\x04"):
        return "it is a zip file under a notebook's name, not a notebook: rename it to .zip"
    if b"<<<<<<< " in raw and b">>>>>>> " in raw:
        return "it is not a notebook that can be read: it holds an unresolved merge conflict"
    if (
        isinstance(error, json.JSONDecodeError)
        and start.startswith(b"{")
        and not raw.rstrip(b"\0 \r\n").endswith(b"}")
    ):
        return "it is not a whole notebook: it was cut short, perhaps while uploading; ask for it again"
    return f"it is not a notebook that can be read ({type(error).__name__}): ask for it again"
