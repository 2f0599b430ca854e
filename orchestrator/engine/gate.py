"""Whether anything may start now: stops, pauses, money, and a row of equal failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.engine.clock import Clock, from_iso, to_iso
from orchestrator.engine.costs.budgets import Budgets
from orchestrator.engine.journal import Journal
from orchestrator.engine.mailbox import Mailbox
from orchestrator.engine.policy import StopClass
from orchestrator.events import RunContinued, RunPaused

_HARDEST_LAST: tuple[StopClass, ...] = ("", "stopped", "environment", "interrupted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a run must keep to.

    `wait_for_limits` pauses for a usage limit; otherwise the run stops there. `paused_until_s` (epoch) is a pause that
    an earlier process of the run left.
    """

    max_wall_s: float | None
    max_same_failure: int
    wait_for_limits: bool
    paused_until_s: float | None = None


def pause_left_by(events: Sequence[Mapping[str, Any]]) -> float | None:
    """The end (epoch) of a pause that the process that stored these events did not live to see."""
    pauses = [each for each in events if each["type"] in (RunPaused.type, RunContinued.type)]
    if not pauses or pauses[-1]["type"] == RunContinued.type or pauses[-1]["until"] is None:
        return None
    return from_iso(pauses[-1]["until"])


class Gate:
    """Asked before each start. `stop_class` and `stop_reason` say whether the run is to stop, and why."""

    def __init__(self, bounds: Bounds, *, budgets: Budgets, journal: Journal, mailbox: Mailbox, clock: Clock) -> None:
        self.stop_class: StopClass = ""
        self.stop_reason = ""
        self._bounds = bounds
        self._budgets = budgets
        self._journal = journal
        self._mailbox = mailbox
        self._clock = clock
        self._began_s: float | None = None
        self._paused = False
        self._paused_at_s = self._paused_s = 0.0
        self._wall_waits = False
        self._canary = False
        self._same_failure = ("", 0)

    def begin(self) -> None:
        """Start the clocks; called again, let them go on, since timers end with each `run()`."""
        now_s = self._clock.monotonic_s()
        if self._began_s is None:
            self._began_s = now_s
        if self._bounds.max_wall_s is not None:
            self._mailbox.post_after(self._began_s + self._bounds.max_wall_s - now_s, self._wall_reached)
        if self._bounds.paused_until_s is not None and self._bounds.paused_until_s > self._clock.epoch_s():
            self._pause(self._bounds.paused_until_s, "usage limit")

    def admits(self, chunk_id: str, *, running: int) -> bool:
        """Whether this chunk may start while `running` others are under way; a limit may stop the run."""
        if self.stop_class or self._paused or (self._canary and running):
            return False
        if self._budgets.may_start(chunk_id):
            return True
        if not running and (reached := self._budgets.reached):
            self.stop("stopped", reached)
        return False

    def stop(self, stop_class: StopClass, reason: str) -> None:
        """Nothing starts any more; of several reasons the hardest class counts."""
        if _HARDEST_LAST.index(stop_class) > _HARDEST_LAST.index(self.stop_class):
            self.stop_class, self.stop_reason = stop_class, reason

    def lift(self) -> None:
        """Everything is done after all: there is nothing to stop."""
        self.stop_class, self.stop_reason = "", ""

    def answered(self) -> None:
        """An attempt brought an answer."""
        self._same_failure = ("", 0)
        self._canary = False

    def chunk_failed(self, error_type: str, message: str) -> None:
        """A chunk failed for good."""
        self._canary = False
        kind, count = self._same_failure
        self._same_failure = (error_type, count + 1 if kind == error_type else 1)
        if self._same_failure[1] >= self._bounds.max_same_failure:
            self.stop("stopped", f"{self._same_failure[1]} chunks in a row failed for the same reason: {message}")

    def limit_reached(self, *, until_s: float, message: str) -> None:
        """The login's allowance is used up until this epoch second."""
        if not self._bounds.wait_for_limits:
            self.stop("stopped", message)
        elif not self._paused:
            self._pause(until_s, message)

    def _wall_reached(self) -> None:
        """The time is over, unless a part of it was a pause."""
        if self._paused:
            self._wall_waits = True
        elif self._paused_s:
            left_s, self._paused_s = self._paused_s, 0.0
            self._mailbox.post_after(left_s, self._wall_reached)
        else:
            told = f"the time limit of {self._bounds.max_wall_s:g} s is reached"
            self.stop("stopped", f"{told}; go on, or allow more with --max-wall")

    def _pause(self, until_s: float, reason: str) -> None:
        self._paused = True
        self._paused_at_s = self._clock.monotonic_s()
        self._journal.append(RunPaused, reason=reason, until=to_iso(until_s))
        self._mailbox.post_after(until_s - self._clock.epoch_s(), self._go_on)

    def _go_on(self) -> None:
        self._paused = False
        self._paused_s += self._clock.monotonic_s() - self._paused_at_s
        if self._wall_waits:
            self._wall_waits = False
            self._wall_reached()
        # One call goes first: if the limit still holds, only that one meets it.
        self._canary = True
        self._journal.append(RunContinued)
