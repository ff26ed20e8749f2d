"""Parse the names that platforms give to submissions and downloads.

Only the platform's part of a name identifies the submitter, the time and the number of the attempt.
The part that a student chose (the original file name) is returned separately, and does not affect
the owner. Times, attempts and file names are never part of a student's id.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

MAX_METADATA_BYTES = 20 * 2**20  # of Gradescope's list, which is a few hundred bytes per student
GRADESCOPE_METADATA = "submission_metadata.yml"

_ARCHIVE = re.compile(r"\.(zip|tar\.gz|tgz)$", re.IGNORECASE)

# Canvas: leeann_LATE_101_9001_01_pixels-1.ipynb is name, [LATE], user, file, and the file's name.
_CANVAS = re.compile(
    r"(?P<name>[^\W_][^_]*)_(?P<late>LATE_)?(?P<user>\d+)_(?P<attempt>\d+)_(?P<file>.+)", re.DOTALL
)
# Moodle: "Ann Lee_77_assignsubmission_file_/...", or the same in front of the file's name.
_MOODLE = re.compile(
    r"(?P<name>.*?)_(?P<user>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<file>.*)", re.DOTALL
)
# Blackboard: Lesson 1_ann_attempt_2026-05-01-10-20-30_01_pixels.ipynb, or .txt without a file.
_BLACKBOARD = re.compile(
    r"(?P<who>.+?)_attempt_(?P<time>\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)(?:_(?P<file>.+)|\.txt)?",
    re.DOTALL,
)
# Brightspace: 12345-678 - Ann Lee - May 1, 2026 1020 AM/
_BRIGHTSPACE = re.compile(r"(?P<user>\d+)-\d+ - (?P<name>.+) - (?P<time>[^/]*\d{4}.*)", re.DOTALL)
# nbgrader's exchange, inbound: ann+01_pixels+2026-05-01 10:20:30.000000 UTC+random/
_EXCHANGE = re.compile(
    r"(?P<user>.+)\+(?P<lesson>[^+]+)"
    r"\+(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? ?(?:[A-Za-z]\w*|[+-]\d{4})?)(?:\+.*)?",
    re.DOTALL,
)
_GRADESCOPE = re.compile(r"submission_(?P<number>\d+)")

# The platforms' names of whole downloads, which also contain the course and the assignment.
_DOWNLOADS = {
    "Canvas": re.compile(r"submissions(?:[ _-]*\(?\d+\)?)?", re.IGNORECASE),
    "Moodle": re.compile(r".+-.+-\d+(?: \(\d+\))?", re.DOTALL),
    "Blackboard": re.compile(r"gradebook_.+_\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d", re.DOTALL),
    "Brightspace": re.compile(r".+ Download .*\d{4}.*", re.DOTALL),
    "Gradescope": re.compile(r"assignment_\d+_export"),
}

# Folders that contain students, or that students create: never a student's name.
_COLLECTION = re.compile(
    r"(?:class(?:es)?|courses?|cohort|section|submitted|submissions?|inbound|received|uploads?"
    r"|downloads?|collected|hand(?:ed)?[ _-]?ins?|late|on[ _-]?time|inbox|week|woche|semaine|semana"
    r"|day|lessons?|lab|assignments?|homeworks?|hw|exercises?|sheet|unit|module|session|all)"
    r"(?:[ _-]*#?\d+)?",
    re.IGNORECASE,
)
# Words that students add to file names, or give to folders.
_OWN_WORD = re.compile(
    r"(?:copy|copy[ _-]of|kopie|kopie[ _-]von|copia|copia[ _-]de|copie[ _-]de|final|fixed|finished"
    r"|done|old|new|older|newer|newest|latest|first|second|third|last|draft|backup|bak|original"
    r"|updated?|corrected|resubmi(?:t|tted|ssion)|attempt|try|version|v|part|rev|test|temp|tmp|my"
    r"|mine|my[ _-]?work|work|src|source|code|data|files?|attachments?|documents?|desktop"
    r"|notebooks?|projects?|solutions?|answers?|abgabe|attempts?|results?|submission|untitled"
    r"|new[ _-]folder)"
    r"(?:[ _-]*\(?\d+\)?)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class PlatformEntry:
    """The parts of a platform's name for a file or folder.

    ``shown`` names the student; ``ids`` are names by which a roster may list the student. ``time``
    is the submission time in the platform's format. ``file`` is the part that the student chose.
    """

    platform: str
    shown: str
    ids: frozenset[str] = frozenset()
    time: str = ""
    is_late: bool = False
    attempt: int | None = None
    lesson: str = ""
    file: str = ""
    full: str = field(default="", compare=False)  # the part common to all attempts of a student


def without_archive_suffix(name: str) -> str:
    """A name without ``.zip``, ``.tar.gz`` or ``.tgz``."""
    return _ARCHIVE.sub("", name)


def is_archive_name(name: str) -> bool:
    """Whether a file name ends like a supported archive."""
    return _ARCHIVE.search(name) is not None


def parse_entry(name: str) -> PlatformEntry | None:
    """Parse the name of a file or folder; None if no platform gave it.

    Raises:
        ValueError: if it can be read in two ways.
    """
    if match := _MOODLE.fullmatch(name):
        if name.count("_assignsubmission_") > 1:
            raise ValueError(
                "its name contains '_assignsubmission_' twice, so it names two students"
            )
        person, user = match["name"], match["user"]
        ids = frozenset({person, user})
        return PlatformEntry("Moodle", f"{person}_{user}", ids, file=match["file"])
    if match := _BLACKBOARD.fullmatch(name):
        user = match["who"].rpartition("_")[2]
        return PlatformEntry(
            "Blackboard", user, time=match["time"], file=match["file"] or "", full=match["who"]
        )
    if match := _BRIGHTSPACE.fullmatch(without_archive_suffix(name)):
        person, user = match["name"], match["user"]
        ids = frozenset({person, user})
        return PlatformEntry("Brightspace", f"{person} {user}", ids, time=match["time"])
    if match := _EXCHANGE.fullmatch(without_archive_suffix(name)):
        return PlatformEntry(
            "nbgrader's exchange", match["user"], time=match["time"], lesson=match["lesson"]
        )
    if match := _CANVAS.fullmatch(name):
        user = match["user"]
        return PlatformEntry(
            "Canvas",
            f"{match['name']}_{user}",
            frozenset({user}),
            is_late=match["late"] is not None,
            attempt=int(match["attempt"][:18]),
            file=match["file"],
        )
    if match := _GRADESCOPE.fullmatch(without_archive_suffix(name)):
        return PlatformEntry("Gradescope", "", attempt=int(match["number"][:18]))
    return None


def platform_of(name: str) -> str:
    """The platform that gave a file or folder its name; empty if none did."""
    try:
        entry = parse_entry(name)
    except ValueError:
        return "Moodle"
    return entry.platform if entry else ""


def is_collection_name(name: str) -> bool:
    """Whether a folder's name denotes a collection, such as ``submitted`` or ``week 2``."""
    return _COLLECTION.fullmatch(name.strip()) is not None


