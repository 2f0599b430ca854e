"""What a run would do, told without one: nothing is started, nothing is written, no CLI is needed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from orchestrator.binding import kept_limit, reuse_rules, runner_kind, selected
from orchestrator.engine.clock import Clock
from orchestrator.engine.costs.allowance import foretell
from orchestrator.engine.costs.estimating import warnings_of
from orchestrator.engine.costs.forecast import forecast
from orchestrator.engine.costs.look_ahead import windows_seen
from orchestrator.engine.costs.measuring import learn
from orchestrator.engine.costs.outlook import Outlook, outlook
from orchestrator.engine.recall import reload_workload
from orchestrator.errors import StoreError
from orchestrator.following import check_choice, for_planned, for_planner, known_so_far
from orchestrator.opening import Loader, OpenedPlan, Options, loader_for, store_path
from orchestrator.plan.estimate import Estimate, estimate_workload
from orchestrator.plan.learned import NOTHING_LEARNED, Learned
from orchestrator.plan.payers import first_payers
from orchestrator.plan.tally import Tally
from orchestrator.plan.workload import Workload
from orchestrator.store import Connection, look_into, open_store
from orchestrator.store.reads import past_run, previous_run


async def make_outlook(opened: OpenedPlan, options: Options) -> Outlook:
    """The outlook of a run with these options. A missing store is an empty one.

    Of a request it is that of its plan, when the planner's answer is stored, else that of the planner's call. Raises
    `UsageError`, `StoreError` or `LoadingStoppedError`.
    """
    if opened.workload.to_be_planned:
        await check_choice(opened, options)
        opened = await known_so_far(opened, options)
        to_ask = opened.workload.to_be_planned
        options = for_planner(options) if to_ask else for_planned(opened, options)
    return await _make_outlook(selected(opened.workload, options), options, opened.loader, resumed="")


async def make_outlook_of_rest(run_id: str, options: Options) -> Outlook:
    """The outlook of resuming a run, as it was started but for these options.

    Raises `UnknownRunError`, `PlanChangedError`, `PlanError`, `StoreError` or `LoadingStoppedError`.
    """
    store, loader = open_store(store_path(options)), loader_for(options)
    record = store.run(store.resolve(run_id))
    workload = await loader.watch.run(lambda: reload_workload(record, loader.texts))
    asked = {name: value for name, value in options.items() if value is not None}
    return await _make_outlook(workload, {**record.options, **asked}, loader, resumed=record.run_id)


async def _make_outlook(workload: Workload, options: Options, loader: Loader, *, resumed: str) -> Outlook:
    """`resumed` is the run that goes on, empty for a new one."""
    runner, rules = runner_kind(options), reuse_rules(options)
    limit = options.get("max_concurrency") or workload.plan.limits.max_concurrency

    tally = Tally(replace(loader.texts, doing="estimating"))

    def question(connection: Connection) -> Outlook:
        earlier = (
            past_run(connection, resumed)
            if resumed
            else previous_run(connection, name=workload.name, before="", runner=runner)
        )
        found = forecast(
            connection,
            workload,
            runner=runner,
            rules=rules,
            own=earlier.chunks if resumed else {},
            earlier=earlier,
            now_s=Clock().epoch_s(),
        )
        learned = learn(connection, workload, runner=runner)
        estimate = estimate_workload(
            found.ahead, reusable=found.reusable, max_concurrency=limit, learned=learned, tally=tally
        )
        windows = foretell(
            windows_seen(connection),
            cost_usd_low=estimate.cost_usd_low,
            cost_usd_high=estimate.cost_usd_high,
            now_s=Clock().epoch_s(),
            paid_by=_paid_by(found.ahead, estimate, found.reusable),
        )
        return outlook(
            found.ahead,
            forecast=found,
            estimate=estimate,
            rules=rules,
            runner=runner,
            warnings=warnings_of(estimate, workload, max_cost_usd=kept_limit(workload, options)),
            windows=windows,
        )

    return await loader.watch.run(lambda: look_into(store_path(options), question))


def _paid_by(workload: Workload, estimate: Estimate, reusable: Collection[str]) -> dict[str, float]:
    """What part of the cost each account pays, as far as none is at its limit."""
    costs = {name: each.cost_usd for name, each in estimate.chunks.items() if name not in reusable}
    total = sum(costs.values()) or 1.0
    payers = first_payers(workload, costs)
    return {account: sum(costs[name] for name in names) / total for account, names in payers.items()}


def learned_so_far(workload: Workload, *, store: Path) -> Learned:
    """What the store knows of calls of the Claude CLI like those of the workload; nothing when it cannot be read."""
    try:
        return look_into(store, lambda connection: learn(connection, workload, runner="claude"))
    except StoreError:
        return NOTHING_LEARNED
