"""Open what was handed in: a folder or a zip, with the zips inside it, read in a bounded way.

Of a zip nothing is believed: an entry that would leave its folder or that is a link is refused, and
so are archives that unpack to too much, judged by size, by ratio, by the number of files and by
depth.
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
from course_grading.collect.problems import IntakeError, Problem

# bytes, over all archives of a run, where the disk has room for twice as much
MAX_UNPACKED = 16 * 2**30
# bytes, of one zip in a folder with the zips inside it: nobody takes the others' room
MAX_OF_ONE = 512 * 2**20
MAX_FILES = 50_000  # in one archive: a thousand students, seven lessons and something beside each
# bytes unpacked a byte packed; below SMALL any ratio is harmless
MAX_RATIO, SMALL = (
    200,
    100 * 2**20,
)
MAX_DEPTH = 3  # zips inside zips
MAX_DIRECTORY = 16 * 2**20  # bytes of an archive's table of contents, which zipfile reads whole

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# what people call it ("ada/homework.zip/01_pixels.ipynb") -> where it can be read
Files = dict[str, Path]


@contextlib.contextmanager
def opened(place: Path) -> Iterator[tuple[Files, list[Problem]]]:
    """Everything in a folder or zip file, by name, with what stands in zips inside it; and what
    could not be opened.

    What was unpacked lives as long as the context; the originals stay as they are.

    Raises:
        IntakeError: if it is neither, or a zip that can't be unpacked safely.
    """
    with TemporaryDirectory(prefix="course-") as scratch:
        taken = _Taken(Path(scratch))
        if place.is_dir():
            taken.folder(place, "", 0)
        elif zipfile.is_zipfile(place):
            try:
                taken.archive(place, "", 1, _Room(MAX_UNPACKED, MAX_FILES))
            except ValueError as error:
                raise IntakeError(
                    f"{place}: {error}. Unpack it yourself and give the folder"
                ) from error
        else:
            raise IntakeError(
                f"{place} is neither a folder nor a zip file: give the folder that holds the submissions"
            )
        yield taken.files, taken.problems


def listed(folder: Path) -> Files:
    """What a folder holds, by its path in it; links are named and never followed."""
    found = {}
    for inside, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(inside) / name
            found[readable(path.relative_to(folder).as_posix())] = path
    return dict(sorted(found.items()))


def readable(name: str) -> str:
    """A file's name as any table can hold it and any terminal show it: what is no text is written
    as ``\\xe9``.
    """
    name = os.fsencode(name).decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), name)


@dataclass
class _Room:
    """How much more may be unpacked."""

    size: int
    files: int


class _Taken:
    """What has been found so far, and how much more the whole run may unpack."""

    def __init__(self, scratch: Path):
        self.files: Files = {}
        self.problems: list[Problem] = []
        self._scratch = scratch
        self._left = min(MAX_UNPACKED, shutil.disk_usage(scratch).free // 2)
        self._archives = 0

    def folder(self, folder: Path, name: str, depth: int, room: _Room | None = None) -> None:
        """Take what a folder holds; zips in it share the room of the zip that it was, else each has
        its own.
        """
        for inside, path in listed(folder).items():
            full = f"{name}/{inside}" if name else inside
            if (
                path.suffix.lower() != ".zip"
                or not stat.S_ISREG(path.lstat().st_mode)
                or "__MACOSX" in path.parts
            ):
                self.files[full] = path
                continue
            try:
                self.archive(path, full, depth + 1, room or _Room(MAX_OF_ONE, MAX_FILES))
            except ValueError as error:
                self.files[full] = path
                self.problems.append(Problem("", "", full, str(error)))

    def archive(self, path: Path, name: str, depth: int, room: _Room) -> None:
        """Unpack one archive, and those in it.

        Raises:
            ValueError: if nothing of it is taken.
        """
        if depth > MAX_DEPTH:
            raise ValueError(f"it is a zip inside {MAX_DEPTH} others")
        if name and path.stat().st_size > MAX_BYTES:
            raise ValueError(f"this zip is larger than {MAX_BYTES // 2**20} MB")
        self._archives += 1
        folder = self._scratch / str(self._archives)
        folder.mkdir()
        try:
            if _directory_bytes(path) > MAX_DIRECTORY:
                raise ValueError(f"this zip holds more than {MAX_FILES} files")
            with zipfile.ZipFile(path) as archive:
                _check(archive, path.stat().st_size, self._left, room)
                room.size -= sum(item.file_size for item in archive.infolist())
                room.files -= len(archive.infolist())
                for item in archive.infolist():
                    self._entry(archive, item, folder, name)
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
        self.folder(folder, name, depth, room if name else None)

    def _entry(
        self, archive: zipfile.ZipFile, item: zipfile.ZipInfo, folder: Path, name: str
    ) -> None:
        full = readable(f"{name}/{item.filename}" if name else item.filename)
        target = folder
        try:
            target = folder / _inside(item)
            if item.is_dir():
                return target.mkdir(parents=True, exist_ok=True)
            target = free(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._left -= item.file_size  # zipfile never gives more bytes than an entry says it has
            with archive.open(item) as packed, target.open("xb") as file:
                shutil.copyfileobj(packed, file)
            # the newest of two files counts: keep their times
            when = time.mktime((*item.date_time, 0, 0, -1))
            os.utime(target, (when, when))
        except Exception as error:  # zlib, lzma and bz2 raise their own kinds
            self.problems.append(
                Problem("", "", full, f"it could not be unpacked: {str(error) or repr(error)}")
            )
            if target.is_file():
                target.unlink()  # half of a file is worse than none


def _directory_bytes(path: Path) -> int:
    """How long an archive's table of contents says it is, read without reading the table."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2**16 - 98))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0:
        raise zipfile.BadZipFile("its end is missing")
    (length,) = struct.unpack_from("<L", tail, end + 12)
    # the form for large archives, which overrules the other
    long = tail.rfind(b"PK\x06\x06", 0, end)
    return max(length, *struct.unpack_from("<Q", tail, long + 40)) if long >= 0 else length


def _check(archive: zipfile.ZipFile, packed: int, left: int, room: _Room) -> None:
    """Refuse a bomb before anything of it is unpacked."""
    items = archive.infolist()
    total = sum(item.file_size for item in items)
    if len(items) > MAX_FILES:
        raise ValueError(f"this zip holds {len(items)} files, more than {MAX_FILES}")
    if total > left:
        raise ValueError(f"it would unpack to {total / 2**30:.1f} GiB, more than a run may")
    if total > room.size or len(items) > room.files:
        raise ValueError(
            f"it unpacks, with the zips inside it, to more than {MAX_OF_ONE // 2**20} MB or too many files"
        )
    if total > max(SMALL, MAX_RATIO * packed):
        raise ValueError(
            f"it would unpack to {total // max(packed, 1)} times its size, as no honest zip does"
        )


def _inside(item: zipfile.ZipInfo) -> PurePosixPath:
    """Where an entry goes below its folder.

    Raises:
        ValueError: if it would leave it, is a link, or is too large.
    """
    name = item.orig_filename.replace("\\", "/")
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or ":" in name[:2]
        or "\0" in name
        or not path.parts
    ):
        raise ValueError("its path leads out of the archive")
    if stat.S_IFMT(item.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ValueError("it is a link, not a file")
    if item.file_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 2**20} MB")
    return path


def free(path: Path) -> Path:
    """The path, or one beside it where an archive holds two entries of one name."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem} ({number}){path.suffix}")
    return free
