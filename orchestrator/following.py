"""What follows the planning of a request, as far as it can be told and checked before the planner is paid."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.binding import check_targets, reuse_rules, runner_kind, selected
from orchestrator.engine.clock import Clock
from orchestrator.engine.costs.forecast import forecast
from orchestrator.engine.planner.planner import MEND_IDS, PLANNER_ID, mend_task, planning_workload
from orchestrator.errors import UsageError
from orchestrator.opening import OpenedPlan, Options, store_path
from orchestrator.plan.sampling import can_sample
from orchestrator.plan.workload import Workload
from orchestrator.planning import FOLLOWED, first_task, read_plan
from orchestrator.store import Connection, PastRun, look_into
from orchestrator.store.reads import answer as read_answer

_CHOICES = ("only", "until", "redo")
"""Options that name chunks."""


async def check_following(opened: OpenedPlan, options: Options) -> None:
    """Refuse what the run of a plan that is yet to be made could not do, before the planner is paid in vain.

    Raises what `check_targets` and `check_choice` raise.
    """
    check_targets(opened, options)
    await check_choice(opened, options)


async def check_choice(opened: OpenedPlan, options: Options) -> None:
    """Refuse a choice of chunks that nobody knows yet, or that the plan has not got: planning would be paid in vain.

    Raises `UsageError`, and what `known_so_far` raises.
    """
    asked = next((name for name in _CHOICES if options.get(name)), None)
    if asked is None:
        return
    known = await known_so_far(opened, options)
    if known.workload.to_be_planned:
        file = _shown(opened.workload.path)
        command = f"orchestrate plan {file}" if file else 'orchestrate plan "REQUEST"'
        raise UsageError(
            f"--{asked} names chunks, and nobody knows those of a request before it is planned: `{command}` writes the "
            f"plan down, and running what it wrote takes --{asked}"
        )
    selected(known.workload, {**options, "sample": None})


async def known_so_far(opened: OpenedPlan, options: Options) -> OpenedPlan:
    """The plan of a request as far as stored answers of the planner carry: `to_be_planned` no more, or its next call.

    Asks nobody and writes nothing. Raises `StoreError`, `LoadingStoppedError` or `TokenRanksError`.
    """
    first = task = await first_task(opened)
    call = opened
    for chunk_id in (PLANNER_ID, *MEND_IDS):
        call = replace(opened, workload=planning_workload(opened.workload, chunk_id=chunk_id, task=task))
        question = partial(_stored_answer, call.workload, chunk_id, options)
        answer = await opened.loader.watch.run(partial(look_into, store_path(options), question))
        if answer is None:
            break
        found = await read_plan(answer, opened, options)
        if isinstance(found, tuple):
            return found[1]
        task = mend_task(first, answer=answer, problems=found)
    return call


def for_planned(planned: OpenedPlan, options: Options) -> dict[str, Any]:
    """The options to run a planned plan with. A sample of a plan that has no pieces is the whole: there is nothing to
    spread, and planning has been paid.
    """
    part = selected(planned.workload, {**options, "sample": None})
    return {**options, "sample": options.get("sample") if can_sample(part) else None}


def for_planner(options: Options) -> dict[str, Any]:
    """The options of the planner's own calls: none of what is meant for the plan that it makes."""
    return {name: value for name, value in options.items() if name not in FOLLOWED}


def _stored_answer(workload: Workload, chunk_id: str, options: Options, connection: Connection) -> str | None:
    found = forecast(
        connection,
        workload,
        runner=runner_kind(options),
        rules=reuse_rules(for_planner(options)),
        own={},
        earlier=PastRun(),
        now_s=Clock().epoch_s(),
    )
    prospect = found.prospects.get(chunk_id)
    if prospect is None or prospect.answer_id is None:
        return None
    record = read_answer(connection, prospect.answer_id)
    return record.text if record is not None else None


def _shown(path: Path | None) -> str:
    """The path as it is typed in the current folder; empty for no path."""
    here = Path.cwd()
    return "" if path is None else str(path.relative_to(here) if path.is_relative_to(here) else path)
