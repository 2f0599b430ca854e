"""What the engine's tests share: running a plan against the simulated runner and checking what every run promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.api import aresume_run, arun_plan
from orchestrator.engine.result import RunResult
from orchestrator.events import (
    ChunkCancelled,
    ChunkFailed,
    ChunkReused,
    ChunksAdded,
    ChunkSkipped,
    ChunkStarted,
    ChunkSucceeded,
    Event,
    RunFinished,
    RunResumed,
    RunStarted,
)

TERMINAL = (ChunkSucceeded, ChunkReused, ChunkFailed, ChunkSkipped, ChunkCancelled)


@dataclass(frozen=True)
class Story:
    """One process's share of a run: its result and everything it told."""

    result: RunResult
    events: list[Event]

    def ids(self, kind: type[Any]) -> list[str]:
        """The chunks that had an event of this kind, in order."""
        return [event.chunk_id for event in self.events if isinstance(event, kind)]

    @property
    def started(self) -> list[str]:
        """The chunks that were paid for."""
        return self.ids(ChunkStarted)

    def only(self, kind: type[Any]) -> Any:
        """The one event of this kind."""
        (event,) = [event for event in self.events if isinstance(event, kind)]
        return event


async def play(plan: Any, folder: Path, **options: Any) -> Story:
    """Run a plan with its store in `folder`, and check the promises on its events."""
    events: list[Event] = []
    result = await arun_plan(
        plan, **{"store": folder / "store.db", "base_dir": folder, "on_event": events.append} | options
    )
    check_promises(events)
    return Story(result, events)


async def play_on(run_id: str, folder: Path, **options: Any) -> Story:
    """Resume a run, and check the promises on its events."""
    events: list[Event] = []
    result = await aresume_run(run_id, **{"store": folder / "store.db", "on_event": events.append} | options)
    check_promises(events)
    return Story(result, events)


def check_promises(events: Sequence[Event]) -> None:
    """Assert what every process promises of its events, whatever happened in it."""
    first, last = events[0], events[-1]
    assert isinstance(first, RunStarted | RunResumed)
    assert isinstance(last, RunFinished)
    assert [event.seq for event in events] == list(range(first.seq, first.seq + len(events)))
    assert len({event.run_id for event in events}) == 1
    assert sum(isinstance(event, RunStarted | RunResumed | RunFinished) for event in events) == 2
    known = list(first.chunk_ids)
    for event in events:
        if isinstance(event, ChunksAdded):
            known += event.chunk_ids
    ended = [event.chunk_id for event in events if isinstance(event, TERMINAL)]
    assert sorted(ended) == sorted(known), "each chunk has exactly one terminal event"
    for chunk_id in known:
        own = [event for event in events if getattr(event, "chunk_id", None) == chunk_id]
        assert isinstance(own[-1], TERMINAL), "nothing is told of a chunk after its end"
        if isinstance(own[-1], ChunkSucceeded):
            assert any(isinstance(event, ChunkStarted) for event in own)
        if isinstance(own[-1], ChunkSkipped):
            assert not any(isinstance(event, ChunkStarted) for event in own)
    counted = [last.succeeded, last.reused, last.failed, last.skipped, last.cancelled]
    assert counted == [sum(isinstance(event, kind) for event in events) for kind in TERMINAL]
