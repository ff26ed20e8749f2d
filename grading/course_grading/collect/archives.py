"""Open a folder or archive of submissions, and the archives inside it, within limits.

Archives are untrusted. Entries that would leave their folder, and links, are refused. So are
archives that exceed a limit of size, compression ratio, number of files, time or nesting. Each
student has separate limits, so that nobody can use up those of others. Unpacked files get generated
names on disk: a name that a student chose never reaches the file system.
"""

import contextlib
import os
import shutil
import stat
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from course_grading.collect import archive_formats, owners, platform_names
from course_grading.collect.archive_formats import Archive, ArchiveEntry, ArchiveLimits
from course_grading.collect.files import Files, is_ignored, list_files, sort_files
from course_grading.collect.notebooks import MAX_BYTES
from course_grading.collect.problems import Problem, summarise
from course_grading.errors import IntakeError

# bytes that one student's archives may unpack to, including nested archives
MAX_UNPACKED = 512 * 2**20
# bytes that each student may unpack in any case, even if the disk is nearly full
MIN_SHARE = 32 * 2**20
MAX_FILES = 50_000  # in one student's archives
MAX_CLASS_FILES = 1_000_000  # in the archive of a whole class
MAX_RATIO = 200  # compression ratio: bytes unpacked per byte packed
HARMLESS_SIZE = 100 * 2**20  # bytes unpacked; up to this size, any ratio is accepted
MAX_DEPTH = 3  # archives inside archives
UNPACKING_TIME_LIMIT = 60.0  # for unpacking one student's archives
# bytes of an archive's central directory, which zipfile reads as a whole
MAX_DIRECTORY_SIZE = 16 * 2**20
MAX_CLASS_DIRECTORY_SIZE = 256 * 2**20
MAX_PART_BYTES = 255  # of a file's name, as on most file systems
MAX_CLASS_SECONDS = 600.0  # for listing the archive of a class
_CHUNK = 2**20

FORMS = "STUDENT/NN_name.ipynb"


@contextlib.contextmanager
def open_submissions(
    path: Path, only: Collection[str] | None = None
) -> Iterator[tuple[Files, list[Problem]]]:
    """The files of a folder or archive (zip, tar.gz), including those of nested archives; and the
    problems of archives and entries that could not be opened.

    Unpacked files exist until the context ends; the originals are not changed.

    Args:
        path: the folder or archive.
        only: the names of the files in the folder to open; None for all.

    Raises:
        IntakeError: if ``path`` is neither, or is an archive that can't be unpacked safely.
    """
    with TemporaryDirectory(prefix="course-") as scratch:
        extraction = Extraction(Path(scratch))
        if path.is_dir():
            extraction.add_folder(path, only)
        elif archive_formats.is_archive(path):
            try:
                extraction.add_class_archive(path)
            except ValueError as error:
                raise IntakeError(
                    f"{path}: {error}. Unpack it yourself and give the folder"
                ) from error
        else:
            raise IntakeError(_why_not_opened(path))
        yield sort_files(extraction.files), extraction.summary()


def _why_not_opened(path: Path) -> str:
    if ".ipynb" in path.name.lower():
        return (
            f"{path} is a single notebook, which does not name its student: put it into a "
            f"folder named after the student, FOLDER/{FORMS}, and give FOLDER"
        )
    if platform_names.is_archive_name(path.name) or path.suffix.lower() in (".tar", ".rar", ".7z"):
        return (
            f"{path} is neither a folder nor a zip or tar.gz that can be opened: unpack it "
            "yourself and give the folder"
        )
    return (
        f"{path} is neither a folder nor a zip or tar.gz: give the folder that holds the "
        "submissions"
    )


