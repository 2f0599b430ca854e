"""The pipeline as a LangGraph graph: on its own, inside another, sync and async, with its events on the stream."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from orchestrator import Failure, FailureClass, PlanError, SimulatedRunner, build_graph
from orchestrator.events import event_from_dict
from orchestrator.store import open_store
from tests.engine.runs import check_promises

PLAN = {
    "name": "story",
    "chunks": [{"id": "a", "prompt": "Write a."}, {"id": "b", "prompt": "Continue: {{ chunks.a }}"}],
}


def graph_in(folder: Path, **options: Any) -> Any:
    """The pipeline for `PLAN` with the simulated runner."""
    runner = SimulatedRunner(latency_s=0, answers={"a": "A", "b": "B"})
    return build_graph(PLAN, **{"runner": runner, "store": folder / "store.db"} | options)


def test_the_pipeline_has_the_five_stages(tmp_path: Path) -> None:
    """load, split, execute, stitch, review."""
    nodes = list(graph_in(tmp_path).get_graph().nodes)
    assert nodes == ["__start__", "load", "split", "execute", "stitch", "review", "__end__"]


def test_it_is_invoked_without_an_event_loop(tmp_path: Path) -> None:
    """Each call is a run of its own; the state holds ids alone."""
    graph = graph_in(tmp_path)
    first, second = graph.invoke({}), graph.invoke({})
    assert first["status"] == second["status"] == "complete"
    assert first["run_id"] != second["run_id"]
    assert set(first) == {"run_id", "status"}
    store = open_store(tmp_path / "store.db")
    assert [chunk.reused_from for chunk in store.chunks(second["run_id"])] == [first["run_id"]] * 2


def test_it_is_invoked_on_an_event_loop_several_times_at_once(tmp_path: Path) -> None:
    """Runs of one compiled graph do not mix."""

    async def scene() -> None:
        graph = graph_in(tmp_path)
        states = await asyncio.gather(*(graph.ainvoke({}) for _ in range(4)))
        assert [state["status"] for state in states] == ["complete"] * 4
        assert len({state["run_id"] for state in states}) == 4

    asyncio.run(scene())


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_its_stream_carries_the_events(tmp_path: Path, mode: str) -> None:
    """All of them, in order, as dicts."""

    async def collect() -> list[Any]:
        return [event async for event in graph_in(tmp_path).astream({}, stream_mode="custom")]

    told = asyncio.run(collect()) if mode == "async" else list(graph_in(tmp_path).stream({}, stream_mode="custom"))
    check_promises([event_from_dict(each) for each in told])


class OuterState(TypedDict, total=False):
    """The state of somebody else's graph."""

    topic: str
    run_id: str
    status: str


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_it_is_a_node_of_another_graph_that_has_a_checkpointer(tmp_path: Path, mode: str) -> None:
    """It adds its ids to the outer state; the answers are in our store, not in the checkpoints."""
    outer = StateGraph(OuterState)
    outer.add_node("report", graph_in(tmp_path))
    outer.add_edge(START, "report")
    outer.add_edge("report", END)
    saver = InMemorySaver()
    graph = outer.compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": "t"}}

    async def ainvoke() -> Any:
        return await graph.ainvoke({"topic": "x"}, config)

    state = asyncio.run(ainvoke()) if mode == "async" else graph.invoke({"topic": "x"}, config)
    assert (state["topic"], state["status"]) == ("x", "complete")
    assert open_store(tmp_path / "store.db").run(state["run_id"]).state == "complete"
    kept = json.dumps([each.checkpoint["channel_values"] for each in saver.list(config)], default=str)
    assert state["run_id"] in kept
    assert "Write a." not in kept


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_run_that_fails_says_so_and_a_plan_that_is_wrong_raises(tmp_path: Path, mode: str) -> None:
    """Failed chunks are values; what could not run is an exception."""
    refusal = Failure(error_type=FailureClass.REFUSAL, message="no")
    failing = graph_in(tmp_path, runner=SimulatedRunner(latency_s=0, answers={"a": lambda _: refusal}))
    wrong = build_graph({"chunks": [{"id": "a", "prompt": "{{ chunks.b }}"}]}, store=tmp_path / "store.db")

    async def ainvoke(graph: Any) -> Any:
        return await graph.ainvoke({})

    def invoke(graph: Any) -> Any:
        return asyncio.run(ainvoke(graph)) if mode == "async" else graph.invoke({})

    assert invoke(failing)["status"] == "failed"
    with pytest.raises(PlanError):
        invoke(wrong)


def test_the_first_event_is_told_before_langgraph_is_imported(tmp_path: Path) -> None:
    """Its import takes more than a second; nobody should look at nothing that long."""
    code = (
        "import sys\nfrom orchestrator import SimulatedRunner, run_plan\nseen = []\n"
        "def on_event(event):\n    seen.append((event.type, 'langgraph' in sys.modules))\n"
        f"options = dict(runner=SimulatedRunner(latency_s=0), store={str(tmp_path / 's.db')!r})\n"
        f"run_plan({PLAN!r}, on_event=on_event, **options)\n"
        "assert seen[0] == ('run_started', False), seen[0]\nassert seen[-1] == ('run_finished', True), seen[-1]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_is_traced_though_the_shell_asks_for_it(tmp_path: Path) -> None:
    """With LANGSMITH_TRACING=true in the environment no run, prompt or answer leaves for the tracing service."""
    code = (
        "import socket\nfrom orchestrator import SimulatedRunner, build_graph, run_plan\n"
        "from langchain_core.tracers.langchain import wait_for_all_tracers\ncalls = []\n"
        "def watch(*args, **kwargs):\n    calls.append(args)\n    raise OSError('no network in this test')\n"
        "socket.getaddrinfo = watch\n"
        f"options = dict(runner=SimulatedRunner(latency_s=0), store={str(tmp_path / 's.db')!r})\n"
        f"run_plan({PLAN!r}, **options)\nwait_for_all_tracers()\nassert calls == [], calls\n"
        f"build_graph({PLAN!r}, **options).invoke({{}})\nwait_for_all_tracers()\n"
        "assert calls, 'this test would not notice tracing'\n"
    )
    environment = {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "made-up", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
