"""How near a run comes to the shortest time that its chunks allow, for graphs of several shapes.

Prints a Markdown table. `benchmarks/README.md` says how to run it and what the columns mean.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import peers
from machine import described
from peers import Before, Call
from shapes import SHAPES, Graph, heavy_tailed

from orchestrator import Reply, Request, RunnerInfo, Usage, arun_plan

MAX_CONCURRENCY = 4
"""What a run does unless it is told otherwise."""
TOKENS_PER_S = 2_000
"""As if answers were short enough for so many of them to fit into a minute."""


class TimedRunner:
    """Answers after as many seconds as the graph says."""

    kind = "timed"

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._seconds = seconds

    async def open(self) -> RunnerInfo:
        """Always ready."""
        return RunnerInfo(version="1", login="nobody")

    async def close(self) -> None:
        """Nothing to end."""

    async def run(self, request: Request, *, on_progress: object) -> Reply:
        """Wait, then answer in a line."""
        await asyncio.sleep(self._seconds[request.chunk_id])
        usage = Usage(input_tokens=10, output_tokens=round(self._seconds[request.chunk_id] * TOKENS_PER_S))
        return Reply(text=f"Answer of {request.chunk_id}.", model="timed", usage=usage)


async def wall_s(graph: Graph, folder: Path) -> float:
    """Seconds from the first start of a chunk to the last end, through the whole engine and a store on the disk.

    The second time in a folder, what the first run took is known.
    """
    chunks = [
        {"id": name, "prompt": f"Write {name}.", "depends_on": list(before)} for name, before in graph.before.items()
    ]
    plan = {"chunks": chunks, "limits": {"max_concurrency": MAX_CONCURRENCY}}
    times: list[float] = []
    result = await arun_plan(
        plan,
        runner=TimedRunner(graph.seconds),
        store=folder / "store.db",
        base_dir=folder,
        fresh=True,
        on_event=lambda event: times.append(time.perf_counter()) if event.type.startswith("chunk_") else None,
    )
    result.raise_for_failure()
    return times[-1] - times[0]


async def peer_s(graph: Graph, peer: Callable[[Before, Call, int], Awaitable[None]]) -> float:
    """The same calls by another way; it stores nothing."""
    begin = time.perf_counter()
    await peer(graph.before, lambda name: asyncio.sleep(graph.seconds[name]), MAX_CONCURRENCY)
    return time.perf_counter() - begin


def measured(graph: Graph, shape: str) -> dict[str, float | None]:
    """Seconds by each way; None where it does not apply or is not installed."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = (asyncio.run(wall_s(graph, Path(folder))) for _ in range(2))
    found: dict[str, float | None] = {"orchestrate, first run": first, "second run": second}
    found["asyncio tasks"] = asyncio.run(peer_s(graph, peers.asyncio_tasks))
    found["LangGraph nodes"] = asyncio.run(peer_s(graph, peers.langgraph_nodes))
    is_flat = shape == "independent"
    found["LangGraph Send"] = asyncio.run(peer_s(graph, peers.langgraph_send)) if is_flat else None
    has_dask = importlib.util.find_spec("distributed") is not None
    found["Dask"] = peers.dask_futures(graph.before, graph.seconds, MAX_CONCURRENCY) if has_dask else None
    return found


def main() -> int:
    """Every shape through the engine, and by other ways beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=0.1, help="an answer takes on average")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(described(), f"· {options.chunks:,} chunks, {MAX_CONCURRENCY} at once\n")
    for at, (name, shape) in enumerate(SHAPES.items()):
        before = shape(options.chunks)
        graph = Graph(before, heavy_tailed(list(before), mean_s=options.seconds, seed=options.seed))
        bound, found = graph.bound_s(MAX_CONCURRENCY), measured(graph, name)
        if not at:
            print(f"| shape | bound | {' | '.join(found)} |")
            print("|---|" + "---:|" * (1 + len(found)))
        ratios = ("–" if each is None else f"{each / bound:.3f}" for each in found.values())
        print(f"| {name} | {bound:.1f} s | {' | '.join(ratios)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
