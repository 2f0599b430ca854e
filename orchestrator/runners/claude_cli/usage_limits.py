"""Usage limits told in words: is it one, and when does it end? Used on error results only, never on a model's prose.

Wordings seen, in 2.1.328, 2.1.330 and public issues:
    Claude AI usage limit reached|1776949200
    5-hour limit reached ∙ resets 3am
    Weekly limit reached · resets 10am (Asia/Seoul)
    You've hit your limit · resets Apr 23 at 4pm (America/Recife)
    You've hit your session limit · resets 12:50am (America/Los_Angeles)
and, which is none: Server is temporarily limiting requests (not your usage limit)
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

_NONE = re.compile(r"not your usage limit|spend(?:ing)? limit|concurren\w+ \w+ limit|context limit", re.IGNORECASE)
_LIMIT = re.compile(
    r"usage limits?\b|(?:hour|weekly|daily|monthly|session|opus|sonnet|haiku|fable)\s+limit\b"
    r"|\blimit reached|hit your (?:[\w-]+ ){0,3}limit",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"limit reached\|(\d{10,13})\b", re.IGNORECASE)
_RESETS = re.compile(
    r"resets?\s+(?:at\s+)?"
    r"(?:(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+(?P<day>\d{1,2}),?\s+(?:at\s+)?)?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?\s*(?P<half>am|pm)"
    r"(?:\s*\((?P<zone>[^)]{1,60})\))?",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

PAST_DATE_TOLERANCE = timedelta(days=1)
"""A date up to this far back is meant as it stands; an earlier one is next year's."""


JUST_PASSED_S = 600.0
"""A time of day so little in the past is meant as it stands: the words are read after they were written, by a clock
of another machine, and the limit may be a little late. A day's wait for the next would be wrong far more often."""


def tells_usage_limit(text: str) -> bool:
    """Whether an error text says that the login's allowance is used up."""
    return bool(_LIMIT.search(text)) and not _NONE.search(text)


def reset_time(text: str, *, now: float, local: tzinfo | None = None) -> float | None:
    """The epoch second at which the limit told in `text` ends, or None when it is not told or in doubt.

    `now` is an epoch second. A time without a zone is meant in `local`, by default the zone of this machine. In doubt
    is an unknown zone, and a time that a change of clocks skips or repeats.
    """
    if epoch := _EPOCH.search(text):
        seconds = int(epoch[1])
        return seconds / 1000 if seconds >= 10**12 else float(seconds)
    found = _RESETS.search(text)
    if not found:
        return None
    zone = _zone(found["zone"]) if found["zone"] else (local or _machine_zone)
    if zone is None:
        return None
    hour, minute = int(found["hour"]), int(found["minute"] or 0)
    if not 1 <= hour <= 12 or minute > 59:
        return None
    clock = (hour % 12 + (12 if found["half"].lower() == "pm" else 0), minute)
    if found["month"]:
        month = _MONTHS.index(found["month"].lower()) + 1
        return _on_date(month, int(found["day"]), clock, zone, now)
    return _next(clock, zone, now)


def _next(clock: tuple[int, int], zone: tzinfo, now: float) -> float | None:
    earliest = now - JUST_PASSED_S
    first = datetime.fromtimestamp(earliest, zone)
    for days in (0, 1):
        date = (first + timedelta(days=days)).date()
        moment = _moment(datetime(date.year, date.month, date.day, *clock), zone)
        if moment is None or moment >= earliest:
            return moment
    return None


def _on_date(month: int, day: int, clock: tuple[int, int], zone: tzinfo, now: float) -> float | None:
    earliest = now - PAST_DATE_TOLERANCE.total_seconds()
    this_year = datetime.fromtimestamp(now, zone).year
    for year in (this_year - 1, this_year, this_year + 1):
        try:
            moment = _moment(datetime(year, month, day, *clock), zone)
        except ValueError:
            continue
        if moment is None or moment >= earliest:
            return moment
    return None


def _moment(wall: datetime, zone: tzinfo) -> float | None:
    """The epoch second of a wall-clock time; None when a change of clocks skips or repeats it."""
    first, second = wall.replace(tzinfo=zone, fold=0), wall.replace(tzinfo=zone, fold=1)
    return first.timestamp() if first.utcoffset() == second.utcoffset() else None


def _zone(name: str) -> tzinfo | None:
    if name.strip().upper() in {"UTC", "GMT"}:
        return UTC
    try:
        return ZoneInfo(name.strip())
    except (OSError, ValueError, LookupError):
        return None


class _MachineZone(tzinfo):
    """The zone of this machine, with its changes of clocks."""

    def utcoffset(self, dt: datetime | None) -> timedelta:
        naive = (dt or datetime.now()).replace(tzinfo=None)
        return naive.astimezone().utcoffset() or timedelta(0)

    def dst(self, dt: datetime | None) -> None:
        """Not told apart from the offset."""

    def tzname(self, dt: datetime | None) -> str:
        return "local"

    def fromutc(self, dt: datetime) -> datetime:
        local = dt.replace(tzinfo=UTC).astimezone()
        return local.replace(tzinfo=self)


_machine_zone = _MachineZone()
