"""What the runner is told of the chunks that start next, so that it can get ready for them."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.engine.attempts import request_for
from orchestrator.engine.gate import Gate
from orchestrator.engine.schedule import Lane, Schedule
from orchestrator.plan.workload import Chunk
from orchestrator.runners.base import ForesightedRunner, Request, Runner

SLOTS_TO_ONE_AHEAD = 8
"""For so many calls under way one more than the first is got ready ahead: a start takes a second, an answer many."""


class Foresight:
    """Tells a runner that wants to know. `context` is what all chunks share."""

    def __init__(
        self, runner: Runner, schedule: Schedule, gate: Gate, *, chunks: Mapping[str, Chunk], context: str
    ) -> None:
        self._runner = runner if isinstance(runner, ForesightedRunner) else None
        self._schedule = schedule
        self._gate = gate
        self._chunks = chunks
        self._context = context
        self._told: list[str] = []

    def look(self, *, more: bool) -> None:
        """Tell what starts next, where that is not what was told last: with `more` the head of the queue, else none."""
        if self._runner is None:
            return
        count = 1 + self._schedule.running_count // SLOTS_TO_ONE_AHEAD
        upcoming = self._schedule.upcoming(count, self._is_open) if more else []
        if upcoming != self._told:
            self._told = upcoming
            self._runner.expect([self._request(self._chunks[each]) for each in upcoming])

    def _is_open(self, lane: Lane) -> bool:
        return self._gate.is_open(lane.accounts)

    def _request(self, chunk: Chunk) -> Request:
        return request_for(chunk, prompt="", context=self._context, account=self._gate.payer(chunk.accounts))
