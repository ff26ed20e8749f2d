"""A common interface for zip and tar.gz files: list the entries, open one.

Archives are untrusted, so listing their entries is limited too. A zip has a central directory,
whose size is checked first. A tar.gz has none: listing it means unpacking all of it, so bytes,
entries and seconds are limited.
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

# the exceptions of reading a damaged archive, or one of an unknown kind
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
_MAX_HEADER = 2**20  # bytes of one tar header, which tarfile reads at once
_HEADERS = 32 * 2**20  # bytes of a tar's headers and padding, in addition to the files


@dataclass(frozen=True)
class ArchiveLimits:
    """Limits of listing an archive: bytes of a zip's central directory, bytes that a tar.gz unpacks
    to, entries, and seconds.
    """

    directory_size: int
    size: int
    files: int
    seconds: float


@dataclass(frozen=True)
class ArchiveEntry:
    """One entry.

    ``stored_name`` is its name in the archive, ``name`` the same without control characters;
    ``is_guess`` if the name's encoding was guessed. ``kind`` is ``file``, ``folder``, ``link`` or
    ``other``; ``modified`` is in seconds since 1970, None if it is invalid.
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
        """Open the content of an entry, which is never longer than its declared size."""
        ...


def is_archive(path: Path) -> bool:
    """Whether a file is a zip, by its content, or a tar.gz, by its name."""
    return zipfile.is_zipfile(path) or is_tar_name(path.name)


def is_tar_name(name: str) -> bool:
    """Whether a file name ends like a tar.gz archive."""
    return name.lower().endswith(_TAR_SUFFIXES)


@contextmanager
def open_archive(path: Path, name: str, limits: ArchiveLimits) -> Iterator[Archive]:
    """Open an archive. ``name`` determines its kind: unpacked files have other names on disk.

    Raises:
        ValueError: if it exceeds the limits.
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
    """The name of an entry, and whether its encoding was guessed.

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
    # the zip64 end record overrides the other
    zip64 = tail.rfind(b"PK\x06\x06", 0, end)
    return max(length, *struct.unpack_from("<Q", tail, zip64 + 40)) if zip64 >= 0 else length


class _LimitedStream:
    """The unpacked content of a gzip file, within limits, with the methods that tarfile needs."""

    def __init__(self, file: gzip.GzipFile, limits: ArchiveLimits):
        self._file = file
        self._size = limits.size + _HEADERS
        self._deadline = time.monotonic() + limits.seconds

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise ValueError("one of its headers is too long: it may be malicious")
        self._check(self.tell() + size)
        return self._file.read(size)

    def seek(self, position: int) -> int:
        # in steps, because seeking forward unpacks everything between
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
            raise ValueError(f"it unpacks to more than {size}: it may be an archive bomb")
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
        # tarfile mistakes a damaged header for the end: after the end there must be only zeros
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
