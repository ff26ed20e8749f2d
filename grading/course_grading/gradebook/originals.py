"""Keep the submitted files unchanged, and record the file and the answer key of each
stored result.

``workspace/originals/STUDENT/LESSON/`` holds every version (``SHA256.ipynb.gz``) and
``graded.json``. So a class can be graded again with a corrected key, without the folder of
submissions.
"""

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

_INDEX = "graded.json"


@dataclass(frozen=True)
class Original:
    """The file from which a stored result was computed.

    ``file`` is its name in the submissions, ``key`` the digest of the answer key, ``result`` the
    digest of the result. ``is_marked_late``: the platform's name for the file says that it is late.
    ``submitter`` is the member of the student's group who submitted it, empty if it was the
    student; ``handed_in_by`` describes that in words.
    """

    student: str
    lesson: str
    file: str
    sha256: str
    timestamp: str | None
    key: str
    result: str
    is_marked_late: bool = False
    submitter: str = ""
    handed_in_by: str = ""


def digest(data: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def keep(workspace: Path, original: Original, data: bytes) -> None:
    """Keep a file, and record that the stored result was computed from it."""
    folder = _folder(workspace, original.student, original.lesson)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{original.sha256}.ipynb.gz"
    if not path.exists():
        _replace(path, gzip.compress(data, mtime=0))
    content = json.dumps(asdict(original), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if not (folder / _INDEX).exists() or find(workspace, *_id(original)) != original:
        _replace(folder / _INDEX, content.encode())


def find(workspace: Path, student: str, lesson: str) -> Original | None:
    """The original of a stored result; None if unknown."""
    try:
        text = (_folder(workspace, student, lesson) / _INDEX).read_text(encoding="utf-8")
        return Original(**json.loads(text))
    except (OSError, ValueError, TypeError):
        return None


def read(workspace: Path, original: Original) -> bytes:
    """The content of a kept file.

    Raises:
        OSError: if it can't be read, or was changed.
    """
    path = _folder(workspace, *_id(original)) / f"{original.sha256}.ipynb.gz"
    data = gzip.decompress(path.read_bytes())
    if digest(data) != original.sha256:
        raise OSError(f"{path} was changed after it was kept")
    return data


def find_all(workspace: Path) -> Iterator[Original]:
    """The originals of all stored results, ordered by student and lesson."""
    for path in sorted(workspace.glob(f"originals/*/*/{_INDEX}")):
        original = find(workspace, *path.parts[-3:-1])
        if original is not None:
            yield original


def _id(original: Original) -> tuple[str, str]:
    return original.student, original.lesson


def _folder(workspace: Path, student: str, lesson: str) -> Path:
    return workspace / "originals" / student / lesson


def _replace(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content)
    os.replace(new, path)