@dataclass
class Quota:
    """The remaining bytes, files and seconds of one student's archives; the bytes packed and
    unpacked so far; and the number of entries listed so far, whether unpacked or not.
    """

    size: int
    files: int
    seconds: float
    packed: int = 0
    unpacked: int = 0
    listed: int = 0

    def refusal(self, entries: list[ArchiveEntry], packed_size: int) -> str:
        """Why these entries of an archive must not be unpacked; empty if they may."""
        total = sum(entry.size for entry in entries)
        packed, unpacked = self.packed + packed_size, self.unpacked + total
        if len(entries) > MAX_FILES:
            return f"this archive holds {len(entries)} files, more than {MAX_FILES}"
        if self.seconds <= 0:
            return (
                "unpacking this student's archives takes more than "
                f"{UNPACKING_TIME_LIMIT:.0f} seconds"
            )
        if total > self.size or len(entries) > self.files:
            size = f"{(self.size + self.unpacked) / 2**20:.0f} MB"
            return (
                "it unpacks, with the archives inside it and the student's others, to more than "
                f"{size} or too many files"
            )
        if unpacked > max(HARMLESS_SIZE, MAX_RATIO * packed):
            ratio = unpacked // max(packed, 1)
            return f"it would unpack to {ratio} times its size: it may be an archive bomb"
        return ""

    def take(self, entries: list[ArchiveEntry], packed_size: int) -> None:
        """Subtract entries that are about to be unpacked."""
        total = sum(entry.size for entry in entries)
        self.size -= total
        self.files -= len(entries)
        self.packed += packed_size
        self.unpacked += total


