"""From what a session knows to an executor that can run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.engine.allowance import Allowances
from orchestrator.engine.budget import Budget
from orchestrator.engine.execute import Executor
from orchestrator.engine.forecast import Forecast
from orchestrator.engine.groups import Groups
from orchestrator.engine.journal import Journal
from orchestrator.engine.ledger import Ledger
from orchestrator.engine.measuring import Measuring
from orchestrator.engine.progress import ProgressMeter
from orchestrator.engine.schedule import Schedule
from orchestrator.engine.settings import RunSettings, Surroundings
from orchestrator.plan.estimate import ChunkEstimate
from orchestrator.plan.workload import Workload


def assemble_executor(
    workload: Workload,
    *,
    groups: Groups,
    ledger: Ledger,
    journal: Journal,
    forecast: Forecast,
    expected: Mapping[str, ChunkEstimate],
    settings: RunSettings,
    surroundings: Surroundings,
    allowances: Allowances,
    paused_until_s: float | None,
    on_finished: Callable[[], None],
) -> Executor:
    """The executor of one process. `expected` is what each chunk is estimated to take, by id."""
    durations = {name: each.time_s for name, each in expected.items()}
    return Executor(
        workload,
        groups=groups,
        schedule=Schedule(groups.first_nodes(duration_s=durations), max_concurrency=settings.max_concurrency),
        ledger=ledger,
        journal=journal,
        runner=surroundings.runner,
        budget=Budget(
            max_cost_usd=settings.max_cost_usd,
            expected_usd={name: each.cost_usd for name, each in expected.items()},
            spent_usd=ledger.cost_usd,
        ),
        bounds=replace(settings.bounds, paused_until_s=paused_until_s),
        rules=settings.rules,
        forecast=forecast,
        measuring=Measuring(workload, journal=journal, runner_kind=surroundings.runner.kind),
        allowances=allowances,
        control=surroundings.control,
        clock=surroundings.clock,
        meter=ProgressMeter(
            expected_s=durations,
            total=len(workload.chunks),
            max_concurrency=settings.max_concurrency,
            clock=surroundings.clock,
        ),
        on_finished=on_finished,
    )
