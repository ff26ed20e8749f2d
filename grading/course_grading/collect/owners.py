"""Identify a submission's owner by the folder or file that the *platform* named, not by its
contents.

A student may submit files and folders with any name, including another student's. So the level
that names the students is searched from the outside inwards: only folders that are clearly a
collection (``submitted``, ``week 2``, a lesson, a platform's whole download) are entered, and
everything below any other name belongs to that name. Where the level is ambiguous, the work is
refused with a list of the names that were found.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from course_grading.collect import platform_names
from course_grading.collect.files import is_notebook
from course_grading.collect.look_alikes import skeleton
from course_grading.collect.platform_names import PlatformEntry

MAX_NAME_BYTES = 200  # of a student's name; most file systems allow 255
_UNSAFE = re.compile(r'[\x00-\x1f/\\:*?"<>|\[\]\s]+')
# A student's name must not begin like a hidden file, an option or a spreadsheet's formula.
_FORBIDDEN_START = "_.-=+@"
_MAX_DEPTH = 5  # collections inside collections
_MAX_SHOWN = 6  # names in a message
_LESSON_NAME = re.compile(r"\d\d_[A-Za-z0-9_-]+")

Parts = tuple[str, ...]


@dataclass
class Entry:
    """The files that one student, or one group, submitted: a folder, an archive or a file.

    ``path`` is its location, ``names`` are the files in it. ``problem`` says why its owner can't be
    identified.
    """

    path: str
    names: list[str]
    platform: PlatformEntry | None = None
    problem: str = ""
    is_folder: bool = False

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_archive(self) -> bool:
        return platform_names.is_archive_name(self.name)


@dataclass
class _Siblings:
    """The files below one name at some level of folders."""

    part: str
    members: list[Parts] = field(default_factory=list)
    is_folder: bool = False

    @property
    def is_archive(self) -> bool:
        return platform_names.is_archive_name(self.part)


class LevelFinder:
    """Finds the level of folders and files that the platform named after students.

    Args:
        lessons: the released lessons; None to accept every name of the form ``NN_name``.
        known: names from a roster, which are certainly students'.
    """

    def __init__(self, lessons: Collection[str] | None = None, known: Collection[str] = ()):
        self._lessons = None if lessons is None else sorted(lessons, key=len, reverse=True)
        self._known = set(known)

    def entries(self, names: Iterable[str], folders: Collection[str] = ()) -> list[Entry]:
        """Group files into entries. Only folders that are collections belong to no entry.

        Args:
            names: the names of all files and folders.
            folders: the names that are folders, even if they are empty.
        """
        return [*self._level([tuple(name.split("/")) for name in names], set(folders), 0)]

    def prefix(self, file_name: str) -> str:
        """The text before the lesson in a file's name, ``ada_1`` in ``ada_1_01_pixels.ipynb``."""
        match = self.lesson_in(file_name)
        if not match:
            return ""
        prefix = file_name[: match[1]].strip(" _-.")
        prefix = re.sub(r"[ _-]+(?:copy[ _-]of|late)$", "", prefix, flags=re.IGNORECASE)
        return "" if platform_names.is_own_word(prefix) else prefix

    def lesson_in(self, file_name: str) -> tuple[str, int] | None:
        """The lesson that a file's name contains, and its position."""
        if self._lessons is None:
            match = re.search(rf"(?<!\d){_LESSON_NAME.pattern}", file_name)
            return (match[0], match.start()) if match else None
        for lesson in self._lessons:
            match = re.search(rf"(?<!\d){re.escape(lesson)}", file_name)
            if match:
                return lesson, match.start()
        return None

    def _is_lesson(self, part: str) -> bool:
        if self._lessons is None:
            return _LESSON_NAME.fullmatch(part) is not None
        return part in self._lessons

    def _level(self, members: list[Parts], folders: set[str], depth: int) -> Iterator[Entry]:
        groups = _split(members, folders, depth)
        collections = {
            part
            for part, group in groups.items()
            if depth < _MAX_DEPTH and self._is_collection(group)
        }
        downloads = {
            part
            for part, group in groups.items()
            if part not in collections and depth < _MAX_DEPTH and _is_download(group, depth)
        }
        own = {
            part
            for part, group in groups.items()
            if part not in collections | downloads and self._names_student(group)
        }
        # Students' names and collections side by side: the folder of a student may be named like a
        # collection; it is a student's if nothing in it names another student.
        if any(not platform_names.platform_of(part) for part in own):
            mixed = downloads | {
                part for part in collections if any(self._other_names(groups[part], depth))
            }
            collections, downloads = set(), set()
        else:
            mixed = set()
        crowd = self._crowds([groups[part] for part in own], depth)
        for part, group in groups.items():
            if part in collections | downloads:
                below = [parts for parts in group.members if len(parts) > depth + 1]
                if below:
                    yield from self._level(below, folders, depth + 1)
                    continue
            entry = Entry(
                "/".join(group.members[0][: depth + 1]),
                ["/".join(parts) for parts in group.members],
                is_folder=group.is_folder,
            )
            try:
                entry.platform = platform_names.parse_entry(part)
            except ValueError as error:
                entry.problem = f"{error}: rename it"
            if part in mixed:
                entry.problem = (
                    f"{part!r} is named like a collection or a download, but lies beside students' "
                    f"work ({_listed(own)}), so its owner is ambiguous: grade it separately, or "
                    "rename it"
                )
            elif part in crowd:
                entry.problem = crowd[part]
            elif group.is_archive and platform_names.is_collection_name(
                platform_names.without_archive_suffix(part)
            ):
                entry.problem = (
                    f"{part!r} names no student, and contains {_listed(_children(group, depth))}: "
                    "unpack it, or rename it to the student's name"
                )
            yield entry

    def _is_collection(self, group: _Siblings) -> bool:
        """Whether a folder is a collection, by its name."""
        if group.is_archive or not group.is_folder or group.part in self._known:
            return False
        if platform_names.platform_of(group.part):
            return False
        return platform_names.is_collection_name(group.part) or self._is_lesson(group.part)

    def _names_student(self, group: _Siblings) -> bool:
        """Whether a name may be a student's: the name of an archive, of a folder that contains
        work, or of a notebook that is not in a folder.
        """
        if group.is_archive:
            stem = platform_names.without_archive_suffix(group.part)
            return not platform_names.is_collection_name(stem)
        if group.is_folder:
            return any(
                is_notebook(parts[-1]) or platform_names.is_archive_name(parts[-1])
                for parts in group.members
            )
        if not is_notebook(group.part):
            return False
        return bool(platform_names.platform_of(group.part) or self.prefix(group.part))

    def _crowds(self, groups: list[_Siblings], depth: int) -> dict[str, str]:
        """Folders that may contain several students' work, with the reason."""
        plain = [
            group
            for group in groups
            if group.is_folder
            and not group.is_archive
            and not platform_names.platform_of(group.part)
            and group.part not in self._known
        ]
        others = {group.part: self._other_names(group, depth) for group in plain}
        # inside a collection
        in_collection = depth > 0
        is_only_folder = len(groups) == 1 and not in_collection
        all_contain_several = len(plain) > 1 and all(len(others[g.part][0]) > 1 for g in plain)
        crowds = {}
        for group in plain:
            named_folders, named_files = others[group.part]
            names = named_folders + named_files
            is_crowd = (is_only_folder and names) or all_contain_several or len(named_folders) > 2
            if is_crowd or len(named_files) > 4:
                crowds[group.part] = (
                    f"it is ambiguous whether {group.part!r} is a student or contains students: it "
                    f"contains {_listed(names)}. If these are students, give that folder; if it is "
                    "one student, put it into a folder named 'submitted' and rename the files in "
                    "it"
                    if in_collection or not is_only_folder
                    else f"it is ambiguous whether {group.part!r} is a student or contains "
                    f"students: it contains {_listed(names)}. If these are students, give the "
                    f"folder {group.part!r}; if it is one student, put it into a folder named "
                    "'submitted' and give the parent folder of that"
                )
        return crowds

    def _other_names(self, group: _Siblings, depth: int) -> tuple[list[str], list[str]]:
        """The folders, and the files, in a folder whose names may be other students'."""
        named_folders: dict[str, None] = {}
        named_files: dict[str, None] = {}
        zips: dict[str, None] = {}
        for parts in group.members:
            if len(parts) < depth + 2:
                continue
            child = parts[depth + 1]
            if platform_names.is_archive_name(child):
                zips[child] = None
            elif len(parts) > depth + 2:
                holds_work = is_notebook(parts[-1]) or platform_names.is_archive_name(parts[-1])
                own = platform_names.is_own_word(child) or self._is_lesson(child)
                if holds_work and not own and skeleton(child) != skeleton(group.part):
                    named_folders[child] = None
            elif is_notebook(child) and self._is_foreign(child, group.part):
                named_files[child] = None
        foreign_zips = [name for name in zips if self._is_foreign(name, group.part)]
        stems = [platform_names.without_archive_suffix(name) for name in zips]
        if len(zips) > 1 and not any(platform_names.is_own_word(stem) for stem in stems):
            foreign_zips = [*zips]
        return [*named_folders], [*named_files, *foreign_zips]

    def _is_foreign(self, file_name: str, student: str) -> bool:
        """Whether the name of a file in a student's folder may contain another student's name."""
        if platform_names.platform_of(file_name):
            return True
        prefix = self.prefix(file_name)
        return bool(prefix) and skeleton(prefix) != skeleton(student)


