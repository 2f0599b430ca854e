"""No more calls at once than the memory has room for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.room import LATEST_CALLS, SETTLES_S, Room, memory_left_mb
from orchestrator.events import RunSlowed
from orchestrator.runners.base import Request, RunnerInfo
from orchestrator.runners.simulated import SimulatedRunner
from tests.engine.runs import play


def test_one_more_call_needs_its_own_share_and_some_to_spare() -> None:
    """200 MB for the call, 100 for everybody else; where nobody knows what is left there is room."""
    room = Room(200)
    assert room.has_room(300.0, now_s=0.0)
    assert not room.has_room(299.0, now_s=0.0)
    assert room.has_room(None, now_s=0.0)


def test_what_just_started_has_not_taken_its_share_yet() -> None:
    """Eight that start in one second do not all fit into what the first one saw."""
    room = Room(200)
    for _ in range(2):
        assert room.has_room(700.0, now_s=10.0)
        room.started(10.0)
    assert room.has_room(700.0, now_s=10.0)
    room.started(10.5)
    assert not room.has_room(700.0, now_s=10.5)
    assert room.has_room(700.0, now_s=10.0 + SETTLES_S)


def test_what_calls_held_is_what_the_next_is_taken_to_hold() -> None:
    """The most of the latest; who was not seen says nothing."""
    room = Room(200)
    room.held(0)
    assert room.call_mb == 200
    room.held(900)
    assert not room.has_room(999.0, now_s=0.0)
    for _ in range(LATEST_CALLS):
        room.held(150)
    assert room.call_mb == 150
    nothing = Room(0)
    nothing.held(900)
    nothing.started(0.0)
    assert nothing.call_mb == 0


def test_the_least_that_anybody_leaves_counts(tmp_path: Path) -> None:
    """The machine, then groups of version 1 and 2, each with the groups it lies in; unused cached files give way."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    assert memory_left_mb(proc=proc, cgroups=cgroups) is None
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable:    2000000 kB\n")
    assert memory_left_mb(proc=proc, cgroups=cgroups) == 2048.0
    (proc / "self" / "cgroup").write_text("4:memory,cpu:/old/inner\n0::/new/inner\n")
    for folder, limit in ((cgroups / "new", "1000000000"), (cgroups / "new" / "inner", "max")):
        folder.mkdir(parents=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text("700000000\n")
        (folder / "memory.stat").write_text("anon 1\ninactive_file 100000000\n")
    assert memory_left_mb(proc=proc, cgroups=cgroups) == 400.0
    old = cgroups / "memory" / "old"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text("500000000\n")
    (old / "memory.usage_in_bytes").write_text("450000000\n")
    (old / "memory.stat").write_text("cache 5\ntotal_inactive_file 0\n")
    assert memory_left_mb(proc=proc, cgroups=cgroups) == 50.0
    (old / "memory.usage_in_bytes").write_text("600000000\n")
    assert memory_left_mb(proc=proc, cgroups=cgroups) == 0.0


class Large(SimulatedRunner):
    """Says that each of its calls takes so many megabytes, and counts how many are under way."""

    def __init__(self, call_mb: int) -> None:
        super().__init__(latency_s=0.02)
        self._call_mb = call_mb
        self.now = self.most = 0

    async def open(self) -> RunnerInfo:
        return replace(await super().open(), call_mb=self._call_mb)

    async def run(self, request: Request, *, on_progress: Any) -> Any:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super().run(request, on_progress=on_progress)
        finally:
            self.now -= 1


@pytest.mark.parametrize(("call_mb", "most", "told"), [(10**9, 1, 1), (1, 4, 0)])
def test_calls_that_do_not_fit_together_go_one_by_one(tmp_path: Path, call_mb: int, most: int, told: int) -> None:
    """On this machine, with calls of a petabyte: each goes alone, all are answered, and the reason is told once."""
    plan = {
        "name": "p",
        "inputs": {"names": {"items": [f"name {at}" for at in range(12)]}},
        "chunks": [{"id": "part", "for_each": {"input": "names"}, "prompt": "About {{ item.text }}"}],
    }
    runner = Large(call_mb)
    story = asyncio.run(play(plan, tmp_path, runner=runner, max_concurrency=4))
    assert story.result.status == "complete"
    assert runner.most == most
    slowed = [event for event in story.events if isinstance(event, RunSlowed)]
    assert len(slowed) == told
    assert all("no more calls fit into the memory: one takes some" in event.reason for event in slowed)
