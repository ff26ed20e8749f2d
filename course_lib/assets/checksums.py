"""The embedded files are what they were when they were built: data/checksums.json says so.

``python -m course_lib.assets.checksums`` writes the file again after data/ was changed on purpose.
"""

import hashlib
import json
from pathlib import Path

from course_lib.assets import paths

# Only what is embedded: the scripts and the tables beside it may change without harm.
_EMBEDDED = {".png", ".jpg", ".webp", ".npz", ".safetensors", ".json", ".txt", ".gz", ".bz2"}
_NAME = "checksums.json"


def write() -> Path:
    """Write ``data/checksums.json``: the SHA-256 of every embedded file under ``data/``. Returns
    its path.
    """
    root = paths.data()
    sums = {name: _sha256(root / name) for name in _embedded(root)}
    path = root / _NAME
    path.write_text(json.dumps(sums, indent=2) + "\n")
    return path


def verify() -> list[str]:
    """What is wrong with the embedded files, one sentence each; an empty list when all is well."""
    try:
        sums = json.loads(paths.data(_NAME).read_text())
    except FileNotFoundError as error:
        return [str(error)]
    root = paths.data()
    problems = []
    for name, expected in sums.items():
        try:
            if _sha256(paths.data(*name.split("/"))) != expected:
                problems.append(
                    f"{root / name} has changed: git checkout -- data/{name}, or reinstall the course."
                )
        except FileNotFoundError as error:
            problems.append(str(error))
    unlisted = set(_embedded(root)) - set(sums)
    return problems + [
        f"{name} is not in {_NAME}. Run: python -m course_lib.assets.checksums"
        for name in sorted(unlisted)
    ]


def _embedded(root: Path) -> list[str]:
    names = (
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix in _EMBEDDED
    )
    return sorted(name for name in names if name != _NAME)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    print(f"wrote {write()}")