def _split(members: list[Parts], folders: set[str], depth: int) -> dict[str, _Siblings]:
    groups: dict[str, _Siblings] = {}
    for parts in members:
        group = groups.setdefault(parts[depth], _Siblings(parts[depth]))
        group.members.append(parts)
        if len(parts) > depth + 1 or "/".join(parts) in folders:
            group.is_folder = True
    return groups


def _children(group: _Siblings, depth: int) -> list[str]:
    return [*dict.fromkeys(parts[depth + 1] for parts in group.members if len(parts) > depth + 1)]


def _is_download(group: _Siblings, depth: int) -> bool:
    return platform_names.is_download(group.part, _children(group, depth))


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return ", ".join(repr(name) for name in names[:_MAX_SHOWN]) + more if names else "nothing"


# ---- from entries to students ----


@dataclass(frozen=True)
class Student:
    """A student as a platform names them: ``shown`` is the platform's name, ``id`` that name made
    safe for files and tables, ``ids`` all names by which a roster may list the student.
    """

    id: str
    shown: str
    ids: frozenset[str]


def make_student(shown: str, ids: Iterable[str] = ()) -> Student:
    """A student from a platform's name."""
    shown = unicodedata.normalize("NFC", shown).strip()
    id = safe_name(shown)
    known = {unicodedata.normalize("NFC", text) for text in ids}
    return Student(id, shown, frozenset({id, shown, *known}))


