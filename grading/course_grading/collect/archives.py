"""Open a folder or zip of submissions, and the zips inside it, within limits.

Zip metadata is untrusted: entries that would leave their folder and links are refused, and so are
archives that would unpack to too much, by size, compression ratio, number of files or depth.
"""

import contextlib
import os
import re
import shutil
import stat
import struct
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from course_grading.collect.notebooks import MAX_BYTES
from course_grading.collect.problems import Problem
from course_grading.errors import IntakeError

# bytes, over all archives of a run; half of the free disk space if that is less
MAX_UNPACKED = 16 * 2**30
# bytes, of one zip in a folder with the zips inside it: no submission uses up the class's quota
MAX_UNPACKED_PER_ZIP = 512 * 2**20
MAX_FILES = 50_000  # in one archive: a thousand students, seven lessons, and some other files
MAX_RATIO = 200  # bytes unpacked per byte packed
HARMLESS_SIZE = 100 * 2**20  # bytes unpacked; up to this size, any ratio is accepted
MAX_DEPTH = 3  # zips inside zips
# bytes of an archive's central directory, which zipfile reads as a whole
MAX_DIRECTORY_SIZE = 16 * 2**20

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# by name in what was submitted ("ada/homework.zip/01_pixels.ipynb"): where the file can be read
Files = dict[str, Path]


@contextlib.contextmanager
def open_submissions(path: Path) -> Iterator[tuple[Files, list[Problem]]]:
    """The files of a folder or zip, with those of the zips inside it; and what could not be opened.

    Unpacked files exist as long as the context; the originals are not changed.

    Raises:
        IntakeError: if ``path`` is neither, or is a zip that can't be unpacked safely.
    """
    with TemporaryDirectory(prefix="course-") as scratch:
        extraction = Extraction(Path(scratch))
        if path.is_dir():
            extraction.add_folder(path, "", 0)
        elif zipfile.is_zipfile(path):
            try:
                extraction.add_zip(path, "", 1, Quota(MAX_UNPACKED, MAX_FILES))
            except ValueError as error:
                raise IntakeError(
                    f"{path}: {error}. Unpack it yourself and give the folder"
                ) from error
        else:
            raise IntakeError(
                f"{path} is neither a folder nor a zip file: give the folder that holds the "
                "submissions"
            )
        yield extraction.files, extraction.problems


def list_files(folder: Path) -> Files:
    """The contents of a folder by their paths in it, sorted; links are listed, never followed."""
    files = {}
    for parent, folder_names, file_names in os.walk(folder):
        for name in [*folder_names, *file_names]:
            path = Path(parent) / name
            files[printable_name(path.relative_to(folder).as_posix())] = path
    return dict(sorted(files.items()))


def printable_name(name: str) -> str:
    r"""A file name that any table can hold and any terminal can show; undecodable bytes and control
    characters are written as ``\xe9``.
    """
    name = os.fsencode(name).decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), name)


@dataclass
class Quota:
    """How much more may be unpacked: bytes and files."""

    size: int
    files: int


