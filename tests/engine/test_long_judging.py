"""Judging an answer may take seconds, when a pattern of the plan tries for ever: nothing else waits for it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator import RunControl, SimulatedRunner, StopLevel
from orchestrator.events import ChunkFailed, ChunkSucceeded
from orchestrator.store import open_store
from tests.engine.runs import play

ENDLESS = "a" * 50_000 + "!"
JUDGING_S = 1.5
PATTERN = "(a|aa)+$"


def plan(where: str) -> dict[str, Any]:
    """`slow` is judged for as long as a pattern may take: as an answer, as JSON, or in the result as a whole."""
    slow: dict[str, Any] = {"id": "slow", "prompt": "Slow.", "max_attempts": 1}
    stitch: dict[str, Any] = {"chunks": ["slow"]}
    if where == "answer":
        slow["expect"] = {"matches": [PATTERN, PATTERN]}
    elif where == "schema":
        slow["output_schema"] = {"type": "object", "properties": {"a": {"type": "string", "pattern": PATTERN}}}
    else:
        stitch["expect"] = {"matches": PATTERN}
    chain = [{"id": f"c{at}", "prompt": f"{at} {{{{ chunks.c{at - 1} }}}}"} for at in range(1, 6)]
    chunks = [slow, {"id": "c0", "prompt": "0"}, *chain]
    return {"name": "judged", "chunks": chunks, "stitch": stitch, "review": {"rounds": 0, "consistency": ["names"]}}


def runner(where: str) -> SimulatedRunner:
    text = f'{{"a": "{ENDLESS}"}}' if where == "schema" else ENDLESS
    return SimulatedRunner(latency_s=0, answers={"slow": text})


async def longest_hold_s(task: asyncio.Task[Any]) -> float:
    """The longest time in which the event loop did nothing else while the task went on."""
    longest, last_s = 0.0, time.monotonic()
    while not task.done():
        await asyncio.sleep(0.01)
        now_s = time.monotonic()
        longest, last_s = max(longest, now_s - last_s), now_s
    return longest


@pytest.mark.alone
@pytest.mark.parametrize("where", ["answer", "schema", "result"])
def test_the_loop_is_free_meanwhile(where: str, tmp_path: Path) -> None:
    """Other chunks end, and events go out, while one answer is judged; what takes too long is no answer."""

    async def scene() -> None:
        await play({"chunks": [{"id": "a", "prompt": "x"}]}, tmp_path, runner=SimulatedRunner(latency_s=0))
        with pytest.MonkeyPatch.context() as limit:
            limit.setattr("orchestrator.plan.split.patterns._SECONDS", JUDGING_S)
            task = asyncio.create_task(play(plan(where), tmp_path, runner=runner(where), max_concurrency=2))
            began_s = time.monotonic()
            held_s = await longest_hold_s(task)
        assert time.monotonic() - began_s > JUDGING_S
        assert held_s < JUDGING_S
        story = task.result()
        assert story.result.exit_code == 1
        assert len([each for each in story.events if isinstance(each, ChunkSucceeded) and each.chunk_id != "slow"]) == 6
        if where != "result":
            failed = story.only(ChunkFailed)
            assert failed.chunk_id == "slow"
            assert "takes more than" in failed.message
            last_chunk = next(at for at, each in enumerate(story.events) if getattr(each, "chunk_id", "") == "c5")
            assert last_chunk < story.events.index(failed)

    asyncio.run(scene())


def test_an_answer_that_is_being_judged_is_kept_though_the_run_is_stopped(tmp_path: Path) -> None:
    """It is paid for: stopped hard while a good answer is judged (for about a second), the run still stores it."""
    control = RunControl()

    class Stopping(SimulatedRunner):
        async def run(self, request: Any, *, on_progress: Any) -> Any:
            reply = await super().run(request, on_progress=on_progress)
            asyncio.get_running_loop().call_later(0.2, lambda: control.request_stop(at_least=StopLevel.TERMINATE))
            return reply

    text = "a" * 900 + "!\nwanted"
    told = {"chunks": [{"id": "a", "prompt": "x", "expect": {"matches": "a+a+$|wanted"}}, {"id": "b", "prompt": "y"}]}

    async def scene() -> None:
        with pytest.MonkeyPatch.context() as limit:
            limit.setattr("orchestrator.plan.split.patterns._SECONDS", 60.0)
            story = await play(
                told, tmp_path, runner=Stopping(latency_s=0, answers={"a": text}), control=control, max_concurrency=1
            )
        store = open_store(tmp_path / "store.db")
        found = {each.chunk_id: each.status for each in store.chunks(story.result.run_id)}
        assert found["a"] == "succeeded"
        assert story.result.status == "stopped"

    asyncio.run(scene())