def safe_name(raw_name: str) -> str:
    """Make a name safe for folders, tables and spreadsheets."""
    return _UNSAFE.sub("_", raw_name).rstrip("_.-").lstrip(_FORBIDDEN_START)


def entry_student(entry: Entry, finder: LevelFinder) -> Student | None:
    """The owner of an entry, by its name; None if it names no student."""
    if entry.platform is not None:
        shown = entry.platform.shown
        return make_student(shown, entry.platform.ids) if shown else None
    if entry.is_folder or entry.is_archive:
        stem = platform_names.without_archive_suffix(entry.name) if entry.is_archive else entry.name
        # An archive, or the folder that a platform unpacks it to, may be named like the notebook in
        # it.
        if finder.lesson_in(stem):
            stem = finder.prefix(stem)
        return make_student(stem) if stem else None
    prefix = finder.prefix(entry.name) if is_notebook(entry.name) else ""
    return make_student(prefix) if prefix else None


def look_alikes(
    students: Iterable[Student], roster: Collection[str] | None = None
) -> dict[Student, str]:
    """The students to refuse because their names look like another student's, with the reason.

    A student who is on the roster, with exactly that id, is accepted if none of the look-alikes is
    on the roster too.
    """
    alike: dict[str, set[Student]] = defaultdict(set)
    for student in students:
        alike[skeleton(student.id)].add(student)
    on_roster = set(roster or ())
    reasons = {}
    for group in alike.values():
        shown = sorted({student.shown for student in group})
        if len(shown) == 1:
            continue
        certain = {student.shown for student in group if student.ids & on_roster}
        names = " and ".join(
            f"{name!r} ({ascii(name)})" if not name.isascii() else repr(name)
            for name in shown[:_MAX_SHOWN]
        )
        same_id = len({student.id for student in group}) == 1
        why = f"would both become the student {shown[0]!r}" if same_id else "look alike"
        for student in group:
            if len(certain) != 1 or student.shown not in certain:
                reasons[student] = f"two names, {names}, {why}: rename one of them"
    return reasons


def roster_problem(student: Student, roster: Collection[str]) -> str:
    """An error message if a student is not on the roster, else empty."""
    if not {unicodedata.normalize("NFC", name) for name in roster}.isdisjoint(student.ids):
        return ""
    like = [name for name in roster if skeleton(safe_name(name)) == skeleton(student.id)]
    hint = f", where {like[0]!r} looks alike" if like else ""
    return (
        f"{student.shown!r} is not on the roster{hint}: rename it to an id of the roster, or "
        "add it there"
    )


def submitter_keys(names: Iterable[str], folders: Collection[str] = ()) -> dict[str, str]:
    """The submitter of each file, as a key for limits, which students can't influence by names that
    they choose. Files that name no student have the key "".
    """
    finder = LevelFinder()
    keys = {}
    for entry in finder.entries(names, folders):
        student = None if entry.problem else entry_student(entry, finder)
        is_file = not entry.is_folder and not entry.is_archive
        key = student.shown if student else "" if is_file else entry.path
        keys.update(dict.fromkeys(entry.names, key))
    return keys


def top_archives(names: Iterable[str], folders: Collection[str] = ()) -> set[str]:
    """The archives at the level of students' names, into which a platform may have packed several
    students.
    """
    entries = LevelFinder().entries(names, folders)
    return {entry.path for entry in entries if entry.is_archive and not entry.is_folder}