class Extraction:
    """The files and problems found so far, and how many bytes the run may still unpack."""

    def __init__(self, scratch: Path):
        self.files: Files = {}
        self.problems: list[Problem] = []
        self._scratch = scratch
        self._bytes_left = min(MAX_UNPACKED, shutil.disk_usage(scratch).free // 2)
        self._zip_count = 0

    def add_folder(self, folder: Path, name: str, depth: int, quota: Quota | None = None) -> None:
        """Add the files of a folder. If it was unpacked from a zip, the zips in it share that zip's
        quota; otherwise each has its own.
        """
        for inner_name, path in list_files(folder).items():
            full_name = f"{name}/{inner_name}" if name else inner_name
            if (
                path.suffix.lower() != ".zip"
                or not stat.S_ISREG(path.lstat().st_mode)
                or "__MACOSX" in path.parts
            ):
                self.files[full_name] = path
                continue
            try:
                zip_quota = quota or Quota(MAX_UNPACKED_PER_ZIP, MAX_FILES)
                self.add_zip(path, full_name, depth + 1, zip_quota)
            except ValueError as error:
                self.files[full_name] = path
                self.problems.append(Problem("", "", full_name, str(error)))

    def add_zip(self, path: Path, name: str, depth: int, quota: Quota) -> None:
        """Unpack one zip, and the zips in it, and add their files.

        Raises:
            ValueError: if the whole zip is refused.
        """
        if depth > MAX_DEPTH:
            raise ValueError(f"it is a zip inside {MAX_DEPTH} others")
        if name and path.stat().st_size > MAX_BYTES:
            raise ValueError(f"this zip is larger than {MAX_BYTES // 2**20} MB")
        self._zip_count += 1
        folder = self._scratch / str(self._zip_count)
        folder.mkdir()
        try:
            if _central_directory_size(path) > MAX_DIRECTORY_SIZE:
                raise ValueError(f"this zip holds more than {MAX_FILES} files")
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
                _check_quota(entries, path.stat().st_size, self._bytes_left, quota)
                quota.size -= sum(entry.file_size for entry in entries)
                quota.files -= len(entries)
                for entry in entries:
                    self._extract(archive, entry, folder, name)
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            OSError,
            struct.error,
            UnicodeError,
        ) as error:
            raise ValueError(
                f"this zip file can't be opened ({error}): ask for it again"
            ) from error
        if name:
            self.files[name] = folder
        self.add_folder(folder, name, depth, quota if name else None)

    def _extract(
        self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, name: str
    ) -> None:
        full_name = printable_name(f"{name}/{entry.filename}" if name else entry.filename)
        target = folder
        try:
            target = folder / _relative_path(entry)
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                return
            target = unused_path(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            # zipfile never yields more bytes than the entry declares
            self._bytes_left -= entry.file_size
            with archive.open(entry) as packed, target.open("xb") as file:
                shutil.copyfileobj(packed, file)
            # keep the time: of two files, the newer one counts
            modified = time.mktime((*entry.date_time, 0, 0, -1))
            os.utime(target, (modified, modified))
        except Exception as error:  # zlib, lzma and bz2 raise errors of their own
            reason = f"it could not be unpacked: {str(error) or repr(error)}"
            self.problems.append(Problem("", "", full_name, reason))
            if target.is_file():
                target.unlink()  # an incomplete file is worse than none


def _central_directory_size(path: Path) -> int:
    """The declared size of an archive's central directory, without reading the directory."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2**16 - 98))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0:
        raise zipfile.BadZipFile("its end is missing")
    (length,) = struct.unpack_from("<L", tail, end + 12)
    # the zip64 record, which overrides the other
    zip64 = tail.rfind(b"PK\x06\x06", 0, end)
    return max(length, *struct.unpack_from("<Q", tail, zip64 + 40)) if zip64 >= 0 else length


def _check_quota(
    entries: list[zipfile.ZipInfo], packed_size: int, bytes_left: int, quota: Quota
) -> None:
    """Refuse a zip bomb before any of it is unpacked."""
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_FILES:
        raise ValueError(f"this zip holds {len(entries)} files, more than {MAX_FILES}")
    if total > bytes_left:
        raise ValueError(
            f"it would unpack to {total / 2**30:.1f} GiB, more than a run may unpack in total"
        )
    if total > quota.size or len(entries) > quota.files:
        raise ValueError(
            "it unpacks, with the zips inside it, to more than "
            f"{MAX_UNPACKED_PER_ZIP // 2**20} MB or too many files"
        )
    if total > max(HARMLESS_SIZE, MAX_RATIO * packed_size):
        ratio = total // max(packed_size, 1)
        raise ValueError(f"it would unpack to {ratio} times its size: it may be a zip bomb")


def _relative_path(entry: zipfile.ZipInfo) -> PurePosixPath:
    """The path of an entry below its folder.

    Raises:
        ValueError: if it would leave the folder, is a link, or is too large.
    """
    name = entry.orig_filename.replace("\\", "/")
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or ":" in name[:2]
        or "\0" in name
        or not path.parts
    ):
        raise ValueError("its path leads out of the archive")
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ValueError("it is a link, not a file")
    if entry.file_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 2**20} MB")
    return path


def unused_path(path: Path) -> Path:
    """The path, or if it exists one with a number: ``name (2).ipynb``."""
    number = 1
    unused = path
    while unused.exists():
        number += 1
        unused = path.with_name(f"{path.stem} ({number}){path.suffix}")
    return unused
