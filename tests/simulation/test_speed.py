"""Speed by ratios, on virtual time: how near the schedule comes to the bound, and how work grows with the chunks."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Mapping

import pytest

from benchmarks.shapes import SHAPES, Graph, heavy_tailed
from orchestrator import Reply, Request, RunControl, RunnerInfo
from orchestrator.engine.gate import Bounds
from orchestrator.engine.reuse import ReuseRules
from orchestrator.engine.session import RunSession
from orchestrator.engine.settings import RunSettings, Surroundings
from orchestrator.engine.watch import Watch
from orchestrator.plan.load import load_plan
from orchestrator.runners.base import Usage
from orchestrator.store import RunRecord
from tests.simulation.virtual import MemoryStore, NothingKept, VirtualClock, VirtualLoop, VirtualStoreThread
from tests.simulation.world import FOLDER

AT_ONCE = 4
MEAN_S = 2.0


class TimedRunner:
    """Answers after as many virtual seconds as it was told, and keeps when each call began and ended."""

    kind = "timed"

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._seconds = seconds
        self.first_s = float("inf")
        self.last_s = 0.0

    async def open(self) -> RunnerInfo:
        return RunnerInfo(version="1", login="nobody")

    async def close(self) -> None: ...

    async def run(self, request: Request, *, on_progress: object) -> Reply:
        loop = asyncio.get_running_loop()
        self.first_s = min(self.first_s, loop.time())
        await asyncio.sleep(self._seconds[request.chunk_id])
        self.last_s = loop.time()
        return Reply(text=f"Answer of {request.chunk_id}.", model="timed", usage=Usage(output_tokens=100))


def run_virtually(graph: Graph) -> float:
    """Virtual seconds from the first call to the end of the last, through the whole engine."""
    chunks = [
        {"id": name, "prompt": f"Write {name}.", "depends_on": list(names)} for name, names in graph.before.items()
    ]
    workload = load_plan({"chunks": chunks}, base_dir=FOLDER)
    loop = VirtualLoop(random.Random(1), start_s=0.0, die_at=None)
    store, runner, clock = MemoryStore(), TimedRunner(graph.seconds), VirtualClock(chance=random.Random(2))
    clock.loop = loop
    store.make_writer = lambda: VirtualStoreThread(store.connection, loop, random.Random(3), fails_at=None)
    control = RunControl()
    record = RunRecord(
        run_id="run-1",
        name="speed",
        plan_path=None,
        base_dir=str(FOLDER),
        source=workload.source,
        inputs={},
        files={},
        options={"runner": TimedRunner.kind},
        state="running",
        reason="",
        created_at="2026-02-02T00:00:00Z",
        updated_at="",
        elapsed_s=0.0,
        result_path=None,
    )
    session = RunSession(
        workload,
        record=record,
        resumed=False,
        settings=RunSettings(
            max_concurrency=AT_ONCE,
            bounds=Bounds(max_wall_s=None, max_same_failure=5, wait_for_limits=True),
            max_cost_usd=None,
            rules=ReuseRules(fresh=False),
            output=None,
            force=False,
        ),
        surroundings=Surroundings(
            store=store,
            runner=runner,
            control=control,
            clock=clock,
            confirm=None,
            known=NothingKept(),  # pyright: ignore
            watch=Watch(control=control),
        ),
        observers=[],
    )

    async def run() -> None:
        await session.start()
        await session.estimate()
        await session.execute()
        await session.stitch()
        await session.review()

    loop.run_until_complete(run())
    loop.close()
    assert session.result is not None
    assert session.result.status == "complete"
    return runner.last_s - runner.first_s


@pytest.mark.parametrize("shape", SHAPES)
def test_no_slot_idles_while_work_is_ready(shape: str) -> None:
    """A thousand chunks of heavy-tailed length take at most 3 % more than the shortest time that is possible."""
    before = SHAPES[shape](1_000)
    graph = Graph(before, heavy_tailed(list(before), mean_s=MEAN_S, seed=1))
    assert run_virtually(graph) / graph.bound_s(AT_ONCE) <= 1.03


@pytest.mark.alone
def test_work_grows_with_the_chunks_and_no_faster() -> None:
    """Four times the chunks take about four times the processor: whatever looks at all of them each time shows here."""

    def cpu_s(count: int) -> float:
        before = SHAPES["branches"](count)
        graph = Graph(before, dict.fromkeys(before, MEAN_S))
        gc.collect()
        # How often all objects are looked through depends on what other tests left.
        gc.disable()
        try:
            begin = time.process_time()
            run_virtually(graph)
            return time.process_time() - begin
        finally:
            gc.enable()

    cpu_s(50)
    few, many = (min(cpu_s(count) for _ in range(2)) for count in (750, 3_000))
    assert many / few <= 4 * 1.3
