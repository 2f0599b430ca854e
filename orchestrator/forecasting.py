"""What a run would do, told without one: nothing is started, nothing is written, no CLI is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.binding import reuse_rules, runner_kind, selected
from orchestrator.engine.clock import Clock
from orchestrator.engine.forecast import forecast
from orchestrator.engine.measuring import learn
from orchestrator.engine.outlook import Outlook, outlook
from orchestrator.errors import StoreError
from orchestrator.opening import OpenedPlan, Options, store_path
from orchestrator.plan.estimate import estimate_workload
from orchestrator.plan.learned import NOTHING_LEARNED, Learned
from orchestrator.plan.tally import Tally
from orchestrator.plan.workload import Workload
from orchestrator.store import Connection, look_into
from orchestrator.store.reads import chunks, previous_run_id


async def make_outlook(opened: OpenedPlan, options: Options) -> Outlook:
    """The outlook of a run with these options. A missing store is an empty one.

    Raises `UsageError`, `StoreError` or `LoadingStoppedError`.
    """
    workload = selected(opened.workload, options)
    runner, rules = runner_kind(options), reuse_rules(options)
    limit = options.get("max_concurrency") or workload.plan.limits.max_concurrency

    tally = Tally(replace(opened.loader.texts, doing="estimating"))

    def question(connection: Connection) -> Outlook:
        latest = previous_run_id(connection, name=workload.name, before="")
        found = forecast(
            connection,
            workload,
            runner=runner,
            rules=rules,
            own={},
            earlier={each.chunk_id: each for each in chunks(connection, latest)} if latest else {},
            now_s=Clock().epoch_s(),
        )
        learned = learn(connection, workload, runner=runner)
        estimate = estimate_workload(
            found.ahead, reusable=found.reusable, max_concurrency=limit, learned=learned, tally=tally
        )
        return outlook(found.ahead, forecast=found, estimate=estimate, rules=rules)

    return await opened.loader.watch.run(lambda: look_into(store_path(options), question))


def learned_so_far(workload: Workload, *, store: Path) -> Learned:
    """What the store knows of calls of the Claude CLI like those of the workload; nothing when it cannot be read."""
    try:
        return look_into(store, lambda connection: learn(connection, workload, runner="claude"))
    except StoreError:
        return NOTHING_LEARNED
