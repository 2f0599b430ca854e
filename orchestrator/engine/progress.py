"""How far a run is, and how long it will take."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.engine.clock import Clock
from orchestrator.engine.journal import Journal
from orchestrator.events import RunProgressed

HEARTBEAT_S = 10.0
"""A sign of life at least this often."""

MIN_INTERVAL_S = 0.2
"""Between two signs that only follow finished chunks: thousands of reused ones need not each have their own."""


class ProgressMeter:
    """Tells `run_progressed`. `expected_s` maps chunk ids to the estimated seconds of an attempt."""

    def __init__(self, *, expected_s: Mapping[str, float], total: int, max_concurrency: int, clock: Clock) -> None:
        self.heartbeat_s = HEARTBEAT_S
        self._expected = dict(expected_s)
        self._left_s = sum(self._expected.values())
        self._longest = sorted((seconds, chunk_id) for chunk_id, seconds in self._expected.items())
        self._total = total
        self._max_concurrency = max_concurrency
        self._clock = clock
        self._measured_s = 0.0
        self._measured_expected_s = 0.0
        self._told_s = float("-inf")

    def added(self, chunks: int) -> None:
        """So many chunks became known."""
        self._total += chunks

    def measured(self, chunk_id: str, elapsed_s: float) -> None:
        """A chunk took this long; later estimates follow."""
        self._measured_s += elapsed_s
        self._measured_expected_s += self._expected.get(chunk_id, 0.0)

    def finished(self, chunk_id: str) -> None:
        """The chunk needs no more time."""
        self._left_s -= self._expected.pop(chunk_id, 0.0)

    def tell(self, journal: Journal, *, done: int, running_s: Callable[[], Mapping[str, float]]) -> None:
        """Tell it, unless it was told a moment ago and more is to come. `running_s` is asked only when it is told."""
        now = self._clock.monotonic_s()
        if now - self._told_s < MIN_INTERVAL_S and done < self._total:
            return
        self._told_s = now
        journal.append(
            RunProgressed,
            done=done,
            total=self._total,
            fraction=round(done / self._total, 4) if self._total else 1.0,
            eta_s=self._eta_s(),
            running=dict(running_s()),
        )

    def _eta_s(self) -> float | None:
        if not self._measured_expected_s:
            return None
        pace = self._measured_s / self._measured_expected_s
        while self._longest and self._longest[-1][1] not in self._expected:
            self._longest.pop()
        longest_s = self._longest[-1][0] if self._longest else 0.0
        # Sums of floats that come and go may end a hair below nothing.
        return round(max(self._left_s / self._max_concurrency, longest_s, 0.0) * pace, 1)