class Extraction:
    """The files and problems found so far, and each student's remaining quota."""

    def __init__(self, scratch: Path):
        self.files = Files()
        self.problems: list[Problem] = []
        self._scratch = scratch
        self._count = 0
        self._same_name: Counter[str] = Counter()
        self._submitters: dict[str, str] = {}  # by name of a file or archive
        self._top_archives: set[str] = set()  # into which a platform may have packed students
        self._quotas: dict[str, Quota] = {}
        self._share = MAX_UNPACKED

    def add_folder(self, folder: Path, only: Collection[str] | None = None) -> None:
        """Add a folder of submissions, or only the files with these names, and open the archives in
        it.
        """
        listed = list_files(folder)
        if only is not None:
            parents = {str(parent) for name in only for parent in PurePosixPath(name).parents}
            listed = Files((n, path) for n, path in listed.items() if n in parents or n in only)
        self.files.update(listed)
        folders = {name for name, path in listed.items() if _is_folder(path)}
        names = [name for name in listed if not is_ignored(name)]
        self._submitters = owners.submitter_keys(names, folders)
        self._top_archives = owners.top_archives(names, folders)
        self._set_share()
        for name, path in listed.items():
            if _is_archive_file(name, path):
                self._add_inner(path, name, 1)

    def add_class_archive(self, path: Path) -> None:
        """Add the archive of a whole class; each student in it has a separate quota.

        Raises:
            ValueError: if the whole archive is refused.
        """
        self.files.archive = path.name
        self._add(path, "", 1, is_class=True)

    def summary(self) -> list[Problem]:
        """The problems, with similar ones of one student summarised."""
        return summarise(
            self.problems, lambda problem: self._submitters.get(problem.file, problem.file)
        )

    def _set_share(self) -> None:
        students = max(1, len(set(self._submitters.values())))
        share = shutil.disk_usage(self._scratch).free // 2 // students
        self._share = min(MAX_UNPACKED, max(share, MIN_SHARE))

    def _quota(self, submitter: str) -> Quota:
        return self._quotas.setdefault(
            submitter, Quota(self._share, MAX_FILES, UNPACKING_TIME_LIMIT)
        )

    def _add_inner(self, path: Path, name: str, depth: int) -> None:
        """Open an archive among the files; if that fails, report a problem."""
        try:
            self._add(path, name, depth)
        except ValueError as error:
            self.files[name] = path
            self._report(name, str(error))

    def _report(self, name: str, reason: str) -> None:
        self.problems.append(Problem("", "", name, reason))

    def _add(self, path: Path, name: str, depth: int, is_class: bool = False) -> None:
        if depth > MAX_DEPTH:
            raise ValueError(f"it is an archive inside {MAX_DEPTH} others")
        if name and path.stat().st_size > MAX_BYTES:
            raise ValueError(f"this archive is larger than {MAX_BYTES // 2**20} MB")
        quota = None if is_class else self._quota_of(name)
        # listing an archive takes time, even if it is refused afterwards
        if quota and quota.listed > MAX_FILES:
            raise ValueError(
                "with the archives inside it and the student's others, it lists too many files, "
                f"more than {MAX_FILES}"
            )
        self._count += 1
        folder = self._scratch / str(self._count)
        folder.mkdir()
        inner: list[tuple[str, Path]] = []
        started = time.monotonic()
        limits = self._limits(path, name, is_class)
        try:
            with archive_formats.open_archive(path, name or path.name, limits) as archive:
                if quota:
                    quota.seconds -= time.monotonic() - started
                    quota.listed += len(archive.entries)
                inner = self._extract_all(archive, path, folder, name, is_class)
        except archive_formats.DAMAGED as error:
            raise ValueError(
                f"this archive can't be opened ({error or type(error).__name__}): ask the student "
                "to resubmit"
            ) from error
        if name:
            self.files[name] = folder
        for inner_name, inner_path in inner:
            self._add_inner(inner_path, inner_name, depth + 1)

    def _limits(self, path: Path, name: str, is_class: bool) -> ArchiveLimits:
        """The limits of listing an archive."""
        size = max(HARMLESS_SIZE, MAX_RATIO * path.stat().st_size)
        if is_class:
            return ArchiveLimits(MAX_CLASS_DIRECTORY_SIZE, size, MAX_CLASS_FILES, MAX_CLASS_SECONDS)
        quota = self._quota_of(name)
        size = min(size, max(quota.size, 0))
        return ArchiveLimits(MAX_DIRECTORY_SIZE, size, MAX_FILES, max(quota.seconds, 0.0))

    def _quota_of(self, name: str) -> Quota:
        return self._quota(self._submitters.get(name, name))

    def _extract_all(
        self, archive: Archive, path: Path, folder: Path, name: str, is_class: bool
    ) -> list[tuple[str, Path]]:
        """Unpack the entries that each student's quota allows; return the nested archives."""
        named = []
        for entry in archive.entries:
            full_name = f"{name}/{entry.name}" if name else entry.name
            named.append((full_name, entry))
            if entry.is_guess and is_class and not self._same_name["\0encoding"]:
                self._same_name["\0encoding"] = 1
                self._report(
                    full_name,
                    "the names in this archive are not in UTF-8: they may be wrong. Compare them "
                    "with the students' names, or unpack it where it was made",
                )
        if is_class and len(named) > MAX_CLASS_FILES:
            raise ValueError(f"this archive holds {len(named)} files, more than {MAX_CLASS_FILES}")
        submitters = self._submitters_in(named, name, is_class)
        self._submitters.update(submitters)
        if is_class:
            self._set_share()
        groups: dict[str, list[tuple[str, ArchiveEntry]]] = defaultdict(list)
        for full_name, entry in named:
            groups[submitters.get(full_name, "")].append((full_name, entry))
        inner = []
        whole = len(groups) == 1
        for submitter, group in groups.items():
            quota = self._quota(submitter)
            entries = [entry for _, entry in group]
            packed_size = sum(entry.packed_size for entry in entries)
            packed_size = path.stat().st_size if whole else packed_size
            refusal = quota.refusal(entries, packed_size)
            if refusal and whole:
                raise ValueError(refusal)
            if refusal:
                self._report(group[0][0], refusal)
                continue
            quota.take(entries, packed_size)
            for full_name, entry in group:
                inner += self._extract(archive, entry, folder, full_name, quota)
        return inner

    def _submitters_in(
        self, named: list[tuple[str, ArchiveEntry]], name: str, is_class: bool
    ) -> dict[str, str]:
        """The submitter of each entry of an archive."""
        names = [full_name for full_name, _ in named]
        if is_class:
            folders = {full_name for full_name, entry in named if entry.kind == "folder"}
            return owners.submitter_keys(names, folders)
        owner = self._submitters.get(name, name)
        if name in self._top_archives:
            inner = [full_name[len(name) + 1 :] for full_name in names]
            children = {inner_name.split("/")[0] for inner_name in inner}
            if platform_names.is_download(PurePosixPath(name).name, children):
                keys = owners.submitter_keys(inner)
                return {f"{name}/{inner_name}": key for inner_name, key in keys.items()}
        return dict.fromkeys(names, owner)

    def _extract(
        self,
        archive: Archive,
        entry: ArchiveEntry,
        folder: Path,
        name: str,
        quota: Quota,
    ) -> list[tuple[str, Path]]:
        """Unpack one entry; return it if it is an archive."""
        self._count += 1
        target = folder / f"{self._count}{PurePosixPath(name).suffix.lower()[:8]}"
        started = time.monotonic()
        if is_ignored(name):
            return []
        try:
            _check_entry(entry)
            if entry.kind == "folder":
                self.files.setdefault(name.rstrip("/"), folder)
                return []
            if quota.seconds <= 0:
                raise ValueError(
                    "unpacking this student's archives takes more than "
                    f"{UNPACKING_TIME_LIMIT:.0f} seconds"
                )
            with archive.open(entry) as packed, target.open("xb") as file:
                while chunk := packed.read(_CHUNK):
                    file.write(chunk)
                    if time.monotonic() - started > quota.seconds:
                        raise ValueError("it takes too long to unpack")
            # keep the modification time, which decides between two files
            if entry.modified is not None:
                os.utime(target, (entry.modified, entry.modified))
        except Exception as error:  # zlib, lzma and bz2 raise errors of their own
            self._report(name, f"it could not be unpacked: {str(error) or repr(error)}")
            target.unlink(missing_ok=True)  # an incomplete file is worse than none
            # the student has handed something in: add its folders
            for parent in PurePosixPath(name).parents:
                if ".." not in parent.parts and parent.parts and not parent.is_absolute():
                    self.files.setdefault(str(parent), folder)
            return []
        finally:
            quota.seconds -= time.monotonic() - started
        name = self._unused_name(name)
        self.files[name] = target
        return [(name, target)] if _is_archive_file(name, target) else []

    def _unused_name(self, name: str) -> str:
        """The name, or, if it is taken, one with a number: ``name (2).ipynb``."""
        if name not in self.files:
            return name
        path = PurePosixPath(name)
        numbered = name
        while numbered in self.files:
            self._same_name[name] += 1
            numbered = f"{path.with_suffix('')} ({self._same_name[name] + 1}){path.suffix}"
        return numbered


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_archive_file(name: str, path: Path) -> bool:
    return (
        platform_names.is_archive_name(name)
        and not is_ignored(name)
        and stat.S_ISREG(path.lstat().st_mode)
    )


