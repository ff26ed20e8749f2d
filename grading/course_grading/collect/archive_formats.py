"""Zip and tar.gz files, seen alike: their entries, and the content of one.

Nothing is trusted: reading the list of entries has limits of its own. A zip has a directory, whose
size is looked at first. A tar has none: listing it means unpacking all of it, so the bytes, the
entries and the seconds are limited.
"""

import gzip
import os
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol, cast

from course_grading.collect.files import printable_name

# what an archive that is damaged, or of an unknown kind, raises while it is read
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    struct.error,
    UnicodeError,
)
_UTF8_FLAG = 0x800
_TAR_SUFFIXES = (".tar.gz", ".tgz")
_CHUNK = 2**20
_MAX_HEADER = 2**20  # bytes of one header of a tar, which tarfile reads as a whole
_HEADERS = 32 * 2**20  # bytes that a tar's own headers and padding may take beside the files


@dataclass(frozen=True)
class ArchiveLimits:
    """What listing an archive may take: bytes of a zip's directory, bytes that a tar unpacks to,
    entries, and seconds.
    """

    directory_size: int
    size: int
    files: int
    seconds: float


@dataclass(frozen=True)
class ArchiveEntry:
    """One entry.

    ``stored_name`` is its name as the archive has it; ``name`` the same without control characters,
    and ``is_guess`` says that its encoding had to be guessed. ``kind`` is ``file``, ``folder``,
    ``link`` or ``other``; ``modified`` in seconds since 1970, None if it makes no sense.
    """

    stored_name: str
    name: str
    is_guess: bool
    size: int
    packed_size: int
    kind: str
    modified: float | None
    source: Any = field(repr=False)


class Archive(Protocol):
    """An open archive."""

    entries: list[ArchiveEntry]

    def open(self, entry: ArchiveEntry) -> IO[bytes]:
        """The content of an entry, never longer than it declares."""
        ...


def is_archive(path: Path) -> bool:
    """Whether a file is an archive that can be opened, by its content and name."""
    return zipfile.is_zipfile(path) or is_tar_name(path.name)


def is_tar_name(name: str) -> bool:
    """Whether a name is that of a tar.gz."""
    return name.lower().endswith(_TAR_SUFFIXES)


@contextmanager
def open_archive(path: Path, name: str, limits: ArchiveLimits) -> Iterator[Archive]:
    """Open an archive; ``name`` says which kind it is, as unpacked files have other names on disk.

    Raises:
        ValueError: if it is beyond the limits.
        one of ``DAMAGED``: if it can't be read.
    """
    if not is_tar_name(name):
        if _directory_size(path) > limits.directory_size:
            raise ValueError(f"this archive holds more than {limits.files} files")
        with zipfile.ZipFile(path) as file:
            yield _Zip(file)
        return
    with gzip.open(path) as unpacked:
        stream = _LimitedStream(unpacked, limits)
        with tarfile.open(fileobj=cast(Any, stream), mode="r:") as tar:
            yield _Tar(tar, stream, path.stat().st_size, limits.files)


class _Zip:
    def __init__(self, file: zipfile.ZipFile):
        self._file = file
        self.entries = [_zip_entry(entry) for entry in file.infolist()]

    def open(self, entry: ArchiveEntry) -> IO[bytes]:
        # zipfile never yields more bytes than the entry declares
        return self._file.open(entry.source)


def _zip_entry(entry: zipfile.ZipInfo) -> ArchiveEntry:
    name, is_guess = _zip_name(entry)
    mode = stat.S_IFMT(entry.external_attr >> 16)
    kind = "folder" if entry.is_dir() else "file" if mode in (0, stat.S_IFREG) else "link"
    if kind == "folder" and mode not in (0, stat.S_IFDIR, stat.S_IFREG):
        kind = "link"
    try:
        modified = time.mktime((*entry.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        modified = None
    return ArchiveEntry(
        entry.orig_filename,
        name,
        is_guess,
        entry.file_size,
        entry.compress_size,
        kind,
        modified,
        entry,
    )


def _zip_name(entry: zipfile.ZipInfo) -> tuple[str, bool]:
    """The name of an entry, and whether it had to be guessed.

    macOS writes UTF-8 without the flag that says so; zipfile then reads the bytes as code page 437.
    """
    name = entry.orig_filename
    is_guess = False
    if not entry.flag_bits & _UTF8_FLAG and not name.isascii():
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            is_guess = True
    return _normal_name(name), is_guess


def _normal_name(name: str) -> str:
    return printable_name(name.replace("\\", "/")).strip("/") or "unnamed"


def _directory_size(path: Path) -> int:
    """The declared size of a zip's central directory, without reading the directory."""
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


class _LimitedStream:
    """What a gzip file unpacks to, within limits: what tarfile needs of a file."""

    def __init__(self, file: gzip.GzipFile, limits: ArchiveLimits):
        self._file = file
        self._size = limits.size + _HEADERS
        self._deadline = time.monotonic() + limits.seconds

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise ValueError("one of its headers is too long: it may be made to do harm")
        self._check(self.tell() + size)
        return self._file.read(size)

    def seek(self, position: int) -> int:
        # in steps, because a step forward unpacks what lies between
        if position < self.tell():
            self._file.seek(0)
        while self.tell() < position:
            self._check(min(position, self.tell() + _CHUNK))
            step = min(position, self.tell() + _CHUNK)
            if self._file.seek(step) < step:
                break
        return self.tell()

    def tell(self) -> int:
        return self._file.tell()

    def _check(self, position: int) -> None:
        if position > self._size + _MAX_HEADER:
            size = f"{self._size / 2**20:.0f} MB"
            raise ValueError(f"it unpacks to more than {size}: it may be made to do harm")
        if time.monotonic() > self._deadline:
            raise ValueError("it takes too long to unpack")


class _Tar:
    def __init__(
        self, tar: tarfile.TarFile, stream: _LimitedStream, packed_size: int, max_files: int
    ):
        self._tar = tar
        members = []
        while (member := tar.next()) is not None:
            members.append(member)
            if len(members) > max_files:
                raise ValueError(f"this archive holds more than {max_files} files")
        # tarfile takes a damaged header for the end: only zeros may follow, and gzip's checksum
        stream.seek(tar.offset)
        while chunk := stream.read(_CHUNK):
            if chunk.strip(b"\0"):
                raise tarfile.ReadError("it is damaged in the middle")
        total = max(1, sum(member.size for member in members))
        self.entries = [_tar_entry(m, packed_size * m.size // total) for m in members]

    def open(self, entry: ArchiveEntry) -> IO[bytes]:
        file = self._tar.extractfile(entry.source)
        if file is None:
            raise ValueError("it is not a file")
        return file


def _tar_entry(member: tarfile.TarInfo, packed_size: int) -> ArchiveEntry:
    is_link = member.issym() or member.islnk()
    kind = "link" if is_link else "file" if member.isreg() else "folder" if member.isdir() else ""
    return ArchiveEntry(
        member.name,
        _normal_name(member.name),
        False,
        member.size if member.isreg() else 0,
        packed_size,
        kind or "other",
        float(member.mtime) if 0 <= member.mtime < 2**32 else None,
        member,
    )
