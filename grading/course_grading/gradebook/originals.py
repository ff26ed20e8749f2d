"""Keep what students handed in, as it was, and say from which file and with which answer key each
stored result was made.

``workspace/originals/STUDENT/LESSON/`` holds every version (``SHA256.ipynb.gz``) and
``graded.json``. With them a class can be graded again after a corrected key, without its folder.
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
    """The file that a stored result was made from.

    ``file`` is its name in what was handed in, ``key`` the digest of the answer key, ``result`` the
    result's digest. ``is_marked_late``: the platform's name for the file says that it is late.
    ``submitter`` is the member of the student's group who handed it in, empty if nobody else did;
    ``handed_in_by`` says so in words.
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
    """Keep a file and note that the stored result was made from it."""
    folder = _folder(workspace, original.student, original.lesson)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{original.sha256}.ipynb.gz"
    if not path.exists():
        _replace(path, gzip.compress(data, mtime=0))
    content = json.dumps(asdict(original), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if not (folder / _INDEX).exists() or find(workspace, *_id(original)) != original:
        _replace(folder / _INDEX, content.encode())


def find(workspace: Path, student: str, lesson: str) -> Original | None:
    """What the stored result of a submission was made from; None if that is not known."""
    try:
        text = (_folder(workspace, student, lesson) / _INDEX).read_text(encoding="utf-8")
        return Original(**json.loads(text))
    except (OSError, ValueError, TypeError):
        return None


def read(workspace: Path, original: Original) -> bytes:
    """The content of a file that was kept.

    Raises:
        OSError: if it can't be read any more, or was changed.
    """
    path = _folder(workspace, *_id(original)) / f"{original.sha256}.ipynb.gz"
    data = gzip.decompress(path.read_bytes())
    if digest(data) != original.sha256:
        raise OSError(f"{path} was changed after it was kept")
    return data


def find_all(workspace: Path) -> Iterator[Original]:
    """What every stored result was made from, by student and lesson."""
    for path in sorted(workspace.glob(f"originals/*/*/{_INDEX}")):
        original = find(workspace, *path.parts[-3:-1])
        if original is not None:
            yield original


def _id(original: Original) -> tuple[str, str]:
    return original.student, original.lesson


def _folder(workspace: Path, student: str, lesson: str) -> Path:
    return workspace / "originals" / student / lesson


def _replace(path: Path, content: bytes) -> None:
    """Write a file completely or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content)
    os.replace(new, path)
