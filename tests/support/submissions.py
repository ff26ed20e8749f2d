"""The sample lesson's name and items, and helpers to write and read submissions."""

from pathlib import Path

NAME = "01_sample"
ITEMS_BY_LESSON = {NAME: {"which-letters", "how-many", "double"}}


def write_file(folder: Path, path: str, content: str | bytes = "{}") -> Path:
    """Write a file in ``folder``, by default with an empty JSON object, and return its path."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return target


def sources_by_id(notebook) -> dict[str, str]:
    """A notebook's sources by cell id."""
    return {cell["id"]: cell.source for cell in notebook.cells}
