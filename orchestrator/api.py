"""Running plans from Python: where plan, runner, store and observers are bound together.

Nothing here reads settings from the environment or sets a signal handler; the environment is only handed to the
Claude CLI, which finds its login there.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from orchestrator.binding import DEFAULT_STORE, bind_new_run, bind_resumed_run, check_options
from orchestrator.engine import recall
from orchestrator.engine.control import RunControl
from orchestrator.engine.result import RunResult
from orchestrator.engine.session import RunSession
from orchestrator.engine.settings import Confirm
from orchestrator.errors import UsageError
from orchestrator.events import Event
from orchestrator.plan.load import StdinText
from orchestrator.plan.model import Plan
from orchestrator.runners.base import Runner
from orchestrator.store import open_store

PlanSource = str | Path | dict[str, Any] | Plan
"""A path, the content of a plan as a dict, or a validated `Plan`."""


class CommonOptions(TypedDict, total=False):
    """What both a new and a resumed run take; every key may be left out.

    runner: a `Runner`, or its name: `claude` (default), `simulated`, `simulated:latency_s=0.2`.
    claude: the CLI to use instead of the one that is found.
    environment: what the CLI gets to choose from (it is filtered); this process's environment when left out.
    store: the store file; `.orchestrate/store.db` in the current folder when left out.
    output: the result file; "-" writes none even when the plan names one.
    on_event: called with each event, in order, in the event loop's thread; dropped when it raises.
    max_concurrency, max_cost_usd: instead of the plan's limits.
    wait_for_limits: pause at a usage limit (default), or stop there.
    force: overwrite an output file that was not written by a run.
    confirm: asked once before the first call; False stops the run.
    control: a `RunControl` to stop the run with.
    """

    runner: Runner | str | None
    claude: Path | None
    environment: Mapping[str, str] | None
    store: Path | str | None
    output: Path | str | None
    on_event: Callable[[Event], None] | None
    max_concurrency: int | None
    max_cost_usd: float | None
    wait_for_limits: bool
    force: bool
    confirm: Confirm | None
    control: RunControl | None


class RunOptions(CommonOptions, total=False):
    """What a new run takes besides.

    inputs: texts by input name; a `Path` is a file, a string the text itself.
    default_output: write `<name>.result.<ext>` in the current folder when neither the call nor the plan names a file.
    fresh: reuse no stored answer. redo: ids of chunks to ask again.
    only: run these chunks and what they need, and stitch these alone. until: leave out what comes after these.
    base_dir: what a dict's relative paths start from. root: the folder that a plan's paths must stay in.
    """

    inputs: Mapping[str, str | Path | StdinText] | None
    default_output: bool
    fresh: bool
    only: Sequence[str]
    until: Sequence[str]
    redo: Sequence[str]
    base_dir: Path | str | None
    root: Path | str | None


def run_plan(plan: PlanSource, **options: Unpack[RunOptions]) -> RunResult:
    """Run a plan to its end and return the result; blocks. Options are those of `RunOptions`.

    A failed chunk does not raise; look at `status`, or call `raise_for_failure()`. Raises `PlanError`, `UsageError`,
    `RunnerUnavailableError` or `StoreError` when the run cannot begin or cannot be kept, and `UsageError` inside a
    running event loop, where `arun_plan` belongs.
    """
    _refuse_running_loop("run_plan", "arun_plan")
    return asyncio.run(arun_plan(plan, **options))


async def arun_plan(plan: PlanSource, **options: Unpack[RunOptions]) -> RunResult:
    """`run_plan` as a coroutine. Cancelling it ends the children, keeps what was answered, and propagates."""
    return await _drive(await bind_new_run(_source(plan), _checked(options, RunOptions), environment=os.environ))


async def astream_plan(plan: PlanSource, **options: Unpack[RunOptions]) -> AsyncGenerator[Event, None]:
    """Run a plan and yield its events as they are told, `run_finished` last. Closing the generator stops the run."""
    events: asyncio.Queue[Event | None] = asyncio.Queue()
    also = options.get("on_event")

    def on_event(event: Event) -> None:
        events.put_nowait(event)
        if also is not None:
            also(event)

    options["on_event"] = on_event
    run = asyncio.create_task(arun_plan(plan, **options))
    run.add_done_callback(lambda _: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            yield event
        await run
    finally:
        run.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([run])


def resume_run(run_id: str = "last", **options: Unpack[CommonOptions]) -> RunResult:
    """Continue a run to its end and return the result; blocks. "last" is the run begun last.

    It goes on with the runner, output and limits it was started with, unless `options` say otherwise. Raises what
    `run_plan` raises, `UnknownRunError`, and `PlanChangedError` when the plan or an input changed since.
    """
    _refuse_running_loop("resume_run", "aresume_run")
    return asyncio.run(aresume_run(run_id, **options))


async def aresume_run(run_id: str = "last", **options: Unpack[CommonOptions]) -> RunResult:
    """`resume_run` as a coroutine."""
    return await _drive(await bind_resumed_run(run_id, _checked(options, CommonOptions), environment=os.environ))


def recall_result(run_id: str = "last", *, store: Path | str | None = None) -> str | None:
    """The stitched text of a run, made again from its stored answers; None when it has no answer. Starts nothing.

    What has no answer is a visible gap. Raises `UnknownRunError`, `StoreError`, and `PlanChangedError` when the plan or
    an input is no longer what the run began with.
    """
    stitched = recall.recall_result(open_store(Path(store or DEFAULT_STORE)), run_id)
    return stitched.text if stitched else None


def build_graph(plan: PlanSource, **options: Unpack[RunOptions]) -> Any:
    """The pipeline as a compiled LangGraph graph, to be invoked or to be a node of another graph.

    Each `invoke({})` or `ainvoke({})` is a new run and returns `{"run_id", "status"}`; events arrive as dicts on
    `stream_mode="custom"`. Raises what `run_plan` raises, when it is invoked.
    """
    graph = importlib.import_module("orchestrator.engine.graph")
    return graph.build_graph(lambda: bind_new_run(_source(plan), _checked(options, RunOptions), environment=os.environ))


async def _drive(session: RunSession) -> RunResult:
    try:
        await session.start()
        # LangGraph takes 1.3 s to import: the first events are out by then.
        graph = await asyncio.to_thread(importlib.import_module, "orchestrator.engine.graph")
        await graph.run_graph(session)
    except BaseException as error:
        await session.abandon(error)
        raise
    assert session.result is not None
    return session.result


def _checked(options: Mapping[str, Any], kind: type[CommonOptions]) -> dict[str, Any]:
    check_options(options, known=kind.__annotations__)
    return dict(options)


def _source(plan: PlanSource) -> Path | dict[str, Any] | Plan:
    return Path(plan) if isinstance(plan, str) else plan


def _refuse_running_loop(called: str, instead: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(f"{called} blocks and an event loop is running here: use `await {instead}(...)` instead")
