"""What is known about a run while it is watched: events folded into one `RunView`. No clock, no terminal."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.events import (
    ChunkCancelled,
    ChunkFailed,
    ChunkProgressed,
    ChunkRetryScheduled,
    ChunkReused,
    ChunksAdded,
    ChunkSkipped,
    ChunkStarted,
    ChunkSucceeded,
    Event,
    RunContinued,
    RunEstimated,
    RunFinished,
    RunPaused,
    RunProgressed,
    RunResumed,
    RunReviewed,
    RunStarted,
    RunStitched,
)


@dataclass(slots=True, kw_only=True)
class Attempt:
    """An attempt under way. `slot` is its row, the lowest that was free; `since_s` is on the watcher's clock."""

    chunk_id: str
    attempt: int
    since_s: float
    timeout_s: float
    complexity: str
    slot: int
    output_chars: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A chunk between two attempts. `until_s` is on the watcher's clock."""

    chunk_id: str
    attempt: int
    until_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause that was told at `since_s` on the watcher's clock, and lasts `lasts_s` seconds if that is known."""

    event: RunPaused
    since_s: float
    lasts_s: float | None

    def left_s(self, now_s: float) -> float | None:
        """Seconds until its end, below zero when that should have come; None when it is not known."""
        return None if self.lasts_s is None else self.lasts_s - (now_s - self.since_s)


@dataclass(slots=True, kw_only=True)
class RunView:
    """Everything a display shows. Each event changes it in constant time.

    `done` counts chunks with a terminal event, cancelled ones apart; `paid` those that were answered in this process.
    `pauses` are those that are not over, by account and by whether an overload is their cause.
    `problems` holds (chunk id, reason) of each failed or skipped chunk in the order in which it was told.
    """

    name: str = ""
    run_id: str = ""
    runner: str = ""
    total: int = 0
    paid: int = 0
    reused: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0
    cost_usd: float = 0.0
    paid_s: float = 0.0
    eta_s: float | None = None
    eta_at_s: float = 0.0
    started_s: float = 0.0
    running: dict[str, Attempt] = field(default_factory=dict[str, Attempt])
    waiting: dict[str, Waiting] = field(default_factory=dict[str, Waiting])
    problems: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    estimate: RunEstimated | None = None
    pauses: dict[tuple[str, bool], Pause] = field(default_factory=dict[tuple[str, bool], Pause])
    reviewed: RunReviewed | None = None
    stitched: RunStitched | None = None
    finished: RunFinished | None = None
    _free_slots: list[int] = field(default_factory=list[int])
    _slots: int = 0

    @property
    def done(self) -> int:
        """Chunks that are through, whatever came of them."""
        return self.paid + self.reused + self.failed + self.skipped

    @property
    def slots(self) -> int:
        """Rows that were ever in use at once."""
        return self._slots

    @property
    def mean_s(self) -> float:
        """Seconds that a chunk answered in this process took on average; 0 before the first."""
        return self.paid_s / self.paid if self.paid else 0.0

    def left_s(self, now_s: float) -> float | None:
        """Seconds until the end as last estimated, less what passed since; None when unknown or used up."""
        if self.eta_s is None:
            return None
        left = self.eta_s - (now_s - self.eta_at_s)
        return left if left >= 1 else None

    def apply(self, event: Event, *, now_s: float) -> None:
        """Take one event in. `now_s` is when it was received, in seconds on any clock that only goes forward."""
        match event:
            case RunStarted() | RunResumed():
                self.name, self.run_id, self.runner = event.name, event.run_id, event.runner
                self.total, self.started_s = event.total, now_s
            case ChunksAdded():
                self.total += len(event.chunk_ids)
            case RunEstimated():
                self.estimate = event
            case RunPaused():
                pause = Pause(event=event, since_s=now_s, lasts_s=_lasts_s(event))
                self.pauses[event.account, event.cause == "overload"] = pause
            case RunContinued():
                self.pauses.pop((event.account, event.cause == "overload"), None)
            case RunProgressed():
                self.total = event.total
                self.eta_s, self.eta_at_s = event.eta_s, now_s
            case RunReviewed():
                self.reviewed = event
            case RunStitched():
                self.stitched = event
            case RunFinished():
                self.finished = event
                self.cost_usd = event.cost_usd
            case _:
                self._apply_to_chunk(event, now_s=now_s)

    def _apply_to_chunk(self, event: Event, *, now_s: float) -> None:
        match event:
            case ChunkStarted():
                self._leave(event.chunk_id)
                self.running[event.chunk_id] = Attempt(
                    chunk_id=event.chunk_id,
                    attempt=event.attempt,
                    since_s=now_s,
                    timeout_s=event.timeout_s,
                    complexity=event.complexity,
                    slot=self._take_slot(),
                )
            case ChunkProgressed():
                if attempt := self.running.get(event.chunk_id):
                    attempt.output_chars = event.output_chars
            case ChunkRetryScheduled():
                self._leave(event.chunk_id)
                self.waiting[event.chunk_id] = Waiting(
                    chunk_id=event.chunk_id, attempt=event.attempt, until_s=now_s + event.wait_s, reason=event.reason
                )
            case _:
                self._apply_terminal(event)

    def _apply_terminal(self, event: Event) -> None:
        match event:
            case ChunkSucceeded():
                self._leave(event.chunk_id)
                self.paid += 1
                self.paid_s += event.elapsed_s
                self.cost_usd += event.cost_usd
            case ChunkReused():
                self._leave(event.chunk_id)
                self.reused += 1
            case ChunkFailed():
                self._leave(event.chunk_id)
                self.failed += 1
                self.cost_usd += event.cost_usd
                self.problems.append((event.chunk_id, f"failed ({event.error_type}): {event.message}"))
            case ChunkSkipped():
                self._leave(event.chunk_id)
                self.skipped += 1
                self.problems.append((event.chunk_id, f"skipped: {event.because} has no answer"))
            case ChunkCancelled():
                self._leave(event.chunk_id)
                self.cancelled += 1
            case _:
                pass

    def _take_slot(self) -> int:
        if self._free_slots:
            return heapq.heappop(self._free_slots)
        self._slots += 1
        return self._slots - 1

    def _leave(self, chunk_id: str) -> None:
        self.waiting.pop(chunk_id, None)
        if attempt := self.running.pop(chunk_id, None):
            heapq.heappush(self._free_slots, attempt.slot)


def _lasts_s(event: RunPaused) -> float | None:
    try:
        return (datetime.fromisoformat(event.until or "") - datetime.fromisoformat(event.at)).total_seconds()
    except (ValueError, TypeError):
        return None
