"""Whether anything may start now: stops, pauses, money, and a row of equal failures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.engine.clock import Clock, to_iso
from orchestrator.engine.costs.allowance import fullest
from orchestrator.engine.costs.budgets import Budgets
from orchestrator.engine.journal import Journal
from orchestrator.engine.mailbox import Mailbox
from orchestrator.engine.patience import CallBounds
from orchestrator.engine.pauses import Limit, Paused, PauseLeft, Pauses, Payers
from orchestrator.engine.policy import PROVES_OPEN, StopClass
from orchestrator.events import RunContinued, RunPaused
from orchestrator.runners.base import Failure, Reply

_HARDEST_LAST: tuple[StopClass, ...] = ("", "stopped", "environment", "interrupted")

LOOK_S = 30.0
"""How often a pause is looked at: the clock that timers go by may stand still while a machine sleeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a run must keep to.

    `wait_for_limits` pauses for a usage limit, at most for `max_wait_s` in a row where that is given; otherwise the run
    stops there. `leave_usage` is the share of each usage window that is left alone. `left` is what is known of the
    accounts from before, by name.
    """

    max_wall_s: float | None
    max_same_failure: int
    wait_for_limits: bool
    calls: CallBounds = field(default_factory=CallBounds)
    max_wait_s: float | None = None
    leave_usage: float | None = None
    left: Mapping[str, PauseLeft] = field(default_factory=dict[str, PauseLeft])


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
        self._pauses = Pauses(wait=bounds.wait_for_limits, max_wait_s=bounds.max_wait_s, chance=clock.chance)
        self._under_way: dict[str, str] = {}
        self._stands_since_s: float | None = None
        self._stood_s = 0.0
        self._wall_waits = False
        self._same_failure = ("", 0)

    def begin(self) -> None:
        """Start the clocks; called again, let them go on, since timers end with each `run()`."""
        now_s = self._clock.monotonic_s()
        if self._began_s is None:
            self._began_s = now_s
            for account, left in self._bounds.left.items():
                self._told(self._pauses.restored(account, left, now_s=self._clock.epoch_s()))
        else:
            for pause in self._pauses.paused:
                if not pause.gave_up:
                    self._look_again(pause)
        if self._bounds.max_wall_s is not None:
            # At once where it is over: what a round of the review begins would be finished.
            self._wall_reached()

    def is_open(self, payers: Payers) -> bool:
        """Whether a chunk that one of these accounts may pay for may start, as far as stops and pauses go."""
        return not self.stop_class and self._pauses.open_account(payers) is not None

    def payer(self, payers: Payers) -> str:
        """The account that would pay for an attempt that starts now, empty for the usual login."""
        return self._pauses.open_account(payers) or ""

    def admits(self, chunk_id: str, *, running: int) -> bool:
        """Whether this chunk may be paid for while `running` others are under way; a limit may stop the run."""
        if self.stop_class:
            return False
        if self._budgets.may_start(chunk_id):
            return True
        if not running and (reached := self._budgets.reached):
            self.stop("stopped", reached)
        return False

    @property
    def spent(self) -> bool:
        """Whether a limit that is counted attempt by attempt is used up: what was set aside does not start then."""
        return bool(self._budgets.reached)

    def reserve(self, chunk_id: str) -> None:
        """Set aside what the chunk is expected to take."""
        self._budgets.reserve(chunk_id)

    def release(self, chunk_id: str) -> None:
        """The chunk does not start after all: what was set aside for it is free again."""
        self._budgets.release(chunk_id)

    def started(self, chunk_id: str, payers: Payers) -> str:
        """An attempt of the chunk starts. Returns the account that pays for it, empty for the usual login."""
        account = self._pauses.open_account(payers)
        assert account is not None, "only what is open is started"
        self._pauses.started(account, chunk_id)
        self._under_way[chunk_id] = account
        self._stand()
        return account

    def ended(self, chunk_id: str, outcome: Reply | Failure) -> None:
        """The attempt is over, and what follows from it was told. A window reported as too full is a limit."""
        account = self._under_way.pop(chunk_id)
        proves = isinstance(outcome, Reply) or outcome.error_type in PROVES_OPEN
        full = fullest(outcome.windows, leave=self._bounds.leave_usage, now_s=self._clock.epoch_s())
        if full is not None:
            window, reason = full
            self._limit(account, chunk_id, Limit(resets_at=window.resets_at, reason=reason, cause="leave_usage"))
        self._pauses.ended(account, chunk_id, proves=proves and full is None)
        self._stand()

    def stop(self, stop_class: StopClass, reason: str) -> None:
        """Nothing starts any more; of several reasons the hardest class counts."""
        if _HARDEST_LAST.index(stop_class) > _HARDEST_LAST.index(self.stop_class):
            self.stop_class, self.stop_reason = stop_class, reason

    def stop_if_stuck(self, waiting: Iterable[Payers]) -> None:
        """With nothing under way, and all that is left waiting for these: stop when none will open again."""
        if reason := self._pauses.why_stuck(waiting):
            self.stop("stopped", reason)

    def lift(self) -> None:
        """Everything is done after all: there is nothing to stop."""
        self.stop_class, self.stop_reason = "", ""

    def answered(self) -> None:
        """An attempt brought an answer."""
        self._same_failure = ("", 0)

    def chunk_failed(self, error_type: str, message: str) -> None:
        """A chunk failed for good."""
        kind, count = self._same_failure
        self._same_failure = (error_type, count + 1 if kind == error_type else 1)
        if self._same_failure[1] >= self._bounds.max_same_failure:
            self.stop("stopped", f"{self._same_failure[1]} chunks in a row failed for the same reason: {message}")

    def limit_reached(self, chunk_id: str, *, resets_at: float | None, message: str) -> None:
        """An attempt of the chunk met the limit of its account, which ends at this epoch second if that is told."""
        self._limit(self._under_way[chunk_id], chunk_id, Limit(resets_at=resets_at, reason=message))

    def _limit(self, account: str, chunk_id: str, limit: Limit) -> None:
        self._told(self._pauses.limit_met(account, chunk_id, limit, now_s=self._clock.epoch_s()))

    def _told(self, pause: Paused | None) -> None:
        if pause is None or pause.gave_up:
            return
        self._journal.append(
            RunPaused,
            reason=pause.reason,
            until=to_iso(pause.until_s),
            account=pause.account,
            cause=pause.cause,
            met=pause.met,
        )
        self._look_again(pause)
        self._stand()

    def _look_again(self, pause: Paused) -> None:
        left_s = pause.until_s - self._clock.epoch_s()
        self._mailbox.post_after(min(left_s, LOOK_S), lambda: self._look(pause))

    def _look(self, pause: Paused) -> None:
        if pause not in self._pauses.paused:
            return
        if self._pauses.over(pause.account, now_s=self._clock.epoch_s()):
            self._journal.append(RunContinued, account=pause.account)
            self._stand()
        else:
            self._look_again(pause)

    def _stand(self) -> None:
        """Take note whether the run stands still for a limit: some account waits, and nothing is under way."""
        stands = not self._under_way and any(not each.gave_up for each in self._pauses.paused)
        now_s = self._clock.monotonic_s()
        if stands and self._stands_since_s is None:
            self._stands_since_s = now_s
        elif not stands and self._stands_since_s is not None:
            self._stood_s += now_s - self._stands_since_s
            self._stands_since_s = None
            if self._wall_waits:
                self._wall_waits = False
                self._wall_reached()

    def _wall_left_s(self) -> float:
        assert self._bounds.max_wall_s is not None
        assert self._began_s is not None
        return self._began_s + self._bounds.max_wall_s + self._stood_s - self._clock.monotonic_s()

    def _wall_reached(self) -> None:
        """The time is over, unless a part of it was spent standing still."""
        if self._stands_since_s is not None:
            self._wall_waits = True
        elif (left_s := self._wall_left_s()) > 0:
            self._mailbox.post_after(left_s, self._wall_reached)
        else:
            told = f"the time limit of {self._bounds.max_wall_s:g} s is reached"
            self.stop("stopped", f"{told}; go on, or allow more with --max-wall")
