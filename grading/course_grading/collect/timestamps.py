"""Parse a platform's submission time and convert it to UTC.

nbgrader silently reads an unknown time zone as UTC, and ``+0200`` as 200 seconds. So every text is
parsed here, and nbgrader gets times in UTC.
"""

import contextlib
import functools
import os
import re
import stat
import warnings
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

TIMESTAMP = "timestamp.txt"  # nbgrader's
_MAX_LENGTH = 100  # characters; a date is shorter
# RFC 5322 defines these as North American; some are also abbreviations of other zones.
_RFC_5322 = {
    name: timedelta(hours=hours)
    for name, hours in {
        "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
    }.items()
}  # fmt: skip


@dataclass(frozen=True)
class SubmissionTime:
    """The time of a submission.

    Args:
        time: in UTC; None if the text is not a date, or its zone is unknown.
        source: where the text was found.
        note: a remark for the instructor; may be empty.
    """

    time: datetime | None
    source: str
    note: str = ""

    @property
    def timestamp(self) -> str | None:
        """The time in nbgrader's format."""
        return f"{self.time:%Y-%m-%d %H:%M:%S.%f} UTC" if self.time else None


def read_submission_time(
    text: str, source: str, *, assume_utc: bool = True, zone: zoneinfo.ZoneInfo | None = None
) -> SubmissionTime:
    """Parse a platform's text.

    Args:
        text: for example ``"2026-07-01 23:30:00.000000 CEST"`` or ``"May 1, 2026 1020 AM"``.
        source: where the text was found, for messages.
        assume_utc: whether a time without a zone is in UTC, as in nbgrader's ``timestamp.txt``;
            otherwise it is in ``zone``.
        zone: the class's time zone; if it is None, UTC is assumed, with a note.
    """
    shown = text[:40]
    try:
        time, named = _parse(text)
    except Exception:  # dateutil raises many kinds
        return SubmissionTime(
            None, source, f"graded as not late: {source} says {shown!r}, which is not a date"
        )
    if time.tzinfo is not None:
        with contextlib.suppress(OverflowError, ValueError):
            return SubmissionTime(time.astimezone(UTC), source)
        return SubmissionTime(
            None, source, f"graded as not late: {source} says {shown!r}, which is not a date"
        )
    if named:
        return SubmissionTime(
            None,
            source,
            f"graded as not late: {source} says {shown!r}, and the time zone {named!r} is unknown "
            "or ambiguous: write the offset instead, for example +0200",
        )
    if assume_utc:
        return SubmissionTime(time.replace(tzinfo=UTC), source)
    if zone is not None:  # a time that occurs twice is the earlier one, in the students' favour
        with contextlib.suppress(OverflowError, ValueError):
            return SubmissionTime(time.replace(tzinfo=zone, fold=0).astimezone(UTC), source)
    note = f"{source} names no time zone: read as UTC. Set time_zone in grading/due_dates.toml"
    return SubmissionTime(time.replace(tzinfo=UTC), source, note)


def _parse(text: str) -> tuple[datetime, str]:
    """The time in a text, with its zone if that is known; and the name of an unknown zone."""
    from dateutil import parser

    if len(text) > _MAX_LENGTH:
        raise ValueError("too long for a date")
    # Blackboard: 2026-05-01-10-20-30; Brightspace: 1020 AM
    text = re.sub(r"^(\d{4}-\d\d-\d\d)-(\d\d)-(\d\d)-(\d\d)$", r"\1 \2:\3:\4", text.strip())
    text = re.sub(r"\b(\d{1,2})(\d\d) ([AP]M)\b", r"\1:\2 \3", text, flags=re.IGNORECASE)
    # dateutil reads UTC+3 as POSIX does, as three hours behind UTC: drop the name.
    text = re.sub(r"\b(?:UTC|GMT)([+-]\d)", r"\1", text)
    # If two defaults give different results, a part of the date is missing.
    first, second = (
        parser.parse(text, default=default, ignoretz=True)
        for default in (datetime(2000, 1, 1), datetime(2001, 2, 2))
    )
    if first != second:
        raise ValueError("a part of the date is missing")
    zones = []

    def offset_of(name: str | None, seconds: int | None):
        if seconds is not None:
            return timezone(timedelta(seconds=seconds))
        offset = _offset(name or "", first)
        if offset is None:
            zones.append(name or "")
            return None
        return timezone(offset)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", parser.UnknownTimezoneWarning)
        time = parser.parse(text, tzinfos=offset_of)
    unread = re.search(r"[A-Za-z]{2,}$", text)  # a word that dateutil may have skipped
    if time.tzinfo is None and unread and unread[0].upper() not in ("AM", "PM", "TZ"):
        zones.append(unread[0])
    return time, zones[0] if zones else ""


def _offset(name: str, time: datetime) -> timedelta | None:
    """The offset of a zone's abbreviation at a time; None if it is unknown or ambiguous."""
    if name.upper() in ("UTC", "GMT", "Z", "UT"):
        return timedelta(0)
    if name in _RFC_5322:
        return _RFC_5322[name]
    offsets = set()
    for key in _zones():
        with contextlib.suppress(OSError, ValueError, OverflowError):
            local = time.replace(tzinfo=zoneinfo.ZoneInfo(key))
            if local.tzname() == name:
                offsets.add(local.utcoffset())
    return offsets.pop() if len(offsets) == 1 else None


@functools.cache
def _zones() -> list[str]:
    return sorted(zoneinfo.available_timezones())


def read_timestamp(path: Path) -> str | None:
    """The text of a ``timestamp.txt``; None if it is no file. Links are not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return file.read(_MAX_LENGTH).decode(errors="replace").strip()
