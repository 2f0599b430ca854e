"""From what a session knows to an executor that can run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.engine.admission import Claims
from orchestrator.engine.costs.allowance import Allowances
from orchestrator.engine.costs.budget import Budget, Expected
from orchestrator.engine.costs.budgets import Budgets
from orchestrator.engine.costs.forecast import Forecast
from orchestrator.engine.costs.measuring import Measuring
from orchestrator.engine.execute import Executor
from orchestrator.engine.groups import Groups
from orchestrator.engine.journal import Journal
from orchestrator.engine.ledger import Ledger
from orchestrator.engine.patience import CallBounds
from orchestrator.engine.pauses import PauseLeft
from orchestrator.engine.progress import ProgressMeter
from orchestrator.engine.schedule import Schedule
from orchestrator.engine.settings import RunSettings, Surroundings
from orchestrator.plan.estimate import OUTPUT_HIGH, OUTPUT_LOW, ChunkEstimate, Estimate
from orchestrator.plan.learned import FEWEST, Learned
from orchestrator.plan.selection import entry_of
from orchestrator.plan.workload import Workload


def assemble_executor(
    workload: Workload,
    *,
    groups: Groups,
    ledger: Ledger,
    journal: Journal,
    forecast: Forecast,
    estimate: Estimate | None,
    learned: Learned,
    settings: RunSettings,
    surroundings: Surroundings,
    allowances: Allowances,
    call_mb: int,
    left: Mapping[str, PauseLeft],
    on_finished: Callable[[], None],
) -> Executor:
    """The executor of one process. Without an estimate nothing is going to start."""
    expected: Mapping[str, ChunkEstimate] = estimate.chunks if estimate is not None else {}
    durations = {name: each.time_s for name, each in expected.items()}
    return Executor(
        workload,
        groups=groups,
        schedule=Schedule(groups.first_nodes(duration_s=durations), max_concurrency=settings.max_concurrency),
        ledger=ledger,
        journal=journal,
        runner=surroundings.runner,
        budgets=_budgets(workload, estimate, learned, ledger=ledger, settings=settings),
        bounds=replace(
            settings.bounds,
            calls=CallBounds(
                max_memory_mb=workload.plan.limits.max_memory_mb,
                call_mb=call_mb,
                took_s=learned.took_s,
                alike_s={recipe: [call.elapsed_s for call in calls] for recipe, calls in learned.calls.items()},
            ),
            left=left,
        ),
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
        claims=Claims(surroundings.store),
    )


def _budgets(
    workload: Workload, estimate: Estimate | None, learned: Learned, *, ledger: Ledger, settings: RunSettings
) -> Budgets:
    """Money and tokens of one process; they know what the answers of earlier processes of the run took."""
    known = {recipe for recipe, calls in learned.calls.items() if len(calls) >= FEWEST}

    def is_learned(name: str) -> bool:
        group = workload.groups.get(entry_of(name))
        chunk = workload.chunks.get(name) or (group.prototype if group is not None else None)
        return chunk is not None and chunk.recipe in known

    chunks: Mapping[str, ChunkEstimate] = estimate.chunks if estimate is not None else {}
    money = Budget(
        limit=settings.max_cost_usd,
        expected={
            name: Expected(each.cost_usd, each.cost_usd_low, each.cost_usd_high, learned=is_learned(name))
            for name, each in chunks.items()
        },
        high=estimate.cost_usd_high if estimate is not None else 0.0,
        spent=ledger.cost_usd,
    )
    tokens = Budget(
        limit=settings.max_tokens,
        expected={name: _expected_tokens(each, learned=is_learned(name)) for name, each in chunks.items()},
        high=estimate.input_tokens + OUTPUT_HIGH * estimate.output_tokens if estimate is not None else 0.0,
        spent=ledger.tokens,
    )
    for name, record in (*ledger.records.items(), *ledger.unopened.items()):
        if record.status == "succeeded" and not record.reused_from and record.attempts:
            money.learn(name, amount=record.cost_usd / record.attempts)
            tokens.learn(name, amount=(record.input_tokens + record.output_tokens) / record.attempts)
    return Budgets(money=money, tokens=tokens)


def _expected_tokens(chunk: ChunkEstimate, *, learned: bool) -> Expected:
    """Sent and received; what is sent is known, an answer may be shorter or longer than the guess."""
    least, most = (chunk.input_tokens + share * chunk.output_tokens for share in (OUTPUT_LOW, OUTPUT_HIGH))
    return Expected(chunk.input_tokens + chunk.output_tokens, least, most, learned=learned)