def is_own_word(name: str) -> bool:
    """Whether a name is a word that students add to file names: ``final``, ``Copy of``."""
    name = name.strip(" _-.()")
    return not name or _OWN_WORD.fullmatch(name) is not None or is_collection_name(name)


def is_download(name: str, children: Iterable[str]) -> bool:
    """Whether a folder or archive is a platform's whole download, by its name and the names of its
    contents.
    """
    stem = without_archive_suffix(name)
    if platform_of(name):
        return False
    children = [child for child in children if child != GRADESCOPE_METADATA]
    return any(
        pattern.fullmatch(stem)
        and children
        and all(platform_of(child) == platform for child in children)
        for platform, pattern in _DOWNLOADS.items()
    )


@dataclass(frozen=True)
class GradescopeSubmission:
    """A Gradescope submission: its students, by email or id, and its time."""

    students: tuple[str, ...]
    ids: tuple[frozenset[str], ...]
    time: str


def read_gradescope_metadata(path: Path) -> dict[str, GradescopeSubmission]:
    """The submissions of Gradescope's ``submission_metadata.yml`` by the name of their folder.

    Raises:
        ValueError: if it can't be read.
    """
    import yaml

    if path.stat().st_size > MAX_METADATA_BYTES:
        raise ValueError(f"it is larger than {MAX_METADATA_BYTES // 2**20} MB")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load(path.read_text("utf-8"), Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"it is invalid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise ValueError("it lists no submissions")
    submissions = {}
    for folder, about in content.items():
        if not isinstance(about, dict):
            continue
        names, ids = [], []
        for submitter in about.get(":submitters") or []:
            keys = (":email", ":sid", ":name")
            known = [str(submitter[key]) for key in keys if submitter.get(key)]
            if known:
                names.append(known[0])
                ids.append(frozenset(known))
        time = str(about.get(":created_at") or "")
        submissions[str(folder)] = GradescopeSubmission(tuple(names), tuple(ids), time)
    return submissions
