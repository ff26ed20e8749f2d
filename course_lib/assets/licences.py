"""Who made the embedded files and under which licence: the table in data/LICENSES.md, as data."""

import json
from dataclasses import dataclass

from course_lib.assets import paths


@dataclass(frozen=True)
class Credit:
    """One row of the table. ``file`` is below ``data/``, as ``"photos/coffee.png"``."""

    file: str
    origin: str
    author: str
    licence: str
    link: str


def credits() -> list[Credit]:
    """All rows, in the order of the table. Some are of checkpoints that may not be there yet.

    Raises:
        FileNotFoundError: if ``data/LICENSES.md`` is not there; the message says how to get it
            back.
        ValueError: if a row has more or fewer than five cells.
    """
    rows = []
    for line in paths.data("LICENSES.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("| `"):  # a row of the table, and neither its head nor text
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 5:
            raise ValueError(f"data/LICENSES.md: give this row the five cells of the table: {line}")
        rows.append(Credit(cells[0].strip("`"), *cells[1:]))
    return rows


def files() -> list[str]:
    """The embedded files that need a row: all but the cards of the checkpoints, which only describe
    them.
    """
    names = json.loads(paths.data("checksums.json").read_text(encoding="utf-8"))
    return [
        name for name in names if not (name.startswith("checkpoints/") and name.endswith(".json"))
    ]
