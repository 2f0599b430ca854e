"""Other ways to run a graph of calls with so many at once, each as a user of it would write it.

Each takes the graph (what every name waits for, in an order in which nothing comes before what it waits for), a
coroutine or function that makes one call, and how many may go on at once.
"""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypedDict

Before = Mapping[str, tuple[str, ...]]
Call = Callable[[str], Awaitable[object]]


async def asyncio_tasks(before: Before, call: Call, at_once: int) -> None:
    """A task for each call that waits for the tasks before it, then for a slot: what one writes by hand."""
    slots, tasks = asyncio.Semaphore(at_once), dict[str, asyncio.Task[None]]()

    async def one(name: str) -> None:
        for each in before[name]:
            await tasks[each]
        async with slots:
            await call(name)

    for name in before:
        tasks[name] = asyncio.create_task(one(name))
    await asyncio.gather(*tasks.values())


class _Done(TypedDict):
    done: Annotated[list[str], operator.add]


async def langgraph_nodes(before: Before, call: Call, at_once: int) -> None:
    """LangGraph with one node for each call; it runs in supersteps."""
    from langgraph.graph import END, START, StateGraph

    graph: Any = StateGraph(_Done)
    followed = {each for names in before.values() for each in names}

    def node(name: str) -> Callable[[_Done], Awaitable[dict[str, list[str]]]]:
        async def run(_: _Done) -> dict[str, list[str]]:
            await call(name)
            return {"done": [name]}

        return run

    for name in before:
        graph.add_node(name, node(name))
    for name, names in before.items():
        graph.add_edge(list(names) or START, name)
        if name not in followed:
            graph.add_edge(name, END)
    await graph.compile().ainvoke({"done": []}, {"max_concurrency": at_once, "recursion_limit": len(before) + 10})


async def langgraph_send(before: Before, call: Call, at_once: int) -> None:
    """LangGraph with `Send`: all calls from one node. Only for calls that wait for nothing."""
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Send

    async def run(state: dict[str, str]) -> dict[str, list[str]]:
        await call(state["name"])
        return {"done": [state["name"]]}

    graph: Any = StateGraph(_Done)
    graph.add_node("call", run)
    graph.add_conditional_edges(START, lambda _: [Send("call", {"name": name}) for name in before], ["call"])
    graph.add_edge("call", END)
    await graph.compile().ainvoke({"done": []}, {"max_concurrency": at_once})


def dask_futures(before: Before, seconds: Mapping[str, float], at_once: int) -> float:
    """Dask on this machine, a thread for each slot. Returns the seconds from the first submit to the last end."""
    from distributed import Client, LocalCluster

    def call(name: str, *_: object) -> str:
        time.sleep(seconds[name])
        return name

    with (
        LocalCluster(n_workers=1, threads_per_worker=at_once, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        begin, futures = time.perf_counter(), dict[str, Any]()
        for name, names in before.items():
            futures[name] = client.submit(call, name, *(futures[each] for each in names), pure=False)
        client.gather(list(futures.values()))
        return time.perf_counter() - begin
