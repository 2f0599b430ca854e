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
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from orchestrator.binding import bind_new_run, bind_resumed_run, kept_limit
from orchestrator.call_options import check_options
from orchestrator.engine.control import RunControl
from orchestrator.engine.costs.allowance import WindowOutlook as WindowOutlook
from orchestrator.engine.costs.outlook import EntryOutlook as EntryOutlook
from orchestrator.engine.costs.outlook import Outlook
from orchestrator.engine.result import RunResult
from orchestrator.engine.session import RunSession
from orchestrator.engine.settings import Confirm
from orchestrator.errors import UsageError
from orchestrator.events import Event
from orchestrator.following import check_following, for_planned
from orchestrator.forecasting import learned_so_far as learned_so_far
from orchestrator.forecasting import make_outlook, make_outlook_of_rest
from orchestrator.opening import OpenedPlan, keep_known, open_plan, store_path
from orchestrator.plan.inputs import GivenInput, declared_inputs
from orchestrator.plan.loading import OnLoading
from orchestrator.plan.model import Plan
from orchestrator.planning import PlanningResult, left_of, make_plan, reopen
from orchestrator.recalling import PauseRecord as PauseRecord
from orchestrator.recalling import Writer as Writer
from orchestrator.recalling import recall_group as recall_group
from orchestrator.recalling import recall_pauses as recall_pauses
from orchestrator.recalling import recall_result as recall_result
from orchestrator.recalling import recall_seams as recall_seams
from orchestrator.recalling import recall_writers as recall_writers
from orchestrator.runners.base import Runner

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
    max_concurrency, max_cost_usd, max_tokens, max_wall_s, max_wait (also "6h"): instead of the plan's limits.
    wait_for_limits: pause at a usage limit (default), or stop there.
    accounts: the folders (`CLAUDE_CONFIG_DIR`) of the logins that a plan may name as `account`, by name.
    allow_tools: the tools that a plan may use when it asks for them, such as ["Read", "Grep"]; none when left out.
    force: overwrite an output file that was not written by a run.
    confirm: asked once before the first call; False stops the run.
    control: a `RunControl` to stop the run with.
    on_loading: called in the event loop's thread with how far splitting and counting has come; dropped when it raises.
    """

    runner: Runner | str | None
    claude: Path | None
    environment: Mapping[str, str] | None
    store: Path | str | None
    output: Path | str | None
    on_event: Callable[[Event], None] | None
    max_concurrency: int | None
    max_cost_usd: float | None
    max_tokens: int | None
    max_wall_s: float | None
    wait_for_limits: bool
    max_wait: float | str | None
    accounts: Mapping[str, Path | str] | None
    allow_tools: Sequence[str] | None
    force: bool
    confirm: Confirm | None
    control: RunControl | None
    on_loading: OnLoading | None


class RunOptions(CommonOptions, total=False):
    """What a new run takes besides.

    inputs: texts by input name; a `Path` is a file, a tuple of them several, a string the text itself.
    default_output: write `<name>.result.<ext>` in the current folder when neither the call nor the plan names a file.
    fresh: reuse no stored answer. redo: ids of chunks to ask again.
    only: run these chunks and what they need, and stitch these alone. until: leave out what comes after these.
    base_dir: what a dict's relative paths start from. root: the folder that a plan's paths must stay in.
    sample: run so many pieces of each `for_each` and what is paired with them; the result is `<stem>.sample.<ext>`.
    on_planned: called with the planner's result when the plan has a request alone, before its chunks run.
    """

    inputs: Mapping[str, GivenInput] | None
    default_output: bool
    fresh: bool
    only: Sequence[str]
    until: Sequence[str]
    redo: Sequence[str]
    base_dir: Path | str | None
    root: Path | str | None
    sample: int | None
    on_planned: Callable[[PlanningResult], None] | None


class PlanningOptions(CommonOptions, total=False):
    """What a request is planned with besides.

    inputs: texts by input name; a `Path` is a file, a tuple of them several, a string the text itself. A request in
    words needs no other declaration of its inputs; of a plan they are those it declares. name: the name of the plan
    that is made.
    fresh: reuse no stored answer. base_dir and root as for `RunOptions`.
    """

    inputs: Mapping[str, GivenInput] | None
    name: str | None
    fresh: bool
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
    given = _checked(options, RunOptions)
    return await _run_opened(await open_plan(_source(plan), given), given)


def forecast_plan(plan: PlanSource, **options: Unpack[RunOptions]) -> Outlook:
    """What `run_plan` with the same options would do and about what it would take; blocks.

    Starts nothing, writes nothing, and needs no CLI; a store that is not there is an empty one. Of a request that was
    not planned yet it is the outlook of the planner's call alone, with `planning`. Raises `PlanError`,
    `UsageError` or `StoreError`, and `UsageError` inside a running event loop, where `aforecast_plan` belongs.
    """
    _refuse_running_loop("forecast_plan", "aforecast_plan")
    return asyncio.run(aforecast_plan(plan, **options))


async def aforecast_plan(plan: PlanSource, **options: Unpack[RunOptions]) -> Outlook:
    """`forecast_plan` as a coroutine."""
    given = _checked(options, RunOptions)
    return await make_outlook(await open_plan(_source(plan), given), given)


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
    given = _checked(options, CommonOptions)
    if (planned := await reopen(run_id, given)) is not None:
        return await _run_opened(*planned)
    return await _drive(await bind_resumed_run(run_id, given, environment=os.environ))


def forecast_resume(run_id: str = "last", **options: Unpack[CommonOptions]) -> Outlook:
    """What `resume_run` with the same options would do and about what it would take; blocks. Starts nothing.

    Raises what `resume_run` raises before it starts anything.
    """
    _refuse_running_loop("forecast_resume", "aforecast_resume")
    return asyncio.run(aforecast_resume(run_id, **options))


async def aforecast_resume(run_id: str = "last", **options: Unpack[CommonOptions]) -> Outlook:
    """`forecast_resume` as a coroutine."""
    given = _checked(options, CommonOptions)
    if (planned := await reopen(run_id, given)) is not None:
        return await make_outlook(*planned)
    return await make_outlook_of_rest(run_id, given)


def plan_request(request: PlanSource, **options: Unpack[PlanningOptions]) -> PlanningResult:
    """Have the model plan a request, and return the plan; blocks. Nothing of the plan is run.

    A string with a blank in it is the request itself; one word is always a plan file, which has a `request` and no
    `chunks`. A planner that gives no plan does not raise; look at `plan`, or call `raise_for_failure()`. Raises what
    `run_plan` raises, and `UsageError` without `max_cost_usd` or `confirm`, since nobody knows yet what it costs.
    """
    _refuse_running_loop("plan_request", "aplan_request")
    return asyncio.run(aplan_request(request, **options))


async def aplan_request(request: PlanSource, **options: Unpack[PlanningOptions]) -> PlanningResult:
    """`plan_request` as a coroutine."""
    given = _checked(options, PlanningOptions)
    source = _source(request)
    if isinstance(request, str) and len(request.split()) > 1:
        source = {"request": request, "inputs": declared_inputs(options.get("inputs") or {})}
    if isinstance(source, dict) and (name := options.get("name")):
        source = {"name": name, **source}
    opened = await open_plan(source, given)
    if not opened.workload.to_be_planned:
        raise UsageError("the plan has chunks already, so there is nothing to plan: run it")
    result, _ = await make_plan(opened, given, environment=os.environ, drive=_drive, then_run=False)
    await asyncio.to_thread(keep_known, opened.loader, store_path(given))
    return result


def build_graph(plan: PlanSource, **options: Unpack[RunOptions]) -> Any:
    """The pipeline as a compiled LangGraph graph, to be invoked or to be a node of another graph.

    Each `invoke({})` or `ainvoke({})` is a new run and returns `{"run_id", "status"}`; events arrive as dicts on
    `stream_mode="custom"`. Raises what `run_plan` raises, when it is invoked.
    """
    graph = importlib.import_module("orchestrator.engine.graph")

    async def bind() -> RunSession:
        given = _checked(options, RunOptions)
        opened = await open_plan(_source(plan), given)
        if opened.workload.to_be_planned:
            result, planned, given = await _plan_first(opened, given)
            result.raise_for_failure()
            assert planned is not None
            opened = planned
        return bind_new_run(opened, given, environment=os.environ)

    return graph.build_graph(bind)


async def _run_opened(opened: OpenedPlan, options: dict[str, Any]) -> RunResult:
    """Run a plan; a request is planned first."""
    if opened.workload.to_be_planned:
        result, planned, options = await _plan_first(opened, options)
        if planned is None:
            return result.as_run_result()
        opened = planned
    return await _drive(bind_new_run(opened, options, environment=os.environ))


async def _plan_first(
    opened: OpenedPlan, options: dict[str, Any]
) -> tuple[PlanningResult, OpenedPlan | None, dict[str, Any]]:
    """What the planner made of a request, and the options to run it with: money that was spent is not there twice."""
    await check_following(opened, options)
    result, planned = await make_plan(opened, options, environment=os.environ, drive=_drive, then_run=True)
    left = left_of(kept_limit(opened.workload, options), result.cost_usd)
    further = options if planned is None else for_planned(planned, options)
    result = replace(result, whole=further.get("sample") != options.get("sample"))
    if (on_planned := options.get("on_planned")) is not None:
        on_planned(result)
    return result, planned, {**further, "max_cost_usd": left}


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
