"""How much of the login's usage windows a run has used, and what a whole would take of them. Pure.

Logins of a subscription report of each window (five hours, seven days) which share is used up: with the head of each
answer, so before that answer is charged, and in coarse steps. What else the same login does moves the windows too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from orchestrator.plan.amounts import percent, window_words
from orchestrator.runners.base import UsageWindow

STEP_DIGITS = (2, 3, 4)
"""Digits in which a share may be reported: a hundredth at the coarsest. More would be noise of the float."""
SAME_RESET_S = 60.0
"""Windows of one name whose ends lie no further apart are one window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowUse:
    """One usage window of a login, as a run has seen it: `name` is its type, such as `five_hour`.

    `account` is whose it is, empty for the usual login.

    `utilization` is the share used up at last (1 is all), `resets_at` the epoch second at which it begins anew.
    `moved` is how much of it was used from the first answer that told it to the last, in steps of `step`; `cost_usd`
    is what was charged between these two.
    """

    name: str
    utilization: float
    resets_at: float | None
    moved: float
    step: float
    cost_usd: float
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOutlook:
    """What a run would take of a usage window that stands at `utilization` (1 is all).

    From `share_low` to `share_high`; both are None when too little was seen to tell. `resets_at` is an epoch second.
    """

    name: str
    utilization: float
    resets_at: float | None
    share_low: float | None
    share_high: float | None
    account: str = ""


@dataclass(slots=True)
class _Track:
    """A window's first and latest report, each with what had been charged by then."""

    resets_at: float | None
    first: tuple[float, float]
    last: tuple[float, float]
    step: float


class Allowances:
    """The usage windows that the attempts of one process report, by what was charged when each report came."""

    def __init__(self) -> None:
        self._tracks: dict[tuple[str, str], _Track] = {}
        self._heard: dict[str, Mapping[str, float]] = {}
        self._charged_usd: defaultdict[str, float] = defaultdict(float)

    @property
    def windows(self) -> tuple[WindowUse, ...]:
        """Each window as it was seen last; empty for a login that has none."""
        return tuple(
            WindowUse(
                name=name,
                utilization=track.last[1],
                resets_at=track.resets_at,
                moved=round(track.last[1] - track.first[1], STEP_DIGITS[-1]),
                step=track.step,
                cost_usd=round(track.last[0] - track.first[0], 6),
                account=account,
            )
            for (account, name), track in self._tracks.items()
        )

    def heard(self, chunk_id: str) -> None:
        """The chunk's answer has begun: what it will report holds no more than what is charged by now."""
        if chunk_id not in self._heard:
            self._heard[chunk_id] = dict(self._charged_usd)

    def ended(self, chunk_id: str, windows: Iterable[UsageWindow], *, cost_usd: float, account: str = "") -> None:
        """The chunk's attempt is over, was charged to this account, and reported these windows of it."""
        charged_usd = self._heard.pop(chunk_id, self._charged_usd).get(account, 0.0)
        for window in windows:
            self._see((account, window.name), window, (charged_usd, window.utilization))
        self._charged_usd[account] += cost_usd

    def _see(self, key: tuple[str, str], window: UsageWindow, seen: tuple[float, float]) -> None:
        step = _step(window.utilization)
        track = self._tracks.get(key)
        if track is None or _apart_s(window.resets_at, track.resets_at) > SAME_RESET_S:
            self._tracks[key] = _Track(window.resets_at, seen, seen, step)
        elif _apart_s(track.resets_at, window.resets_at) <= SAME_RESET_S:
            track.first, track.last = min(track.first, seen), max(track.last, seen)
            track.step = min(track.step, step)


def fullest(
    windows: Iterable[UsageWindow | WindowUse], *, leave: float | None, now_s: float
) -> tuple[UsageWindow | WindowUse, str] | None:
    """The window of which less than the share `leave` would be left by one more call, and that in words.

    Of several the one that begins anew last; None when there is none. One whose end is over tells nothing.
    """
    if leave is None:
        return None
    full = [
        each
        for each in windows
        if (each.resets_at is None or each.resets_at > now_s) and round(1 - each.utilization, 6) <= leave
    ]
    if not full:
        return None
    window = max(full, key=lambda each: each.resets_at or 0.0)
    used, left = percent(window.utilization), percent(leave)
    return window, f"the {window_words(window.name)} is at {used}, and {left} of it are to be left"


def foretell(
    seen: Sequence[WindowUse],
    *,
    cost_usd_low: float,
    cost_usd_high: float,
    now_s: float,
    paid_by: Mapping[str, float] | None = None,
) -> tuple[WindowOutlook, ...]:
    """What calls of so many US dollars would take of the windows that have not begun anew since, by those `seen`.

    Latest first: of each window the first record tells how full it is, and the one with the most money in it what a
    dollar takes. A share of which nothing but "no more than all" is known counts as not known. `paid_by` has what part
    of the cost each account pays, the usual one all of it when left out; windows of others are not told.
    """
    found: dict[tuple[str, str], WindowOutlook] = {}
    parts = paid_by if paid_by is not None else {"": 1.0}
    for latest in seen:
        key, part = (latest.account, latest.name), parts.get(latest.account)
        if key in found or part is None or (latest.resets_at or now_s) < now_s:
            continue
        same = [each for each in seen if (each.account, each.name) == key and _is_same(each, latest)]
        most = max(same, key=lambda each: each.cost_usd)
        low = high = None
        if most.cost_usd > 0:
            low = max(0.0, most.moved - most.step) / most.cost_usd * cost_usd_low * part
            high = (max(0.0, most.moved) + most.step) / most.cost_usd * cost_usd_high * part
        if low == 0 and high is not None and high >= 1:
            low = high = None
        found[key] = WindowOutlook(
            name=latest.name,
            utilization=latest.utilization,
            resets_at=latest.resets_at,
            share_low=low,
            share_high=high,
            account=latest.account,
        )
    return tuple(found.values())


def window_record(use: WindowUse) -> dict[str, Any]:
    """The window as plain JSON values, for an event."""
    return asdict(use)


def window_from_record(record: Mapping[str, Any]) -> WindowUse | None:
    """The window that `window_record` made the record from; None when a field is missing."""
    names = [field.name for field in fields(WindowUse)]
    whole: dict[str, Any] = {"account": "", **record}
    return WindowUse(**{name: whole[name] for name in names}) if all(name in whole for name in names) else None


def windows_told(own: Sequence[WindowUse], earlier: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The records of the windows that a process saw, then of others as the events before it tell them last."""
    found = {(use.account, use.name): window_record(use) for use in own}
    for event in reversed(earlier):
        for record in event.get("windows", ()):
            found.setdefault((record.get("account", ""), record["name"]), dict(record))
    return tuple(found.values())


def _step(share: float) -> float:
    """The coarsest step in which this share can have been reported."""
    return next((10.0**-digits for digits in STEP_DIGITS if abs(share - round(share, digits)) < 1e-9), 1e-4)


def _apart_s(later: float | None, earlier: float | None) -> float:
    """By how many seconds the one window ends after the other; an end that was not told is never later."""
    return later - earlier if later is not None and earlier is not None else 0.0


def _is_same(one: WindowUse, other: WindowUse) -> bool:
    return abs(_apart_s(one.resets_at, other.resets_at)) <= SAME_RESET_S
