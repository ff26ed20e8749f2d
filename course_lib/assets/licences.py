"""The authors and licences of the bundled files, parsed from the table in ``data/LICENSES.md``."""

import json
from dataclasses import dataclass

from course_lib.assets import paths


@dataclass(frozen=True)
class Credit:
    """One row of the table. ``file`` is relative to ``data/``, such as ``"photos/coffee.png"``."""

    file: str
    source: str
    author: str
    licence: str
    url: str


def read_credits() -> list[Credit]:
    """All rows, in the table's order. A checkpoint may be listed before it has been trained.

    Raises:
        FileNotFoundError: if ``data/LICENSES.md`` is missing; the message says how to get it.
        ValueError: if a row doesn't have five cells.
    """
    rows = []
    for line in paths.data_path("LICENSES.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("| `"):  # text, or the table's header
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 5:
            raise ValueError(f"data/LICENSES.md: this row needs five cells, as the header: {line}")
        rows.append(Credit(cells[0].strip("`"), *cells[1:]))
    return rows


def files_to_credit() -> list[str]:
    """The bundled files that need a row: all but the model cards (``checkpoints/*.json``)."""
    names = json.loads(paths.data_path("checksums.json").read_text(encoding="utf-8"))
    return [
        name for name in names if not (name.startswith("checkpoints/") and name.endswith(".json"))
    ]
