"""Which accounts wait for a usage limit, until when and why; and the one call that goes first afterwards. Pure.

An account is the name of a login, empty for the usual one. Times are epoch seconds and always given by the caller.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from orchestrator.engine.clock import from_iso
from orchestrator.engine.costs.allowance import WindowUse, fullest
from orchestrator.events import ChunkStarted, ChunkSucceeded, RunFinished, RunPaused

FIRST_PROBE_S = 300.0
"""Wait for a usage limit that does not say when it ends; each further one in a row is twice as long."""

LONGEST_PROBE_S = 3600.0
"""No such wait is longer: a window of five hours that has begun anew is not left idle for more than an hour."""

PROBE_JITTER = 0.2
"""The share by which a wait may be shorter, so that several runs of one login do not ask together."""

JUST_PAST_S = 60.0
"""A reset so little in the past has just come: clocks differ, and an attempt takes time to end."""

JUST_PAST_WAIT_S = 1.0
"""Least wait for a limit, also for one that is over by its own word."""

LONGEST_WINDOW_S = 32 * 86_400.0
"""A reset further ahead is wrong: the longest allowances are monthly."""

SAME_RESET_S = 60.0
"""Resets that lie no further apart are one."""

Payers = tuple[str, ...]
"""The accounts that may pay for a chunk, the preferred first."""


def probe_wait_s(nth: int, chance: random.Random) -> float:
    """Seconds before the `nth` question in a row, from 1, about a limit that does not say when it ends."""
    bound = min(LONGEST_PROBE_S, FIRST_PROBE_S * 2.0 ** min(nth - 1, 30))
    return bound * chance.uniform(1 - PROBE_JITTER, 1)


def pause_end(resets_at: float | None, *, nth: int, now_s: float, chance: random.Random) -> tuple[float, bool]:
    """When a limit that was met `nth` times in a row (from 1) is asked about again, and whether it said so itself.

    A reset is believed the first time. One that is missing, long past or absurd, or that proved wrong, is replaced by
    waits that grow.
    """
    if resets_at is None or not now_s - JUST_PAST_S <= resets_at <= now_s + LONGEST_WINDOW_S:
        return now_s + probe_wait_s(nth, chance), False
    if nth > 1:
        return max(resets_at, now_s + probe_wait_s(nth - 1, chance)), resets_at > now_s
    return max(resets_at, now_s + JUST_PAST_WAIT_S), resets_at > now_s


PauseCause = Literal["limit", "leave_usage"]
"""What pauses an account: the API refused a call, or the plan leaves the rest of a usage window alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit that was met, and the epoch second at which it ends, None when that is not told."""

    resets_at: float | None
    reason: str
    cause: PauseCause = "limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseLeft:
    """What is known of an account before anything starts.

    It is at its limit until `until_s`; in the past: a call has to show that it is over. `met` is how many times in a
    row the limit was met, `reason` why in words.
    """

    until_s: float
    reason: str
    cause: PauseCause
    met: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """Nothing starts on the account before `until_s`, `known` when the limit itself said so.

    `gave_up` says in words why that is not waited for; empty when it is.
    """

    account: str
    until_s: float
    known: bool
    reason: str
    cause: PauseCause
    met: int
    gave_up: str = ""


@dataclass(slots=True)
class _Account:
    """How one account stands. `proving`: the next call goes alone, to show that the limit is over.

    `canary` is the chunk of that call. `round` counts the pauses that ended; what began in an earlier one knows nothing
    of the limit as it is now. `since_s` is when the waiting began that no answer has ended yet.
    """

    paused: Paused | None = None
    proving: bool = False
    canary: str = ""
    met: int = 0
    round: int = 0
    ended_s: float = 0.0
    since_s: float = 0.0
    began_in: dict[str, int] = field(default_factory=dict[str, int])


class Pauses:
    """Told what happens on each account, asked which may start a call.

    Without `wait` no pause is waited for, with `max_wait_s` none that would make the waiting in a row longer.
    """

    def __init__(self, *, wait: bool, max_wait_s: float | None, chance: random.Random) -> None:
        self._wait = wait
        self._max_wait_s = max_wait_s
        self._chance = chance
        self._accounts: dict[str, _Account] = {}

    def _of(self, account: str) -> _Account:
        return self._accounts.setdefault(account, _Account())

    @property
    def paused(self) -> list[Paused]:
        """The pauses that are not over."""
        return [each.paused for each in self._accounts.values() if each.paused is not None]

    def open_account(self, payers: Payers) -> str | None:
        """The first of these accounts on which a call may start now; None when each waits."""
        return next((account for account in payers or ("",) if self._is_open(account)), None)

    def _is_open(self, account: str) -> bool:
        state = self._accounts.get(account)
        return state is None or (state.paused is None and not (state.proving and state.canary))

    def why_stuck(self, all_payers: Iterable[Payers]) -> str:
        """Why nobody who waits for these will ever go on, in words; empty when one may."""
        given_up = {each.account: each.gave_up for each in self.paused if each.gave_up}
        accounts = dict.fromkeys(account for payers in all_payers for account in payers or ("",))
        if not accounts or any(account not in given_up for account in accounts):
            return ""
        return "; ".join(given_up[account] for account in accounts)

    def started(self, account: str, chunk_id: str) -> None:
        """A call of the chunk starts on an open account."""
        state = self._of(account)
        state.began_in[chunk_id] = state.round
        if state.proving:
            state.canary = chunk_id

    def ended(self, account: str, chunk_id: str, *, proves: bool) -> None:
        """The call is over. `proves`: it shows that the account is not at its limit."""
        state = self._of(account)
        is_canary, began_in = state.canary == chunk_id, state.began_in.pop(chunk_id, state.round)
        if is_canary:
            state.canary = ""
        if proves and state.paused is None and (is_canary or (not state.proving and began_in == state.round)):
            state.proving, state.met = False, 0

    def limit_met(self, account: str, chunk_id: str, limit: Limit, *, now_s: float) -> Paused | None:
        """A call of the chunk met a limit. Returns the pause that begins, or grows longer.

        To be told before `ended`.
        """
        state, resets_at = self._of(account), limit.resets_at
        if state.paused is not None:
            later = resets_at is not None and resets_at > state.paused.until_s + SAME_RESET_S
            return self._pause(account, limit, met=state.met, now_s=now_s) if later else None
        is_old = state.canary != chunk_id and state.began_in.get(chunk_id, state.round) < state.round
        if is_old and (resets_at is None or resets_at <= state.ended_s + SAME_RESET_S):
            return None
        if not state.met:
            state.since_s = now_s
        return self._pause(account, limit, met=state.met + 1, now_s=now_s)

    def restored(self, account: str, left: PauseLeft, *, now_s: float) -> Paused | None:
        """The account was left like this. Returns the pause that goes on, None when one call shall show how it stands.

        That is so when the pause is over, and for a limit that is not waited for: it may have been raised since.
        """
        state = self._of(account)
        state.proving, state.met, state.since_s = True, left.met, now_s
        if left.until_s <= now_s:
            return None
        pause = Paused(
            account=account, until_s=left.until_s, known=True, reason=left.reason, cause=left.cause, met=left.met
        )
        if left.cause == "limit" and self._why_not_waited(pause):
            return None
        return self._begin(pause)

    def over(self, account: str, *, now_s: float) -> bool:
        """Whether the account's pause is over by now; the next call then goes alone."""
        state = self._of(account)
        if state.paused is None or state.paused.gave_up or state.paused.until_s > now_s:
            return False
        state.ended_s, state.paused, state.proving = state.paused.until_s, None, True
        state.canary = ""
        state.round += 1
        return True

    def _pause(self, account: str, limit: Limit, *, met: int, now_s: float) -> Paused:
        self._of(account).met = met
        until_s, known = pause_end(limit.resets_at, nth=met, now_s=now_s, chance=self._chance)
        return self._begin(
            Paused(account=account, until_s=until_s, known=known, reason=limit.reason, cause=limit.cause, met=met)
        )

    def _begin(self, pause: Paused) -> Paused:
        state = self._of(pause.account)
        state.paused = replace(pause, gave_up=self._why_not_waited(pause))
        return state.paused

    def _why_not_waited(self, pause: Paused) -> str:
        longest_s = None if self._max_wait_s is None else self._of(pause.account).since_s + self._max_wait_s
        too_long = longest_s is not None and pause.until_s > longest_s
        return why_not_waited(pause, wait=self._wait, too_long=too_long)


