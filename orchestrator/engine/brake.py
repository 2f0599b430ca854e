"""How fast a run may go: fewer calls at once after an overload, none for a while when nothing is answered."""

from __future__ import annotations

from orchestrator.engine.clock import Clock
from orchestrator.engine.gate import Bounds
from orchestrator.engine.journal import Journal
from orchestrator.engine.mailbox import Mailbox
from orchestrator.engine.outage import Outage, RetryBudget
from orchestrator.engine.pace import Pace
from orchestrator.engine.policy import OVERLOADS, Leave, Retry
from orchestrator.engine.room import Room, memory_left_mb
from orchestrator.events import RunContinued, RunPaused, RunSlowed
from orchestrator.runners.base import Failure


class Brake:
    """Asked before each start, told of each start and end. `most` calls go on at once when all is well."""

    def __init__(self, bounds: Bounds, *, most: int, journal: Journal, mailbox: Mailbox, clock: Clock) -> None:
        self._pace = Pace(most)
        self._retries = RetryBudget(max_concurrency=most)
        self._room = Room(bounds.calls.call_mb)
        self._told_of_room = False
        self._waits = bounds.wait_for_limits
        self._journal = journal
        self._mailbox = mailbox
        self._clock = clock
        self._holds = 0

    @property
    def most(self) -> int:
        """How many calls may go on at once now."""
        return self._pace.now

    def admits(self, *, running: int) -> bool:
        """Whether one more call may start while `running` are under way."""
        if self._holds or (running and self._retries.exhausted):
            return False
        return not running or not self._room.call_mb or self._has_room()

    def _has_room(self) -> bool:
        """Whether the memory has room for one more; told once when it has not."""
        left_mb = memory_left_mb()
        if self._room.has_room(left_mb, now_s=self._clock.monotonic_s()):
            return True
        if not self._told_of_room:
            self._told_of_room = True
            each = f"one takes some {self._room.call_mb} MB, and {left_mb:,.0f} MB of memory are left"
            self._journal.append(RunSlowed, reason=f"no more calls fit into the memory: {each}")
        return False

    def started(self, chunk_id: str) -> None:
        """A call for this chunk starts."""
        self._pace.started(chunk_id)
        self._retries.started(chunk_id)
        self._room.started(self._clock.monotonic_s())

    def answered(self, *, held_mb: int) -> None:
        """A call brought an answer. `held_mb` is what its processes held at the most; 0 when nobody saw it."""
        self._room.held(held_mb)
        self._pace.answered()
        self._retries.answered()

    def failed(self, chunk_id: str, failure: Failure) -> Retry | Leave | None:
        """The latest call for this chunk failed. None: the policy decides, as always while retries are left."""
        if failure.error_type not in OVERLOADS:
            return None
        self._pace.overloaded(chunk_id)
        found = self._retries.overloaded(chunk_id, chance=self._clock.chance)
        if found is None:
            return None
        if isinstance(found, Outage):
            return Leave(
                f"{found.calls} calls in a row failed, each going alone, with growing waits. {failure.message}"
            )
        if not self._waits:
            return Leave(f"the retries of the run are used up. {failure.message}")
        if not found.wait_s:
            return Retry(0.0, free=True)
        wait_s = max(found.wait_s, failure.retry_after_s or 0.0)
        self._hold(wait_s, failure)
        return Retry(wait_s, free=True)

    def _hold(self, wait_s: float, failure: Failure) -> None:
        self._holds += 1
        self._mailbox.post_after(wait_s, self._go_on)
        # Without an end that a later process would wait for: by then the service may be back.
        reason = f"the retries of the run are used up; the next call goes alone in {wait_s:.0f} s. {failure.message}"
        self._journal.append(RunPaused, reason=reason, until=None, cause="overload")

    def _go_on(self) -> None:
        self._holds -= 1
        self._journal.append(RunContinued, cause="overload")
