"""The submitted files: list them by name, ignore system files, and read them only if they
were not replaced.
"""

import os
import re
import stat
from pathlib import Path, PurePosixPath

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Files and folders that operating systems, editors and Jupyter create.
_IGNORED = {
    name.casefold()
    for name in (
        ".ipynb_checkpoints", ".virtual_documents", "__MACOSX", ".DS_Store", ".Spotlight-V100",
        ".Trashes", ".fseventsd", ".AppleDouble", "desktop.ini", "Thumbs.db", "ehthumbs.db",
        "$RECYCLE.BIN", "System Volume Information", ".directory", ".git", ".gitignore",
        "__pycache__", ".idea", ".vscode", ".pytest_cache",
    )
}  # fmt: skip
# Backups, temporary files and unfinished downloads of notebooks.
_NOT_A_NOTEBOOK = re.compile(
    r"^\.|^~|~$|\.(?:bak|backup|orig|tmp|swp|swo|icloud|part|partial|crdownload|download|lock)$",
    re.IGNORECASE,
)

Identity = tuple[int, int]  # device and inode of a file


class Files(dict[str, Path]):
    """The path on disk of each file, by its name in the submissions, for example
    ``ada/homework.zip/01_pixels.ipynb``.

    ``archive`` is the name of the archive that contains all of them, if there is one.
    """

    archive: str = ""


def list_files(folder: Path) -> Files:
    """The contents of a folder by relative path, sorted; symbolic links are not followed."""
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
    r"""A file name that is safe for tables and terminals: undecodable bytes and control
    characters are written as ``\xe9``.
    """
    name = os.fsencode(name).decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), name)


def is_ignored(name: str) -> bool:
    """Whether a file was created by a system or an editor."""
    return any(
        part.casefold() in _IGNORED
        or part.startswith(("._", ".nfs", "~$", ".~lock", ".Trash-"))
        or part.endswith("Zone.Identifier")
        for part in name.split("/")
    )


def is_notebook(name: str) -> bool:
    """Whether a file is named like a notebook; browsers and platforms may add to the name."""
    file_name = PurePosixPath(name).name
    return ".ipynb" in file_name.lower() and not _NOT_A_NOTEBOOK.search(file_name)


def identity(path: Path) -> Identity | None:
    """The identity of a regular file; None for a link, another kind of file, or none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def read_bytes(path: Path, max_bytes: int, expected: Identity | None = None) -> bytes:
    """The content of a file, up to ``max_bytes`` and one byte; links are not followed.

    Raises:
        OSError: if it can't be opened.
        ValueError: if it is no regular file, or not the ``expected`` one: a student may have
            replaced it (a race) with a file that was not submitted.
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