LIMIT_LASTS = "the usage limit"
"""How the reason of a run begins that stopped at a usage limit."""


def why_not_waited(pause: Paused, *, wait: bool, too_long: bool) -> str:
    """Why a run stops at a pause, and until when the limit lasts; empty when it waits."""
    if wait and not too_long:
        return ""
    of = f" of account {pause.account}" if pause.account else ""
    until = f"{datetime.fromtimestamp(pause.until_s, UTC):%Y-%m-%d %H:%M} UTC"
    ends = f"lasts until {until}" if pause.known else f"does not say when it ends (worth a try at {until})"
    longer = ", longer than max_wait" if wait else ""
    said = pause.reason.removeprefix(f"account {pause.account}: ")
    return f"{LIMIT_LASTS}{of} {ends}{longer}: {said}"


def pauses_left_by(events: Sequence[Mapping[str, Any]]) -> dict[str, PauseLeft]:
    """By account, what the processes that stored these events left of their pauses, as far as no answer came since.

    After one that did not wait for a limit a call shows whether it still holds.
    """
    left: dict[str, PauseLeft] = {}
    paid_by: dict[str, str] = {}
    for event in events:
        match event["type"]:
            case RunPaused.type if event["until"] is not None:
                until_s = from_iso(event["until"])
                left[event.get("account", "")] = PauseLeft(
                    until_s=until_s,
                    reason=event["reason"],
                    cause=event.get("cause", "limit"),
                    met=event.get("met", 1),
                )
            case ChunkStarted.type:
                paid_by[event["chunk_id"]] = event.get("account", "")
            case ChunkSucceeded.type:
                account = paid_by.get(event["chunk_id"], "")
                if account in left and from_iso(event["at"]) > left[account].until_s:
                    del left[account]
            case RunFinished.type if event["reason"].startswith(LIMIT_LASTS):
                for account in {"", *paid_by.values()}:
                    left.setdefault(account, PauseLeft(until_s=0.0, reason=event["reason"], cause="limit"))
            case _:
                pass
    return left


def left_alone(seen: Sequence[WindowUse], *, leave: float, now_s: float) -> dict[str, PauseLeft]:
    """By account, the usage windows that are not to be touched, by those `seen` before, the latest first."""
    latest: dict[tuple[str, str], WindowUse] = {}
    for each in seen:
        latest.setdefault((each.account, each.name), each)
    found: dict[str, PauseLeft] = {}
    for account in {account for account, _ in latest}:
        own = [each for each in latest.values() if each.account == account and each.resets_at is not None]
        full = fullest(own, leave=leave, now_s=now_s)
        if full is not None:
            window, reason = full
            found[account] = PauseLeft(until_s=window.resets_at or now_s, reason=reason, cause="leave_usage")
    return found


def later_of(one: Mapping[str, PauseLeft], other: Mapping[str, PauseLeft]) -> dict[str, PauseLeft]:
    """Of each account what lasts longer."""
    return {
        account: max((each[account] for each in (one, other) if account in each), key=lambda left: left.until_s)
        for account in {**one, **other}
    }
