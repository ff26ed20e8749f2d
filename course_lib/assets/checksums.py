"""The SHA-256 of every bundled file, in ``data/checksums.json``.

``python -m course_lib.assets.checksums`` updates it after a deliberate change under ``data/``.
"""

import hashlib
import json
from pathlib import Path

from course_lib.assets import paths

# Bundled files only: the scripts and tables next to them may change.
_SUFFIXES = {".png", ".jpg", ".webp", ".npz", ".safetensors", ".json", ".txt", ".gz", ".bz2"}
_NAME = "checksums.json"


def write() -> Path:
    """Write ``data/checksums.json``; returns its path."""
    root = paths.data_path()
    sums = {name: _sha256(root / name) for name in bundled_files()}
    path = root / _NAME
    path.write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8", newline="\n")
    return path


def verify() -> list[str]:
    """The problems with the bundled files, one sentence each; empty if all checksums match."""
    try:
        sums = json.loads(paths.data_path(_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        return [str(error)]
    problems = []
    for name, expected in sums.items():
        try:
            path = paths.data_path(*name.split("/"))
        except FileNotFoundError as error:
            problems.append(str(error))
            continue
        if _sha256(path) != expected:
            problems.append(
                f"{path} has changed. Delete it, then restore it: {paths.how_to_restore(name)}"
            )
    return problems + [
        f"{name} is not in {_NAME}. Run: python -m course_lib.assets.checksums"
        for name in sorted(set(bundled_files()) - set(sums))
    ]


def bundled_files() -> list[str]:
    """The files below ``data/`` that have a checksum, such as ``"photos/coffee.png"``, sorted."""
    root = paths.data_path()
    names = (
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix in _SUFFIXES
    )
    return sorted(name for name in names if name != _NAME)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    print(f"wrote {write()}")
