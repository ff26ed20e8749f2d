"""The files that were handed in: by name, without what systems leave beside them, and read only if
they are still the same.
"""

import os
import re
import stat
from pathlib import Path, PurePosixPath

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# What operating systems, editors and Jupyter leave beside the work: nobody's submission.
_IGNORED = {
    name.casefold()
    for name in (
        ".ipynb_checkpoints", ".virtual_documents", "__MACOSX", ".DS_Store", ".Spotlight-V100",
        ".Trashes", ".fseventsd", ".AppleDouble", "desktop.ini", "Thumbs.db", "ehthumbs.db",
        "$RECYCLE.BIN", "System Volume Information", ".directory", ".git", ".gitignore",
        "__pycache__", ".idea", ".vscode", ".pytest_cache",
    )
}  # fmt: skip
# Files that are named like a notebook and are a copy that an editor made, or not there yet.
_NOT_A_NOTEBOOK = re.compile(
    r"^\.|^~|~$|\.(?:bak|backup|orig|tmp|swp|swo|icloud|part|partial|crdownload|download|lock)$",
    re.IGNORECASE,
)

Identity = tuple[int, int]  # device and inode of a file


class Files(dict[str, Path]):
    """Where each file can be read, by its name in what was handed in, for example
    ``ada/homework.zip/01_pixels.ipynb``.

    ``archive`` is the name of the one archive that all of them come from, if there is one.
    """

    archive: str = ""


def list_files(folder: Path) -> Files:
    """The contents of a folder by their paths in it, sorted; links are listed, never followed."""
    files = Files()
    for parent, folder_names, file_names in os.walk(folder):
        for name in [*folder_names, *file_names]:
            path = Path(parent) / name
            files[printable_name(path.relative_to(folder).as_posix())] = path
    return sort_files(files)


def sort_files(files: Files) -> Files:
    """The files in the order of their names."""
    ordered = Files(sorted(files.items()))
    ordered.archive = files.archive
    return ordered


def printable_name(name: str) -> str:
    r"""A file name that any table can hold and any terminal can show; undecodable bytes and control
    characters are written as ``\xe9``.
    """
    name = os.fsencode(name).decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), name)


def is_ignored(name: str) -> bool:
    """Whether a file is one that a system or an editor leaves beside the work."""
    return any(
        part.casefold() in _IGNORED
        or part.startswith(("._", ".nfs", "~$", ".~lock", ".Trash-"))
        or part.endswith("Zone.Identifier")
        for part in name.split("/")
    )


def is_notebook(name: str) -> bool:
    """Whether a file is named like a notebook; browsers and platforms lengthen the name."""
    file_name = PurePosixPath(name).name
    return ".ipynb" in file_name.lower() and not _NOT_A_NOTEBOOK.search(file_name)


def identity(path: Path) -> Identity | None:
    """Which file a path leads to; None if it is a link, no regular file, or not there."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def read_bytes(path: Path, max_bytes: int, expected: Identity | None = None) -> bytes:
    """The content of a file, at most one byte more than ``max_bytes``; links are not followed.

    Raises:
        OSError: if it can't be opened.
        ValueError: if it is no regular file, or is another one than ``expected``: it may have been
            replaced by a link to something that nobody handed in.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if path.is_symlink():
            raise ValueError("it is a link, not a file") from error
        raise
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a file, but a folder or a device")
        if expected is not None and (status.st_dev, status.st_ino) != expected:
            raise ValueError("it was replaced by another file since the run began: run again")
        return file.read(max_bytes + 1)