def _check_entry(entry: ArchiveEntry) -> None:
    """Refuse an entry that would leave its folder, is no file or folder, is too large, or has a
    name that is too long for file systems.

    Raises:
        ValueError: with the reason.
    """
    name = entry.stored_name.replace("\\", "/")
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or ":" in name[:2]
        or "\0" in name
        or not path.parts
    ):
        raise ValueError("its path leads out of the archive")
    if entry.kind == "link":
        raise ValueError("it is a link, not a file")
    if entry.kind == "other":
        raise ValueError("it is not a file, but a device or a pipe")
    if entry.size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 2**20} MB")
    if any(len(os.fsencode(part)) > MAX_PART_BYTES for part in entry.name.split("/")):
        raise ValueError(f"its name is longer than {MAX_PART_BYTES} bytes")


def unused_path(path: Path) -> Path:
    """The path, or, if it exists, one with a number: ``name (2).ipynb``."""
    number = 1
    unused = path
    taken = {entry.name for entry in path.parent.iterdir()} if path.parent.is_dir() else set()
    while unused.name in taken:
        number += 1
        unused = path.with_name(f"{path.stem} ({number}){path.suffix}")
    return unused


__all__ = ["Extraction", "Files", "Quota", "list_files", "open_submissions", "unused_path"]
