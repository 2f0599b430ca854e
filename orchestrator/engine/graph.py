"""The pipeline as a LangGraph graph: load → split → execute → stitch → review, and back from review to execute.

The only module that knows LangGraph.

The graph's state holds ids alone; what a run knows lives in its `RunSession` and in the store. That is why the graph
has no checkpointer of its own and can be a node of somebody else's graph, with or without one. Chunks are not nodes:
LangGraph runs nodes in levels, and a chunk would wait for strangers.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypedDict, TypeVar

from langchain_core.runnables import RunnableLambda
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph  # pyright: ignore[reportMissingTypeStubs]
from langsmith.run_helpers import tracing_context  # pyright: ignore[reportUnknownVariableType]

from orchestrator.engine.session import RunSession
from orchestrator.events import Event, event_to_dict


class RunState(TypedDict):
    """What passes between nodes, and what an embedding graph gets back."""

    run_id: str
    status: str


Bind = Callable[[], Awaitable[RunSession]]
"""Makes the session of a new run; called once for each pass through the graph."""

Update = dict[str, str]
"""What a node adds to the state."""

T = TypeVar("T")

_MAX_STEPS = 100
"""Nodes in one pass: five rounds of repair, each with a call that judges, take forty."""

Step = Callable[[RunSession], Coroutine[Any, Any, None]]


def build_graph(bind: Bind) -> Any:
    """The compiled pipeline. `ainvoke({})` and `invoke({})` run it once and return `{"run_id", "status"}`.

    Its events arrive as dicts on `stream_mode="custom"`. A failed run does not raise, it says so in `status`;
    whatever `bind` or the run raises comes out of the call.
    """
    nodes = _Nodes(bind)
    graph: Any = StateGraph(RunState)
    for name, step in nodes.steps.items():
        graph.add_node(name, RunnableLambda(nodes.blocking(step), afunc=nodes.awaiting(step), name=name))
    graph.add_edge(START, "load")
    graph.add_edge("load", "split")
    graph.add_edge("split", "execute")
    graph.add_edge("execute", "stitch")
    graph.add_edge("stitch", "review")
    graph.add_conditional_edges("review", _after_review, {"execute": "execute", "end": END})
    return graph.compile().with_config(recursion_limit=_MAX_STEPS)


async def run_graph(session: RunSession) -> None:
    """Take a session that has started through the pipeline; afterwards it has its `result`.

    LangGraph brings the LangSmith SDK, which uploads inputs and outputs when a user's shell happens to hold
    `LANGSMITH_TRACING=true`: it is kept off here. Who embeds the graph in their own decides there.
    """

    async def bind() -> RunSession:
        return session

    with tracing_context(enabled=False):
        await build_graph(bind).ainvoke({})


def _after_review(state: RunState) -> str:
    """A run without an end yet has chunks to put right."""
    return "end" if state.get("status") else "execute"


class _Nodes:
    """The nodes of one compiled graph, and the sessions under way in it, by run id."""

    def __init__(self, bind: Bind) -> None:
        self._bind = bind
        self._sessions: dict[str, tuple[RunSession, _Portal | None]] = {}
        self.steps: dict[str, Step | None] = {
            "load": None,
            "split": RunSession.estimate,
            "execute": RunSession.execute,
            "stitch": RunSession.stitch,
            "review": RunSession.review,
        }

    def awaiting(self, step: Step | None) -> Callable[[RunState], Awaitable[Update]]:
        """The node for a graph that runs on an event loop."""

        async def node(state: RunState) -> Update:
            if step is None:
                session = await self._load(_tell_stream())
                self._sessions[session.run_id] = (session, None)
                return {"run_id": session.run_id}
            session, _ = self._sessions[state["run_id"]]
            return await self._take(step, session)

        return node

    def blocking(self, step: Step | None) -> Callable[[RunState], Update]:
        """The node for a graph that runs without one: its session lives on a loop in a thread of its own."""

        def node(state: RunState) -> Update:
            if step is None:
                portal = _Portal()
                try:
                    session = portal.call(self._load(_tell_stream()))
                except BaseException:
                    portal.close()
                    raise
                self._sessions[session.run_id] = (session, portal)
                return {"run_id": session.run_id}
            session, portal = self._sessions[state["run_id"]]
            assert portal is not None
            try:
                return portal.call(self._take(step, session))
            finally:
                if session.run_id not in self._sessions:
                    portal.close()

        return node

    async def _load(self, tell: Callable[[Event], None]) -> RunSession:
        session = await self._bind()
        session.observe(tell)
        if not session.started:
            try:
                await session.start()
            except BaseException:
                await session.close()
                raise
        return session

    async def _take(self, step: Step, session: RunSession) -> Update:
        try:
            await step(session)
        except BaseException as error:
            del self._sessions[session.run_id]
            await session.abandon(error)
            raise
        if session.result is None:
            return {"run_id": session.run_id}
        del self._sessions[session.run_id]
        return {"run_id": session.run_id, "status": session.result.status}


class _Portal:
    """An event loop in a thread of its own, for callers that have none."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="orchestrate-loop", daemon=True)
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns or raises; interrupting the wait cancels it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End the loop and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _tell_stream() -> Callable[[Event], None]:
    """Puts events on the graph's stream. The writer looks up its graph in the context that it was made in."""
    writer = get_stream_writer()
    context = contextvars.copy_context()
    return lambda event: context.run(writer, event_to_dict(event))
