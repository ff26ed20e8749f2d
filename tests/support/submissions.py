"""Helpers for files of submissions."""

from pathlib import Path

NAME = "01_sample"
LESSONS = {NAME: {"which-letters", "how-many", "double"}}


def put(folder: Path, path: str, content: str | bytes = "{}") -> Path:
    """Write a file in ``folder``, by default an empty JSON object; returns its path."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return target


def sources(notebook) -> dict[str, str]:
    """A notebook's sources by cell id."""
    return {cell["id"]: cell.source for cell in notebook.cells}
